"""Faces ▸ predictions, in batches, holding a bounded number of crops.

A checkpoint that reads *rows* predicts each face alone. One that reads *frames*
predicts windows of 8 faces of one track, 2 apart, so that a face collects one
prediction for each window it is in. A track shorter than a window is read back
and forth (0 1 2 1 0 …): repeated in time, never padded with something that is no
face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from detector.checkpoints import LoadedCheckpoint, Metadata
from detector.domain import Face, Image, Prediction
from detector.people import tracks
from detector.sampling import Sampling

T = TypeVar("T")

WINDOW = 8
WINDOW_STEP = 2
RUN_FRAMES = 12
"""Sampled frames in a run for a checkpoint that reads frames, so that windows overlap."""

HELD_CROPS = 128
"""Crops kept in memory, 270 KB each. More faces are predicted as the video is read."""

CHUNK = 16
"""Predictions between two looks at whether to go on."""

Step = Callable[[int, int], None]
"""Called with how many predictions are made and how many there are to make."""


class Predictor:
    """Collects the faces of one video and what the network says about them."""

    def __init__(self, checkpoint: LoadedCheckpoint, held_crops: int = HELD_CROPS) -> None:
        self._checkpoint = checkpoint
        self._reads_frames = checkpoint.metadata.architecture["sequence"] == "frames"
        self._held_crops = held_crops
        self._waiting: dict[Face, Image] = {}
        self._predictions: dict[Face, list[Prediction]] = {}

    def add(self, face: Face, crop: Image) -> None:
        """Take a face; faces come window by window."""
        self._waiting[face] = crop

    @property
    def full(self) -> bool:
        """Whether ``predict`` should be called before more faces are added."""
        return len(self._waiting) >= self._held_crops

    def predict(self, step: Step, *, complete: bool) -> None:
        """Predict the faces that wait, and let go of their crops.

        Args:
            step: called after each chunk; what it raises ends the work.
            complete: no more faces will come. Before that, the faces of the latest
                window stay: tracks are not complete until their window is.
        """
        faces = list(self._waiting)
        if self._reads_frames:
            if not complete:
                latest = faces[-1].window if faces else 0
                faces = [face for face in faces if face.window != latest]
            self._predict_windows(faces, step)
        else:
            self._predict_singly(faces, step)
        for face in faces:
            del self._waiting[face]

    def predictions(self, face: Face) -> tuple[Prediction, ...]:
        """All predictions of a face that was added and predicted."""
        return tuple(self._predictions[face])

    def _predict_singly(self, faces: Sequence[Face], step: Step) -> None:
        for chunk in _chunks(faces, CHUNK):
            answers = self._checkpoint.predict_faces([self._waiting[face] for face in chunk])
            for face, rows in zip(chunk, answers, strict=True):
                self._collect(face, rows)
            step(len(chunk), len(faces))

    def _predict_windows(self, faces: Sequence[Face], step: Step) -> None:
        windows = [
            [track[position] for position in window]
            for track in tracks(faces)
            for window in sequence_windows(len(track))
        ]
        for chunk in _chunks(windows, max(1, CHUNK // WINDOW)):
            crops = [[self._waiting[face] for face in window] for window in chunk]
            answers = self._checkpoint.predict_sequences(crops)
            for window, rows in zip(chunk, answers, strict=True):
                for position, face in enumerate(window):
                    if face not in window[:position]:
                        self._collect(face, rows[position : position + 1])
            step(len(chunk), len(windows))

    def _collect(self, face: Face, rows: npt.NDArray[np.float32]) -> None:
        self._predictions.setdefault(face, []).extend(
            Prediction(p_fake=float(p_fake), p_real=float(p_real)) for p_fake, p_real in rows
        )


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


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
