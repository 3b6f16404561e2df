"""Arrays of a network in training: where they begin, and files of them between stages."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector import checkpoints
from detector.checkpoint_files import write_arrays
from detector.training.configuration import Network
from detector.training.crops import Split, names_hash, split_three_ways
from detector.training.errors import DatasetError

if TYPE_CHECKING:
    import keras


NOT_TRAINED = ("imagenet", "none")
"""Weights to begin with that have seen no labelled face."""


def resolved(given: str, beside: Path) -> str:
    """Weights as ``build`` takes them, a file's path from where it is relative to."""
    return given if given in NOT_TRAINED else str((beside / given).resolve())


def identity(given: str) -> str:
    """What tells weights from others of the same name: a word, or the SHA-256 of the arrays.

    Args:
        given: as ``resolved`` gives it; of a file that is not there it is the name.

    Raises:
        CheckpointError: it is no sound checkpoint.
    """
    path = Path(given)
    if (path / checkpoints.METADATA).is_file():
        return checkpoints.read_metadata(path).sha256
    if not path.is_file():
        return path.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept_from_first_weights(given: str, split: Split) -> bool:
    """Whether what a run keeps apart is known to be new to the weights it begins with.

    Of arrays that is not known, nor of a checkpoint whose run had other sources.

    Args:
        given: as ``resolved`` gives it.
        split: of all sources of the run.

    Raises:
        CheckpointError: it is no sound checkpoint.
        DatasetError: it was trained on some of them.
    """
    if given in NOT_TRAINED:
        return True
    if not (Path(given) / checkpoints.METADATA).is_file():
        return False
    training = checkpoints.read_metadata(Path(given)).raw.get("training") or {}
    names = split.training | split.selection | split.calibration
    if training.get("sources", {}).get("sha256") != names_hash(names):
        return False
    data = training["data"]
    theirs = split_three_ways(
        names,
        selection=data["selection"],
        calibration=data["calibration"],
        seed=data["split_seed"],
    )
    trained = theirs.training & (split.selection | split.calibration)
    if trained:
        raise DatasetError(
            f"cannot start from {given}: it was trained on {len(trained)} of the sources that are "
            f"to be kept apart; keep its split_seed ({data['split_seed']}), and no more for "
            f"selection ({data['selection']}) and calibration ({data['calibration']})"
        )
    return said_kept_from_first_weights(training)


def said_kept_from_first_weights(training: Mapping[str, Any]) -> bool:
    """The same of the run that made a checkpoint, as its metadata say under ``training``."""
    # Runs that did not say so yet began with nothing, or nobody knows.
    unsaid = training.get("network", {}).get("weights") in NOT_TRAINED
    return bool(training.get("sources", {}).get("kept_from_first_weights", unsaid))


def build(network: Network) -> keras.Model:
    """The network with the values it begins with.

    Raises:
        DatasetError: the weights cannot be had; the message says what else to give.
        ValueError: settings that make no network, or arrays that are not its own.
    """
    from detector.model import build_model, load_backbone_arrays, quiet_residuals

    given = network.weights
    try:
        model = build_model(
            network.sequence,
            network.cut,
            network.image_size,
            weights="imagenet" if given == "imagenet" else None,
        )
    except ValueError:
        raise
    except Exception as error:
        # Keras wraps whatever the download met in a bare Exception.
        if given != "imagenet":
            raise
        raise DatasetError(
            f"ImageNet weights could not be downloaded ({error}); start without them "
            "(--weights none) or from a file of arrays (--weights FILE)"
        ) from error
    if given == "imagenet":
        return model
    backbone = model.get_layer("backbone")
    quiet_residuals(backbone)
    if given == "none":
        return model
    if (Path(given) / checkpoints.METADATA).is_file():
        load_checkpoint(model, Path(given))
        return model
    # After the zeroing: residual blocks that the file knows stay as they are.
    try:
        arrays = np.load(given, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name, expected an .npz of several")
        with arrays:
            load_backbone_arrays(backbone, dict(arrays))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"cannot start from {given}: {error}") from error
    return model


def load_checkpoint(model: keras.Model, folder: Path) -> None:
    """Take a checkpoint's arrays where they fit by name and shape: its backbone's all, and of
    the head of the other sequence, or of other layers, some.

    Raises:
        CheckpointError: it is no sound checkpoint.
        DatasetError: its backbone is another.
    """
    from detector.model import named_variables

    theirs = dict(named_variables(checkpoints.load(str(folder)).model))
    for key, variable in named_variables(model):
        fits = key in theirs and theirs[key].shape == variable.shape
        if fits:
            variable.assign(theirs[key].numpy())
        elif key.startswith("backbone/"):
            raise DatasetError(f"cannot start from {folder}: it has no {key} of this network")


def save_weights(model: keras.Model, path: Path) -> None:
    """Every array, as it is, written at once or not at all."""
    from detector.model import named_variables

    arrays = {key: np.array(variable.numpy()) for key, variable in named_variables(model)}
    write_arrays(path, arrays)


def load_weights(model: keras.Model, path: Path) -> None:
    """What ``save_weights`` wrote of the same network."""
    from safetensors.numpy import load

    from detector.model import named_variables

    arrays = load(path.read_bytes())
    for key, variable in named_variables(model):
        variable.assign(arrays[key])
