"""Face crops with a manifest, in folders or zips, split by source video.

``manifest.csv`` has one row a crop: ``path``, ``label`` (REAL or FAKE),
``source_video`` and, optionally, ``zip`` (the archive beside the manifest that
holds ``path``), ``split`` (only rows marked ``train``, or not at all, are trained on), ``method``
(how a fake was made), ``dataset`` (of a collection of several sets), ``video``, ``person``
and ``frame_index`` (where the crop was cut; without them each crop counts as a video of its
own) and ``face_px`` (longer side of the face's box in its frame).
A fake and the real it was made from share ``source_video`` and therefore a side
of the split: frames of one video on both sides would be an answer sheet.

``python -m detector preprocess`` writes such a folder from videos.
"""

from __future__ import annotations

import csv
import hashlib
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image, Label
from detector.training.datasets import GENUINE
from detector.training.errors import DatasetError

MANIFEST = "manifest.csv"

OPEN_ARCHIVES = 32
"""Zips kept open at a time: a preprocessed set has one for each video."""


@dataclass(frozen=True)
class FaceRow:
    """One line of a manifest. ``side`` is the column ``face_px``, ``None`` if not stated."""

    path: str
    archive: str
    label: Label
    group: str
    split: str
    method: str
    dataset: str
    video: str
    person: int
    frame_index: int
    side: int | None


@dataclass(frozen=True)
class LabelledFace:
    """One crop, read when it is asked for."""

    row: FaceRow
    files: CropFiles

    @property
    def label(self) -> Label:
        return self.row.label

    @property
    def group(self) -> str:
        return self.row.group

    def image(self) -> Image:
        """The crop, RGB ``uint8``, square.

        Raises:
            DatasetError: it cannot be read, or is not square.
        """
        image = decode_rgb(self.files.read(self.row))
        height, width = image.shape[:2]
        if height != width:
            raise DatasetError(f"{self.row.path}: a face crop is square, got {width}×{height}")
        return image


@dataclass(frozen=True)
class Source:
    """The crops of one source video: genuine ones and fakes made from it."""

    group: str
    real: tuple[LabelledFace, ...]
    fake: tuple[LabelledFace, ...]


@dataclass(frozen=True)
class Split:
    """Names of groups; no group stands in two parts."""

    training: frozenset[str]
    selection: frozenset[str]
    calibration: frozenset[str]


class CropFiles:
    """The files of a set. Safe in several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._archives: OrderedDict[str, zipfile.ZipFile] = OrderedDict()
        self._lock = threading.Lock()

    def require(self, row: FaceRow) -> None:
        """Raise ``DatasetError`` if the crop is not there."""
        if not row.archive:
            if not (self._folder / row.path).is_file():
                raise DatasetError(f"cannot read {row.path}: no such file")
            return
        with self._lock:
            try:
                self._archive(row.archive).getinfo(row.path)
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                raise DatasetError(f"cannot read {row.archive} {row.path}: {error}") from error

    def read(self, row: FaceRow) -> bytes:
        """The crop, compressed.

        Raises:
            DatasetError: it cannot be read.
        """
        try:
            if not row.archive:
                return (self._folder / row.path).read_bytes()
            with self._lock:
                return self._archive(row.archive).read(row.path)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DatasetError(f"cannot read {row.archive} {row.path}: {error}") from error

    def _archive(self, name: str) -> zipfile.ZipFile:
        if name in self._archives:
            self._archives.move_to_end(name)
        else:
            self._archives[name] = zipfile.ZipFile(self._folder / name)
            if len(self._archives) > OPEN_ARCHIVES:
                self._archives.popitem(last=False)[1].close()
        return self._archives[name]


def read_manifest(folder: Path) -> list[FaceRow]:
    """The rows of ``folder/manifest.csv``.

    Raises:
        DatasetError: no manifest, a column is missing, a label or number is not one, or
            a path stands twice.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise DatasetError(f"{folder} has no {MANIFEST}")
    rows: list[FaceRow] = []
    seen: set[tuple[str, str]] = set()
    with manifest.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = {"path", "label", "source_video"} - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(f"{manifest} lacks the columns {sorted(missing)}")
        for number, line in enumerate(reader, start=2):
            if line["label"] not in Label.__members__:
                raise DatasetError(f"{manifest}:{number}: unknown label {line['label']!r}")
            try:
                row = _row(line)
            except ValueError as error:
                raise DatasetError(f"{manifest}:{number}: {error}") from error
            if (row.archive, row.path) in seen:
                raise DatasetError(f"{manifest}:{number}: {row.path} stands twice")
            seen.add((row.archive, row.path))
            rows.append(row)
    return rows


