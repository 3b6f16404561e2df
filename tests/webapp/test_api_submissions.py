"""The life of a submission through the API: upload, follow, read, cancel, again, delete."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from detector.domain import (
    CheckpointId,
    FaceBox,
    FaceResult,
    Label,
    MediaInfo,
    PersonResult,
    Prediction,
    Verdict,
    VideoResult,
    VoteCount,
)
from detector.report import result_to_json
from tests.webapp.analyses import VIDEO, failed, finished, running
from webapp.accounts.models import ApiToken
from webapp.submissions import queue
from webapp.submissions.models import Analysis, State, Submission

pytestmark = pytest.mark.django_db

SUBMISSIONS = "/api/v1/submissions/"
MakeSubmission = Callable[..., Submission]


@pytest.fixture
def program(alice: User) -> Client:
    """A program with a token of alice's."""
    _, secret = ApiToken.objects.issue(alice, "tests")
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Token {secret}"})


@pytest.fixture
def submission(alice: User, make_submission: MakeSubmission) -> Submission:
    return make_submission(owner=alice, name="clip.mp4")


def upload(program: Client, name: str = "clip.mp4", content: bytes = VIDEO, **form: Any) -> Any:
    return program.post(SUBMISSIONS, {"video": SimpleUploadedFile(name, content), **form})


def one(submission: Submission, rest: str = "") -> str:
    return f"{SUBMISSIONS}{submission.pk}/{rest}"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_answers_with_what_is_needed_to_follow_it(program: Client) -> None:
    answer = upload(program, name="My clip.mp4")
    assert answer.status_code == 201
    created = answer.json()
    submission = Submission.objects.get()
    assert created["id"] == str(submission.pk)
    assert created["state"] == "QUEUED"
    assert created["position"] == 1
    assert created["name"] == "My clip.mp4"
    assert created["sha256"] == hashlib.sha256(VIDEO).hexdigest()
    assert created["url"] == f"http://testserver{one(submission)}" == answer.headers["Location"]
    assert program.get(created["url"]).json() == created


def test_an_upload_may_choose_the_sampling(program: Client) -> None:
    assert upload(program, sampling="quick").status_code == 201
    assert Analysis.objects.get().sampling == "quick"


@pytest.mark.parametrize(
    ("name", "content", "sampling", "status", "code"),
    [
        ("clip.txt", VIDEO, "quick", 400, "not_a_video"),
        ("clip.mp4", b"just a text, not a video at all", "quick", 400, "not_a_video"),
        ("clip.mp4", b"", "quick", 400, "empty_file"),
        ("clip.mp4", VIDEO + bytes(1024 * 1024), "quick", 413, "too_large"),
        ("clip.mp4", VIDEO, "sometimes", 400, "invalid"),
        ("clip.mp4", VIDEO, "", 400, "invalid"),
    ],
)
def test_a_refused_upload_says_why_and_leaves_nothing(
    program: Client,
    settings: Any,
    media_dir: Path,
    name: str,
    content: bytes,
    sampling: str,
    status: int,
    code: str,
) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    answer = upload(program, name, content, sampling=sampling)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]
    assert not Submission.objects.exists()
    assert not files_below(media_dir)


def test_an_upload_is_one_file(program: Client) -> None:
    none = program.post(SUBMISSIONS, {"sampling": "quick"})
    assert (none.status_code, none.json()["error"]["code"]) == (400, "no_file")
    two = program.post(SUBMISSIONS, {"video": [SimpleUploadedFile("a.mp4", VIDEO)] * 2})
    assert (two.status_code, two.json()["error"]["code"]) == (400, "too_many_files")
    assert not Submission.objects.exists()


def test_a_text_in_place_of_the_file_is_no_file(program: Client) -> None:
    answer = program.post(SUBMISSIONS, {"video": "clip.mp4"})
    assert answer.json()["error"]["code"] == "no_file"


def test_a_running_analysis_shows_how_far_it_is(program: Client, submission: Submission) -> None:
    running(submission)
    seen = program.get(one(submission)).json()
    assert (seen["state"], seen["stage"], seen["percent"]) == ("RUNNING", "detect", 40)
    assert seen["verdict"] is None
    assert seen["position"] is None


def test_positions_count_the_whole_queue(
    program: Client, make_submission: MakeSubmission, submission: Submission
) -> None:
    queue.enqueue(make_submission(visitor=uuid.uuid4()))
    queue.enqueue(submission)
    assert program.get(one(submission)).json()["position"] == 2
    assert program.get(SUBMISSIONS).json()["results"][0]["position"] == 2


