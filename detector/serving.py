"""A checkpoint in the engine that answers fastest on a device.

On the processor that is ONNX Runtime, by measurement (docs/performance.md): of what one core
does in a second it makes half as many answers again as TensorFlow, and it starts in a second
where TensorFlow takes ten. In 8 bits it answers twice as fast again, slightly otherwise, and only
on some processors (``quantization``), so that has to be asked for. The graph is made from the
checkpoint's arrays at first use, which needs TensorFlow once, and kept under the SHA-256 of what
it is made from. On a GPU it is TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector import checkpoints, quantization
from detector.checkpoint_files import read_arrays
from detector.errors import BadCheckpoint, NoDevice
from detector.network import Metadata, Network

logger = logging.getLogger(__name__)

FORM = 2
"""Of the exported graphs. To be raised whenever ``export`` writes another for the same model."""

FACES = 8
"""In a computation on the processor: more are not faster, and these wait for no others."""


def load(
    name: str = "default",
    device: str = "CPU:0",
    cache: Path | None = None,
    bits: int = 32,
) -> Network:
    """Find, verify and load a checkpoint.

    Args:
        name: an installed checkpoint's name, or a path to a folder.
        device: TensorFlow's name of a device.
        cache: folder of exported graphs; that of the user if None.
        bits: 32 or 8, on a processor; a GPU has its own.

    Raises:
        CheckpointError: see ``checkpoints.load``; also if 8 bits
            are asked for and the activations were not measured, or another network's were.
        NoDevice: this processor cannot compute in 8 bits.
    """
    if not device.startswith("CPU"):
        return checkpoints.load(name, device)
    from detector.runtime import session

    folder = checkpoints.find(name)
    metadata = checkpoints.read_metadata(folder)
    read_arrays(folder / checkpoints.WEIGHTS, metadata.sha256)
    ranges = _ranges(folder) if bits == 8 else None
    running = session(_graph(name, metadata, ranges, cache or user_cache()))
    [given], [answered] = running.get_inputs(), running.get_outputs()

    def compute(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(running.run([answered.name], {given.name: inputs})[0])

    return Network(metadata, compute, FACES, bits)


def user_cache() -> Path:
    """Where this user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "framevote"


def _ranges(folder: Path) -> bytes:
    if not quantization.possible():
        raise NoDevice("8 bits need a processor with VNNI")
    try:
        return (folder / checkpoints.ACTIVATION_RANGES).read_bytes()
    except OSError as error:
        raise BadCheckpoint(f"no {checkpoints.ACTIVATION_RANGES}: {error}") from error


def _graph(name: str, metadata: Metadata, ranges: bytes | None, cache: Path) -> bytes:
    of_ranges = None if ranges is None else hashlib.sha256(ranges).hexdigest()
    made_from = json.dumps(
        [FORM, metadata.sha256, dict(metadata.architecture), of_ranges], sort_keys=True
    )
    path = cache / f"{hashlib.sha256(made_from.encode()).hexdigest()}.onnx"
    graph = _kept(path)
    if graph is None:
        logger.info("making the graph of checkpoint %s", metadata.name)
        graph = exported(name)
        if ranges is not None:
            try:
                graph = quantization.quantized(graph, ranges)
            except ValueError as error:
                raise BadCheckpoint(f"{checkpoints.ACTIVATION_RANGES}: {error}") from error
        _keep(path, graph)
    return graph


def exported(name: str) -> bytes:
    """A checkpoint's graph in floating point, made anew with TensorFlow."""
    from detector.device import prepare
    from detector.export import to_onnx

    prepare("cpu")
    loaded = checkpoints.load(name)
    return to_onnx(loaded.model, loaded.sequence)


def _kept(path: Path) -> bytes | None:
    """The graph, if it is there and whole: its SHA-256 goes before it."""
    try:
        digest, graph = path.read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return None
    return graph if hashlib.sha256(graph).hexdigest().encode() == digest else None


def _keep(path: Path, graph: bytes) -> None:
    """Several processes may do so at once; each leaves a whole file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(graph).hexdigest().encode() + b"\n" + graph)
        Path(file.name).replace(path)
    except OSError as error:
        logger.warning("the graph cannot be kept and will be made again: %s", error)