def _row(line: dict[str, str]) -> FaceRow:
    archive, path, label = line.get("zip") or "", line["path"], Label[line["label"]]
    return FaceRow(
        path=path,
        archive=archive,
        label=label,
        group=line["source_video"],
        split=line.get("split") or "train",
        method=GENUINE if label == Label.REAL else line.get("method") or "unknown",
        dataset=line.get("dataset") or "",
        video=line.get("video") or f"{archive}/{path}",
        person=int(line.get("person") or 1),
        frame_index=int(line.get("frame_index") or 0),
        side=int(line["face_px"]) if line.get("face_px") else None,
    )


def load_faces(folder: Path, rows: Iterable[FaceRow]) -> list[LabelledFace]:
    """The crops of ``rows``, in the order given. They are all there, and not yet read.

    Raises:
        DatasetError: an archive or a crop is missing.
    """
    files = CropFiles(folder)
    faces = []
    for row in rows:
        files.require(row)
        faces.append(LabelledFace(row, files))
    return faces


def split_groups(groups: Iterable[str], held_out: int, seed: int) -> tuple[set[str], set[str]]:
    """(training groups, held-out groups), the latter ``held_out`` many.

    The choice ranks the hashes of each group's name with the seed, so it depends on which
    groups there are, and not on the order of their rows.

    Raises:
        ValueError: more groups to hold out than there are.
    """
    ranked = sorted(
        set(groups), key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
    )
    if not 0 <= held_out < len(ranked):
        raise ValueError(f"cannot hold out {held_out} of {len(ranked)} groups")
    return set(ranked[held_out:]), set(ranked[:held_out])


def split_three_ways(
    groups: Iterable[str], *, selection: int, calibration: int, seed: int
) -> Split:
    """Groups to train on, to choose weights by, and to calibrate on.

    Raises:
        ValueError: no group to choose by, or more of both than there are.
    """
    if selection < 1:
        raise ValueError(f"one group at least is needed for selection, got {selection}")
    rest, calibrating = split_groups(groups, calibration, seed)
    training, selecting = split_groups(rest, selection, seed + 1)
    return Split(frozenset(training), frozenset(selecting), frozenset(calibrating))


def names_hash(groups: Iterable[str]) -> str:
    """SHA-256 of the names of groups, which decide the split together with its numbers."""
    listed = "".join(f"{group}\n" for group in sorted(set(groups)))
    return hashlib.sha256(listed.encode()).hexdigest()


def by_source(faces: Sequence[LabelledFace]) -> list[Source]:
    """Faces gathered by source video, sorted by its name."""
    gathered: dict[str, dict[Label, list[LabelledFace]]] = {}
    for face in faces:
        gathered.setdefault(face.group, {Label.REAL: [], Label.FAKE: []})[face.label].append(face)
    return [
        Source(group, tuple(kinds[Label.REAL]), tuple(kinds[Label.FAKE]))
        for group, kinds in sorted(gathered.items())
    ]


def decode_rgb(encoded: bytes) -> Image:
    """A compressed picture as RGB ``uint8``.

    Raises:
        DatasetError: not a picture.
    """
    bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DatasetError("a crop is not a readable picture")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def encode_png(image: Image) -> bytes:
    """An RGB ``uint8`` picture, compressed without loss; ``decode_rgb`` gives it back."""
    encoded, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"cannot encode a picture of shape {image.shape}")
    return content.tobytes()
