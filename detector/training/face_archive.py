"""A zip for each video with its face crops, and what is known of every face.

Crops are stored as PNG, so that they come back bit for bit, under
``<frame index>-<number of the face in its frame, from the left>.png``: the person
is known only when the whole video is read, and stands in ``faces.json`` beside
them, which is written last. A zip has its name only once it is whole.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector.domain import Face, FaceBox, Image, Person
from detector.training.crops import encode_png

RECORD = "faces.json"
PART = ".part"
"""Ends the name of a file that is being written."""


@dataclass(frozen=True)
class ArchivedFace:
    """One face of a video; ``path`` is its crop's, inside the zip."""

    path: str
    person: int
    frame_index: int
    time_s: float
    window: int
    box: FaceBox
    confidence: float


@dataclass(frozen=True)
class VideoRecord:
    """What was seen in one video.

    ``video_bytes`` is the size of the file, by which another one of its name is told from it;
    ``frames`` is how many were looked at. Faces are sorted by frame, and from the left.
    """

    video_bytes: int
    frames: int
    seconds: float
    faces: tuple[ArchivedFace, ...]


class FaceArchiveWriter:
    """Writes the zip of one video; there is none if the ``with`` block is left by an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + PART)
        self._names: dict[Face, str] = {}
        self._in_frame = (-1, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._zip.close()
            if exc_type is None:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    @property
    def faces(self) -> tuple[Face, ...]:
        """Those that were added, in this order."""
        return tuple(self._names)

    def add(self, face: Face, crop: Image) -> None:
        """Store a crop, RGB ``uint8``; faces come frame by frame."""
        frame, number = self._in_frame
        self._in_frame = (face.frame_index, number + 1 if frame == face.frame_index else 1)
        name = "{:06}-{}.png".format(*self._in_frame)
        self._names[face] = name
        self._write(name, encode_png(crop))

    def finish(
        self, people: Iterable[Person], *, video_bytes: int, frames: int, seconds: float
    ) -> VideoRecord:
        """Write what is known of the faces that were added."""
        person_of = {face: person.id for person in people for face in person.faces}
        faces = [
            ArchivedFace(
                path=self._names[face],
                person=person_of[face],
                frame_index=face.frame_index,
                time_s=round(face.time_s, 3),
                window=face.window,
                box=face.box,
                confidence=round(face.confidence, 4),
            )
            # The order within a frame is that in which they were added.
            for face in sorted(self._names, key=lambda face: face.frame_index)
        ]
        record = VideoRecord(video_bytes, frames, round(seconds, 2), tuple(faces))
        self._write(RECORD, json.dumps(asdict(record)).encode())
        return record

    def _write(self, name: str, content: bytes) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, content)


def read_record(path: Path) -> VideoRecord | None:
    """What a zip holds; None if there is none, or it is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            stated = json.loads(archive.read(RECORD))
        faces = tuple(_face(face) for face in stated.pop("faces"))
        return VideoRecord(**stated, faces=faces)
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return None


def _face(stated: dict[str, Any]) -> ArchivedFace:
    return ArchivedFace(**stated | {"box": FaceBox(**stated["box"])})


@contextmanager
def written_whole(path: Path) -> Iterator[Any]:
    """A text file that replaces ``path`` when the block ends, and not if an error ends it."""
    part = path.with_name(path.name + PART)
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
