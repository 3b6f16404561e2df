"""What a training run is: the TOML file that ``python -m detector train`` reads.

A file has a name, ``[data]``, ``[network]`` and one ``[[stage]]`` after another, each
starting from the best weights of the one before. ``docs/examples`` has complete ones.
Every setting is checked before anything is loaded; an unknown one is refused by name.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from detector.training.augmentation import Augmentation
from detector.training.errors import DatasetError

SEQUENCES = ("rows", "frames")
OPTIMIZERS = ("adam", "adamw")

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras's policies: the mixed ones compute in 16 bits and keep the weights in 32.
bfloat16 is for processors that compute in it (and newer GPUs), float16 for GPUs."""

LEARNERS = ("backbone", "head", "both")


@dataclass(frozen=True)
class Data:
    """Which crops, how they were cut, and which of their sources are kept apart."""

    crops: tuple[str, ...] = ()
    """Folders with a manifest, relative to the configuration's own."""
    generated: int = 0
    """Sources that are drawn instead of read: to try the trainer without any data."""
    margin: float | None = None
    """As ``preprocessing.crop_face`` takes it; ``None``: as the crops' settings say."""
    drop: float | None = None
    selection: int = 1000
    """Sources that tell which weights are best."""
    calibration: int = 500
    """Sources for neither training nor selection."""
    split_seed: int = 1
    """Of the split alone, so that runs with other seeds keep the same sources apart."""
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if bool(self.crops) == bool(self.generated):
            raise ValueError("data needs either crops or generated")
        names = [Path(folder).name for folder in self.crops]
        if len(set(names)) != len(names):
            # What is said of a run says the names alone.
            raise ValueError(f"data.crops need folders of different names, got {', '.join(names)}")
        if (self.margin is None) != (self.drop is None):
            raise ValueError("data.margin and data.drop are given together, or neither")
        if self.margin is not None and self.drop is not None:
            check_cut(self.margin, self.drop)
        _at_least("data.generated", self.generated, 0)
        _at_least("data.selection", self.selection, 1)
        _at_least("data.calibration", self.calibration, 0)


