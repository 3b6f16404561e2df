"""The lease of a running analysis: kept alive, shown, and let go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.servers import wait_until
from tests.worker.results import some_evidence
from webapp.submissions import provisional, queue
from webapp.submissions.models import Analysis, Submission
from worker import shutdown
from worker.lease import LeaseKeeper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lease(make_submission: Callable[..., Submission]) -> queue.Lease:
    analysis = queue.enqueue(make_submission())
    lease = queue.claim(analysis.pk, worker="w")
    assert lease is not None
    return lease


@pytest.fixture
def in_a_pool_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process plays the child, its parent the worker's main process."""
    monkeypatch.setattr(shutdown, "_main_pid", os.getppid())
    flag = shutdown.flag(os.getppid())
    flag.parent.mkdir(parents=True, exist_ok=True)
    yield
    flag.unlink(missing_ok=True)


def row() -> Analysis:
    return Analysis.objects.get()


def test_progress_is_shown_soon(lease: queue.Lease) -> None:
    with LeaseKeeper(lease) as keeper:
        keeper.report("detect", 0.404)
        wait_until(lambda: (row().stage, row().percent) == ("detect", 40), "progress")
        assert not keeper.should_stop()


def test_many_reports_are_few_writes(lease: queue.Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []

    def count(*_: Any, **progress: Any) -> bool:
        writes.append(progress)
        return True

    monkeypatch.setattr(queue, "heartbeat", count)
    with LeaseKeeper(lease) as keeper:
        for step in range(10_000):
            keeper.report("detect", step / 10_000)
        wait_until(lambda: writes, "a first write")
    assert len(writes) <= 3


def test_evidence_is_shown_soon_and_stays_without_news(lease: queue.Lease, settings: Any) -> None:
    settings.FRAMEVOTE_HEARTBEAT_SECONDS = 1
    with LeaseKeeper(lease) as keeper:
        keeper.show(some_evidence())
        wait_until(lambda: provisional.of(row()), "evidence in the row")
        soon = row().lease_expires_at
        assert soon is not None
        wait_until(lambda: (row().lease_expires_at or soon) > soon, "a sign of life")
        known = provisional.of(row())
        assert known is not None
        assert known.judged_frames == 3


def test_the_first_evidence_waits_for_no_turn(
    lease: queue.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.lease.TICK_SECONDS", 3600.0)
    with LeaseKeeper(lease) as keeper:
        keeper.show(some_evidence())
        wait_until(lambda: provisional.of(row()), "evidence in the row")


def test_much_evidence_is_few_writes(lease: queue.Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def count(*_: Any, evidence: Any = None, **__: Any) -> bool:
        written.append(evidence)
        return True

    monkeypatch.setattr(queue, "heartbeat", count)
    with LeaseKeeper(lease) as keeper:
        for judged in range(10_000):
            keeper.show(some_evidence(judged))
        wait_until(lambda: written and written[-1].judged_frames == 9_999, "the newest")
        keeper.report("detect", 0.5)
        wait_until(lambda: written[-1] is None, "progress without what is written already")
    assert len(written) <= 5


def test_evidence_that_could_not_be_written_is_written_later(
    lease: queue.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat, errors = queue.heartbeat, [OperationalError("away")]

    def flaky(*args: Any, **kwargs: Any) -> bool:
        if errors:
            raise errors.pop()
        return heartbeat(*args, **kwargs)

    monkeypatch.setattr(queue, "heartbeat", flaky)
    with LeaseKeeper(lease) as keeper:
        keeper.show(some_evidence())
        wait_until(lambda: provisional.of(row()), "evidence in the row")


def test_who_was_canceled_shows_nothing_more(lease: queue.Lease) -> None:
    with LeaseKeeper(lease) as keeper:
        queue.cancel(lease.analysis_id)
        keeper.show(some_evidence())
        wait_until(keeper.should_stop, "the worker stops")
    assert row().provisional is None


def test_a_lost_worker_shows_nothing_beside_the_next_one(lease: queue.Lease) -> None:
    with LeaseKeeper(lease) as lost:
        queue.retry(lease, "taken for dead")
        again = queue.claim(lease.analysis_id, worker="w")
        assert again is not None
        with LeaseKeeper(again) as keeper:
            keeper.show(some_evidence(5))
            wait_until(lambda: provisional.of(row()), "evidence of the second")
            lost.show(some_evidence(1))
            wait_until(lost.should_stop, "the first one stops")
            known = provisional.of(row())
            assert known is not None
            assert known.judged_frames == 5


def test_the_lease_is_extended_without_progress(lease: queue.Lease, settings: Any) -> None:
    settings.FRAMEVOTE_HEARTBEAT_SECONDS = 1
    soon = timezone.now() + timedelta(seconds=1)
    Analysis.objects.update(lease_expires_at=soon)
    with LeaseKeeper(lease):
        wait_until(lambda: (row().lease_expires_at or soon) > soon, "a longer lease")


def test_a_canceled_analysis_is_stopped(lease: queue.Lease) -> None:
    with LeaseKeeper(lease) as keeper:
        assert not keeper.should_stop()
        queue.cancel(lease.analysis_id)
        keeper.report("detect", 0.5)
        wait_until(keeper.should_stop, "the worker stops")
        assert keeper.lost.is_set()


def test_a_deleted_submission_is_stopped(lease: queue.Lease) -> None:
    with LeaseKeeper(lease) as keeper:
        queue.delete_submission(Submission.objects.get())
        keeper.report("detect", 0.5)
        wait_until(keeper.should_stop, "the worker stops")


def test_a_database_that_is_away_for_a_moment_costs_nothing(
    lease: queue.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([OperationalError("away"), OperationalError("away")])
    extended = threading.Event()
    heartbeat = queue.heartbeat

    def flaky(*args: Any, **kwargs: Any) -> bool:
        for error in answers:
            raise error
        extended.set()
        return heartbeat(*args, **kwargs)

    monkeypatch.setattr(queue, "heartbeat", flaky)
    with LeaseKeeper(lease) as keeper:
        keeper.report("detect", 0.5)
        assert extended.wait(60)
        assert not keeper.lost.is_set()


def test_a_database_that_stays_away_loses_the_lease(
    lease: queue.Lease, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def away(*args: Any, **kwargs: Any) -> bool:
        raise OperationalError("away")

    settings.FRAMEVOTE_LEASE_SECONDS = 2
    monkeypatch.setattr(queue, "heartbeat", away)
    with LeaseKeeper(lease) as keeper:
        keeper.report("detect", 0.5)
        wait_until(keeper.lost.is_set, "the lease counts as lost")


def test_a_worker_that_shuts_down_stops_its_analysis(
    lease: queue.Lease, in_a_pool_child: None
) -> None:
    with LeaseKeeper(lease) as keeper:
        assert not keeper.should_stop()
        shutdown.flag(os.getppid()).touch()
        assert keeper.should_stop()
        assert not keeper.lost.is_set()


def test_a_child_without_its_main_process_stops(
    lease: queue.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "_main_pid", os.getppid() + 1)
    assert LeaseKeeper(lease).should_stop()


def test_no_thread_outlives_the_work(lease: queue.Lease) -> None:
    with LeaseKeeper(lease):
        assert [t.name for t in threading.enumerate()].count("lease") == 1
    assert "lease" not in [t.name for t in threading.enumerate()]
