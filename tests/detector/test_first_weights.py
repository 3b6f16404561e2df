"""Whether what a run keeps apart is new to the weights it begins with."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detector import checkpoints
from detector.training import trainer
from detector.training.crops import Split, names_hash
from detector.training.errors import DatasetError
from detector.training.run_data import load_data
from detector.training.weights import kept_from_first_weights
from tests.detector.stages import CONFIG

DATA = replace(CONFIG.data, calibration=3)
THEIRS = {"selection": 4, "calibration": 3, "split_seed": DATA.split_seed}


@pytest.fixture
def split(dataset: Path, tmp_path: Path) -> Split:
    """4 sources for selection, 3 for calibration, and the rest."""
    return load_data(replace(CONFIG, data=DATA), tmp_path, tmp_path).split


@pytest.fixture
def first(rows_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rows_checkpoint, tmp_path / "first")


def describe(first: Path, split: Split, data: dict[str, Any], **more: object) -> None:
    """A run of the same sources, split by ``data``; ``more`` of what it said of them."""
    names = split.training | split.selection | split.calibration
    sources = {"sha256": names_hash(names), "kept_from_first_weights": True} | more
    training = {"data": data, "network": {"weights": "earlier"}, "sources": sources}
    checkpoints.update(first, {"training": training})


@pytest.mark.parametrize("data", [THEIRS, THEIRS | {"selection": 5}])
def test_a_run_may_go_on_from_a_checkpoint_that_kept_the_same_sources_apart(
    first: Path, split: Split, data: dict[str, int]
) -> None:
    describe(first, split, data)
    assert kept_from_first_weights(str(first), split)


@pytest.mark.parametrize(
    "other", [{"split_seed": DATA.split_seed + 1}, {"selection": 2}, {"calibration": 0}]
)
def test_a_checkpoint_that_was_trained_on_what_is_kept_apart_is_refused(
    first: Path, split: Split, other: dict[str, int]
) -> None:
    describe(first, split, THEIRS | other)
    with pytest.raises(DatasetError, match=r"trained on \d of the sources .* its split_seed"):
        kept_from_first_weights(str(first), split)


def test_of_first_weights_whose_sources_are_not_known_nothing_is_promised(
    first: Path, split: Split
) -> None:
    assert not kept_from_first_weights("arrays.npz", split)
    for unsure in ({"sha256": "0"}, {"kept_from_first_weights": False}):
        describe(first, split, THEIRS, **unsure)
        assert not kept_from_first_weights(str(first), split)


@pytest.mark.parametrize(("weights", "known"), [("earlier", False), ("imagenet", True)])
def test_a_run_that_did_not_say_so_yet_is_believed_if_it_began_with_no_faces(
    first: Path, split: Split, weights: str, known: bool
) -> None:
    describe(first, split, THEIRS)
    training = checkpoints.read_metadata(first).raw["training"] | {"network": {"weights": weights}}
    del training["sources"]["kept_from_first_weights"]
    checkpoints.update(first, {"training": training})
    assert kept_from_first_weights(str(first), split) == known
    assert kept_from_first_weights("none", split)


def test_the_trainer_asks_before_it_begins(first: Path, split: Split, tmp_path: Path) -> None:
    describe(first, split, THEIRS | {"selection": 2})
    network = replace(CONFIG.network, weights="first")
    with pytest.raises(DatasetError, match="it was trained on"):
        trainer.train(replace(CONFIG, data=DATA, network=network), tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
