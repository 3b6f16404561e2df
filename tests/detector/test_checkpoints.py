"""Checkpoints: what is saved comes back, and nothing else is let in."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints
from detector.errors import BadCheckpoint, ChecksumMismatch, NoCheckpoint, TruncatedCheckpoint
from detector.model import build_model, named_variables
from detector.preprocessing import CROP_SIDE, to_network_input
from detector.training.model_card import render
from detector.training.sight import sentence

ARCHITECTURE: dict[str, Any] = {"sequence": "rows", "backbone_cut": "mixed_5b", "image_size": 96}


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model(**ARCHITECTURE)


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    return saved(model, tmp_path)


def saved(model: Any, beside: Path) -> Path:
    return checkpoints.save(
        model, beside / "small", name="small", version="3", architecture=ARCHITECTURE, margin=1.2
    )


def edit(folder: Path, **changes: object) -> None:
    path = folder / checkpoints.METADATA
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def crops(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (count, CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8))


def test_a_saved_model_predicts_as_before(model: Any, folder: Path) -> None:
    loaded = checkpoints.load(str(folder))
    some = crops(checkpoints.BATCH + 3)
    mirrored = [np.fliplr(crop) for crop in some]
    expected = [model(to_network_input(views, 96), training=False) for views in (some, mirrored)]
    np.testing.assert_allclose(
        loaded.predict_faces(some), np.concatenate(expected, axis=1), atol=2e-3
    )
    assert (loaded.id.name, loaded.id.version) == ("small", "3")
    assert loaded.metadata.margin == 1.2
    assert loaded.metadata.calibration is None
    assert loaded.metadata.thresholds["min_face_px"] == 48


def test_a_face_is_judged_alike_alone_and_in_a_crowd(folder: Path) -> None:
    loaded = checkpoints.load(str(folder))
    some = crops(checkpoints.BATCH + 1)
    together = loaded.predict_faces(some)
    np.testing.assert_allclose(loaded.predict_faces(some[-1:]), together[-1:], atol=1e-5)


def test_no_faces_give_no_predictions(folder: Path) -> None:
    assert checkpoints.load(str(folder)).predict_faces([]).shape == (0, 16, 2)


def test_a_checkpoint_that_reads_frames_takes_windows_only(tmp_path: Path) -> None:
    architecture = ARCHITECTURE | {"sequence": "frames"}
    model = build_model(**architecture)
    folder = checkpoints.save(
        model, tmp_path, name="w", version="1", architecture=architecture, margin=1.0
    )
    loaded = checkpoints.load(str(folder))
    windows = [crops(8), crops(8)[::-1], crops(8)]
    assert loaded.predict_sequences(windows).shape == (3, 8, 2)
    with pytest.raises(ValueError, match="reads frames"):
        loaded.predict_faces(crops(1))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_its_files_may_be_read_by_whom_the_umask_allows(
    model: Any, tmp_path: Path, umask: int, mode: int
) -> None:
    """A worker is another user than who trained or installed it."""

    def modes() -> set[int]:
        return {path.stat().st_mode & 0o777 for path in tmp_path.glob("small/*")}

    before = os.umask(umask)
    try:
        folder = saved(model, tmp_path)
        assert modes() == {mode}
        checkpoints.rewrite(folder, {"version": "4"}, {"head/classes/bias": np.ones(2, np.float32)})
        assert modes() == {mode}
    finally:
        os.umask(before)
    loaded = checkpoints.load(str(folder))
    assert loaded.model.get_layer("head").layers[-1].bias.numpy().tolist() == [1, 1]


def test_matrices_are_half_precision_and_statistics_are_not(folder: Path) -> None:
    from safetensors.numpy import load_file

    arrays = load_file(folder / checkpoints.WEIGHTS)
    assert arrays["backbone/conv2d/kernel"].dtype == np.float16
    assert arrays["backbone/batch_normalization/moving_variance"].dtype == np.float32


def test_weights_with_one_changed_byte_are_not_loaded(folder: Path) -> None:
    path = folder / checkpoints.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumMismatch) as caught:
        checkpoints.load(str(folder))
    assert caught.value.code == "checksum_mismatch"


@pytest.mark.parametrize("kept", [20, 3000, -1])
def test_weights_that_were_not_copied_whole_are_not_loaded(folder: Path, kept: int) -> None:
    """Cut within the header, within the arrays, and by the last byte."""
    path = folder / checkpoints.WEIGHTS
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(TruncatedCheckpoint, match=r"of \d+ bytes") as caught:
        checkpoints.load(str(folder))
    assert caught.value.code == "truncated_checkpoint"


@pytest.mark.parametrize("content", [b"", b"text", b"a text that is much longer than a header"])
def test_something_else_in_place_of_the_weights_is_not_called_cut_short(
    folder: Path, content: bytes
) -> None:
    (folder / checkpoints.WEIGHTS).write_bytes(content)
    with pytest.raises(ChecksumMismatch):
        checkpoints.load(str(folder))


def test_missing_weights_are_no_checkpoint(folder: Path) -> None:
    (folder / checkpoints.WEIGHTS).unlink()
    with pytest.raises(NoCheckpoint):
        checkpoints.load(str(folder))


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(NoCheckpoint, match="installed"):
        checkpoints.load("there-is-no-such-checkpoint")


def test_labels_in_the_other_order_are_refused(folder: Path) -> None:
    edit(folder, class_order=["REAL", "FAKE"])
    with pytest.raises(BadCheckpoint, match="class order"):
        checkpoints.load(str(folder))


@pytest.mark.parametrize(
    "architecture",
    [
        ARCHITECTURE | {"backbone_cut": "block35_1_ac"},
        ARCHITECTURE | {"dense_units": 64},
        ARCHITECTURE | {"image_size": 20},
        ARCHITECTURE | {"surprise": 1},
    ],
)
def test_arrays_of_another_architecture_are_refused(
    folder: Path, architecture: dict[str, object]
) -> None:
    edit(folder, architecture=architecture)
    with pytest.raises(BadCheckpoint):
        checkpoints.load(str(folder))


def test_metadata_without_a_size_or_with_an_impossible_cut_is_refused(folder: Path) -> None:
    sound = json.loads((folder / checkpoints.METADATA).read_text())
    nameless = {k: v for k, v in ARCHITECTURE.items() if k != "image_size"}
    spoilings: list[dict[str, Any]] = [
        {"architecture": nameless},
        {"architecture": []},
        {"preprocessing": sound["preprocessing"] | {"margin": 0}},
        {"preprocessing": sound["preprocessing"] | {"margin": float("nan")}},
        {"preprocessing": sound["preprocessing"] | {"drop": 1}},
    ]
    for spoiled in spoilings:
        edit(folder, **(sound | spoiled))
        with pytest.raises(BadCheckpoint):
            checkpoints.read_metadata(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', "\udcff"])
def test_unreadable_metadata_is_a_bad_checkpoint(folder: Path, text: str) -> None:
    (folder / checkpoints.METADATA).write_text(text, errors="surrogateescape")
    with pytest.raises(BadCheckpoint):
        checkpoints.load(str(folder))


def test_weights_that_are_no_arrays_are_a_bad_checkpoint(folder: Path) -> None:
    (folder / checkpoints.WEIGHTS).write_bytes(b"not arrays")
    edit(folder, sha256=hashlib.sha256(b"not arrays").hexdigest())
    with pytest.raises(BadCheckpoint):
        checkpoints.load(str(folder))


def test_every_variable_is_saved(model: Any, folder: Path) -> None:
    from safetensors.numpy import load_file

    arrays = load_file(folder / checkpoints.WEIGHTS)
    assert arrays.keys() == {name for name, _ in named_variables(model)}


def test_writing_figures_replaces_those_of_the_same_set_only(folder: Path) -> None:
    def entry(name: str, part: str, level: str, n: int) -> dict[str, Any]:
        return {"set": name, "part": part, "level": level, "n": n}

    first = [entry("a", "", "video", 1), entry("a", "", "frame", 2), entry("a", "val", "video", 3)]
    checkpoints.write_metrics(folder, first)
    checkpoints.write_metrics(folder, [entry("b", "", "frame", 4)])
    checkpoints.write_metrics(folder, [entry("a", "", "video", 5)])
    written = json.loads((folder / checkpoints.METADATA).read_text())["metrics"]
    assert [e["n"] for e in written] == [3, 5, 4]


def test_figures_of_an_earlier_shape_are_replaced(folder: Path) -> None:
    edit(folder, metrics={"validation_auc": {"value": 0.8}})
    entry = {"set": "a", "part": "", "level": "video", "n": 1}
    checkpoints.write_metrics(folder, [entry])
    assert json.loads((folder / checkpoints.METADATA).read_text())["metrics"] == [entry]


def test_sets_of_videos_stand_before_sets_of_faces(folder: Path) -> None:
    def entry(name: str, level: str) -> dict[str, str]:
        return {"set": name, "part": "", "level": level}

    checkpoints.write_metrics(folder, [entry("faces", "frame")])
    checkpoints.write_metrics(folder, [entry("films", "video"), entry("films", "frame")])
    raw = json.loads((folder / checkpoints.METADATA).read_text())
    assert [(e["set"], e["level"]) for e in raw["metrics"]] == [
        ("films", "video"),
        ("films", "frame"),
        ("faces", "frame"),
    ]


def test_the_shipped_checkpoint_is_whole_small_and_says_what_it_was_measured_at() -> None:
    folder = checkpoints.find("default")
    metadata = checkpoints.read_metadata(folder)
    weights = (folder / checkpoints.WEIGHTS).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == metadata.sha256
    assert len(weights) <= 20_000_000
    measured = {(e["set"], e["part"], e["level"]): e for e in metadata.raw["metrics"]}
    auc = measured["dfdc-faces", "selection", "frame"]["figures"]["roc_auc"]
    assert 0.82 <= auc["low"] <= auc["value"] <= auc["high"] < 1
    # What was asked of it, on sources that nothing was chosen by and on forgeries of other kinds.
    unseen = {k: f["value"] for k, f in measured["dfdc-faces", "val", "frame"]["figures"].items()}
    assert unseen["roc_auc"] >= 0.9
    assert unseen["expected_calibration_error"] <= 0.05
    assert unseen["false_positive_rate"] <= 0.05
    assert unseen["coverage"] >= 0.7
    others = measured["videos-crops", "", "video"]["by_dataset"]["FaceForensics++ c23"]
    assert others["figures"]["roc_auc"]["value"] >= 0.75
    assert {"data", "training", "versions", "git_commit", "limits"} <= set(metadata.raw)
    assert metadata.raw["summary"] == sentence(metadata.raw["metrics"])
    assert (folder / "MODEL_CARD.md").read_text() == render(metadata.raw)