def test_a_result_has_the_verdict_the_votes_and_every_face(
    program: Client, submission: Submission
) -> None:
    analysis = finished(submission)
    result = program.get(one(submission, "result/")).json()
    assert result["file"] == "clip.mp4"
    assert result["verdict"] == "FAKE"
    assert result["probability_fake"] == 0.75
    assert result["votes"] == {"real": 1, "fake": 2}
    assert result["reasons"] == []
    assert result["people"][1] == {
        "id": 2,
        "verdict": "FAKE",
        "probability_fake": 0.75,
        "votes": {"real": 0, "fake": 2},
        "counts": True,
    }
    assert len(result["faces"]) == 3
    assert result["faces"][1] == {
        "person": 2,
        "frame_index": 5,
        "time_s": 0.2,
        "box": [10, 20, 90, 100],
        "vote": "FAKE",
        "probability_fake": 0.625,
        "confidence": 0.99,
        "predictions": [[0.75, 0.25], [0.5, 0.5]],
        "counts": True,
    }
    assert result["seconds"] == 2.0
    assert result["stage_seconds"] == {"detect": 1.0}
    assert result["media"]["codec"] == "h264"
    assert result["checkpoint"] == {"name": "default", "version": "1", "sha256": "a" * 64}
    assert program.get(f"/api/v1/analyses/{analysis.pk}/result/").json() == result


def test_a_result_has_the_keys_of_the_command_lines_json(
    program: Client, submission: Submission
) -> None:
    finished(submission)
    result = program.get(one(submission, "result/")).json()
    printed = {"file": "clip.mp4"} | result_to_json(a_video_result())
    assert set(result) == set(printed)
    assert set(result["people"][0]) == set(printed["people"][0])
    assert set(result["faces"][0]) == set(printed["faces"][0])
    assert set(result["checkpoint"]) == set(printed["checkpoint"])
    assert isinstance(result["seconds"], float)
    # What only matters for decoding is not kept in the database.
    assert set(printed["media"]) - set(result["media"]) == {"fps", "frame_count", "rotation"}


def a_video_result() -> VideoResult:
    votes = VoteCount(real=0, fake=1)
    face = FaceResult(
        1, 0, 0.0, FaceBox(0, 0, 9, 9), 1.0, (Prediction(0.9, 0.1),), Label.FAKE, 0.9, True, b""
    )
    return VideoResult(
        verdict=Verdict.FAKE,
        vote=Label.FAKE,
        reasons=(),
        probability_fake=0.9,
        votes=votes,
        people=(PersonResult(1, Verdict.FAKE, 0.9, votes, True),),
        faces=(face,),
        media=MediaInfo("mp4", "h264", 64, 48, 1.0, 25, 25.0, 0),
        checkpoint=CheckpointId("default", "1", "a" * 64),
        sampling="standard",
        sampled_frames=(0,),
        seconds={"total": 1.0},
        versions={},
    )


def test_a_result_costs_the_same_queries_for_any_number_of_faces(
    program: Client, submission: Submission, django_assert_max_num_queries: Any
) -> None:
    finished(submission)
    program.get(SUBMISSIONS)  # The first request also makes the row that counts them.
    with django_assert_max_num_queries(8):
        program.get(one(submission, "result/"))


@pytest.mark.parametrize(
    ("bring", "code"),
    [
        (queue.enqueue, "not_finished"),
        (running, "not_finished"),
        (failed, "cannot_decode"),
        (lambda s: queue.cancel(queue.enqueue(s).pk), "canceled"),
    ],
)
def test_without_a_result_the_answer_says_why(
    program: Client, submission: Submission, bring: Callable[[Submission], object], code: str
) -> None:
    bring(submission)
    analysis = submission.analyses.get()
    for address in (one(submission, "result/"), f"/api/v1/analyses/{analysis.pk}/result/"):
        answer = program.get(address)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error"]["message"]


def test_a_failure_is_on_the_submission_too(program: Client, submission: Submission) -> None:
    failed(submission)
    seen = program.get(one(submission)).json()
    assert seen["state"] == "FAILED"
    assert seen["error"] == {"code": "cannot_decode", "message": "The video is damaged."}


