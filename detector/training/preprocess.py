"""``python -m detector preprocess``: from labelled videos to face crops with a manifest.

Frames are read, faces found and crops cut by ``FaceExtraction``, as for serving, in
threads over the videos; decoding runs in a process for each. One folder is the result:

* ``crops/<path of the video>.zip``: its crops (see ``face_archive``). A finished zip is
  the unit of work: who kills the command loses the videos it was at, and the same command
  goes on with what is missing.
* ``settings.json``: what makes the crops what they are; other settings are refused.
* ``manifest.csv``: a row for each crop, as ``training.crops`` reads it.
* ``report.csv``: a row for each video, and one for each problem of the data set.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from detector import checkpoints
from detector.device import cores
from detector.errors import AnalysisStopped, DetectorError, InternalError
from detector.extraction import Cut, FaceExtraction
from detector.faces import FaceFinder
from detector.limits import Limits
from detector.people import link
from detector.prediction import sampling_for
from detector.sampling import WINDOW_FRAMES, Sampling
from detector.stages import Stages
from detector.training.crop_folder import (
    NO_FACE,
    READ,
    REPORT,
    CropFolder,
    Failure,
    Settings,
    Summary,
)
from detector.training.datasets import Dataset, Example, read_dataset
from detector.training.errors import DatasetError
from detector.training.face_archive import FaceArchiveWriter, VideoRecord

OK = 0
FAILED = 1
UNUSABLE = 2

T = TypeVar("T")
R = TypeVar("R")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector preprocess``, beside those of reading videos."""
    parser.add_argument("dataset", type=Path, help="folder of labelled videos")
    parser.add_argument("out", type=Path, help="folder for the crops; resumed if there")
    parser.add_argument(
        "--workers",
        type=_at_least(1),
        default=os.environ.get("NUM_WORKERS") or str(cores()),
        help="videos at a time; default: NUM_WORKERS, else the number of cores (%(default)s)",
    )
    parser.add_argument(
        "--frames",
        type=_at_least(WINDOW_FRAMES),
        help="look at this many frames of each video at most, instead of what --sampling says",
    )
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument(
        "--checkpoint",
        default="default",
        metavar="NAME",
        help="cut as this one is served: an installed one, or a folder",
    )
    cut.add_argument(
        "--margin",
        type=_between(0, math.inf),
        help="side of the crop by the longer side of the box",
    )
    parser.add_argument(
        "--drop",
        type=_between(-1, 1),
        help="with --margin: how far the crop's middle lies below the box's, by its side",
    )
    parser.add_argument("--compression", help="of FaceForensics++: raw, c23 or c40")
    parser.add_argument("--split", help="only videos of this split of the data set")


