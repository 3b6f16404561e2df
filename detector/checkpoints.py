"""Checkpoints: find, verify, load, save.

A checkpoint is a folder with ``weights.safetensors`` (arrays only: nothing in it
can run), ``metadata.json`` and ``MODEL_CARD.md``. The SHA-256 of the weights
stands in the metadata and is verified before a byte of them is used.

Importing this module does not import TensorFlow; loading a checkpoint does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from detector.checkpoint_files import read_arrays, write_arrays, write_json
from detector.domain import Label
from detector.errors import BadCheckpoint, NoCheckpoint
from detector.network import Metadata, Network
from detector.preprocessing import CROP_SIDE
from detector.voting import Thresholds, calibrated

if TYPE_CHECKING:
    import keras

FOLDER = Path(__file__).parent / "checkpoints"
WEIGHTS = "weights.safetensors"
METADATA = "metadata.json"
ACTIVATION_RANGES = "activation_ranges.json"
"""Of a calibrated checkpoint that reads rows: see ``quantization``."""
CLASS_ORDER = [label.name for label in Label]

BATCH = 16
"""Faces a compiled call takes; the last batch of a video is padded to it."""


class LoadedCheckpoint(Network):
    """A trained network in TensorFlow, as training and measuring take it.

    Args:
        device: TensorFlow's name of it.
    """

    def __init__(self, metadata: Metadata, model: keras.Model, device: str) -> None:
        import tensorflow as tf

        self.model = model
        self.device = device
        # Nothing for autograph to rewrite, and its files stay in /tmp if the process is killed.
        call = tf.function(lambda inputs: model(inputs, training=False), autograph=False)

        def compute(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            with tf.device(device):
                return np.asarray(call(inputs), np.float32)

        super().__init__(metadata, compute, BATCH)


def available() -> list[str]:
    """Names of the installed checkpoints."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{METADATA}"))


def find(name: str) -> Path:
    """Folder of a checkpoint: an installed one's name, or a path to a folder.

    Raises:
        NoCheckpoint: there is none.
    """
    for folder in (FOLDER / name, Path(name)):
        if (folder / METADATA).is_file():
            return folder
    raise NoCheckpoint(f"no checkpoint {name!r}; installed: {', '.join(available()) or 'none'}")


def read_metadata(folder: Path) -> Metadata:
    """``metadata.json`` of a checkpoint's folder.

    Raises:
        BadCheckpoint: it is not JSON, lacks an entry, or states another class order.
    """
    try:
        raw = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        metadata = Metadata(
            name=raw["name"],
            version=raw["version"],
            sha256=raw["sha256"],
            architecture=raw["architecture"],
            margin=float(raw["preprocessing"]["margin"]),
            drop=float(raw["preprocessing"].get("drop", 0.0)),
            thresholds=raw["thresholds"],
            calibration=raw["calibration"],
            raw=raw,
        )
        class_order = raw["class_order"]
        # Both have defaults in build_model; here they must be said.
        metadata.architecture["sequence"], metadata.architecture["image_size"]
        if not 0 < metadata.margin < math.inf or not abs(metadata.drop) < 1:
            raise ValueError(f"impossible crop: {raw['preprocessing']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint(f"{folder / METADATA}: {type(error).__name__}: {error}") from error
    if class_order != CLASS_ORDER:
        raise BadCheckpoint(f"{folder}: class order {class_order}, expected {CLASS_ORDER}")
    return metadata


def thresholds(about: Metadata) -> Thresholds:
    """Whose vote counts with this checkpoint.

    Raises:
        BadCheckpoint: they make no sense.
    """
    try:
        values = dict(about.thresholds)
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"{about.name}: thresholds: {error}") from error
    if values.get("abstention_band") is not None and about.calibration is None:
        raise BadCheckpoint(f"{about.name} has an abstention band but no calibration")
    try:
        return Thresholds.from_json(values)
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"{about.name}: thresholds: {error}") from error


def temperature(about: Metadata) -> float | None:
    """Of its calibration; ``None`` if it is uncalibrated.

    Raises:
        BadCheckpoint: it is no temperature.
    """
    if about.calibration is None:
        return None
    try:
        value = float(about.calibration["temperature"])
        calibrated(0.5, value)
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{about.name}: calibration: {error!r}") from error
    return value


