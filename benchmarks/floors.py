"""What the machine needs at least: each kind of work alone, with everything ready for it.

Each floor takes all cores: several calls at a time, on one thread each, in ONNX Runtime; one
call at a time in TensorFlow, which divides it among the cores itself.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from detector import checkpoints, mtcnn_networks
from detector.device import cores
from detector.domain import Image
from detector.export import to_onnx
from detector.extraction import Cut, FaceExtraction
from detector.faces import WORKING_SIDE, FaceFinder
from detector.mtcnn import Mtcnn, pyramid
from detector.mtcnn_networks import ONET_SIDE, RNET_SIDE
from detector.network import views
from detector.preprocessing import to_network_input
from detector.quantization import quantized
from detector.runtime import session
from detector.sampling import Sampling
from detector.video import sample

Pictures = npt.NDArray[np.float32]
BATCH = 8


class Cost(NamedTuple):
    """Of one kind of work."""

    seconds: float
    processor_s: float
    """Of all cores together."""


class Floors:
    """The ready arrays of one video at one level of sampling, and the bare networks.

    The networks of MTCNN look at every frame, as the cascade does without following: at all
    levels of the pyramid, then at the candidates that were left.
    """

    def __init__(self, video: Path, sampling: Sampling, checkpoint: str, bits: int) -> None:
        self._video, self._sampling, self._bits = video, sampling, bits
        loaded = checkpoints.load(checkpoint)
        about = loaded.metadata
        with sample(video, sampling) as stream:
            frames = [_shrunk(frame.image) for frame in stream]
        self._levels, self._small, self._large = _ready(frames)
        with FaceExtraction(video, FaceFinder(), Cut(about.margin, about.drop), sampling) as all_:
            crops = [view for faces in all_ for _, crop in faces for view in views(crop)]
        inputs = to_network_input(crops, loaded.image_size)
        self._faces = [_filled(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
        graph = to_onnx(loaded.model, loaded.sequence)
        self._pool = ThreadPoolExecutor(cores())
        self._calls = {
            "MTCNN's networks, ONNX Runtime": self._cascade(
                [_onnx(make()) for make in MAKERS], self._side_by_side
            ),
            "MTCNN's networks, TensorFlow": self._cascade(_tensorflow_mtcnn(), _one_by_one),
            "network, ONNX Runtime": self._network(_onnx(graph), self._side_by_side),
            **self._in_8_bits(checkpoints.find(checkpoint), graph),
            "network, TensorFlow": self._network(_compiled(loaded.model), _one_by_one),
        }
        for call in self._calls.values():
            call()  # Compiled, and memory taken, before anything is measured.

    def measure(self) -> dict[str, Cost]:
        """One measurement of each."""
        return {"decode only": _measured(self._decode)} | {
            name: _measured(call) for name, call in self._calls.items()
        }

    def _decode(self) -> None:
        with sample(self._video, self._sampling) as stream:
            for _ in stream:
                pass

    def _cascade(self, networks: Sequence[Any], run: Any) -> Callable[[], None]:
        pnet, rnet, onet = networks

        def call() -> None:
            run(pnet, self._levels)
            run(rnet, self._small)
            run(onet, self._large)

        return call

    def _network(self, network: Any, run: Any) -> Callable[[], None]:
        return lambda: run(network, self._faces)

    def _in_8_bits(self, folder: Path, graph: bytes) -> dict[str, Callable[[], None]]:
        """If that is how the checkpoint is served."""
        if self._bits != 8:
            return {}
        graph = quantized(graph, (folder / checkpoints.ACTIVATION_RANGES).read_bytes())
        return {"network, ONNX Runtime, 8 bits": self._network(_onnx(graph), self._side_by_side)}

    def _side_by_side(self, network: Any, batches: Sequence[Pictures]) -> None:
        list(self._pool.map(network, batches))


MAKERS = (mtcnn_networks.proposals, mtcnn_networks.refinement, mtcnn_networks.output)


def _one_by_one(network: Any, batches: Sequence[Pictures]) -> None:
    for batch in batches:
        network(batch)


def _measured(call: Callable[[], None]) -> Cost:
    began, busy = time.perf_counter(), _processor_s()
    call()
    return Cost(time.perf_counter() - began, _processor_s() - busy)


def _processor_s() -> float:
    """Of this process and its children that have ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _shrunk(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = min(1.0, WORKING_SIDE / max(height, width))
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _ready(frames: Sequence[Image]) -> tuple[list[Pictures], list[Pictures], list[Pictures]]:
    """What P-Net, R-Net and O-Net are given, for all frames."""
    levels: list[Pictures] = []
    small: list[Pictures] = []
    large: list[Pictures] = []
    for frame in frames:
        picture = frame.astype(np.float32)
        for level in pyramid(frame.shape[0], frame.shape[1]):
            resized = cv2.resize(picture, level.size, interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(resized, np.float32)[None])
    recorder = Mtcnn()
    for network, into in (("_rnet", small), ("_onet", large)):
        setattr(recorder, network, _Recorder(getattr(recorder, network), into))
    for frame in frames:
        recorder.detect(frame)
    return levels, small, large


class _Recorder:
    """A network that keeps what it was given."""

    def __init__(self, network: Any, into: list[Pictures]) -> None:
        self._network, self._into = network, into

    def run(self, outputs: None, given: dict[str, Pictures]) -> Any:
        self._into.extend(given.values())
        return self._network.run(outputs, given)


def _filled(batch: Pictures) -> Pictures:
    """Of the fixed shape that is compiled for."""
    missing = BATCH - len(batch)
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch


def _onnx(graph: bytes) -> Callable[[Pictures], Any]:
    running = session(graph)
    [given] = running.get_inputs()
    return lambda batch: running.run(None, {given.name: batch})


def _compiled(model: Any) -> Callable[[Pictures], Any]:
    import tensorflow as tf

    call = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    return lambda batch: np.asarray(call(batch))


def _tensorflow_mtcnn() -> list[Any]:
    """The package's networks, with an open shape, so that one graph serves all sizes."""
    import tensorflow as tf
    from mtcnn.stages import StageONet, StagePNet, StageRNet

    networks = []
    stages = ((StagePNet, None), (StageRNet, RNET_SIDE), (StageONet, ONET_SIDE))
    for stage, side in stages:
        signature = [tf.TensorSpec((None, side, side, 3), tf.float32)]
        networks.append(tf.function(stage()._model, input_signature=signature, autograph=False))
    return networks
