"""Memory stays bounded however many faces there are, and the answer is the same."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import Detector, Sampling
from detector.domain import DetectedFace, Image, SampledFrame
from detector.extraction import Cut, FaceExtraction, _batches
from detector.faces import FaceFinder
from detector.prediction import WINDOW, Predictor, sequence_windows
from tests import clips

FEW = 8


@pytest.fixture
def most_held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Few crops may be held; collects how many were, whenever a face was added."""
    counts: list[int] = []
    plain_add = Predictor.add

    def add(self: Predictor, *face_and_crop: Any) -> None:
        self._held_crops = FEW
        plain_add(self, *face_and_crop)
        counts.append(self.held)

    monkeypatch.setattr(Predictor, "add", add)
    return counts


@pytest.mark.parametrize("reading", ["rows_checkpoint", "frames_checkpoint"])
def test_predicting_early_changes_no_prediction(
    reading: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    detector = Detector.load(str(request.getfixturevalue(reading)))
    clip = clips.two_people(tmp_path / "clip.mp4", seconds=4, size=(320, 180))
    at_once = detector.analyze(clip, Sampling.named("thorough"))
    held: list[int] = request.getfixturevalue("most_held")
    bit_by_bit = detector.analyze(clip, Sampling.named("thorough"))
    assert len(held) == len(at_once.faces) == 40
    # Reading frames, the latest run of 12 with two faces each waits until it is whole.
    assert max(held) <= (FEW if reading == "rows_checkpoint" else 24)
    for one, other in zip(at_once.faces, bit_by_bit.faces, strict=True):
        assert (one.person, one.box, one.vote) == (other.person, other.box, other.vote)
        assert one.predictions == other.predictions


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [(360, 640, 8), (1080, 1920, 8), (2160, 3840, 2), (4320, 7680, 1)],
)
def test_the_larger_the_frames_the_fewer_are_looked_at_together(
    height: int, width: int, most: int
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    frames = [SampledFrame(index, 0.0, index // 8, image) for index in range(20)]
    batches = list(_batches(iter(frames)))
    assert max(len(batch) for batch in batches) == most
    assert [frame for batch in batches for frame in batch] == frames
    assert all(len({frame.window for frame in batch}) == 1 for batch in batches)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_windows_are_in_memory_than_threads_look_at(
    finder: FaceFinder, tmp_path: Path, threads: int
) -> None:
    """And the one that comes next."""
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=4, size=(160, 120))
    begun: list[int] = []
    done: list[int] = []

    class Slow(FaceFinder):
        def __init__(self) -> None:
            pass

        def follow(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
            begun.append(len(images))
            faces = finder.follow(images)
            done.append(len(images))
            return faces

    with (
        ThreadPoolExecutor(threads) as pool,
        FaceExtraction(clip, Slow(), Cut(1.3), Sampling("all", None, step=1), pool=pool,
                       ahead=threads) as extraction,
    ):  # fmt: skip
        for faces in extraction:
            assert len(extraction._pending) <= threads + 1
            assert len(faces) <= 8
    assert sum(done) == len(extraction.sampled) == 100


@pytest.mark.parametrize("count", range(1, 40))
def test_windows_cover_every_face_of_a_track(count: int) -> None:
    windows = sequence_windows(count)
    assert {position for window in windows for position in window} == set(range(count))
    assert all(len(window) == WINDOW for window in windows)
    for window in windows:
        steps = {abs(after - before) for before, after in pairwise(window)}
        assert steps <= {0, 1}


def test_no_face_has_no_window() -> None:
    assert sequence_windows(0) == []
