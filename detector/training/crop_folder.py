"""The folder that ``python -m detector preprocess`` writes, and goes on with.

Manifest and report are made from the finished zips and the list of examples alone, in
the order of these, so they do not depend on who worked on what and when.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from detector.extraction import Cut
from detector.sampling import Sampling
from detector.training.crops import MANIFEST
from detector.training.datasets import Dataset, Example
from detector.training.errors import DatasetError
from detector.training.face_archive import PART, VideoRecord, read_record, written_whole
from detector.versions import versions

SETTINGS = "settings.json"
REPORT = "report.csv"
CROPS = "crops"

MANIFEST_COLUMNS = (
    "path", "zip", "label", "source_video", "split", "method", "dataset", "video", "person",
    "frame_index", "face_px", "time_s", "confidence",
)  # fmt: skip
REPORT_COLUMNS = ("path", "status", "sentence", "frames", "faces", "seconds")

READ = "ok"
NO_FACE = "no_face"
"""Statuses of videos that were read; others are codes of ``detector.errors``."""


@dataclass(frozen=True)
class Settings:
    """What makes the crops of a folder what they are. ``versions`` is by library."""

    dataset: str
    layout: str
    compression: str | None
    split: str | None
    sampling: str
    frames: int | None
    window_frames: int
    step: int
    margin: float
    drop: float
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        sampling: Sampling,
        cut: Cut,
        *,
        compression: str | None = None,
        split: str | None = None,
    ) -> Settings:
        """Those of the libraries that are installed."""
        return cls(
            dataset=dataset.folder.resolve().name,
            layout=dataset.layout,
            compression=compression,
            split=split,
            sampling=sampling.name,
            frames=sampling.frames,
            window_frames=sampling.window_frames,
            step=sampling.step,
            margin=cut.margin,
            drop=cut.drop,
            versions={name: text for name, text in versions().items() if name != "python"},
        )

    def flat(self) -> dict[str, Any]:
        """By name, a library's version as ``versions.<library>``."""
        return _flat(asdict(self))


@dataclass(frozen=True)
class Failure:
    """A video that was not read: a code of ``detector.errors`` and a sentence."""

    code: str
    sentence: str
    seconds: float


@dataclass(frozen=True)
class Summary:
    """How many videos have each status, and how many faces there are in all."""

    videos: Mapping[str, int]
    faces: int


class CropFolder:
    """One folder of crops, for one process at a time: use it in a ``with`` block.

    Raises:
        DatasetError: it was made with other settings, or by something else, or another
            process writes into it.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings

    def __enter__(self) -> Self:
        self._path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._take_over()
        except BlockingIOError as error:
            os.close(self._lock)
            raise DatasetError(f"another process is writing into {self._path}") from error
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._lock)

    def archive(self, example: Example) -> Path:
        """Where the crops of a video are, or shall be."""
        return self._path / _archive_name(example)

    def finished(self, dataset: Dataset, example: Example) -> VideoRecord | None:
        """What was seen in a video; None if it is still to be read, or its file is another."""
        record = read_record(self.archive(example))
        if record is None or record.video_bytes != (dataset.folder / example.path).stat().st_size:
            return None
        return record

    def conclude(self, dataset: Dataset, failures: Mapping[str, Failure]) -> Summary:
        """Write manifest and report; all examples but the failures are finished."""
        videos: Counter[str] = Counter()
        faces = 0
        with (
            written_whole(self._path / MANIFEST) as manifest_file,
            written_whole(self._path / REPORT) as report_file,
        ):
            manifest, report = (
                csv.writer(file, lineterminator="\n") for file in (manifest_file, report_file)
            )
            manifest.writerow(MANIFEST_COLUMNS)
            report.writerow(REPORT_COLUMNS)
            for example in dataset.examples:
                if failure := failures.get(example.path):
                    videos[failure.code] += 1
                    report.writerow(
                        (example.path, failure.code, failure.sentence, 0, 0, failure.seconds)
                    )
                    continue
                record = read_record(self.archive(example))
                if record is None:
                    raise DatasetError(f"{self.archive(example)} is gone")
                manifest.writerows(_manifest_rows(example, record))
                status, sentence = (
                    (READ, "") if record.faces else (NO_FACE, "No face was found in any frame.")
                )
                videos[status] += 1
                faces += len(record.faces)
                report.writerow(
                    (example.path, status, sentence, record.frames, len(record.faces),
                     record.seconds)
                )  # fmt: skip
            for problem in dataset.problems:
                report.writerow(("", problem.partition(":")[0], problem, 0, 0, 0))
        return Summary(videos, faces)

    def _take_over(self) -> None:
        """Check that this is the folder of the settings, or make it so."""
        path = self._path / SETTINGS
        if not path.exists():
            if any(self._path.iterdir()):
                raise DatasetError(f"{self._path} is not empty, and has no {SETTINGS}")
            with written_whole(path) as file:
                file.write(json.dumps(asdict(self._settings), indent=2) + "\n")
        try:
            found = _flat(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, AttributeError) as error:
            raise DatasetError(f"{path} is not readable: {error}") from error
        wanted = self._settings.flat()
        differing = [
            f"{name} ({found.get(name)!r} there, {wanted.get(name)!r} asked for)"
            for name in sorted(wanted.keys() | found.keys())
            if found.get(name) != wanted.get(name)
        ]
        if differing:
            raise DatasetError(f"{path} was made with other settings: {', '.join(differing)}")
        for left_over in (self._path / CROPS).rglob(f"*.zip{PART}"):
            left_over.unlink()


def videos_without_crops(folder: Path) -> list[str]:
    """A line for each video, and each problem of its set, that gave a folder no crop.

    Those of a folder that was made otherwise, which has no report, are not known.
    """
    path = folder / REPORT
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("status") != READ]
    return [
        f"{row['status']}: {row['path']}" if row.get("path") else str(row.get("sentence"))
        for row in rows
    ]


def _archive_name(example: Example) -> str:
    if ".." in PurePosixPath(example.path).parts:
        raise DatasetError(f"{example.path} lies outside of the data set's folder")
    return f"{CROPS}/{example.path}.zip"


def _manifest_rows(example: Example, record: VideoRecord) -> list[tuple[Any, ...]]:
    return [
        (
            face.path,
            _archive_name(example),
            example.label.name,
            example.group,
            example.split,
            example.method,
            example.dataset,
            example.path,
            face.person,
            face.frame_index,
            face.box.side,
            face.time_s,
            face.confidence,
        )
        for face in record.faces
    ]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat = dict(settings)
    for name, version in dict(flat.pop("versions", {})).items():
        flat[f"versions.{name}"] = version
    return flat
