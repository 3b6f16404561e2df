"""Every way in which an analysis can end, and what becomes of it.

The detector is scripted here: it ends as the test says. Real videos and the real
detector are in ``test_worker_process.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Reject, SoftTimeLimitExceeded
from django.db import connection, connections

from detector import AnalysisStopped
from detector.domain import Evidence, VideoResult
from detector.errors import CannotDecode, ChecksumMismatch, NoCheckpoint
from tests.servers import wait_until
from tests.worker.results import a_result, some_evidence
from webapp.submissions import provisional, queue
from webapp.submissions.models import Analysis, State, Submission
from worker import tasks

pytestmark = pytest.mark.django_db(transaction=True)


class Scripted:
    """A detector whose analysis does what the test wants."""

    def __init__(self, act: Callable[..., VideoResult]) -> None:
        self.act = act
        self.asked: dict[str, Any] = {}

    def analyze(self, path: str, **options: Any) -> VideoResult:
        self.asked = {"path": path, **options}
        return self.act(**options)


@pytest.fixture
def analysis(make_submission: Callable[..., Submission]) -> Analysis:
    return queue.enqueue(make_submission(), sampling="quick")


@pytest.fixture
def detector_that(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def install(act: Callable[..., VideoResult]) -> Scripted:
        scripted = Scripted(act)
        monkeypatch.setattr(tasks, "loaded_detector", lambda: scripted)
        return scripted

    return install


def raising(error: BaseException) -> Callable[..., VideoResult]:
    def act(**_: Any) -> VideoResult:
        raise error

    return act


def wake_up() -> Analysis:
    tasks.analyze(str(Analysis.objects.get().pk))
    return Analysis.objects.get()


def test_a_result_is_published(
    analysis: Analysis, detector_that: Callable[..., Scripted], settings: Any
) -> None:
    settings.FRAMEVOTE_MAX_MINUTES = 7
    settings.FRAMEVOTE_EARLY_STOP = True
    scripted = detector_that(lambda **_: a_result())
    ended = wake_up()
    assert (ended.state, ended.verdict, ended.attempts) == (State.SUCCEEDED, "FAKE", 1)
    assert str(scripted.asked["path"]) == analysis.submission.video.path
    assert scripted.asked["sampling"].name == "quick"
    assert scripted.asked["limits"].max_minutes == 7
    assert scripted.asked["early_stop"] is True


def test_all_frames_are_looked_at_unless_the_site_says_otherwise(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    scripted = detector_that(lambda **_: a_result())
    wake_up()
    assert scripted.asked["early_stop"] is False


def test_evidence_is_shown_while_the_analysis_runs_and_not_afterwards(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    def act(on_evidence: Callable[[Evidence], None], **_: Any) -> VideoResult:
        on_evidence(some_evidence())
        wait_until(lambda: provisional.of(Analysis.objects.get()), "evidence in the row")
        return a_result()

    detector_that(act)
    ended = wake_up()
    assert (ended.state, ended.provisional) == (State.SUCCEEDED, None)


@pytest.mark.parametrize("error", [CannotDecode("truncated"), NoCheckpoint(), ChecksumMismatch()])
def test_what_the_detector_refuses_fails_with_its_code_and_sentence(
    analysis: Analysis, detector_that: Callable[..., Scripted], error: Any
) -> None:
    detector_that(raising(error))
    ended = wake_up()
    assert ended.state == State.FAILED
    assert (ended.error_code, ended.error_sentence) == (error.code, error.sentence)


def test_an_unforeseen_error_is_logged_and_tried_again(
    analysis: Analysis,
    detector_that: Callable[..., Scripted],
    caplog: pytest.LogCaptureFixture,
) -> None:
    detector_that(raising(ValueError("a bug")))
    ended = wake_up()
    assert (ended.state, ended.attempts) == (State.QUEUED, 1)
    assert ended.last_reason == "internal: ValueError: a bug"
    assert "Traceback" in caplog.text


def test_what_is_logged_during_a_run_names_its_analysis_from_every_thread(
    analysis: Analysis,
    detector_that: Callable[..., Scripted],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def lose_the_lease(should_stop: Callable[[], bool], on_progress: Any, **_: Any) -> VideoResult:
        logging.getLogger("detector").warning("a strange frame")
        queue.cancel(analysis.pk)
        on_progress("detect", 0.5)
        wait_until(should_stop, "the thread that keeps the lease notices")
        raise AnalysisStopped

    detector_that(lose_the_lease)
    wake_up()
    logging.getLogger("worker").warning("the next one")

    about = {record.name: getattr(record, "analysis_id", "") for record in caplog.records}
    named = {about["detector"], about["worker.tasks"], about["worker.lease"]}
    assert named == {str(analysis.pk)}
    assert about["worker"] == ""


def test_an_error_that_stays_is_given_up(
    analysis: Analysis, detector_that: Callable[..., Scripted], settings: Any
) -> None:
    detector_that(raising(ValueError("a bug")))
    for _ in range(settings.FRAMEVOTE_MAX_ATTEMPTS):
        ended = wake_up()
    assert (ended.state, ended.error_code) == (State.FAILED, "gave_up")
    assert "a bug" in ended.last_reason


def test_an_analysis_over_the_time_limit_fails(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    detector_that(raising(SoftTimeLimitExceeded()))
    ended = wake_up()
    assert (ended.state, ended.error_code) == (State.FAILED, "timed_out")
    assert ended.error_sentence


def test_a_shutdown_gives_the_analysis_back(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    detector_that(raising(AnalysisStopped()))
    ended = wake_up()
    assert (ended.state, ended.attempts) == (State.QUEUED, 0)


def test_a_child_that_is_terminated_gives_the_analysis_back(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    detector_that(raising(SystemExit()))
    with pytest.raises(SystemExit):
        wake_up()
    ended = Analysis.objects.get()
    assert (ended.state, ended.attempts) == (State.QUEUED, 0)


def test_an_analysis_canceled_meanwhile_stays_canceled(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    def finish_too_late(**_: Any) -> VideoResult:
        queue.cancel(analysis.pk)
        return a_result()

    detector_that(finish_too_late)
    ended = wake_up()
    assert (ended.state, ended.verdict) == (State.CANCELED, "")


def test_a_submission_deleted_meanwhile_stays_deleted(
    analysis: Analysis, detector_that: Callable[..., Scripted], media_dir: Any
) -> None:
    def finish_too_late(**_: Any) -> VideoResult:
        queue.delete_submission(analysis.submission)
        return a_result()

    detector_that(finish_too_late)
    tasks.analyze(str(analysis.pk))
    assert not Analysis.objects.exists()
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (None, State.SUCCEEDED),
        (CannotDecode("truncated"), State.FAILED),
        (SoftTimeLimitExceeded(), State.FAILED),
        (AnalysisStopped(), State.QUEUED),
        (ValueError("a bug"), State.QUEUED),
    ],
)
def test_a_database_that_was_restarted_meanwhile_is_connected_to_again(
    analysis: Analysis,
    detector_that: Callable[..., Scripted],
    monkeypatch: pytest.MonkeyPatch,
    end: Exception | None,
    state: State,
) -> None:
    def while_the_database_restarts(**_: Any) -> VideoResult:
        connection.connection.close()
        # SQLite's would call itself usable for ever.
        monkeypatch.setattr(connections["default"], "is_usable", lambda: False)
        if end:
            raise end
        return a_result()

    detector_that(while_the_database_restarts)
    ended = wake_up()
    assert (ended.state, ended.last_reason.startswith("internal")) == (
        state,
        isinstance(end, ValueError),
    )


def test_a_duplicate_message_changes_nothing(
    analysis: Analysis, detector_that: Callable[..., Scripted]
) -> None:
    detector_that(lambda **_: a_result())
    first = wake_up()
    again = wake_up()
    assert (again.attempts, again.finished_at) == (1, first.finished_at)


def test_a_worker_that_shuts_down_leaves_messages_to_others(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "is_shutting_down", lambda: True)
    with pytest.raises(Reject):
        wake_up()
    assert Analysis.objects.get().state == State.QUEUED
