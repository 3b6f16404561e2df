"""What a training step is fed, and how a person can look at it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.domain import Label
from detector.training import contact_sheet, selection
from detector.training.augmentation import NO_AUGMENTATION, Augmentation
from detector.training.batches import WINDOW, BatchMaker, Recipe, window
from detector.training.crops import Source, by_source, decode_rgb, load_faces, read_manifest
from detector.training.errors import DatasetError
from detector.training.generated import FRAMES, write_generated
from detector.training.selection import DAMAGED, selection_sets
from tests.detector.crops import SIDE, jpeg

PLAIN = Recipe(image_size=96, batch_size=8, self_blended=0.0, augmentation=NO_AUGMENTATION, seed=7)


def sources_of(dataset: Path) -> list[Source]:
    return by_source(load_faces(dataset, read_manifest(dataset)))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Three sources of a genuine and a fake video, several frames of each."""
    return sources_of(write_generated(tmp_path_factory.mktemp("drawn"), 3, seed=1))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def paint(dataset: Path, real: int, fake: int) -> list[Source]:
    """Sources whose genuine crops are all of one grey and whose fakes are of another."""
    for path, value in [("real", real), ("fake", fake)]:
        for number in range(0, 12, 2):
            flat = np.full((SIDE, SIDE, 3), value, np.uint8)
            (dataset / path / f"{number}.jpg").write_bytes(jpeg(flat))
    rows = [row for row in read_manifest(dataset) if not row.archive]
    return by_source(load_faces(dataset, rows))


@pytest.mark.parametrize("windows", [False, True])
def test_a_batch_depends_on_recipe_and_step_alone(videos: list[Source], windows: bool) -> None:
    recipe = replace(PLAIN, augmentation=Augmentation(), self_blended=0.5, windows=windows)
    first = BatchMaker(recipe, videos)
    images, labels = first(5)
    again_images, again_labels = BatchMaker(recipe, videos)(5)
    np.testing.assert_array_equal(images, again_images)
    np.testing.assert_array_equal(labels, again_labels)
    assert np.abs(first(6)[0] - images).max() > 0
    assert np.abs(BatchMaker(replace(recipe, seed=8), videos)(5)[0] - images).max() > 0
    assert images.shape == ((8, WINDOW, 96, 96, 3) if windows else (8, 96, 96, 3))
    assert labels.sum(axis=0).tolist() == [4, 4]


def test_each_source_comes_once_a_pass_in_an_order_of_its_own(dataset: Path) -> None:
    sources = sources_of(dataset)
    make = BatchMaker(replace(PLAIN, batch_size=6), sources)
    passes = [
        [source.group for step in range(first, first + 4) for source in make._sources_of(step)]
        for first in (0, 4)
    ]
    for one in passes:
        assert sorted(one) == sorted(source.group for source in sources)
    assert passes[0] != passes[1]


def test_the_crops_of_a_pair_get_the_same_changes(dataset: Path) -> None:
    """Here each fake is its genuine crop, so nothing may tell them apart."""
    rows = [row for row in read_manifest(dataset) if not row.archive]
    for row in rows:
        genuine = (dataset / "real" / Path(row.path).name).read_bytes()
        (dataset / row.path).write_bytes(genuine)
    recipe = replace(PLAIN, augmentation=Augmentation(), batch_size=12)
    images, _ = BatchMaker(recipe, by_source(load_faces(dataset, rows)))(3)
    np.testing.assert_array_equal(images[0::2], images[1::2])
    assert np.abs(images[0] - images[2]).max() > 0


def test_crops_of_unlike_sizes_get_the_same_changes_too(dataset: Path) -> None:
    """What is drawn for each pixel must not move what is drawn next."""
    rows = [row for row in read_manifest(dataset) if not row.archive]
    for row in rows:
        side = SIDE if row.label == Label.REAL else SIDE // 2
        (dataset / row.path).write_bytes(jpeg(np.full((side, side, 3), 128, np.uint8)))
    shares = replace(NO_AUGMENTATION, noise=1.0, jpeg=0.5, h264=0.5)
    recipe = replace(PLAIN, augmentation=shares, batch_size=12)
    images, _ = BatchMaker(recipe, by_source(load_faces(dataset, rows)))(0)
    np.testing.assert_array_equal(images[0::2], images[1::2])


def test_labels_of_a_batch_are_in_class_order(dataset: Path) -> None:
    """Genuine pictures are made all white here and fakes all black, so order shows."""
    images, labels = BatchMaker(PLAIN, paint(dataset, 255, 0))(0)
    bright = images.mean(axis=(1, 2, 3)) > 0
    np.testing.assert_array_equal(labels[:, Label.REAL] == 1, bright)
    np.testing.assert_array_equal(labels[:, Label.FAKE] == 1, ~bright)


