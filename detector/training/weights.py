"""Arrays of a network in training: where they begin, and files of them between stages."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detector import checkpoints
from detector.checkpoint_files import write_arrays
from detector.training.configuration import Network
from detector.training.errors import DatasetError

if TYPE_CHECKING:
    import keras


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
