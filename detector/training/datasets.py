"""Labelled videos in the layouts that people have them in.

``read_dataset`` recognises a layout by its folders and gives one ``Example`` for each
video, and by name whatever is missing, stands twice or has no label. What is reported
is left out; nothing is guessed.

``python -m detector.training.datasets FOLDER`` prints what it found.

Groups are what a split must not cut through, as whoever saw one video of a group has
seen a part of the others: a genuine video and the fakes made from it, and where fakes
name two videos (FaceForensics++) both of them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from detector.domain import Label
from detector.training.errors import DatasetError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"})

GENUINE = "genuine"
"""The method of a video nobody altered."""

ACTORS_METHODS = frozenset({"actors", "DeepFakeDetection"})
"""The parts of FaceForensics++ that were filmed with paid actors."""

CELEB_DF_FOLDERS = {
    "Celeb-real": Label.REAL,
    "YouTube-real": Label.REAL,
    "Celeb-synthesis": Label.FAKE,
}

LABEL_FOLDERS = {"real": Label.REAL, "fake": Label.FAKE}


@dataclass(frozen=True)
class Example:
    """One labelled video.

    ``path`` is relative to the data set's folder; ``split`` is the set's own
    ("train", "val", "test"), or empty where it has none. ``dataset`` says where a video of
    a collection of several sets comes from.
    """

    path: str
    label: Label
    group: str
    method: str
    split: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Dataset:
    """Examples sorted by path, and a sentence for each thing that could not be used."""

    folder: Path
    layout: str
    examples: tuple[Example, ...]
    problems: tuple[str, ...]


def read_dataset(folder: Path, *, compression: str | None = None) -> Dataset:
    """The examples of ``folder``, whose layout shows in its names.

    Args:
        compression: of FaceForensics++, where several were downloaded: raw, c23 or c40.

    Raises:
        DatasetError: no layout that is known, nothing usable in it, or a file that
            describes it cannot be read.
    """
    for layout, (belongs, read) in LAYOUTS.items():
        if not belongs(folder):
            continue
        found = _Found(folder)
        read(folder, found, compression)
        if not found.examples:
            reasons = "; ".join(found.problems[:3]) or "no videos"
            raise DatasetError(f"{folder} ({layout}) has no usable video: {reasons}")
        examples = sorted(found.examples.values(), key=lambda example: example.path)
        return Dataset(folder, layout, tuple(examples), tuple(sorted(found.problems)))
    raise DatasetError(
        f"{folder} is no data set of a known layout: none of metadata.json (DFDC), "
        "original_sequences and manipulated_sequences (FaceForensics++), Celeb-synthesis "
        "(Celeb-DF v2), manifest.csv, real and fake is in it"
    )


class _Found:
    """What a reader gathers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.examples: dict[str, Example] = {}
        self.problems: list[str] = []

    def add(self, example: Example) -> None:
        """An example whose file is there, once."""
        if example.path in self.examples:
            self.problems.append(f"doubled: {example.path}")
        elif not (self.folder / example.path).is_file():
            self.problems.append(f"missing: {example.path}")
        else:
            self.examples[example.path] = example

    def report_unlabelled(self, paths: Iterable[str]) -> None:
        """Videos that nothing was said of."""
        self.problems += [f"unlabelled: {path}" for path in paths]


def _read_dfdc(folder: Path, found: _Found, _: str | None) -> None:
    """Parts with ``metadata.json``: file ▸ label, split, original (Dolhansky et al., 2020)."""
    parts: dict[str, str] = {}
    for metadata in _dfdc_parts(folder):
        part = metadata.parent
        described = _json(metadata)
        if not isinstance(described, dict):
            raise DatasetError(f"{metadata} describes no files: expected an object")
        for name, facts in described.items():
            path = (part / name).relative_to(folder).as_posix()
            if not isinstance(facts, dict) or facts.get("label") not in Label.__members__:
                found.problems.append(f"unlabelled: {path}")
            elif name in parts:
                found.problems.append(f"doubled: {path}, already in {parts[name]}")
            else:
                parts[name] = path
                label = Label[facts["label"]]
                original = facts.get("original") if label == Label.FAKE else None
                method = "DFDC" if label == Label.FAKE else GENUINE
                split = facts.get("split") or ""
                found.add(Example(path, label, original or name, method, split))
        there = _videos(folder, part, deep=False)
        found.report_unlabelled(path for path in there if Path(path).name not in described)


def _dfdc_parts(folder: Path) -> list[Path]:
    return sorted([*folder.glob("metadata.json"), *folder.glob("*/metadata.json")])