def load(name: str = "default", device: str = "CPU:0") -> LoadedCheckpoint:
    """Find, verify and load a checkpoint into TensorFlow.

    ``serving.load`` gives the same network in the engine that is fastest on a device.

    Args:
        name: an installed checkpoint's name, or a path to a folder.
        device: TensorFlow's name of a device.

    Raises:
        NoCheckpoint: there is none of this name.
        TruncatedCheckpoint: the file of weights is cut short.
        ChecksumMismatch: the weights are not those the metadata names.
        BadCheckpoint: metadata and arrays do not make a model of this version.
    """
    folder = find(name)
    metadata = read_metadata(folder)
    weights = read_arrays(folder / WEIGHTS, metadata.sha256)

    import tensorflow as tf

    from detector.model import build_model, named_variables

    try:
        with tf.device(device):
            model = build_model(**metadata.architecture)
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"{folder}: architecture: {error}") from error
    variables = dict(named_variables(model))
    if variables.keys() != weights.keys():
        differing = sorted(variables.keys() ^ weights.keys())
        raise BadCheckpoint(f"{folder}: {len(differing)} arrays differ, first {differing[0]}")
    for key, variable in variables.items():
        if tuple(variable.shape) != weights[key].shape:
            raise BadCheckpoint(
                f"{folder}: {key} is {weights[key].shape}, expected {tuple(variable.shape)}"
            )
        variable.assign(weights[key].astype(np.float32))
    return LoadedCheckpoint(metadata, model, device)


def save(
    model: keras.Model,
    folder: Path,
    *,
    name: str,
    version: str,
    architecture: Mapping[str, Any],
    margin: float,
    drop: float = 0.0,
    data: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
    created: str = "",
    git_commit: str = "",
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint of an uncalibrated model; returns its folder.

    Matrices are stored as float16, vectors (biases, batch statistics) as float32:
    they are a hundredth of the size, and a small variance does not survive float16.

    Args:
        architecture: arguments of ``build_model`` that make this model.
        margin, drop: of the crops it was trained on, see ``preprocessing.crop_face``.
        data, training, limits, created, git_commit, versions: written as they are.

    The thresholds of the vote are written with their values of today, so that a later
    change of the defaults changes no verdict of this checkpoint. Metrics are not known
    yet: ``write_metrics`` adds them, measured on what was written here.
    """
    from detector.model import named_variables

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for key, variable in named_variables(model):
        value = np.asarray(variable)
        arrays[key] = value.astype(np.float16 if value.ndim > 1 else np.float32)
    metadata = {
        "name": name,
        "version": version,
        "sha256": write_arrays(folder / WEIGHTS, arrays),
        "created": created,
        "architecture": dict(architecture),
        "git_commit": git_commit,
        "preprocessing": {
            "margin": margin,
            "drop": drop,
            "crop_side": CROP_SIDE,
            "range": [-1, 1],
            "colors": "RGB",
        },
        "class_order": CLASS_ORDER,
        "calibration": None,
        "thresholds": asdict(Thresholds()),
        "data": dict(data or {}),
        "training": dict(training or {}),
        "metrics": [],
        "limits": list(limits),
        "versions": dict(versions or {}),
    }
    write_json(folder / METADATA, metadata)
    return folder


def write_metrics(folder: Path, measured: Sequence[Mapping[str, Any]]) -> None:
    """Put measured figures into the metadata of a saved checkpoint.

    ``metrics`` is a list, one entry for each set, part and level that was measured (their
    keys: ``detector.training.summary``). A set and part that is measured again replaces
    its entries; those of other sets stay.
    """
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    again = {(entry["set"], entry["part"]) for entry in measured}
    known = metadata["metrics"]
    if not isinstance(known, list):
        known = []  # An earlier shape, whose figures named neither part nor level.
    kept = [entry for entry in known if (entry["set"], entry["part"]) not in again]
    of_videos = {(e["set"], e["part"]) for e in (*kept, *measured) if e["level"] == "video"}
    # Whole videos first: they are what people ask about.
    ordered = sorted([*kept, *measured], key=lambda e: (e["set"], e["part"]) not in of_videos)
    update(folder, {"metrics": ordered})


def update(folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change entries of a saved checkpoint's metadata; returns all of it."""
    path = folder / METADATA
    changed = json.loads(path.read_text(encoding="utf-8")) | dict(changes)
    write_json(path, changed)
    return changed


def rewrite(
    folder: Path,
    changes: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Change entries of a saved checkpoint's metadata, and arrays of its weights.

    Figures that were measured before go: they are not those of this checkpoint any more.
    """
    sha256 = read_metadata(folder).sha256
    if arrays:
        changed = read_arrays(folder / WEIGHTS, sha256) | dict(arrays)
        sha256 = write_arrays(folder / WEIGHTS, changed)
    update(folder, dict(changes) | {"sha256": sha256, "metrics": []})
