"""Faces ▸ predictions, in batches, while more are found; a bounded number of crops is held.

A checkpoint that reads *rows* predicts each face alone, and its mirror image. One that
reads *frames* predicts windows of 8 faces of one track, 2 apart, so that a face collects
one prediction for each window it is in. A track shorter than a window is read back
and forth (0 1 2 1 0 …): repeated in time, never padded with something that is no
face.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.domain import Face, Image, Prediction
from detector.network import FACE_PREDICTIONS, Metadata, Network
from detector.people import tracks
from detector.sampling import Sampling
from detector.stages import Stages

Answers = npt.NDArray[np.float32]

WINDOW = 8
WINDOW_STEP = 2
RUN_FRAMES = 12
"""Sampled frames in a run for a checkpoint that reads frames, so that windows overlap."""

CHUNK = 8
"""Faces that are predicted together."""

HELD_CROPS = 128
"""Crops kept in memory, 270 KB each, waiting or being predicted."""

Step = Callable[[int, int], None]
"""Called with how many predictions are made and how many there are to make."""


class Predictor:
    """Collects the faces of one video and what the network says about them.

    Args:
        pool: where the network computes, while more faces are found.
        held_crops: with more, ``add`` waits for predictions.
        stages: told how long predicting takes.
    """

    def __init__(
        self,
        network: Network,
        pool: Executor,
        held_crops: int = HELD_CROPS,
        stages: Stages | None = None,
    ) -> None:
        self._network = network
        self._pool = pool
        self._held_crops = held_crops
        self._stages = stages or Stages()
        self._reads_frames = network.sequence == "frames"
        self._waiting: dict[Face, Image] = {}
        self._begun: deque[_Chunk] = deque()
        self._predictions: dict[Face, list[Prediction]] = {}

    @property
    def held(self) -> int:
        """How many crops are in memory, one counted for each prediction it is needed for."""
        return len(self._waiting) + sum(chunk.crops for chunk in self._begun)

    def add(self, face: Face, crop: Image) -> None:
        """Take a face; faces come window by window."""
        if self._reads_frames and self._waiting:
            latest = next(reversed(self._waiting)).window
            if face.window != latest:  # Tracks are complete when their window is.
                self._begin_windows()
        self._waiting[face] = crop
        if not self._reads_frames and len(self._waiting) == CHUNK:
            self._begin_single_faces()
        while self._begun and self.held > self._held_crops:
            self._collect(self._begun.popleft())
        self.collect()

    def collect(self) -> None:
        """Take in what is predicted, without waiting."""
        while self._begun and self._begun[0].answers.done():
            self._collect(self._begun.popleft())

    def unfinished(self) -> set[Face]:
        """The faces that were added and still get predictions."""
        begun = (face for chunk in self._begun for faces in chunk.faces for face in faces)
        return {*self._waiting, *filter(None, begun)}

    def finish(self, step: Step) -> None:
        """Predict the faces that are left.

        Args:
            step: called after each part; what it raises ends the work, and it may ``collect``.
        """
        if self._reads_frames:
            self._begin_windows()
        elif self._waiting:
            self._begin_single_faces()
        total = len(self._begun)
        while self._begun:
            self._collect(self._begun.popleft())
            step(total - len(self._begun), total)

    def cancel(self) -> None:
        """Predict nothing more; what is being predicted is forgotten."""
        for chunk in self._begun:
            chunk.answers.cancel()
        self._begun.clear()
        self._waiting.clear()

    def predictions(self, face: Face) -> tuple[Prediction, ...]:
        """All predictions of a face that was added and predicted."""
        return tuple(self._predictions[face])

    def _begin_single_faces(self) -> None:
        faces, crops = list(self._waiting), list(self._waiting.values())
        self._waiting.clear()
        self._begin(
            [[face] * FACE_PREDICTIONS for face in faces], self._network.predict_faces, crops
        )

    def _begin_windows(self) -> None:
        """Those of all faces that wait; they are of one window of the sampling."""
        for track in tracks(list(self._waiting)):
            for window in sequence_windows(len(track)):
                faces = [track[position] for position in window]
                crops = [self._waiting[face] for face in faces]
                # A face that is read twice in a window counts once.
                once = [f if f not in faces[:i] else None for i, f in enumerate(faces)]
                self._begin([once], self._network.predict_sequences, [crops])
        self._waiting.clear()

    def _begin(
        self, faces: list[list[Face | None]], predict: Callable[[Any], Answers], crops: list[Any]
    ) -> None:
        def work() -> Answers:
            with self._stages.timed("predict"):
                return predict(crops)

        held = sum(len(crop) if isinstance(crop, list) else 1 for crop in crops)
        self._begun.append(_Chunk(faces, self._pool.submit(work), held))

    def _collect(self, chunk: _Chunk) -> None:
        for faces, rows in zip(chunk.faces, chunk.answers.result(), strict=True):
            for face, (p_fake, p_real) in zip(faces, rows, strict=True):
                if face is not None:
                    prediction = Prediction(p_fake=float(p_fake), p_real=float(p_real))
                    self._predictions.setdefault(face, []).append(prediction)


@dataclass(frozen=True)
class _Chunk:
    """Predictions that are being made."""

    faces: list[list[Face | None]]
    """Whose each prediction is; None: nobody's."""
    answers: Future[Answers]
    crops: int


def sampling_for(checkpoint: Metadata, sampling: Sampling) -> Sampling:
    """The sampling that a checkpoint needs to read videos at this level."""
    if checkpoint.architecture["sequence"] != "frames":
        return sampling
    frames = sampling.frames and max(sampling.frames, RUN_FRAMES)
    return replace(sampling, window_frames=RUN_FRAMES, frames=frames)


def sequence_windows(count: int) -> list[list[int]]:
    """Positions of a track's faces in windows of 8, so that each is in one at least.

    >>> sequence_windows(11)[-1]
    [3, 4, 5, 6, 7, 8, 9, 10]
    >>> sequence_windows(3)
    [[0, 1, 2, 1, 0, 1, 2, 1]]
    """
    if count < 1:
        return []
    if count < WINDOW:
        there_and_back = [*range(count), *range(count - 2, 0, -1)]
        return [[there_and_back[i % len(there_and_back)] for i in range(WINDOW)]]
    last = count - WINDOW
    starts = sorted({*range(0, last + 1, WINDOW_STEP), last})
    return [list(range(start, start + WINDOW)) for start in starts]
