"""Face crops with a manifest, in folders or zips, split by source video.

``manifest.csv`` has one row a crop: ``path``, ``label`` (REAL or FAKE),
``source_video`` and, optionally, ``zip`` (the archive beside the manifest that
holds ``path``) and ``split`` (rows marked ``val`` or ``test`` are left alone).
A fake and the real it was made from share ``source_video`` and therefore a side
of the split: frames of one video on both sides would be an answer sheet.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image, Label
from detector.training.errors import DatasetError

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class FaceRow:
    """One line of a manifest."""

    path: str
    archive: str
    label: Label
    group: str
    split: str


@dataclass(frozen=True)
class LabelledFace:
    """One crop, still compressed: some 5 KB, so that a whole set fits in memory."""

    label: Label
    group: str
    encoded: bytes

    def image(self) -> Image:
        """The crop, RGB ``uint8``, square."""
        return decode_rgb(self.encoded)


@dataclass(frozen=True)
class Source:
    """The crops of one source video: genuine ones and fakes made from it."""

    group: str
    real: tuple[LabelledFace, ...]
    fake: tuple[LabelledFace, ...]


def read_manifest(folder: Path) -> list[FaceRow]:
    """The rows of ``folder/manifest.csv``.

    Raises:
        DatasetError: no manifest, a column is missing, a label is unknown, or a path
            stands twice.
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
            row = FaceRow(
                path=line["path"],
                archive=line.get("zip") or "",
                label=Label[line["label"]],
                group=line["source_video"],
                split=line.get("split") or "train",
            )
            if (row.archive, row.path) in seen:
                raise DatasetError(f"{manifest}:{number}: {row.path} stands twice")
            seen.add((row.archive, row.path))
            rows.append(row)
    return rows


def load_faces(folder: Path, rows: Iterable[FaceRow]) -> list[LabelledFace]:
    """Read the crops of ``rows``, compressed, in the order given.

    Raises:
        DatasetError: an archive or a crop is missing.
    """
    archives: dict[str, zipfile.ZipFile] = {}
    faces: list[LabelledFace] = []
    try:
        for row in rows:
            try:
                if row.archive:
                    if row.archive not in archives:
                        archives[row.archive] = zipfile.ZipFile(folder / row.archive)
                    encoded = archives[row.archive].read(row.path)
                else:
                    encoded = (folder / row.path).read_bytes()
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                raise DatasetError(f"cannot read {row.archive} {row.path}: {error}") from error
            faces.append(LabelledFace(row.label, row.group, encoded))
    finally:
        for archive in archives.values():
            archive.close()
    return faces


def split_groups(groups: Iterable[str], held_out: int, seed: int) -> tuple[set[str], set[str]]:
    """(training groups, held-out groups), the latter ``held_out`` many.

    The choice hashes each group's name with the seed, so it does not depend on the
    order of rows or on which other groups there are in memory.

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
    groups: Iterable[str], *, reserved: int, held_out: int, seed: int
) -> tuple[set[str], set[str]]:
    """(groups to train on, groups to measure on); the reserved ones are in neither.

    Raises:
        ValueError: no group to measure on, or more of both than there are.
    """
    if held_out < 1:
        raise ValueError(f"one group at least must be held out to measure on, got {held_out}")
    rest, _ = split_groups(groups, reserved, seed)
    return split_groups(rest, held_out, seed + 1)


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
