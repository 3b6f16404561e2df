"""A video in, a result out: the real networks on rendered clips."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from detector import (
    AnalysisStopped,
    Detector,
    Label,
    Limits,
    Reason,
    Sampling,
    UnusableVideo,
    Verdict,
    VideoResult,
    result_to_json,
)
from detector.errors import NoCheckpoint, NoDevice, TooLong
from detector.voting import RULES, frame_vote
from tests import clips

QUICK = Sampling.named("quick")


@pytest.fixture(scope="module")
def one_person(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> VideoResult:
    clip = clips.one_person(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=2)
    return detector.analyze(clip, QUICK)


@pytest.fixture(scope="module")
def two_people(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> VideoResult:
    clip = clips.two_people(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=2)
    return detector.analyze(clip, QUICK)


def test_one_person_is_found_in_every_frame_looked_at(one_person: VideoResult) -> None:
    assert [person.id for person in one_person.people] == [1]
    assert one_person.sampled_frames == tuple(range(0, 50, 5))
    assert [face.frame_index for face in one_person.faces] == list(one_person.sampled_frames)
    assert [face.time_s for face in one_person.faces] == pytest.approx(
        [index / 25 for index in one_person.sampled_frames]
    )


def test_the_person_the_network_takes_for_real_is_voted_real(one_person: VideoResult) -> None:
    assert one_person.verdict is Verdict.REAL
    assert one_person.vote is Label.REAL
    assert one_person.reasons == ()
    assert one_person.votes.real > one_person.votes.fake
    assert one_person.votes.total == len(one_person.faces)
    assert one_person.probability_fake == one_person.people[0].probability_fake < 0.5


def test_each_face_is_voted_by_all_its_predictions(two_people: VideoResult) -> None:
    for face in two_people.faces:
        pairs = [(p.p_fake, p.p_real) for p in face.predictions]
        assert len(pairs) == 16
        assert [p_fake + p_real for p_fake, p_real in pairs] == pytest.approx([1] * 16, abs=1e-5)
        assert face.vote is frame_vote(pairs)
        assert face.probability_fake == pytest.approx(sum(p for p, _ in pairs) / 16)


def test_two_people_are_two_people_with_votes_of_their_own(two_people: VideoResult) -> None:
    left, right = two_people.people
    assert {face.box.x < 320 for face in two_people.faces if face.person == left.id} == {True}
    assert {face.box.x > 320 for face in two_people.faces if face.person == right.id} == {True}
    assert (left.verdict, right.verdict) == (Verdict.REAL, Verdict.FAKE)
    assert left.votes.total == right.votes.total == len(two_people.sampled_frames)
    assert two_people.verdict is Verdict.FAKE
    assert two_people.probability_fake == right.probability_fake > 0.5


def test_faces_come_in_order_of_frame_and_person(two_people: VideoResult) -> None:
    order = [(face.frame_index, face.person) for face in two_people.faces]
    assert order == sorted(order)


def test_a_result_says_how_it_came_about(one_person: VideoResult, detector: Detector) -> None:
    assert one_person.checkpoint == detector.checkpoint.id
    assert one_person.sampling == "quick"
    assert (one_person.media.width, one_person.media.height) == (320, 240)
    assert set(one_person.seconds) == {"decode", "detect", "track", "predict", "vote", "total"}
    for stage in ("decode", "detect", "predict"):
        assert one_person.seconds[stage] > 0
    assert one_person.seconds["decode"] <= one_person.seconds["total"]
    assert {"python", "onnxruntime", "mtcnn", "numpy"} <= set(one_person.versions)
    assert one_person.versions["rules"] == str(RULES)


def test_a_thumbnail_is_a_small_jpeg_of_the_face(one_person: VideoResult) -> None:
    for face in one_person.faces:
        picture = PIL.Image.open(io.BytesIO(face.thumbnail))
        assert (picture.format, picture.size) == ("JPEG", (160, 160))
        assert len(face.thumbnail) < 20_000


def test_a_result_is_json(two_people: VideoResult) -> None:
    document = json.loads(json.dumps(result_to_json(two_people), allow_nan=False))
    assert document["verdict"] == "FAKE"
    assert document["votes"]["real"] + document["votes"]["fake"] == len(document["faces"])
    assert [person["id"] for person in document["people"]] == [1, 2]
    x, y, width, height = document["faces"][0]["box"]
    assert x + width <= 640
    assert y + height <= 360


def test_the_same_video_gives_the_same_result_again(
    detector: Detector, two_people: VideoResult, tmp_path: Path
) -> None:
    again = detector.analyze(clips.two_people(tmp_path / "clip.mp4", seconds=2), QUICK)
    assert replace(again, seconds=two_people.seconds) == two_people
    assert [f.thumbnail for f in again.faces] == [f.thumbnail for f in two_people.faces]


def test_a_hard_cut_separates_two_people(detector: Detector, tmp_path: Path) -> None:
    result = detector.analyze(clips.hard_cut(tmp_path / "clip.mp4", seconds=2), QUICK)
    before = {face.person for face in result.faces if face.frame_index < 25}
    after = {face.person for face in result.faces if face.frame_index >= 25}
    assert (before, after) == ({1}, {2})
    assert [person.verdict for person in result.people] == [Verdict.REAL, Verdict.FAKE]


def test_one_fake_person_among_more_real_faces_makes_the_video_fake(
    detector: Detector, tmp_path: Path
) -> None:
    def frame(i: int) -> clips.Image:
        guest = [(1, 480.0, 180.0, 300.0)] if i >= 25 else []
        return clips.scene((640, 360), [(0, 160.0 + i % 7, 180.0, 300.0), *guest])

    clip = clips.write(tmp_path / "clip.mp4", (frame(i) for i in range(50)))
    result = detector.analyze(clip, QUICK)
    assert result.vote is Label.REAL
    assert result.verdict is Verdict.FAKE
    assert result.reasons == (Reason.PERSON_DIFFERS,)
    assert result.probability_fake == result.people[1].probability_fake


def test_without_a_face_nothing_is_decided(detector: Detector, tmp_path: Path) -> None:
    result = detector.analyze(clips.no_face(tmp_path / "clip.mp4"), QUICK)
    assert (result.verdict, result.vote) == (Verdict.UNDECIDED, None)
    assert result.reasons == (Reason.NO_FACE,)
    assert (result.probability_fake, result.people, result.faces) == (None, (), ())
    assert len(result.sampled_frames) > 0
    assert json.dumps(result_to_json(result), allow_nan=False)


def test_a_single_frame_is_too_little_to_decide(detector: Detector, tmp_path: Path) -> None:
    result = detector.analyze(clips.single_frame(tmp_path / "clip.mp4"), QUICK)
    assert (result.verdict, result.vote) == (Verdict.UNDECIDED, None)
    assert result.reasons == (Reason.TOO_FEW_FACES,)
    assert [face.counts for face in result.faces] == [False]


def test_small_faces_are_shown_and_do_not_vote(detector: Detector, tmp_path: Path) -> None:
    frames = (clips.scene((320, 240), [(0, 160.0 + i % 7, 120.0, 80.0)]) for i in range(25))
    result = detector.analyze(clips.write(tmp_path / "clip.mp4", frames), QUICK)
    assert len(result.faces) >= 3
    assert max(face.box.side for face in result.faces) < 48
    assert result.reasons == (Reason.FACES_TOO_SMALL,)
    assert result.vote is None


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_video_has_its_boxes_in_the_upright_frame(
    detector: Detector, tmp_path: Path, degrees: int
) -> None:
    result = detector.analyze(clips.rotated(tmp_path / "clip.mp4", degrees, seconds=0.4), QUICK)
    assert (result.media.width, result.media.height) == (320, 240)
    assert len(result.faces) == len(result.sampled_frames)
    for face in result.faces:
        assert face.box.x + face.box.width / 2 == pytest.approx(160, abs=40)
        assert face.box.y + face.box.height / 2 == pytest.approx(120, abs=40)
        assert face.box.x + face.box.width <= 320
        assert face.box.y + face.box.height <= 240


@pytest.mark.parametrize("render", [clips.odd_size, clips.av1, clips.vp9_webm, clips.mpeg2])
def test_a_face_is_found_whatever_the_coding(
    detector: Detector, tmp_path: Path, render: Callable[..., Path]
) -> None:
    suffix = {"vp9_webm": ".webm", "odd_size": ".webm", "mpeg2": ".mpg"}.get(
        render.__name__, ".mp4"
    )
    result = detector.analyze(render(tmp_path / f"clip{suffix}", seconds=0.6), QUICK)
    assert [person.id for person in result.people] == [1]


@pytest.mark.parametrize("render", [clips.text_file, clips.zero_bytes, clips.audio_only])
def test_an_unusable_file_is_an_error_with_a_code(
    detector: Detector, tmp_path: Path, render: Callable[[Path], Path]
) -> None:
    with pytest.raises(UnusableVideo) as caught:
        detector.analyze(render(tmp_path / "clip.mp4"), QUICK)
    assert caught.value.code in {"not_a_video", "no_video_stream"}


def test_limits_reach_the_decoder(detector: Detector, tmp_path: Path) -> None:
    clip = clips.no_face(tmp_path / "clip.mp4", seconds=2)
    with pytest.raises(TooLong):
        detector.analyze(clip, QUICK, limits=Limits(max_minutes=0.01))


# --- progress and stopping ----------------------------------------------------------------


def test_progress_never_falls_and_names_the_stages_in_order(
    detector: Detector, tmp_path: Path
) -> None:
    seen: list[tuple[str, float]] = []
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=2)
    detector.analyze(clip, QUICK, on_progress=lambda stage, part: seen.append((stage, part)))
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["probe", "sample", "detect", "track", "predict", "vote"]
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


@pytest.mark.parametrize("stage", ["sample", "detect", "track", "predict"])
def test_an_analysis_stops_in_any_stage(detector: Detector, tmp_path: Path, stage: str) -> None:
    reached: list[str] = []
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=1)
    with pytest.raises(AnalysisStopped):
        detector.analyze(
            clip,
            QUICK,
            on_progress=lambda name, _: reached.append(name),
            should_stop=lambda: stage in reached,
        )
    assert reached[-1] == stage


# --- loading ------------------------------------------------------------------------------


def test_a_checkpoint_that_is_not_there_has_a_code(tmp_path: Path) -> None:
    with pytest.raises(NoCheckpoint):
        Detector.load(str(tmp_path))


def test_a_device_that_is_not_there_has_a_code(rows_checkpoint: Path) -> None:
    with pytest.raises(NoDevice, match="tpu"):
        Detector.load(str(rows_checkpoint), device="tpu")