@dataclass(frozen=True)
class Network:
    """Arguments of ``model.build_model``, and where its first values come from."""

    sequence: str = "rows"
    cut: str = "block35_10_ac"
    image_size: int = 160
    weights: str = "imagenet"
    """imagenet, none, an .npz of backbone arrays, or a checkpoint's folder."""
    weights_source: str = ""
    """Whose a file's arrays are, for the model card."""

    def __post_init__(self) -> None:
        _one_of("network.sequence", self.sequence, SEQUENCES)
        _at_least("network.image_size", self.image_size, 75)


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one optimizer.

    ``learns`` says what the loss is of, and with it what is trained: ``backbone`` (an
    auxiliary classifier on the averaged map of single crops, thrown away afterwards;
    the head is left alone), ``head`` (the head's predictions) or ``both``. Of the
    backbone's layers learn those after ``frozen_through`` ("" for all of them) or, if it
    is given, the last ``last_layers``; in a stage that learns the head, 0 is none.
    """

    name: str
    learns: str
    frozen_through: str = ""
    last_layers: int | None = None
    steps: int = 0
    epochs: float = 0.0
    """Instead of steps: passes over the training sources with genuine crops."""
    batch_size: int = 32
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    label_smoothing: float = 0.0
    average: float = 0.0
    """Of the weights over the steps, exponentially: the share kept at each; 0 for none."""
    self_blended: float = 0.25
    """Share of the fakes that are blended from genuine crops."""
    check_every: int = 0
    """Steps between two looks at the selection sets; 0: at the end only."""
    patience: int = 0
    """Looks in a row without a better score before the stage ends; 0: never."""

    def __post_init__(self) -> None:
        where = f"stage {self.name!r}"
        if not self.name or not self.name.replace("-", "").isalnum():
            raise ValueError(f"a stage's name is letters, digits and -, got {self.name!r}")
        _one_of(f"{where}: learns", self.learns, LEARNERS)
        _one_of(f"{where}: optimizer", self.optimizer, OPTIMIZERS)
        if bool(self.steps) == bool(self.epochs):
            raise ValueError(f"{where} needs either steps or epochs")
        if self.frozen_through and self.last_layers is not None:
            raise ValueError(f"{where}: frozen_through and last_layers exclude each other")
        if self.batch_size < 2 or self.batch_size % 2:
            raise ValueError(f"{where}: batch_size must be even, for pairs, got {self.batch_size}")
        for name in ("steps", "epochs", "warmup_steps", "check_every", "patience", "weight_decay"):
            _at_least(f"{where}: {name}", getattr(self, name), 0)
        if self.last_layers is not None:
            least = 1 if self.learns == "backbone" else 0
            _at_least(f"{where}: last_layers", self.last_layers, least)
        if not self.learning_rate > 0:
            raise ValueError(f"{where}: learning_rate must be positive, got {self.learning_rate}")
        for name in ("self_blended", "label_smoothing", "average"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{where}: {name} is a share, 0 to 1, got {value}")

    def steps_over(self, sources: int) -> int:
        """How many steps the stage has with so many sources, one in each pair of a batch."""
        return self.steps or max(1, round(self.epochs * sources / (self.batch_size // 2)))


@dataclass(frozen=True)
class Config:
    """A whole run. A resumed one must have the same."""

    name: str
    data: Data
    network: Network
    stages: tuple[Stage, ...]
    version: str = "1"
    seed: int = 1
    precision: str = "float32"
    deterministic: bool = True
    """Operations give the same bits each time; on GPUs this can be slow."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        if not self.stages:
            raise ValueError("a run needs a stage")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stages need different names, got {', '.join(names)}")
        if self.stages[-1].learns == "backbone":
            raise ValueError("the last stage must learn the head, which is what predicts")


def check_cut(margin: float, drop: float) -> None:
    """``ValueError`` unless crops can have been cut so: see ``preprocessing.crop_face``."""
    if not 0 < margin < math.inf:
        raise ValueError(f"margin must be positive, got {margin}")
    if not abs(drop) < 1:
        raise ValueError(f"drop must be more than -1 and less than 1, got {drop}")


def read_config(path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """The run that a TOML file describes.

    Args:
        overrides: table ▸ settings that replace the file's, such as from a command line.

    Raises:
        DatasetError: the file cannot be read or is no TOML.
        ValueError: a setting is unknown, missing, of another type or makes no sense.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    try:
        for name, settings in (overrides or {}).items():
            raw[name] = dict(_table(name, raw.get(name, {}))) | dict(settings)
        return _config(raw)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _config(raw: Mapping[str, Any]) -> Config:
    values = dict(raw)
    stages = values.pop("stage", [])
    if not isinstance(stages, list) or "stages" in values:
        raise ValueError("stages are written as [[stage]]")
    return _build(
        Config,
        "",
        values
        | {
            "data": _build(Data, "data.", values.get("data", {})),
            "network": _build(Network, "network.", values.get("network", {})),
            "augmentation": _build(Augmentation, "augmentation.", values.get("augmentation", {})),
            "stages": tuple(_build(Stage, "stage.", stage) for stage in stages),
        },
    )


_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "float | None": (int, float),
    "int | None": int,
    "tuple[str, ...]": list,
}


def _build(kind: type[Any], where: str, values: Any) -> Any:
    """A dataclass from a table, by the names and types of its fields."""
    _table(where.rstrip("."), values)
    known = {one.name: one for one in fields(kind)}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise ValueError(f"unknown setting {where}{unknown[0]}; known: {', '.join(known)}")
    given = {}
    for name, value in values.items():
        expected = _TYPES.get(str(known[name].type))
        wrong = expected is not None and not isinstance(value, expected)
        wrong |= isinstance(value, list) and not all(isinstance(one, str) for one in value)
        if wrong or (isinstance(value, bool) and expected is not bool):
            raise ValueError(f"{where}{name} must be {known[name].type}, got {value!r}")
        given[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{where or 'the run'}: {error}") from error


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a table, got {value!r}")
    return value


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