def _read_faceforensics(folder: Path, found: _Found, compression: str | None) -> None:
    """``{original,manipulated}_sequences/METHOD/COMPRESSION/videos`` (Rössler et al., 2019).

    A fake ``000_003`` shows 000 with what 003 gave, so both are of one group, whichever
    compression is read and whether or not that fake is there, as long as the official files
    of pairs are; the DeepFakeDetection part is grouped by the actor who is shown.
    """
    folders = sorted(folder.glob("*_sequences/*/*/videos"))
    kept = _compression([path.parent.name for path in folders], compression, folder)
    pairs = _faceforensics_pairs(folder)
    splits = {name: split for split, those in pairs.items() for pair in those for name in pair}
    videos: list[tuple[str, str, Label]] = []
    together = _Together()
    for one, other in chain.from_iterable(pairs.values()):
        together.join(one, other)
    for videos_folder in folders:
        kind = videos_folder.parents[2].name
        method = videos_folder.parents[1].name
        label = Label.REAL if kind == "original_sequences" else Label.FAKE
        paths = _videos(folder, videos_folder, deep=False)
        if method not in ACTORS_METHODS:
            for path in paths:
                ids = Path(path).stem.split("_")
                together.join(ids[0], ids[-1])
        if videos_folder.parent.name == kept:
            videos += [(path, method, label) for path in paths]
    for path, method, label in videos:
        first = Path(path).stem.split("_")[0]
        if method in ACTORS_METHODS:
            group, split = f"actor-{first}", ""
        else:
            group, split = together.group(first), splits.get(first, "")
            if splits and not split:
                found.problems.append(f"unlabelled: {path} stands in no split file")
                continue
        found.add(Example(path, label, group, method if label == Label.FAKE else GENUINE, split))
    # Of each method that was downloaded, what the official files promise.
    there = {(Path(path).parts[0], method) for path, method, _label in videos}
    for kind, method in sorted(pair for pair in there if pair[1] not in ACTORS_METHODS):
        for one, other in chain.from_iterable(pairs.values()):
            fakes = (f"{one}_{other}", f"{other}_{one}")
            for name in (one, other) if kind == "original_sequences" else fakes:
                path = f"{kind}/{method}/{kept}/videos/{name}.mp4"
                if path not in found.examples:
                    found.problems.append(f"missing: {path}")


def _compression(there: list[str], wanted: str | None, folder: Path) -> str:
    levels = sorted(set(there))
    if wanted is None and len(levels) == 1:
        return levels[0]
    if wanted in levels:
        return str(wanted)
    what = "several compressions" if wanted is None else f"no compression {wanted!r}"
    raise DatasetError(f"{folder} has {what}; name one of {', '.join(levels) or 'none'}")


