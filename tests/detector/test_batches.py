"""What a training step is fed, and how a person can look at it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detector.domain import Label
from detector.training import contact_sheet
from detector.training.augmentation import NO_AUGMENTATION
from detector.training.batches import BatchMaker, Config
from detector.training.crops import by_source, decode_rgb, load_faces, read_manifest
from tests.detector.crops import SIDE, jpeg


def test_a_batch_depends_on_seed_and_step_alone(dataset: Path) -> None:
    config = Config(dataset="faces", image_size=96, batch_size=8, seed=7)
    sources = by_source(load_faces(dataset, read_manifest(dataset)))
    first = BatchMaker(config, sources)
    images, labels = first(5)
    again_images, again_labels = BatchMaker(config, sources)(5)
    np.testing.assert_array_equal(images, again_images)
    np.testing.assert_array_equal(labels, again_labels)
    assert np.abs(first(6)[0] - images).max() > 0
    assert images.shape == (8, 96, 96, 3)
    assert labels.sum(axis=0).tolist() == [4, 4]


def test_the_crops_of_a_pair_get_the_same_changes(dataset: Path) -> None:
    """Here each fake is its genuine crop, so nothing may tell them apart."""
    rows = [row for row in read_manifest(dataset) if not row.archive]
    for row in rows:
        genuine = (dataset / "real" / Path(row.path).name).read_bytes()
        (dataset / row.path).write_bytes(genuine)
    config = Config(dataset="faces", image_size=96, batch_size=12, self_blended=0.0)
    images, _ = BatchMaker(config, by_source(load_faces(dataset, rows)))(3)
    np.testing.assert_array_equal(images[0::2], images[1::2])
    assert np.abs(images[0] - images[2]).max() > 0


def test_labels_of_a_batch_are_in_class_order(dataset: Path) -> None:
    """Genuine pictures are made all white here and fakes all black, so order shows."""
    for path, value in [("real", 255), ("fake", 0)]:
        for number in range(0, 12, 2):
            flat = np.full((SIDE, SIDE, 3), value, np.uint8)
            (dataset / path / f"{number}.jpg").write_bytes(jpeg(flat))
    rows = [row for row in read_manifest(dataset) if not row.archive]
    config = Config(
        dataset="faces",
        image_size=96,
        batch_size=6,
        self_blended=0.0,
        augmentation=NO_AUGMENTATION,
    )
    images, labels = BatchMaker(config, by_source(load_faces(dataset, rows)))(0)
    bright = images.mean(axis=(1, 2, 3)) > 0
    np.testing.assert_array_equal(labels[:, Label.REAL] == 1, bright)
    np.testing.assert_array_equal(labels[:, Label.FAKE] == 1, ~bright)


def test_a_contact_sheet_shows_the_batch_of_a_step(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = tmp_path / "sheet.png"
    command = ["contact_sheet", str(dataset), str(sheet), "--batch-size", "12", "--step", "2",
               "--image-size", "96"]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    assert contact_sheet.main() == 0
    picture = decode_rgb(sheet.read_bytes())
    assert picture.shape == (2 * 96, 8 * 96, 3)
    rows = [row for row in read_manifest(dataset) if row.split == "train"]
    config = Config(dataset="faces", batch_size=12, image_size=96)
    images, _ = BatchMaker(config, by_source(load_faces(dataset, rows)))(2)
    for position, image in enumerate(images):
        top, left = 96 * (position // 8), 96 * (position % 8)
        shown = picture[top : top + 96, left : left + 96].astype(np.float32)
        assert np.abs(shown / 127.5 - 1 - image).max() < 0.01
    assert not picture[96:, 4 * 96 :].any()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda dataset: (dataset / "manifest.csv").unlink(), "no manifest.csv"),
        (lambda dataset: (dataset / "real/4.jpg").unlink(), "real/4.jpg"),
        (lambda dataset: (dataset.parent / "sheet.png").mkdir(), "could not write"),
    ],
)
def test_a_contact_sheet_that_cannot_be_made_says_why(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    spoil(dataset)
    command = ["contact_sheet", str(dataset), str(tmp_path / "sheet.png")]
    monkeypatch.setattr("sys.argv", command)
    assert contact_sheet.main() == 1
    assert message in capsys.readouterr().err