def run(arguments: argparse.Namespace) -> int:
    """Preprocess a data set. Exit status: 0 every video was read, 2 one was not, 1 nothing
    usable or an error."""
    if arguments.drop is not None and arguments.margin is None:
        print("error: --drop goes with --margin; a checkpoint has its own", file=sys.stderr)
        return FAILED
    try:
        summary = _preprocess(arguments)
    except (DatasetError, DetectorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        # A full disk's has no file's name; reading a video raises none.
        where = "" if error.filename else f"cannot write into {arguments.out}: "
        print(f"error: {where}{error}", file=sys.stderr)
        return FAILED
    videos = ", ".join(f"{count} {status}" for status, count in sorted(summary.videos.items()))
    print(f"{videos}; {summary.faces} faces. {arguments.out / REPORT} has every video.")
    if not summary.faces:
        print(f"error: no face in any video of {arguments.dataset}", file=sys.stderr)
        return FAILED
    return OK if summary.videos.keys() <= {READ, NO_FACE} else UNUSABLE


def _preprocess(arguments: argparse.Namespace) -> Summary:
    cut, sampling = _cut_and_sampling(arguments)
    dataset = read_dataset(arguments.dataset, compression=arguments.compression)
    if arguments.split:
        dataset = _only(dataset, arguments.split)
    settings = Settings.of(
        dataset, sampling, cut, compression=arguments.compression, split=arguments.split
    )
    with CropFolder(arguments.out, settings) as folder:
        pending = [one for one in dataset.examples if folder.finished(dataset, one) is None]
        failures: dict[str, Failure] = {}
        if pending:
            limits = Limits(max_minutes=arguments.max_minutes)
            finder = _load_finder()
            extractor = CropExtractor(dataset, folder, finder, cut, sampling, limits)
            failures = extractor.run(pending, arguments.workers)
        return folder.conclude(dataset, failures)


class CropExtractor:
    """Reads videos of one data set and writes their zips."""

    def __init__(
        self,
        dataset: Dataset,
        folder: CropFolder,
        finder: FaceFinder,
        cut: Cut,
        sampling: Sampling,
        limits: Limits,
    ) -> None:
        self._dataset = dataset
        self._folder = folder
        self._finder = finder
        self._cut = cut
        self._sampling = sampling
        self._limits = limits
        self._stop = threading.Event()

    def run(self, pending: Sequence[Example], workers: int) -> dict[str, Failure]:
        """Read the videos, ``workers`` at a time; those that could not be, by path.

        Raises:
            OSError: a zip cannot be written. The other threads end first, without one.
        """
        failures: dict[str, Failure] = {}
        faces, total = 0, len(self._dataset.examples)
        with (
            tqdm(total=total, initial=total - len(pending), unit="video", smoothing=0.1) as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            try:
                for example, outcome in _as_completed(pool, self._read, pending, 2 * workers):
                    if isinstance(outcome, Failure):
                        failures[example.path] = outcome
                        bar.write(f"{example.path}: {outcome.code}: {outcome.sentence}", sys.stderr)
                    else:
                        faces += len(outcome.faces)
                    bar.set_postfix(faces=faces, failed=len(failures), refresh=False)
                    bar.update()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return failures

    def _read(self, example: Example) -> VideoRecord | Failure:
        """Nothing a video does takes the others with it."""
        began = time.perf_counter()
        try:
            return self._extract(example)
        except (AnalysisStopped, OSError):
            raise
        except DetectorError as error:
            failed = error
        except Exception:
            traceback.print_exc()
            failed = InternalError()
        return Failure(failed.code, failed.sentence, round(time.perf_counter() - began, 2))

    def _extract(self, example: Example) -> VideoRecord:
        video = self._dataset.folder / example.path
        stages = Stages(should_stop=self._stop.is_set)
        with (
            FaceExtraction(
                video, self._finder, self._cut, self._sampling, stages, self._limits
            ) as extraction,
            FaceArchiveWriter(self._folder.archive(example)) as archive,
        ):
            size = video.stat().st_size
            for faces in extraction:
                for face, crop in faces:
                    archive.add(face, crop)
            people = link(archive.faces, stages.stop_if_asked)
            return archive.finish(
                people,
                video_bytes=size,
                frames=len(extraction.sampled),
                seconds=stages.seconds()["total"],
            )


def _as_completed(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], at_a_time: int
) -> Iterator[tuple[T, R]]:
    """Each item with its result, as they come; few wait in the pool, however many there are."""
    running: dict[Future[R], T] = {}
    for item in items:
        running[pool.submit(work, item)] = item
        if len(running) >= at_a_time:
            yield from _done(running)
    while running:
        yield from _done(running)


def _done(running: dict[Future[R], T]) -> Iterator[tuple[T, R]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _cut_and_sampling(arguments: argparse.Namespace) -> tuple[Cut, Sampling]:
    sampling = Sampling.named(arguments.sampling)
    if arguments.frames:
        sampling = replace(sampling, frames=arguments.frames)
    if arguments.margin is not None:
        return Cut(arguments.margin, arguments.drop or 0.0), sampling
    checkpoint = checkpoints.read_metadata(checkpoints.find(arguments.checkpoint))
    return Cut(checkpoint.margin, checkpoint.drop), sampling_for(checkpoint, sampling)


def _only(dataset: Dataset, split: str) -> Dataset:
    """The examples of one of the data set's own splits."""
    examples = tuple(example for example in dataset.examples if example.split == split)
    if not examples:
        there = sorted({example.split for example in dataset.examples} - {""})
        raise DatasetError(
            f"no video is of split {split!r}; there are: {', '.join(there) or 'none'}"
        )
    return replace(dataset, examples=examples)


def _load_finder() -> FaceFinder:
    return FaceFinder()


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a number of {least} or more, got {text!r}")
        return int(text)

    return count


def _between(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not low < value < high:
            raise argparse.ArgumentTypeError(
                f"expected more than {low:g} and less than {high:g}, got {text}"
            )
        return value

    return number
