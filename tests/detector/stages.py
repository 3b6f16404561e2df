"""Stages of a small run, for what tests the trainer: few steps of a tiny network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from detector.training import fitting, trainer
from detector.training.batches import BatchMaker
from detector.training.configuration import Config, Data, Network, Stage
from detector.training.history import History
from detector.training.run_data import RunData
from detector.training.selection import selection_sets

STAGE = Stage("only", "both", frozen_through="conv2d_3", steps=4, batch_size=4, warmup_steps=1)

CONFIG = Config(
    name="small",
    data=Data(crops=("faces",), margin=1.2, drop=0.05, selection=4, calibration=1),
    network=Network(cut="mixed_5b", image_size=96, weights="none"),
    stages=(STAGE,),
    deterministic=False,
)

Arrays = dict[str, np.ndarray]


class Killed(Exception):
    """What the death of a run is in these tests."""


def with_stage(**settings: Any) -> Config:
    return replace(CONFIG, stages=(replace(STAGE, **settings),))


def stage_run(config: Config, folder: Path, data: RunData, number: int = 0) -> fitting.StageRun:
    """A stage, as the trainer of a new process would begin it or go on with it.

    It is not compiled: few steps are quicker than the compiling of one.
    """
    model, first_weights = _built(config.network, config.precision)
    model.set_weights(first_weights)
    name = config.stages[number].name
    one = fitting.StageRun(
        config, number, model, folder / f"{number + 1}-{name}", len(data.training)
    )
    one._train, one._ask = one._on_replicas, one._predict
    return one


@functools.cache
def _built(network: Network, precision: str) -> tuple[Any, list[np.ndarray]]:
    """Each network is built once: this takes some seconds."""
    model = trainer.start(replace(CONFIG, network=network, precision=precision), Path())
    return model, model.get_weights()


def fit(one: fitting.StageRun, config: Config, data: RunData, folder: Path) -> None:
    """The whole stage, or what is left of it, and a history in ``folder``."""
    sets = selection_sets(data.selection, config.network.image_size, windows=False)
    one.fit(batches(config, data), sets, History.of(folder), workers=1)


def batches(config: Config, data: RunData, number: int = 0) -> BatchMaker:
    return BatchMaker(trainer.recipe_of(config, number), data.training)


def scores_by_step(one: fitting.StageRun, scores: dict[int, float]) -> Callable[..., Any]:
    """In place of ``fitting.score``."""
    return lambda sets, predict: {"score": scores[one.done]}


def saved(path: Path) -> Arrays:
    return dict(load_file(path))


def weights_of(one: fitting.StageRun) -> list[np.ndarray]:
    return [np.array(weight) for weight in one.trained.get_weights()]


def farthest(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """The largest difference of any two numbers."""
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