def test_the_stated_share_of_fakes_is_blended(dataset: Path) -> None:
    """Fakes of the set are black; a blend of white crops is bright."""
    sources = paint(dataset, 230, 0)
    for share, bright in [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)]:
        images, labels = BatchMaker(replace(PLAIN, self_blended=share), sources)(1)
        fakes = images[labels[:, Label.FAKE] == 1]
        assert (fakes.mean(axis=(1, 2, 3)) > 0).sum() == bright
    # Of one or two pairs, over several steps.
    for size, share, steps in [(2, 0.25, 8), (4, 0.25, 4), (4, 0.75, 4), (6, 0.5, 4)]:
        make = BatchMaker(replace(PLAIN, batch_size=size, self_blended=share), sources)
        fakes = np.concatenate([make(step)[0][1::2] for step in range(steps)])
        assert (fakes.mean(axis=(1, 2, 3)) > 0).mean() == share


def test_genuine_crops_alone_are_enough_when_fakes_are_blended(dataset: Path) -> None:
    genuine = [replace(source, fake=()) for source in sources_of(dataset)]
    images, labels = BatchMaker(replace(PLAIN, self_blended=0.5), genuine)(0)
    assert labels.sum(axis=0).tolist() == [4, 4]
    assert (np.abs(images[0::2] - images[1::2]).max(axis=(1, 2, 3)) > 0).all()
    with pytest.raises(DatasetError, match="no fake to train on"):
        BatchMaker(PLAIN, genuine)


def test_fakes_whose_source_is_not_there_go_with_any_genuine_crop(dataset: Path) -> None:
    sources = paint(dataset, 255, 0)
    apart = [replace(source, fake=()) for source in sources[:3]]
    apart += [replace(source, real=()) for source in sources[3:]]
    images, _ = BatchMaker(PLAIN, apart)(0)
    np.testing.assert_allclose(images[0::2].mean(axis=(1, 2, 3)), 1, atol=0.02)
    np.testing.assert_allclose(images[1::2].mean(axis=(1, 2, 3)), -1, atol=0.02)
    with pytest.raises(DatasetError, match="no source with genuine crops"):
        BatchMaker(PLAIN, apart[3:])