def _faceforensics_pairs(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Split ▸ pairs of videos, from the official files, beside the data or in ``splits``."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "val", "test"):
        for path in (folder / f"{split}.json", folder / "splits" / f"{split}.json"):
            if path.is_file():
                found = _json(path)
                if not isinstance(found, list) or not all(
                    isinstance(pair, list) and len(pair) == 2 for pair in found
                ):
                    raise DatasetError(f"{path} is no list of pairs")
                pairs[split] = [(str(one), str(other)) for one, other in found]
    return pairs


class _Together:
    """Names that belong together, by union-find."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def group(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            name = self.parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.group(one), self.group(other)))
        self.parent[second] = first


def _read_celeb_df(folder: Path, found: _Found, _: str | None) -> None:
    """``Celeb-real``, ``YouTube-real``, ``Celeb-synthesis`` (Li et al., CVPR 2020).

    A fake ``id0_id1_0000`` is made from a video of id0, so a person is a group. What
    ``List_of_testing_videos.txt`` names (1 genuine, 0 fake) is the test split. The list chooses
    videos and not persons: somebody may be in both splits.
    """
    testing: dict[str, Label] = {}
    listing = folder / "List_of_testing_videos.txt"
    if listing.is_file():
        for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            sign, _space, path = line.strip().partition(" ")
            if sign not in ("0", "1") or not path:
                raise DatasetError(f"{listing}:{number}: expected 0 or 1 and a path, got {line!r}")
            if path in testing:
                found.problems.append(f"doubled: {path} in {listing.name}")
            testing[path] = Label.REAL if sign == "1" else Label.FAKE
    for name, label in CELEB_DF_FOLDERS.items():
        for path in _videos(folder, folder / name, deep=False):
            if testing.get(path, label) != label:
                found.problems.append(f"unlabelled: {path} has another label in {listing.name}")
                continue
            stem = Path(path).stem
            group = f"youtube-{stem}" if name == "YouTube-real" else stem.split("_")[0]
            split = "test" if path in testing else "train" if testing else ""
            method = "Celeb-DF" if label == Label.FAKE else GENUINE
            found.add(Example(path, label, group, method, split))
    found.problems += [f"missing: {path}" for path in testing if not (folder / path).is_file()]


def _read_manifest(folder: Path, found: _Found, _: str | None) -> None:
    """``manifest.csv`` with ``path``, ``label``, ``group``; ``method``, ``split`` and
    ``dataset`` may be there."""
    manifest = folder / "manifest.csv"
    with manifest.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        lacking = {"path", "label", "group"} - set(reader.fieldnames or ())
        if lacking:
            raise DatasetError(f"{manifest} lacks the columns {sorted(lacking)}")
        named = set()
        for line in reader:
            named.add(line["path"])
            if line["label"] not in Label.__members__:
                found.problems.append(f"unlabelled: {line['path']}")
                continue
            label = Label[line["label"]]
            method = GENUINE if label == Label.REAL else line.get("method") or "unknown"
            group = line["group"] or line["path"]
            more = [line.get(column) or "" for column in ("split", "dataset")]
            found.add(Example(line["path"], label, group, method, *more))
    found.report_unlabelled(path for path in _videos(folder, folder) if path not in named)


def _read_folders(folder: Path, found: _Found, _: str | None) -> None:
    """``real/`` and ``fake/``; a folder inside ``fake`` is a method.

    Files of one name belong together. The same bytes under both labels are left out:
    one of the labels is wrong, and nobody can say which.
    """
    labelled = []
    for path in _videos(folder, folder):
        if Path(path).parts[0] in LABEL_FOLDERS:
            labelled.append(path)
        else:
            found.problems.append(f"unlabelled: {path}")
    for first, *others in _of_same_content(folder, labelled):
        top, *inner, _name = Path(first).parts
        if any(Path(other).parts[0] != top for other in others):
            found.problems.append(
                f"unlabelled: {first} is also {', '.join(others)}, under another label"
            )
            continue
        found.problems += [f"doubled: {other} is also {first}" for other in others]
        label = LABEL_FOLDERS[top]
        method = GENUINE if label == Label.REAL else next(iter(inner), "unknown")
        found.add(Example(first, label, Path(first).stem, method))


def _of_same_content(folder: Path, paths: Iterable[str]) -> Iterator[list[str]]:
    """Paths gathered by the bytes of their files; only files of one size are read."""
    of_size = defaultdict(list)
    for path in paths:
        of_size[(folder / path).stat().st_size].append(path)
    for alike in of_size.values():
        if len(alike) == 1:
            yield alike
            continue
        of_hash = defaultdict(list)
        for path in alike:
            of_hash[_sha256(folder / path)].append(path)
        yield from of_hash.values()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _videos(root: Path, folder: Path, *, deep: bool = True) -> list[str]:
    """Paths, relative to ``root``, of the videos in ``folder``."""
    files: Iterator[Path] = folder.rglob("*") if deep else folder.glob("*")
    return sorted(
        file.relative_to(root).as_posix()
        for file in files
        if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file()
    )


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: all((folder / name).exists() for name in names)


Reader = Callable[[Path, _Found, str | None], None]

LAYOUTS: dict[str, tuple[Callable[[Path], bool], Reader]] = {
    "DFDC": (lambda folder: bool(_dfdc_parts(folder)), _read_dfdc),
    "FaceForensics++": (_has("original_sequences"), _read_faceforensics),
    "Celeb-DF v2": (_has("Celeb-synthesis"), _read_celeb_df),
    "manifest": (_has("manifest.csv"), _read_manifest),
    "real and fake folders": (
        lambda folder: any((folder / name).is_dir() for name in LABEL_FOLDERS),
        _read_folders,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m detector.training.datasets",
        description="What a folder of labelled videos holds, and what of it cannot be used.",
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--compression", help="of FaceForensics++: raw, c23 or c40")
    options = parser.parse_args()
    try:
        dataset = read_dataset(options.dataset, compression=options.compression)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    groups = len({example.group for example in dataset.examples})
    print(f"{dataset.layout}: {len(dataset.examples)} videos in {groups} groups")
    kinds = Counter((e.split or "no split", e.label.name, e.method) for e in dataset.examples)
    for (split, label, method), count in sorted(kinds.items()):
        print(f"  {split:10} {label:5} {method:20} {count:7}")
    for problem in dataset.problems:
        print(problem, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
