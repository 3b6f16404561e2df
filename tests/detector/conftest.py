"""Networks the detector's tests share, made once: MTCNN and a tiny trained checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from detector import Detector, checkpoints, cli
from detector.domain import FaceBox, Image, Label
from detector.faces import FaceFinder
from detector.preprocessing import crop_face, to_network_input
from tests import clips
from tests.clips import scene
from tests.detector import backbones
from tests.detector.crops import write_dataset

Preprocess = Callable[..., int]

MARGIN = 1.3
SIDE = 96


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exported graphs are neither taken from this machine's user nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def backbones_are_copied() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detector.model.build_backbone", backbones.copied)
        yield


@pytest.fixture(scope="session")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="session")
def rows_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads single faces, and has learned that person 0 is real and person 1 is fake."""
    return _tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "rows", "rows")


@pytest.fixture(scope="session")
def frames_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads windows of faces; untrained."""
    return _tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "frames", "frames")


@pytest.fixture(scope="session")
def detector(rows_checkpoint: Path) -> Detector:
    return Detector.load(str(rows_checkpoint), device="cpu")


def _tiny_checkpoint(folder: Path, sequence: str) -> Path:
    import keras

    from detector.model import build_model

    architecture: dict[str, Any] = {
        "sequence": sequence,
        "backbone_cut": "mixed_5b",
        "image_size": SIDE,
    }
    keras.utils.set_random_seed(1)
    model = build_model(**architecture)
    if sequence == "rows":
        _teach_who_is_fake(model)
    return checkpoints.save(
        model,
        folder,
        name=f"tiny-{sequence}",
        version="1",
        architecture=architecture,
        margin=MARGIN,
    )


def _teach_who_is_fake(model: Any) -> None:
    """Fit the last layer to the portraits of the test clips, in closed form."""
    import keras

    crops, labels = [], []
    for person, label in ((0, Label.REAL), (1, Label.FAKE)):
        for shift in range(-6, 7, 3):
            for size in (216, 306):
                crops.append(_portrait_crop(person, shift, size))
                labels.append(label)
    head = model.get_layer("head")
    below = keras.Model(head.input, head.layers[-1].input)
    maps = model.get_layer("backbone")([to_network_input(crops, SIDE)], training=False)
    features = np.asarray(below(maps, training=False))
    steps = features.reshape(-1, features.shape[-1])
    center, spread = steps.mean(axis=0), steps.std(axis=0) + 1e-3
    targets = np.repeat(np.where(np.array(labels) == Label.REAL, 1.0, -1.0), features.shape[1])
    scaled = (steps - center) / spread
    ridge = scaled.T @ scaled + 10.0 * np.eye(scaled.shape[1])
    direction = 4.0 * np.linalg.solve(ridge, scaled.T @ targets) / spread
    kernel: npt.NDArray[Any] = np.stack([-direction, direction], axis=1)
    bias = -center @ kernel
    head.layers[-1].set_weights([kernel, bias])


def _portrait_crop(person: int, shift: int, size: int) -> Image:
    """As the detector would cut it: the face is the middle half of the portrait."""
    picture = scene((640, 360), [(person, 320 + shift, 180, size)])
    box = FaceBox(320 - round(0.2 * size), 180 - round(0.25 * size), round(0.4 * size), size // 2)
    return crop_face(picture, box, MARGIN)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """12 sources of one genuine and one fake crop, half of them in a zip, one for validation."""
    return write_dataset(tmp_path / "faces")


@pytest.fixture
def preprocess(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> Preprocess:
    """``preprocess(folder, out, …)``: the command in this process; its exit status."""
    monkeypatch.setattr("detector.training.preprocess._load_finder", lambda: finder)

    def preprocess(folder: Path, out: Path, *options: object) -> int:
        given = [str(option) for option in options]
        if not {"--checkpoint", "--margin"} & set(given):
            given += ["--margin", str(MARGIN)]
        return cli.main(["preprocess", str(folder), str(out), "--sampling", "quick", *given])

    return preprocess


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real and fake: two people, one, none, turned, of an odd size; and one that is no video."""
    folder = tmp_path_factory.mktemp("labelled") / "videos"
    (folder / "real").mkdir(parents=True)
    (folder / "fake" / "FaceSwap").mkdir(parents=True)
    clips.two_people(folder / "real" / "1.mp4", seconds=0.8)
    clips.one_person(folder / "fake" / "FaceSwap" / "1.mp4", seconds=0.8, person=1)
    clips.no_face(folder / "real" / "empty.mp4", seconds=0.8)
    clips.rotated(folder / "real" / "turned.mp4", 90, seconds=0.8)
    clips.odd_size(folder / "fake" / "odd.webm", seconds=0.8)
    clips.text_file(folder / "real" / "words.mp4")
    return folder
