"""What following faces through a window misses, against looking everywhere in every frame.

    python -m benchmarks.following VIDEO…

Prints how many of the faces are found again (of those that overlap by 0.3 or more), the mean
overlap of their boxes, and the processor time of both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from detector.domain import DetectedFace, FaceBox, Image
from detector.errors import UnusableVideo
from detector.faces import FaceFinder
from detector.video import Sampling, sample

FOUND_IOU = 0.3

FacesOfFrames = list[list[DetectedFace]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    finder = FaceFinder()
    overlaps: list[float] = []
    missed = more = frames = 0
    everywhere_s = following_s = 0.0
    for video in tqdm(parser.parse_args().videos, unit="video"):
        for window in _windows(video):
            frames += len(window)
            everywhere, seconds = _timed(finder.find, window)
            everywhere_s += seconds
            followed, seconds = _timed(finder.follow, window)
            following_s += seconds
            for expected, found in zip(everywhere, followed, strict=True):
                again = _matched(expected, found)
                overlaps += again
                missed += len(expected) - len(again)
                more += len(found) - len(again)
    faces = len(overlaps) + missed
    print(f"{frames} frames, {faces} faces; found again: {len(overlaps) / max(faces, 1):.4f}")
    print(f"mean IoU {statistics.fmean(overlaps or [0]):.4f}, least {min(overlaps, default=0):.3f}")
    print(f"found only by following: {more}")
    print(f"processor time a frame, everywhere: {1000 * everywhere_s / max(frames, 1):.1f} ms, "
          f"following: {1000 * following_s / max(frames, 1):.1f} ms")  # fmt: skip


def _windows(video: Path) -> Iterator[list[Image]]:
    try:
        with sample(video, Sampling()) as stream:
            window: list[Image] = []
            number = 0
            for frame in stream:
                if frame.window != number:
                    yield window
                    window, number = [], frame.window
                window.append(frame.image)
            yield window
    except UnusableVideo as error:
        tqdm.write(f"{video}: {error.code}")


def _timed(
    look: Callable[[Sequence[Image]], FacesOfFrames], window: Sequence[Image]
) -> tuple[FacesOfFrames, float]:
    began = time.process_time()
    return look(window), time.process_time() - began


def _matched(expected: Sequence[DetectedFace], found: Sequence[DetectedFace]) -> list[float]:
    """The overlaps of those found again, each with a box of its own."""
    left, overlaps = list(found), []
    for face in expected:
        best = max(left, key=lambda other: _iou(face.box, other.box), default=None)
        if best is not None and _iou(face.box, best.box) >= FOUND_IOU:
            overlaps.append(_iou(face.box, best.box))
            left.remove(best)
    return overlaps


def _iou(a: FaceBox, b: FaceBox) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(0, width) * max(0, height)
    return shared / (a.width * a.height + b.width * b.height - shared)


if __name__ == "__main__":
    main()
