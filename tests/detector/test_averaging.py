"""The mean of several checkpoints' weights."""

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints
from detector.checkpoint_files import read_arrays
from detector.errors import BadCheckpoint, ChecksumMismatch
from detector.training import averaging, model_card
from detector.training.calibration import LAST_BIAS
from detector.training.trainer import LIMITS

SHIPPED = checkpoints.FOLDER / "default"


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    return read_arrays(folder / checkpoints.WEIGHTS, checkpoints.read_metadata(folder).sha256)


def scaled_copy(folder: Path, factor: float) -> Path:
    """The shipped checkpoint with each weight times ``factor``, as a version of its own."""
    shutil.copytree(SHIPPED, folder)
    arrays = {key: (value * factor).astype(value.dtype) for key, value in arrays_of(folder).items()}
    checkpoints.rewrite(folder, {"version": "scaled"}, arrays)
    return folder


def test_the_mean_lies_in_the_middle_and_is_neither_calibrated_nor_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = scaled_copy(tmp_path / "double", 2)
    out = tmp_path / "means" / "one"
    command = ["averaging", "default", str(double), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)

    earliest = datetime.now(UTC).date().isoformat()
    assert averaging.main() == 0

    shipped = arrays_of(SHIPPED)
    mean = arrays_of(out)
    assert mean.keys() == shipped.keys()
    for key, value in mean.items():
        assert value.dtype == shipped[key].dtype
        np.testing.assert_allclose(
            value, 1.5 * shipped[key].astype(np.float32), rtol=2e-3, atol=1e-6
        )
    about = checkpoints.read_metadata(out)
    assert about.calibration is None
    assert checkpoints.thresholds(about).abstention_band is None
    assert about.raw["metrics"] == []
    # What was measured of the first is not known of the mean.
    assert about.raw["limits"] == list(LIMITS)
    assert about.version == f"mean of {checkpoints.read_metadata(SHIPPED).version} and scaled"
    assert earliest <= about.raw["created"] <= datetime.now(UTC).date().isoformat()
    hashes = [checkpoints.read_metadata(folder).sha256 for folder in (SHIPPED, double)]
    assert [one.split(", ")[1] for one in about.raw["training"]["mean of"]] == hashes
    assert hashes[1] in (out / model_card.CARD).read_text()
    assert not (out / checkpoints.ACTIVATION_RANGES).exists()


def _another_split(raw: dict[str, Any]) -> dict[str, Any]:
    training = raw["training"]
    return {"training": training | {"data": training["data"] | {"split_seed": 2}}}


def _other_sources(raw: dict[str, Any]) -> dict[str, Any]:
    training = raw["training"]
    return {"training": training | {"sources": training["sources"] | {"sha256": "0"}}}


def _another_size(raw: dict[str, Any]) -> dict[str, Any]:
    size = raw["architecture"]["image_size"] + 32
    return {"architecture": raw["architecture"] | {"image_size": size}}


def _another_cut(raw: dict[str, Any]) -> dict[str, Any]:
    return {"preprocessing": raw["preprocessing"] | {"margin": 1.3}}


@pytest.mark.parametrize("change", [_another_split, _other_sources, _another_size, _another_cut])
def test_checkpoints_that_are_not_of_one_kind_have_no_mean(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    other = scaled_copy(tmp_path / "other", 1)
    checkpoints.update(other, change(dict(checkpoints.read_metadata(other).raw)))
    with pytest.raises(BadCheckpoint, match="is not of the kind of default"):
        averaging.average(["default", str(other)], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_arrays_of_other_shapes_have_no_mean(tmp_path: Path) -> None:
    other = scaled_copy(tmp_path / "other", 1)
    checkpoints.rewrite(other, {}, {LAST_BIAS: np.zeros(3, np.float32)})
    with pytest.raises(BadCheckpoint, match="is not of the kind of default"):
        averaging.average(["default", str(other)], tmp_path / "mean")


def test_no_mean_is_made_of_weights_that_are_not_those_the_metadata_names(tmp_path: Path) -> None:
    other = scaled_copy(tmp_path / "other", 1)
    (other / checkpoints.WEIGHTS).write_bytes(b"else")
    with pytest.raises(ChecksumMismatch):
        averaging.average(["default", str(other)], tmp_path / "mean")


def test_a_mean_of_one_and_one_that_is_there_already_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for named, message in (
        (["default"], "at least two"),
        (["default", "default"], "is there already"),
    ):
        monkeypatch.setattr(sys, "argv", ["averaging", *named, "--out", str(tmp_path)])
        assert averaging.main() == 1
        assert message in capsys.readouterr().err
