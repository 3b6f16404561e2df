"""What is told of a video while it is looked at, and when the rest is left out."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from detector import Detector, Evidence, Label, Sampling, Verdict, VideoResult, evidence
from detector.domain import Face, FaceBox, Image, VoteCount
from detector.report import result_to_json, result_to_text
from tests import clips

DENSE = Sampling("dense", frames=None, step=1)
"""Every frame, in windows of 8."""


@pytest.fixture
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chance to tell is taken."""
    monkeypatch.setattr(evidence, "EVERY_S", 0.0)
    monkeypatch.setattr(evidence, "SHARE", float("inf"))


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.two_people(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=2)


@pytest.fixture(scope="module")
def a_fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "fake.mp4"
    return clips.one_person(path, seconds=6.4, person=1)


def watched(detector: Detector, clip: Path) -> tuple[list[Evidence], VideoResult]:
    told: list[Evidence] = []
    return told, detector.analyze(clip, DENSE, on_evidence=told.append)


@pytest.mark.usefixtures("told_at_once")
def test_votes_are_told_while_more_frames_are_looked_at(
    detector: Detector, two_people: Path
) -> None:
    told, result = watched(detector, two_people)
    assert told[0].judged_frames < told[0].planned_frames == len(result.sampled_frames) == 50
    judged = [one.judged_frames for one in told]
    assert judged == sorted(judged)
    voted = [one.votes.total for one in told]
    assert voted == sorted(voted)
    assert voted[0] > 0


@pytest.mark.usefixtures("told_at_once")
@pytest.mark.parametrize("checkpoint", ["rows_checkpoint", "frames_checkpoint"])
def test_at_last_they_are_the_votes_of_the_result(
    request: pytest.FixtureRequest, checkpoint: str, two_people: Path
) -> None:
    detector = Detector.load(str(request.getfixturevalue(checkpoint)), device="cpu")
    told, result = watched(detector, two_people)
    last = told[-1]
    assert last.judged_frames == last.planned_frames
    assert last.votes == result.votes == VoteCount(last.votes.real, last.votes.fake)
    votes = {(f.frame_index, f.vote, f.probability_fake) for f in result.faces}
    assert {(f.frame_index, f.vote, f.probability_fake) for f in last.faces} <= votes


@pytest.mark.usefixtures("told_at_once")
def test_each_face_has_its_person_and_a_small_picture(detector: Detector, two_people: Path) -> None:
    told, _ = watched(detector, two_people)
    assert {face.person for face in told[-1].faces} == {1, 2}
    assert {face.vote for face in told[-1].faces if face.person == 1} == {Label.REAL}
    assert {face.vote for face in told[-1].faces if face.person == 2} == {Label.FAKE}
    for face in told[-1].faces:
        picture = PIL.Image.open(io.BytesIO(face.picture))
        assert (picture.format, picture.size) == ("WEBP", (64, 64))
        assert len(face.picture) < 3000
    times = [(face.frame_index, face.person) for face in told[-1].faces]
    assert times == sorted(times)


def test_it_is_not_told_often(
    detector: Detector, two_people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "EVERY_S", 3600.0)
    told, _ = watched(detector, two_people)
    assert len(told) == 1


def test_where_telling_takes_long_it_is_told_less_often(
    detector: Detector, two_people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "EVERY_S", 0.0)
    monkeypatch.setattr(evidence, "SHARE", 1e-9)
    told, _ = watched(detector, two_people)
    assert len(told) == 1


@pytest.mark.usefixtures("told_at_once")
def test_faces_too_small_to_vote_are_not_told(detector: Detector, tmp_path: Path) -> None:
    frames = (clips.scene((320, 240), [(0, 160.0 + i % 7, 120.0, 80.0)]) for i in range(25))
    told, result = watched(detector, clips.write(tmp_path / "clip.mp4", frames))
    assert len(result.faces) >= 3
    assert told == []


