"""The way this project replaced, written anew from its description, to be compared with.

Every frame of the video is read, at its full size. MTCNN looks at each by itself
(``MTCNN.detect_faces``, of the package ``mtcnn``, as it comes); the first face is cut out and
given to the network with one call of ``predict``. The checkpoint is ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector import checkpoints
from detector.device import prepare
from detector.domain import FaceBox, Image
from detector.preprocessing import crop_face, to_network_input


class SeedWay:
    """MTCNN and the network, in TensorFlow, as they were used."""

    def __init__(self, checkpoint: str) -> None:
        prepare("cpu")
        from mtcnn import MTCNN

        self._checkpoint = checkpoints.load(checkpoint)
        self._mtcnn: Any = MTCNN()

    def seconds_a_frame(self, video: Path, frames: int) -> float:
        """Measured over the first frames; more cost the same, for each is treated alike."""
        began = time.perf_counter()
        seen = 0
        for frame in islice(_every_frame(video), frames):
            self._judge(frame)
            seen += 1
        return (time.perf_counter() - began) / seen

    def _judge(self, frame: Image) -> None:
        faces = self._mtcnn.detect_faces(frame)
        if not faces:
            return
        about = self._checkpoint.metadata
        x, y, width, height = (int(value) for value in faces[0]["box"])
        crop = crop_face(frame, FaceBox(x, y, width, height), about.margin, about.drop)
        inputs = to_network_input([crop], self._checkpoint.image_size)
        self._checkpoint.model.predict(inputs, verbose=0)


def _every_frame(video: Path) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(video))
    try:
        while True:
            found, bgr = capture.read()
            if not found or bgr is None:
                return
            yield np.ascontiguousarray(np.asarray(bgr, np.uint8)[:, :, ::-1])
    finally:
        capture.release()