def test_canceling_ends_the_analysis_once(program: Client, submission: Submission) -> None:
    queue.enqueue(submission)
    answer = program.post(one(submission, "cancel/"))
    assert (answer.status_code, answer.json()["state"]) == (200, "CANCELED")
    again = program.post(one(submission, "cancel/"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_active")


def test_one_analysis_can_be_canceled(program: Client, submission: Submission) -> None:
    analysis = running(submission)
    address = f"/api/v1/analyses/{analysis.pk}/"
    assert program.post(f"{address}cancel/").json()["state"] == "CANCELED"
    assert program.post(f"{address}cancel/").status_code == 409
    assert program.get(address).json()["state"] == "CANCELED"


def test_a_rerun_keeps_the_earlier_result(program: Client, submission: Submission) -> None:
    first = finished(submission)
    answer = program.post(
        one(submission, "rerun/"), {"sampling": "thorough"}, content_type="application/json"
    )
    assert answer.status_code == 201
    assert answer.json()["state"] == "QUEUED"
    assert [a["sampling"] for a in answer.json()["analyses"]] == ["thorough", "standard"]
    assert program.get(one(submission, "result/")).status_code == 409
    assert program.get(f"/api/v1/analyses/{first.pk}/result/").json()["verdict"] == "FAKE"


def test_a_rerun_needs_no_body(program: Client, submission: Submission) -> None:
    finished(submission)
    assert program.generic("POST", one(submission, "rerun/")).status_code == 201


def test_a_video_under_way_is_not_run_again(program: Client, submission: Submission) -> None:
    queue.enqueue(submission)
    answer = program.generic("POST", one(submission, "rerun/"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_active")
    assert submission.analyses.count() == 1


def test_deleting_removes_the_rows_and_the_files(
    program: Client,
    submission: Submission,
    media_dir: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    finished(submission)
    assert files_below(media_dir)
    with django_capture_on_commit_callbacks(execute=True):
        answer = program.delete(one(submission))
    assert (answer.status_code, answer.content) == (204, b"")
    assert program.get(one(submission)).status_code == 404
    assert not files_below(media_dir)


def test_a_list_comes_in_pages_newest_first(
    program: Client, alice: User, make_submission: MakeSubmission
) -> None:
    made = [make_submission(owner=alice, name=f"{n}.mp4") for n in range(5)]
    for submission in made:
        queue.enqueue(submission)
    first = program.get(f"{SUBMISSIONS}?page_size=2").json()
    assert [row["name"] for row in first["results"]] == ["4.mp4", "3.mp4"]
    assert (first["count"], first["previous"]) == (5, None)
    second = program.get(first["next"]).json()
    last = program.get(second["next"]).json()
    assert [row["name"] for row in last["results"]] == ["0.mp4"]
    assert last["next"] is None
    assert program.get(last["previous"]).json() == second


def test_a_list_is_narrowed_by_the_newest_analysis(
    program: Client, alice: User, make_submission: MakeSubmission
) -> None:
    done, again = make_submission(owner=alice), make_submission(owner=alice)
    finished(done)
    finished(again)
    queue.enqueue(again)

    def ids(query: str) -> list[str]:
        return [row["id"] for row in program.get(f"{SUBMISSIONS}?{query}").json()["results"]]

    assert ids("verdict=FAKE") == [str(done.pk)]
    assert ids("state=QUEUED") == [str(again.pk)]
    assert ids("state=SUCCEEDED&verdict=REAL") == []


def test_a_list_costs_the_same_queries_for_any_number_of_rows(
    program: Client,
    alice: User,
    make_submission: MakeSubmission,
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(12):
        submission = make_submission(owner=alice)
        (finished if number % 2 else queue.enqueue)(submission)
    program.get("/api/v1/models/")  # The first request also makes the row that counts them.
    with django_assert_max_num_queries(8):
        assert len(program.get(SUBMISSIONS).json()["results"]) == 12


def test_models_are_listed_with_the_one_in_use_first(program: Client, settings: Any) -> None:
    models = program.get("/api/v1/models/").json()
    for model in models:
        assert len(model["sha256"]) == 64
        assert model["in_use"] == (model["name"] == settings.FRAMEVOTE_CHECKPOINT)


def test_a_state_in_an_answer_is_the_state_in_the_database(
    program: Client, submission: Submission
) -> None:
    finished(submission)
    assert program.get(one(submission)).json()["state"] == State.SUCCEEDED