def a_face(frame: int, x: int = 0) -> Face:
    return Face(frame, frame / 25, 0, FaceBox(x, 0, 90, 90), 0.99, np.zeros(1, np.float32))


def test_of_many_faces_some_are_shown_and_those_that_are_stay() -> None:
    shown: list[Face] = []
    for count in range(1, 1000):
        now = evidence._evenly([a_face(5 * n) for n in range(count)])
        assert min(count, 33) <= len(now) <= 64
        kept = [face for face in shown if face in now]
        assert kept in (shown, shown[::2])
        shown = now


def test_all_people_of_a_frame_are_shown_or_none() -> None:
    shown = evidence._evenly([a_face(n, x) for n in range(200) for x in (0, 100)])
    assert len({face.box.x for face in shown}) == 2
    assert len(evidence._evenly([a_face(0, x) for x in range(500)])) == 64


# --- stopping early --------------------------------------------------------------------------


def test_a_settled_fake_is_looked_at_no_further(detector: Detector, a_fake: Path) -> None:
    result = detector.analyze(a_fake, DENSE, early_stop=True)
    assert result.skipped_frames > 0
    assert len(result.sampled_frames) + result.skipped_frames == 160
    assert result.sampled_frames == tuple(range(len(result.sampled_frames)))
    assert [face.frame_index for face in result.faces] == list(result.sampled_frames)
    assert result.votes.fake >= result.skipped_frames
    whole = detector.analyze(a_fake, DENSE)
    assert whole.skipped_frames == 0
    assert len(whole.sampled_frames) == 160
    assert (result.verdict, result.vote) == (whole.verdict, whole.vote)
    known = {face.frame_index: face.predictions for face in whole.faces}
    assert all(face.predictions == known[face.frame_index] for face in result.faces)
    assert (result.verdict, result.vote) == (Verdict.FAKE, Label.FAKE)


def test_what_settles_it_while_the_last_faces_are_judged_ends_that_too(
    detector: Detector, a_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four times eight faces three are judged when all are found, and one never."""
    all_found, over = threading.Event(), threading.Event()
    predict, asked = detector._network.predict_faces, itertools.count()

    def late(crops: Sequence[Image]) -> object:
        (all_found if next(asked) < 3 else over).wait(60)
        return predict(crops)

    def progress(stage: str, _: float) -> None:
        if stage == "predict":
            all_found.set()

    monkeypatch.setattr(detector._network, "predict_faces", late)
    with ThreadPoolExecutor(6) as pool:
        monkeypatch.setattr(detector, "_pool", pool)
        sampling = replace(DENSE, step=5)
        result = detector.analyze(a_fake, sampling, on_progress=progress, early_stop=True)
        assert not over.is_set()
        over.set()
    assert (result.verdict, result.vote) == (Verdict.FAKE, Label.FAKE)
    assert result.votes == VoteCount(real=0, fake=24)
    assert (len(result.sampled_frames), result.skipped_frames) == (24, 8)
    assert [face.frame_index for face in result.faces] == list(result.sampled_frames)


def test_a_real_video_is_looked_at_to_its_end(detector: Detector, tmp_path: Path) -> None:
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=3.2)
    result = detector.analyze(clip, DENSE, early_stop=True)
    assert result.verdict is Verdict.REAL
    assert (len(result.sampled_frames), result.skipped_frames) == (80, 0)


def test_a_result_says_after_how_many_frames_it_was_stopped(
    detector: Detector, two_people: Path
) -> None:
    result = detector.analyze(two_people, Sampling.named("quick"))
    assert result_to_json(result)["skipped_frames"] == 0
    assert "stopped early" not in result_to_text("clip.mp4", result, calibrated=False)
    stopped = replace(result, skipped_frames=22)
    assert result_to_json(stopped)["skipped_frames"] == 22
    text = result_to_text("clip.mp4", stopped, calibrated=False)
    assert "stopped early, after 10 of 32 frames" in text
