"""The queue's transitions, one by one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Face, Person, State, Submission

pytestmark = pytest.mark.django_db

MakeSubmission = Callable[..., Submission]


@pytest.fixture
def analysis(make_submission: MakeSubmission) -> Analysis:
    return queue.enqueue(make_submission())


def claimed(analysis: Analysis) -> queue.Lease:
    lease = queue.claim(analysis.pk, worker="worker1@host:1")
    assert lease is not None
    return lease


def expire(analysis: Analysis) -> None:
    Analysis.objects.filter(pk=analysis.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_an_upload_waits_with_the_sampling_of_the_settings(
    make_submission: MakeSubmission, settings: Any
) -> None:
    settings.FRAMEVOTE_SAMPLING = "thorough"
    assert queue.enqueue(make_submission()).sampling == "thorough"
    assert queue.enqueue(make_submission(), sampling="quick").sampling == "quick"
    assert set(Analysis.objects.values_list("state", flat=True)) == {State.QUEUED}


def test_a_submission_is_analyzed_once_at_a_time(make_submission: MakeSubmission) -> None:
    submission = make_submission()
    waiting = queue.enqueue(submission)
    with pytest.raises(queue.AlreadyActive):
        queue.enqueue(submission)
    lease = claimed(waiting)
    with pytest.raises(queue.AlreadyActive):
        queue.enqueue(submission)
    assert queue.fail(lease, "cannot_decode", "Damaged.")
    assert queue.enqueue(submission).pk != waiting.pk


def test_a_refused_analysis_leaves_the_callers_transaction_usable(
    analysis: Analysis, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as announced, transaction.atomic():
        with pytest.raises(queue.AlreadyActive):
            queue.enqueue(analysis.submission)
        assert Analysis.objects.get() == analysis
    assert announced == []


def test_a_worker_is_woken_only_when_the_row_is_committed(
    make_submission: MakeSubmission,
    messages: Callable[[], int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        queue.enqueue(make_submission())
        assert messages() == 0
    assert messages() == 1


def test_an_upload_succeeds_while_the_broker_is_away(
    make_submission: MakeSubmission,
    broker_dir: Any,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = broker_dir / "messages"
    folder.rename(broker_dir / "away")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            analysis = queue.enqueue(make_submission())
    finally:
        if folder.exists():
            folder.rmdir()
        (broker_dir / "away").rename(folder)
    assert Analysis.objects.get(pk=analysis.pk).state == State.QUEUED
    assert "Error calling" in caplog.text


def test_a_claim_stamps_lease_expiry_attempt_and_start(analysis: Analysis, settings: Any) -> None:
    before = timezone.now()
    lease = claimed(analysis)
    analysis.refresh_from_db()
    assert analysis.state == State.RUNNING
    assert analysis.lease == lease.token
    assert analysis.attempts == 1
    assert analysis.worker == "worker1@host:1"
    assert analysis.started_at is not None
    assert analysis.started_at >= before
    assert analysis.lease_expires_at == analysis.started_at + timedelta(
        seconds=settings.FRAMEVOTE_LEASE_SECONDS
    )


def test_only_the_first_claim_gets_the_row(analysis: Analysis) -> None:
    assert queue.claim(analysis.pk, worker="first")
    assert queue.claim(analysis.pk, worker="second") is None
    assert queue.claim(uuid.uuid4(), worker="first") is None


def test_the_oldest_waiting_analysis_is_taken_first(make_submission: MakeSubmission) -> None:
    analyses = [queue.enqueue(make_submission()) for _ in range(3)]
    taken = [queue.claim_next(worker="w") for _ in range(4)]
    assert [lease and lease.analysis_id for lease in taken] == [*(a.pk for a in analyses), None]


def test_an_analysis_that_came_back_is_taken_before_younger_ones(
    make_submission: MakeSubmission,
) -> None:
    first, second = (queue.enqueue(make_submission()) for _ in range(2))
    lease = queue.claim_next(worker="w")
    assert lease is not None
    queue.release(lease, "shut down")
    again = queue.claim_next(worker="w")
    assert again is not None
    assert again.analysis_id == first.pk != second.pk


def test_a_heartbeat_extends_the_lease_and_shows_progress(analysis: Analysis) -> None:
    lease = claimed(analysis)
    expire(analysis)
    assert queue.heartbeat(lease, stage="detect", percent=41)
    analysis.refresh_from_db()
    assert (analysis.stage, analysis.percent) == ("detect", 41)
    assert analysis.lease_expires_at is not None
    assert analysis.lease_expires_at > timezone.now()


@pytest.mark.parametrize(("told", "shown"), [(-3, 0), (100, 100), (250, 100)])
def test_progress_stays_between_0_and_100(analysis: Analysis, told: int, shown: int) -> None:
    assert queue.heartbeat(claimed(analysis), percent=told)
    analysis.refresh_from_db()
    assert analysis.percent == shown


def test_a_published_result_is_there_in_full(analysis: Analysis) -> None:
    assert queue.publish(claimed(analysis), an_outcome())
    analysis.refresh_from_db()
    assert analysis.state == State.SUCCEEDED
    assert analysis.lease is None
    assert analysis.lease_expires_at is None
    assert analysis.finished_at is not None
    assert (analysis.verdict, analysis.vote) == ("FAKE", "FAKE")
    assert (analysis.votes_real, analysis.votes_fake) == (1, 2)
    assert analysis.checkpoint_name == "default"
    assert analysis.sampled_frames == [0, 5, 10]
    assert [person.number for person in analysis.people.all()] == [1, 2]
    faces = list(analysis.faces.select_related("person"))
    assert [(face.number, face.person.number) for face in faces] == [(1, 1), (2, 2), (3, 2)]
    assert faces[0].predictions == [[0.25, 0.75], [0.125, 0.875]]
    assert faces[2].thumbnail_name == f"{analysis.evidence_dir}/00003.jpg"
    submission = Submission.objects.get()
    assert (submission.codec, submission.width, submission.duration_s) == ("h264", 640, 4.5)


def test_a_video_without_a_face_has_a_verdict_and_no_vote(analysis: Analysis) -> None:
    outcome = an_outcome(
        verdict="UNDECIDED",
        vote=None,
        reasons=("no_face",),
        probability_fake=None,
        people=(),
        faces=(),
        votes_real=0,
        votes_fake=0,
    )
    assert queue.publish(claimed(analysis), outcome)
    analysis.refresh_from_db()
    assert (analysis.verdict, analysis.vote, analysis.reasons) == ("UNDECIDED", "", ["no_face"])


def test_a_worker_that_lost_its_lease_writes_nothing(analysis: Analysis) -> None:
    lost = claimed(analysis)
    expire(analysis)
    assert queue.recover_expired() == [analysis.pk]
    current = claimed(analysis)
    before = Analysis.objects.values().get()
    media = Submission.objects.values().get()

    assert not queue.heartbeat(lost, stage="vote", percent=90)
    assert not queue.publish(lost, an_outcome())
    assert not queue.fail(lost, "cannot_decode", "It cannot be decoded.")
    assert not queue.release(lost, "shut down")
    assert not queue.retry(lost, "internal")

    assert Analysis.objects.values().get() == before
    assert Submission.objects.values().get() == media
    assert not Person.objects.exists()
    assert not Face.objects.exists()
    assert queue.publish(current, an_outcome())


def test_a_publication_that_breaks_leaves_nothing_behind(analysis: Analysis) -> None:
    lease = claimed(analysis)
    broken = an_outcome()
    twice = an_outcome(faces=(*broken.faces, broken.faces[0]))
    with pytest.raises(IntegrityError):
        queue.publish(lease, twice)
    analysis.refresh_from_db()
    assert analysis.state == State.RUNNING
    assert analysis.verdict == ""
    assert not Person.objects.exists()
    assert not Face.objects.exists()
    assert Submission.objects.get().codec == ""


def test_a_failure_keeps_code_and_sentence(analysis: Analysis) -> None:
    assert queue.fail(claimed(analysis), "cannot_decode", "The video is damaged.")
    analysis.refresh_from_db()
    assert analysis.state == State.FAILED
    assert analysis.error_code == "cannot_decode"
    assert analysis.error_sentence == "The video is damaged."
    assert analysis.finished_at is not None


def test_a_released_analysis_has_used_no_attempt(
    analysis: Analysis, messages: Callable[[], int], django_capture_on_commit_callbacks: Any
) -> None:
    lease = claimed(analysis)
    with django_capture_on_commit_callbacks(execute=True):
        assert queue.release(lease, "The worker was shut down.")
    analysis.refresh_from_db()
    assert analysis.state == State.QUEUED
    assert analysis.attempts == 0
    assert analysis.last_reason == "The worker was shut down."
    assert messages() == 1


def test_after_three_attempts_it_is_given_up_with_the_last_reason(
    analysis: Analysis, settings: Any
) -> None:
    settings.FRAMEVOTE_MAX_ATTEMPTS = 3
    for reason in ("internal: first", "internal: second", "internal: third"):
        assert queue.retry(claimed(analysis), reason)
    analysis.refresh_from_db()
    assert analysis.state == State.FAILED
    assert analysis.error_code == "gave_up"
    assert analysis.error_sentence
    assert analysis.last_reason == "internal: third"
    assert analysis.attempts == 3
    assert analysis.finished_at is not None
    assert queue.claim(analysis.pk, worker="w") is None


def test_lost_leases_use_up_attempts_too(analysis: Analysis, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_ATTEMPTS = 2
    for _ in range(2):
        claimed(analysis)
        expire(analysis)
        assert queue.recover_expired() == [analysis.pk]
    analysis.refresh_from_db()
    assert (analysis.state, analysis.error_code) == (State.FAILED, "gave_up")
    assert "signs of life" in analysis.last_reason


def test_a_poison_video_never_starves_the_queue(
    make_submission: MakeSubmission, settings: Any
) -> None:
    poison = queue.enqueue(make_submission())
    healthy = [queue.enqueue(make_submission()) for _ in range(3)]
    for _ in range(settings.FRAMEVOTE_MAX_ATTEMPTS + len(healthy)):
        lease = queue.claim_next(worker="w")
        assert lease is not None
        if lease.analysis_id == poison.pk:
            expire(poison)
            queue.recover_expired()
        else:
            assert queue.publish(lease, an_outcome())
    assert Analysis.objects.filter(state=State.SUCCEEDED).count() == 3
    poison.refresh_from_db()
    assert poison.error_code == "gave_up"


def test_a_lease_that_has_not_run_out_is_left_alone(analysis: Analysis) -> None:
    claimed(analysis)
    assert queue.recover_expired() == []
    analysis.refresh_from_db()
    assert analysis.state == State.RUNNING


def test_a_heartbeat_at_the_last_moment_saves_the_lease(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = claimed(analysis)
    expire(analysis)
    look = queue._leases

    def look_and_be_late(rows: Any) -> list[Any]:
        found = list(look(rows))
        assert queue.heartbeat(lease)
        return found

    monkeypatch.setattr(queue, "_leases", look_and_be_late)
    assert queue.recover_expired() == []
    analysis.refresh_from_db()
    assert analysis.lease == lease.token


def test_what_a_dead_process_held_comes_back_at_once(make_submission: MakeSubmission) -> None:
    dead, living, elsewhere = (queue.enqueue(make_submission()) for _ in range(3))
    queue.claim(dead.pk, worker="worker1@host:10")
    queue.claim(living.pk, worker="worker1@host:11")
    queue.claim(elsewhere.pk, worker="worker2@host:10")
    recovered = queue.recover_worker("worker1@host:", lambda name: name.endswith(":11"))
    assert recovered == [dead.pk]
    states = Analysis.objects.in_bulk()
    assert states[dead.pk].state == State.QUEUED
    assert states[living.pk].state == State.RUNNING
    assert states[elsewhere.pk].state == State.RUNNING


def test_a_waiting_analysis_can_be_canceled(analysis: Analysis) -> None:
    assert queue.cancel(analysis.pk)
    assert not queue.cancel(analysis.pk)
    analysis.refresh_from_db()
    assert analysis.state == State.CANCELED
    assert queue.claim(analysis.pk, worker="w") is None


def test_canceling_takes_the_lease_from_the_worker(analysis: Analysis) -> None:
    lease = claimed(analysis)
    assert queue.cancel(analysis.pk)
    assert not queue.heartbeat(lease)
    assert not queue.publish(lease, an_outcome())
    analysis.refresh_from_db()
    assert analysis.state == State.CANCELED


def test_what_is_finished_stays_finished(analysis: Analysis) -> None:
    assert queue.publish(claimed(analysis), an_outcome())
    assert not queue.cancel(analysis.pk)
    assert queue.recover_expired() == []
    analysis.refresh_from_db()
    assert analysis.state == State.SUCCEEDED
