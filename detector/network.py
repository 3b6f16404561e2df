"""A trained network that answers for faces, whatever engine computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.domain import CheckpointId, Image
from detector.preprocessing import to_network_input

FACE_PREDICTIONS = 16
"""Of a single face: one for each of the 8 rows of its feature map, and 8 for its mirror image.

A face and its mirror image are equally genuine; asking about both makes fewer errors than
asking about one (docs/experiments.md).
"""

Compute = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""From inputs of a fixed shape to (n, 8, 2); may be called by several threads."""


@dataclass(frozen=True)
class Metadata:
    """``metadata.json``. ``raw`` is the whole of it; the rest is what the code uses."""

    name: str
    version: str
    sha256: str
    architecture: Mapping[str, Any]
    margin: float
    drop: float
    thresholds: Mapping[str, Any]
    calibration: Mapping[str, Any] | None
    raw: Mapping[str, Any]

    @property
    def id(self) -> CheckpointId:
        return CheckpointId(self.name, self.version, self.sha256)


def views(crop: Image) -> tuple[Image, Image]:
    """What a network that reads rows is shown of a face: its crop, and the mirror image."""
    return crop, crop[:, ::-1]


class Network:
    """A checkpoint's network, ready to be asked.

    Args:
        metadata: of the checkpoint.
        compute: the engine.
        faces: how many pictures of faces go into one computation. The last one of several is
            filled up: another shape would be prepared for anew.
        bits: of the numbers that the engine computes with.
    """

    def __init__(self, metadata: Metadata, compute: Compute, faces: int, bits: int = 32) -> None:
        self.metadata = metadata
        self.bits = bits
        self._compute = compute
        self._faces = faces

    @property
    def id(self) -> CheckpointId:
        return self.metadata.id

    @property
    def sequence(self) -> str:
        """How the head reads faces: ``"rows"`` or ``"frames"``."""
        return str(self.metadata.architecture["sequence"])

    @property
    def image_size(self) -> int:
        return int(self.metadata.architecture["image_size"])

    def predict_faces(self, crops: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Predictions of single faces, for a checkpoint that reads rows.

        Args:
            crops: n arrays, RGB ``uint8``, shape (300, 300, 3).

        Returns:
            (n, 16, 2), softmax over (FAKE, REAL), the mirror image's last.

        Raises:
            ValueError: the checkpoint reads frames.
        """
        if self.sequence != "rows":
            raise ValueError(f"{self.id.name} reads {self.sequence}, not single faces")
        seen = [view for crop in crops for view in views(crop)]
        return self._predict(seen, self._faces).reshape(len(crops), FACE_PREDICTIONS, 2)

    def predict_sequences(self, windows: Sequence[Sequence[Image]]) -> npt.NDArray[np.float32]:
        """Predictions of windows of 8 faces, for a checkpoint that reads frames.

        Args:
            windows: m sequences of 8 crops as ``predict_faces`` takes.

        Returns:
            (m, 8, 2), softmax over (FAKE, REAL) for each face of each window.

        Raises:
            ValueError: the checkpoint reads rows.
        """
        if self.sequence != "frames":
            raise ValueError(f"{self.id.name} reads {self.sequence}, not windows")
        return self._predict([list(window) for window in windows], max(1, self._faces // 8))

    def _predict(self, items: Sequence[Any], batch: int) -> npt.NDArray[np.float32]:
        answers = [np.empty((0, 8, 2), np.float32)]
        for start in range(0, len(items), batch):
            part = items[start : start + batch]
            inputs = np.stack([self._input_of(item) for item in part])
            padding = batch - len(part)
            if padding:
                inputs = np.concatenate([inputs, np.repeat(inputs[-1:], padding, axis=0)])
            answers.append(self._compute(inputs)[: len(part)])
        return np.concatenate(answers)

    def _input_of(self, item: Any) -> npt.NDArray[np.float32]:
        if isinstance(item, list):
            return to_network_input(item, self.image_size)
        return to_network_input([item], self.image_size)[0]
