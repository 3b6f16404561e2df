"""The labelled sets that an evaluation is asked for: ``FOLDER`` or ``FOLDER:PART``."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from detector.training.crop_folder import videos_without_crops
from detector.training.crops import (
    MANIFEST,
    FaceRow,
    LabelledFace,
    load_faces,
    names_hash,
    read_manifest,
    split_three_ways,
)
from detector.training.datasets import Example, read_dataset
from detector.training.errors import DatasetError

T = TypeVar("T")

OWN_PARTS = ("selection", "calibration")
"""Parts of a set of crops that a checkpoint's own training run did not train on."""


@dataclass(frozen=True)
class Item:
    """A labelled video, with its crops where the set holds crops instead of videos."""

    example: Example
    faces: tuple[LabelledFace, ...] = ()


@dataclass(frozen=True)
class EvaluationSet:
    """Labelled videos or crops to measure on.

    Attributes:
        part: of the set, empty for all of it.
        single: each crop is a video of its own, so there is only a frame level.
        problems: a sentence for each thing in the folder that could not be used.
        trained_on: the checkpoint's own run may have learned from some of it.
    """

    folder: Path
    name: str
    part: str
    layout: str
    items: tuple[Item, ...]
    single: bool
    problems: tuple[str, ...]
    trained_on: bool = False

    @property
    def title(self) -> str:
        """As it is asked for: ``NAME`` or ``NAME:PART``."""
        return f"{self.name}:{self.part}" if self.part else self.name

    @property
    def levels(self) -> tuple[str, ...]:
        """At which it is measured, the main one first."""
        return ("frame",) if self.single else ("video", "frame")

    @property
    def of_crops(self) -> bool:
        return bool(self.items[0].faces)

    def fingerprint(self) -> str:
        """Of what is measured: two runs with the same one look at the same examples."""
        listed = [[asdict(i.example), [asdict(face.row) for face in i.faces]] for i in self.items]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def files(self) -> str:
        """Of the files they are in, by name and size: one that was replaced is another."""
        files = {face.row.archive or face.row.path for i in self.items for face in i.faces} or {
            i.example.path for i in self.items
        }
        sizes = {name: (self.folder / name).stat().st_size for name in sorted(files)}
        return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


def read_sets(
    asked: Sequence[str], training: Mapping[str, Any], *, compression: str | None = None
) -> list[EvaluationSet]:
    """The sets asked for.

    Args:
        asked: each ``FOLDER`` or ``FOLDER:PART``.
        training: that entry of the checkpoint's metadata, for ``selection`` and
            ``calibration``.
        compression: see ``datasets.read_dataset``.

    Raises:
        DatasetError: a folder or part is not there, or two sets would have one name.
    """
    sets = [_read_set(text, training, compression) for text in asked]
    titles = [one.title for one in sets]
    doubled = sorted({title for title in titles if titles.count(title) > 1})
    if doubled:
        raise DatasetError(f"sets need different names, got twice: {', '.join(doubled)}")
    return sets


def part_of(
    folder: Path, rows: Sequence[FaceRow], part: str, training: Mapping[str, Any]
) -> list[FaceRow]:
    """The rows of a part: a split of the set's own, or one of ``OWN_PARTS``.

    Raises:
        DatasetError: there is no such part; the message names those there are.
    """
    if part not in OWN_PARTS:
        return _chosen(rows, part, lambda row: row.split, folder, _own_parts(folder, training))
    data = training.get("data", {})
    if part not in _own_parts(folder, training):
        raise DatasetError(
            f"{folder.name} has no part {part!r} for this checkpoint, which was trained on "
            f"{', '.join(data.get('crops', ())) or 'a set it does not name'}"
        )
    trainable = [row for row in rows if row.split == "train"]
    names = training.get("sources", {}).get("sha256")
    if names not in (None, names_hash(row.group for row in trainable)):
        # Of others the same numbers make another split, with trained ones on this side.
        raise DatasetError(
            f"{folder.name} has other sources than this checkpoint's run, "
            f"so its {part} part can't be told"
        )
    try:
        split = split_three_ways(
            (row.group for row in trainable),
            selection=data["selection"],
            calibration=data["calibration"],
            seed=data["split_seed"],
        )
    except ValueError as error:
        raise DatasetError(f"{folder.name} is not what was trained on: {error}") from error
    wanted = split.selection if part == "selection" else split.calibration
    return [row for row in trainable if row.group in wanted]


def _own_parts(folder: Path, training: Mapping[str, Any]) -> list[str]:
    """Of a run over this set alone: with others the split was made over all together."""
    data = training.get("data", {})
    if data.get("crops") != [folder.name]:
        return []
    return [part for part in OWN_PARTS if data.get(part)]


def _read_set(text: str, training: Mapping[str, Any], compression: str | None) -> EvaluationSet:
    folder, part = Path(text), ""
    if not folder.is_dir():
        before, _colon, part = text.rpartition(":")
        folder = Path(before)
        if not before or not folder.is_dir():
            raise DatasetError(f"there is no folder {before or text}")
    name = folder.resolve().name
    if _holds_crops(folder):
        rows = read_manifest(folder)
        if part:
            rows = part_of(folder.resolve(), rows, part, training)
        if not rows:
            raise DatasetError(f"{folder} has no crop")
        items = _gathered(load_faces(folder, rows))
        trained_on = (
            part not in OWN_PARTS
            and name in training.get("data", {}).get("crops", ())
            and any(row.split == "train" for row in rows)
        )
        return EvaluationSet(
            folder,
            name,
            part,
            "face crops",
            items,
            single=len(items) == len(rows),
            problems=() if part else tuple(videos_without_crops(folder)),
            trained_on=trained_on,
        )
    found = read_dataset(folder, compression=compression)
    examples: Sequence[Example] = found.examples
    if part:
        examples = _chosen(examples, part, lambda example: example.split, folder, [])
    items = tuple(Item(example) for example in examples)
    return EvaluationSet(folder, name, part, found.layout, items, False, found.problems)


def _chosen(
    rows: Sequence[T], part: str, split: Callable[[T], str], folder: Path, more: Sequence[str]
) -> list[T]:
    chosen = [row for row in rows if split(row) == part]
    if not chosen:
        there = [*sorted({split(row) for row in rows} - {""}), *more]
        raise DatasetError(
            f"{folder.name} has no part {part!r}; it has {', '.join(there) or 'none'}"
        )
    return chosen


def _holds_crops(folder: Path) -> bool:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    with manifest.open(newline="", encoding="utf-8") as lines:
        return "source_video" in next(csv.reader(lines), [])


def _gathered(faces: Sequence[LabelledFace]) -> tuple[Item, ...]:
    """Crops by the video they were cut from, in the order of the manifest."""
    videos: dict[str, list[LabelledFace]] = {}
    for face in faces:
        videos.setdefault(face.row.video, []).append(face)
    items = []
    for video, cut in videos.items():
        examples = {
            Example(video, f.label, f.group, f.row.method, f.row.split, f.row.dataset) for f in cut
        }
        if len(examples) != 1:
            raise DatasetError(
                f"the crops of {video} differ in label, source, method, split or data set"
            )
        items.append(Item(examples.pop(), tuple(cut)))
    return tuple(items)
