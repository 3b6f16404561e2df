"""Position in the queue and the estimated waiting time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Submission, WorkerBeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(make_submission: Callable[..., Submission]) -> list[Analysis]:
    return [queue.enqueue(make_submission()) for _ in range(3)]


def finish_after(seconds: float, analysis: Analysis) -> None:
    lease = queue.claim(analysis.pk, worker="w")
    assert lease is not None
    assert queue.publish(lease, an_outcome())
    now = timezone.now()
    Analysis.objects.filter(pk=analysis.pk).update(
        started_at=now - timedelta(seconds=seconds), finished_at=now
    )


def test_the_next_one_has_position_one(waiting: list[Analysis]) -> None:
    assert [queue.position(analysis) for analysis in waiting] == [1, 2, 3]


def test_what_does_not_wait_has_no_position(waiting: list[Analysis]) -> None:
    queue.cancel(waiting[0].pk)
    queue.claim(waiting[1].pk, worker="w")
    for analysis in waiting:
        analysis.refresh_from_db()
    assert [queue.position(analysis) for analysis in waiting] == [None, None, 1]


def test_rows_of_the_same_instant_have_different_positions(waiting: list[Analysis]) -> None:
    Analysis.objects.update(created_at=timezone.now())
    rows = list(Analysis.objects.all())
    assert sorted(str(queue.position(row)) for row in rows) == ["1", "2", "3"]
    next_one = min(rows, key=lambda row: queue.position(row) or 0)
    lease = queue.claim_next(worker="w")
    assert lease is not None
    assert lease.analysis_id == next_one.pk


def test_the_positions_of_a_page_take_one_query(
    waiting: list[Analysis], django_assert_num_queries: Any
) -> None:
    rows = list(Analysis.objects.all())
    with django_assert_num_queries(1):
        places = queue.positions(rows)
    assert places == {analysis.pk: place for place, analysis in enumerate(waiting, start=1)}


def test_a_page_without_waiting_rows_asks_nothing(
    waiting: list[Analysis], django_assert_num_queries: Any
) -> None:
    for analysis in waiting:
        queue.cancel(analysis.pk)
    rows = list(Analysis.objects.all())
    with django_assert_num_queries(0):
        assert queue.positions(rows) == {}


def test_nothing_is_promised_before_anything_was_measured(waiting: list[Analysis]) -> None:
    queue.beat("worker1@host", slots=1)
    assert queue.estimated_wait_s(waiting[0]) is None


def test_nothing_is_promised_while_no_worker_lives(waiting: list[Analysis]) -> None:
    finish_after(10, waiting[0])
    assert queue.estimated_wait_s(waiting[1]) is None


def test_the_estimate_grows_with_the_position_and_shrinks_with_workers(
    waiting: list[Analysis],
) -> None:
    finish_after(10, waiting[0])
    queue.beat("worker1@host", slots=1)
    assert queue.estimated_wait_s(waiting[1]) == pytest.approx(0)
    assert queue.estimated_wait_s(waiting[2]) == pytest.approx(10)
    queue.beat("worker2@host", slots=1)
    assert queue.estimated_wait_s(waiting[2]) == pytest.approx(5)


def test_who_runs_now_delays_the_next_by_half_a_run(waiting: list[Analysis]) -> None:
    finish_after(10, waiting[0])
    queue.beat("worker1@host", slots=1)
    queue.claim(waiting[1].pk, worker="w")
    assert queue.estimated_wait_s(waiting[2]) == pytest.approx(5)


def test_a_worker_that_fell_silent_or_said_good_bye_does_not_count() -> None:
    queue.beat("worker1@host", slots=2)
    queue.beat("worker2@host", slots=1)
    queue.beat("worker3@host", slots=1)
    WorkerBeat.objects.filter(name="worker2@host").update(
        beat_at=timezone.now() - timedelta(minutes=5)
    )
    queue.forget_worker("worker3@host")
    assert queue.live_slots() == 2


def test_workers_gone_for_a_day_are_forgotten() -> None:
    queue.beat("worker1@host", slots=1)
    queue.beat("worker2@host", slots=1)
    WorkerBeat.objects.filter(name="worker2@host").update(
        beat_at=timezone.now() - timedelta(days=2)
    )
    queue.forget_silent_workers()
    assert list(WorkerBeat.objects.values_list("name", flat=True)) == ["worker1@host"]
