"""Face extraction: from a video file to face crops, the ONE way frames are read and cut.

Probe ▸ sample ▸ find faces ▸ cut. ``Detector.analyze`` and ``python -m detector
preprocess`` both see a video through ``FaceExtraction``: a network is trained and
measured on the very crops that it is served. Frames are streamed. Those of one window go
through the face finder together, which follows faces from one to the next; a few windows are
in memory at a time, and the crops of those.

    with FaceExtraction("clip.mp4", finder, Cut(margin=1.3)) as extraction:
        for faces in extraction:
            for face, crop in faces:
                print(face.frame_index, face.box, crop.shape)
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from detector import people
from detector.domain import DetectedFace, Face, Image, SampledFrame
from detector.faces import FaceFinder
from detector.preprocessing import crop_face
from detector.stages import Stages
from detector.video import Limits, Sampling, sample

BATCH_BYTES = 64 * 1024 * 1024
"""Of frames that go through the face finder together: eight of 1080p, two of 4K, one of 8K."""


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
    """The faces of one video, a list for each window or part of one, in order of the frames
    and from left to right within each.

    Returns from its construction when the file is known to be a video, with ``media`` set;
    ``sampled``, the frames whose faces are known, grows while it is iterated over. Leaving the
    ``with`` block ends the decoding.

    Args:
        path: the video file. Its bytes are read by a child process only.
        finder: may be shared by several threads.
        sampling: how many frames to look at; ``standard`` if None.
        stages: told of progress and time; asked whether to stop, which raises
            ``AnalysisStopped`` here and while iterating.
        limits: what the video may cost.
        pool: where faces are looked for while more frames are decoded; the thread that
            iterates if None.
        ahead: windows that the pool may have at a time. The order of what comes out and all
            of its values are the same.

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
        pool: Executor | None = None,
        ahead: int = 1,
    ) -> None:
        self._pool = pool
        self._ahead = ahead
        self._pending: deque[Future[list[ExtractedFace]]] = deque()
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
        for future in self._pending:
            future.cancel()

    @property
    def expected(self) -> int:
        """How many frames are planned."""
        return self._stream.expected

    def __iter__(self) -> Iterator[list[ExtractedFace]]:
        stages, pending = self._stages, self._pending
        stages.report("sample", 0.0)
        batches = _batches(iter(self._stream))
        indices: deque[list[int]] = deque()
        # The first faces are to be judged before the pool is full of frames.
        ahead = 1
        while True:
            stages.stop_if_asked()
            with stages.timed("decode"):
                batch = next(batches, [])
            if batch:
                indices.append([frame.index for frame in batch])
                pending.append(self._begin(batch))
            ended = not batch
            # The next frames need the room of these.
            del batch
            while pending and (ended or len(pending) > ahead or pending[0].done()):
                found = pending.popleft().result()
                ahead = self._ahead
                self.sampled += indices.popleft()
                yield found
                stages.report("detect", len(self.sampled) / max(self.expected, 1))
                stages.stop_if_asked()
            if ended:
                return

    def _begin(self, batch: list[SampledFrame]) -> Future[list[ExtractedFace]]:
        if self._pool is not None:
            return self._pool.submit(self._find_faces, batch)
        done: Future[list[ExtractedFace]] = Future()
        done.set_result(self._find_faces(batch))
        return done

    def _find_faces(self, batch: list[SampledFrame]) -> list[ExtractedFace]:
        with self._stages.timed("detect"):
            found = self._finder.follow([frame.image for frame in batch])
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


def _batches(frames: Iterator[SampledFrame]) -> Iterator[list[SampledFrame]]:
    """The frames of one window, in parts if they are very large."""
    batch: list[SampledFrame] = []
    for frame in frames:
        size = sum(one.image.nbytes for one in batch) + frame.image.nbytes
        if batch and (size > BATCH_BYTES or frame.window != batch[0].window):
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch
