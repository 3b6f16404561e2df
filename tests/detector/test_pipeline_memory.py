"""Memory stays bounded however many faces there are, and the answer is the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from detector import Detector, Sampling, checkpoints
from detector.domain import SampledFrame
from detector.extraction import _next_batch
from detector.prediction import WINDOW, Predictor, sequence_windows
from tests import clips

FEW = 8


@pytest.fixture
def most_held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Few crops may be held; collects how many were, whenever a face is added."""
    counts: list[int] = []
    plain_init, plain_add = Predictor.__init__, Predictor.add

    def init(self: Predictor, checkpoint: checkpoints.LoadedCheckpoint) -> None:
        plain_init(self, checkpoint, held_crops=FEW)

    def add(self: Predictor, *face_and_crop: object) -> None:
        plain_add(self, *face_and_crop)  # type: ignore[arg-type]
        counts.append(len(self._waiting))

    monkeypatch.setattr(Predictor, "__init__", init)
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
    # Two faces in each of 8 new frames; reading frames, the latest run of 12 as well.
    assert max(held) <= (FEW + 16 if reading == "rows_checkpoint" else 24 + 16)
    assert max(held) < len(at_once.faces)
    for one, other in zip(at_once.faces, bit_by_bit.faces, strict=True):
        assert (one.person, one.box, one.vote) == (other.person, other.box, other.vote)
        assert len(one.predictions) == len(other.predictions)
        assert one.probability_fake == pytest.approx(other.probability_fake, abs=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [(360, 640, 8), (1080, 1920, 8), (2160, 3840, 2), (4320, 7680, 1)],
)
def test_the_larger_the_frames_the_fewer_are_in_memory(height: int, width: int, most: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    frames = iter([SampledFrame(index, 0.0, 0, image) for index in range(20)])
    assert len(_next_batch(frames)) == most
    assert next(frames).index == most


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
