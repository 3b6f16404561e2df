"""The network's shapes, names and frozen parts, for both readings and several cuts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.model import (
    build_model,
    freeze_all_but_last,
    freeze_through,
    load_backbone_arrays,
    named_variables,
    quiet_residuals,
)
from tests.detector import backbones

CUT = "block35_1_ac"
SIZE = 96


@pytest.fixture(scope="module", autouse=True)
def as_they_are_built() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detector.model.build_backbone", backbones.real)
        yield


@pytest.fixture(scope="module")
def rows() -> Any:
    return build_model("rows", CUT, image_size=SIZE)


@pytest.fixture(scope="module")
def frames() -> Any:
    return build_model("frames", CUT, image_size=SIZE)


def faces(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, SIZE, SIZE, 3)).astype(np.float32)


def test_rows_gives_eight_predictions_for_one_face(rows: Any) -> None:
    predictions = np.asarray(rows(faces(3), training=False))
    assert predictions.shape == (3, 8, 2)
    np.testing.assert_allclose(predictions.sum(axis=-1), 1.0, atol=1e-5)


def test_frames_gives_one_prediction_for_each_face_of_a_window(frames: Any) -> None:
    predictions = np.asarray(frames(faces(16).reshape(2, 8, SIZE, SIZE, 3), training=False))
    assert predictions.shape == (2, 8, 2)


def test_faces_of_a_batch_do_not_mix(rows: Any) -> None:
    batch = faces(3)
    alone = np.asarray(rows(batch[1:2], training=False))
    together = np.asarray(rows(batch, training=False))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_windows_of_a_batch_do_not_mix_but_faces_of_a_window_do(frames: Any) -> None:
    windows = faces(16).reshape(2, 8, SIZE, SIZE, 3)
    before = np.asarray(frames(windows, training=False))
    changed = windows.copy()
    changed[1, 7] = 0
    after = np.asarray(frames(changed, training=False))
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    assert np.abs(after[1, 0] - before[1, 0]).max() > 0


def test_both_readings_name_their_variables_alike_and_uniquely(rows: Any, frames: Any) -> None:
    names = [name for name, _ in named_variables(rows)]
    assert len(names) == len(set(names)) == len(rows.weights)
    assert {n for n in names if n.startswith("backbone")} == {
        n for n, _ in named_variables(frames) if n.startswith("backbone")
    }
    assert "backbone/conv2d/kernel" in names
    assert "head/bilstm_1/backward/recurrent_kernel" in names


def test_names_and_shapes_do_not_depend_on_models_built_before(rows: Any) -> None:
    again = build_model("rows", CUT, image_size=SIZE)
    shapes = {name: tuple(v.shape) for name, v in named_variables(again)}
    assert shapes == {name: tuple(v.shape) for name, v in named_variables(rows)}


@pytest.mark.parametrize(
    ("cut", "size", "channels"),
    [("mixed_5b", 96, 320), ("mixed_6a", 160, 1088), ("block8_1_ac", 300, 2080)],
)
def test_any_cut_can_be_read(cut: str, size: int, channels: int) -> None:
    model = build_model("rows", cut, image_size=size, lstm_units=(4, 4), dense_units=4)
    assert model.get_layer("backbone").output.shape[-1] == channels
    assert model.output.shape == (None, 8, 2)


def test_an_unknown_cut_or_sequence_is_named() -> None:
    with pytest.raises(ValueError, match="block99_ac"):
        build_model("rows", "block99_ac", image_size=SIZE)
    with pytest.raises(ValueError, match="columns"):
        build_model("columns", CUT, image_size=SIZE)


def test_an_image_too_small_for_the_head_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 8×8"):
        build_model("rows", "block8_1_ac", image_size=160)


def test_frozen_layers_do_not_learn_and_keep_their_statistics(rows: Any) -> None:
    backbone = rows.get_layer("backbone")
    freeze_through(backbone, "mixed_5b")
    try:
        trainable = {name for name, v in named_variables(rows) if v.trainable}
        names = {name for name, _ in named_variables(rows) if name.startswith("backbone")}
        learning = {name for name in trainable if name.startswith("backbone")}
        assert learning
        assert learning < names
        assert "backbone/conv2d/kernel" not in trainable
        assert "backbone/block35_1_conv/kernel" in trainable
        before = np.asarray(dict(named_variables(rows))["backbone/batch_normalization/moving_mean"])
        rows(faces(4) * 5 + 3, training=True)
        after = np.asarray(dict(named_variables(rows))["backbone/batch_normalization/moving_mean"])
        np.testing.assert_array_equal(after, before)
    finally:
        freeze_through(backbone, None)


@pytest.mark.parametrize("count", [4, 0, 1, 10_000])
def test_all_but_the_last_layers_can_be_frozen(rows: Any, count: int) -> None:
    backbone = rows.get_layer("backbone")
    freeze_all_but_last(backbone, count)
    try:
        learning = [layer.trainable for layer in backbone.layers]
        free = min(count, len(learning))
        assert learning == [False] * (len(learning) - free) + [True] * free
        head = {name for name, v in named_variables(rows) if name.startswith("head/")}
        trainable = {name for name, v in named_variables(rows) if v.trainable}
        assert head <= trainable
        assert (trainable == head) == (count < 2)
        with pytest.raises(ValueError, match="negative, got -1"):
            freeze_all_but_last(backbone, -1)
    finally:
        freeze_through(backbone, None)


def test_quiet_residual_blocks_start_as_the_identity() -> None:
    model = build_model("rows", CUT, image_size=SIZE)
    backbone = model.get_layer("backbone")
    by_name = {name: layer for layer, name in backbone.canonical_names.items()}
    import keras

    probe = keras.Model(backbone.inputs, [by_name["mixed_5b"].output, backbone.output])
    quiet_residuals(backbone)
    stem, block = (np.asarray(value) for value in probe(faces(1), training=False))
    np.testing.assert_allclose(block, np.maximum(stem, 0), atol=1e-6)


def test_arrays_of_a_wrong_name_or_shape_are_refused(rows: Any) -> None:
    backbone = rows.get_layer("backbone")
    with pytest.raises(ValueError, match="conv2d_999"):
        load_backbone_arrays(backbone, {"conv2d_999/kernel": np.zeros((1,), np.float32)})
    with pytest.raises(ValueError, match="expected"):
        load_backbone_arrays(backbone, {"conv2d/kernel": np.zeros((1, 1, 3, 32), np.float32)})


def test_a_warm_start_sets_the_layers_it_names(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 32)).astype(np.float32)
    arrays: dict[str, Any] = {"conv2d/kernel": kernel}
    np.savez(tmp_path / "stem.npz", **arrays)
    model = build_model("rows", "mixed_5b", SIZE, weights=str(tmp_path / "stem.npz"))
    np.testing.assert_array_equal(
        np.asarray(dict(named_variables(model))["backbone/conv2d/kernel"]), kernel
    )


def test_importing_the_module_does_not_import_tensorflow() -> None:
    code = "import sys, detector.model, detector.checkpoints; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
