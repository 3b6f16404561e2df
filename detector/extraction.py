"""Face extraction: from a video file to face crops, the ONE way frames are read and cut.

Probe ▸ sample ▸ find faces ▸ cut. ``Detector.analyze`` and ``python -m detector
preprocess`` both see a video through ``FaceExtraction``: a network is trained and
measured on the very crops that it is served. Which frames go through the face finder
together is a part of that: its dense layers round otherwise in other company, and where two
candidates are as good as each other that moves a box by some pixels (7 of 191 boxes of 13
videos, alone or in eights). Frames are streamed; a few of them are in memory at a time, and
the crops of those.

    with FaceExtraction("clip.mp4", finder, Cut(margin=1.3)) as extraction:
        for faces in extraction:
            for face, crop in faces:
                print(face.frame_index, face.box, crop.shape)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from detector import people
from detector.domain import DetectedFace, Face, Image, SampledFrame
from detector.faces import BATCH_FRAMES, FaceFinder
from detector.preprocessing import crop_face
from detector.stages import Stages
from detector.video import Limits, Sampling, sample

BATCH_BYTES = 64 * 1024 * 1024
"""Of frames that are in memory at a time: eight of 1080p, two of 4K, one of 8K."""


@dataclass(frozen=True)
class Cut:
    """How a crop is cut around a face's box: see ``preprocessing.crop_face``."""

    margin: float
    drop: float = 0.0


class ExtractedFace(NamedTuple):
    """A face and its crop, RGB ``uint8``, shape (300, 300, 3)."""

    face: Face
    crop: Image


class FaceExtraction:
    """The faces of one video, a list for each batch of frames, in order of the frames and
    from left to right within each.

    Returns from its construction when the file is known to be a video, with ``media`` set;
    ``sampled`` grows while it is iterated over. Leaving the ``with`` block ends the decoding.

    Args:
        path: the video file. Its bytes are read by a child process only.
        finder: may be shared by several threads.
        sampling: how many frames to look at; ``standard`` if None.
        stages: told of progress and time; asked whether to stop, which raises
            ``AnalysisStopped`` here and while iterating.
        limits: what the video may cost.

    Raises:
        UnusableVideo: the file cannot be read; also while iterating.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        finder: FaceFinder,
        cut: Cut,
        sampling: Sampling | None = None,
        stages: Stages | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._finder = finder
        self._cut = cut
        self._stages = stages or Stages()
        with self._stages.enter("probe", clock="decode"):
            self._stream = sample(path, sampling, limits, self._stages.should_stop)
        self.media = self._stream.media
        self.sampled: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[list[ExtractedFace]]:
        stages = self._stages
        stages.report("sample", 0.0)
        frames = iter(self._stream)
        while True:
            stages.stop_if_asked()
            with stages.timed("decode"):
                batch = _next_batch(frames)
            if not batch:
                return
            with stages.timed("detect"):
                faces = self._find_faces(batch)
            self.sampled += [frame.index for frame in batch]
            # The next frames need the room of these.
            del batch
            yield faces
            del faces
            stages.report("detect", len(self.sampled) / max(self._stream.expected, 1))

    def _find_faces(self, batch: Sequence[SampledFrame]) -> list[ExtractedFace]:
        found = self._finder.find([frame.image for frame in batch])
        return [
            self._extract(frame, one)
            for frame, detected in zip(batch, found, strict=True)
            for one in detected
        ]

    def _extract(self, frame: SampledFrame, detected: DetectedFace) -> ExtractedFace:
        face = Face(
            frame_index=frame.index,
            time_s=frame.time_s,
            window=frame.window,
            box=detected.box,
            confidence=detected.confidence,
            appearance=people.describe(frame.image, detected.box),
        )
        crop = crop_face(frame.image, detected.box, self._cut.margin, self._cut.drop)
        return ExtractedFace(face, crop)


def _next_batch(frames: Iterator[SampledFrame]) -> list[SampledFrame]:
    """As many frames as the face finder takes at once, fewer if they are very large."""
    batch: list[SampledFrame] = []
    for frame in frames:
        batch.append(frame)
        full = len(batch) == BATCH_FRAMES
        if full or sum(one.image.nbytes for one in batch) + frame.image.nbytes > BATCH_BYTES:
            break
    return batch