def test_a_window_is_eight_frames_of_one_video_in_their_order(videos: list[Source]) -> None:
    faces = videos[0].real + videos[1].real
    shown = set()
    for seed in range(20):
        crops = window(faces, np.random.default_rng(seed))
        small = [cv2.resize(crop, (96, 96), interpolation=cv2.INTER_AREA) for crop in crops]
        nearest = [int(np.argmin([distance(one, face.image()) for face in faces])) for one in small]
        assert nearest == list(range(nearest[0], nearest[0] + WINDOW))
        assert nearest[0] // FRAMES == nearest[-1] // FRAMES
        shown.add(nearest[0])
    assert {first // FRAMES for first in shown} == {0, 1}
    assert {first % FRAMES for first in shown} == {0, 1, 2}


def test_a_window_does_not_reach_over_a_part_of_the_video_that_was_not_sampled(
    videos: list[Source],
) -> None:
    """Two runs, of 9 frames and of one too few for a window; in the first a face was missed."""
    first = [0, 5, 10, 15, 20, 30, 35, 40, 45]
    indices = [*first, *range(500, 535, 5)]
    faces = [
        replace(face, row=replace(face.row, video="one", frame_index=index))
        for face, index in zip((videos[0].real + videos[1].real)[:16], indices, strict=True)
    ]
    pictures = [face.image() for face in faces]
    shown = set()
    for seed in range(20):
        crops = window(faces, np.random.default_rng(seed))
        small = [cv2.resize(crop, (96, 96), interpolation=cv2.INTER_AREA) for crop in crops]
        nearest = [int(np.argmin([distance(one, other) for other in pictures])) for one in small]
        assert nearest == list(range(nearest[0], nearest[0] + WINDOW))
        shown.add(nearest[0])
    assert shown == {0, 1}


def test_a_video_of_too_few_frames_gives_a_face_that_wanders(dataset: Path) -> None:
    crops = window(sources_of(dataset)[0].real, np.random.default_rng(3))
    assert [crop.shape for crop in crops] == [(300, 300, 3)] * WINDOW
    assert all(0 < distance(one, other) < 20 for one, other in pairwise(crops))
    assert distance(crops[0], crops[-1]) < 40


@pytest.mark.parametrize("short", ["real", "fake"])
def test_how_a_window_moves_does_not_tell_its_label(videos: list[Source], short: str) -> None:
    """If one of a pair has too few frames in a row, the other is a wandering still as well."""
    faces = {"real": videos[0].real, "fake": videos[0].fake}
    recipe = replace(PLAIN, windows=True, batch_size=2)

    def shown(source: Source) -> list[list[int]]:
        """Which frame is nearest to each of a window, of the genuine one and of the fake."""
        images, _ = BatchMaker(recipe, [source])(0)
        return [
            [
                int(np.argmin([distance((image + 1) * 127.5, cv2.resize(face.image(), (96, 96)))
                               for face in faces[kind]]))
                for image in window_images
            ]
            for kind, window_images in zip(("real", "fake"), images, strict=True)
        ]  # fmt: skip

    def in_order(frames: list[int]) -> bool:
        return frames == list(range(frames[0], frames[0] + WINDOW))

    whole = Source("one", faces["real"], faces["fake"])
    assert all(in_order(frames) for frames in shown(whole))
    cut = {kind: those[:3] if kind == short else those for kind, those in faces.items()}
    assert not any(in_order(frames) for frames in shown(Source("one", cut["real"], cut["fake"])))


def test_the_crops_of_a_window_are_changed_and_blended_alike(dataset: Path) -> None:
    """From a still, flat face every frame of the fake must come out the same."""
    sources = [replace(source, fake=()) for source in paint(dataset, 128, 0)]
    recipe = replace(
        PLAIN,
        windows=True,
        self_blended=1.0,
        augmentation=replace(NO_AUGMENTATION, light=1.0, occlude=1.0, pose=1.0),
    )
    images, _ = BatchMaker(recipe, sources)(0)
    for one in images:
        assert np.abs(one - one[0]).max() < 0.02
    assert np.abs(images[0][0] - images[1][0]).max() > 0.02


def test_selection_sets_have_each_source_once(dataset: Path) -> None:
    sources = sources_of(dataset)
    known, blended = selection_sets(sources, 96, windows=False)
    assert (known.name, blended.name) == ("as_they_are", "blended")
    for one in (known, blended):
        assert one.images.shape == (24, 96, 96, 3)
        assert one.fake.tolist() == [False, True] * 12
    plain = BatchMaker(replace(PLAIN, batch_size=2, seed=selection.SEED), sources)
    np.testing.assert_allclose(known.images[:2] / 127.5 - 1, plain(0)[0], atol=0.005)
    # Fakes of the blended set are made of their neighbours, and not those of the set.
    near = distance(blended.images[0::2], blended.images[1::2])
    assert near < distance(known.images[0::2], known.images[1::2]) / 2
    [alone] = selection_sets([replace(source, fake=()) for source in sources], 96, windows=False)
    assert alone.name == "blended"
    assert DAMAGED.h264 > 0 < DAMAGED.jpeg


def test_the_score_weighs_both_sets_equally(dataset: Path) -> None:
    sets = selection_sets(sources_of(dataset), 96, windows=False)
    truth = {one.images[start : start + 32].tobytes(): one.fake[start : start + 32]
             for one in sets[:1] for start in range(0, len(one.images), 32)}  # fmt: skip

    def knows_the_first_set(images: np.ndarray) -> np.ndarray:
        stored = np.rint((images + 1) * 127.5).astype(np.uint8).tobytes()
        fake = truth.get(stored)
        return np.full(len(images), 0.5) if fake is None else fake.astype(float)

    assert selection.score(sets, knows_the_first_set) == {
        "as_they_are": 1.0,
        "blended": 0.5,
        "score": 0.75,
    }


CONFIG = """
name = "sheet"
[data]
crops = ["faces"]
margin = 1.0
drop = 0.0
selection = 3
calibration = 1
[network]
weights = "none"
image_size = 96
[[stage]]
name = "other"
learns = "both"
steps = 1
[[stage]]
name = "both"
learns = "both"
steps = 5
batch_size = 12
"""


def test_a_contact_sheet_shows_the_batch_of_a_step(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, sheet = tmp_path / "run.toml", tmp_path / "sheet.png"
    config.write_text(CONFIG)
    command = ["contact_sheet", str(config), str(sheet), "--stage", "both", "--step", "2"]
    monkeypatch.setattr("sys.argv", command)
    assert contact_sheet.main() == 0
    picture = decode_rgb(sheet.read_bytes())
    assert picture.shape == (2 * 96, 8 * 96, 3)
    read = contact_sheet.configuration_of(config, None)
    sources = contact_sheet.load_data(read, tmp_path, tmp_path).training
    images, _ = BatchMaker(contact_sheet.recipe_of(read, 1), sources)(2)
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
        (lambda dataset: (dataset.parent / "run.toml").unlink(), "run.toml"),
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
    (tmp_path / "run.toml").write_text(CONFIG)
    spoil(dataset)
    command = ["contact_sheet", str(tmp_path / "run.toml"), str(tmp_path / "sheet.png")]
    monkeypatch.setattr("sys.argv", command)
    assert contact_sheet.main() == 1
    assert message in capsys.readouterr().err
