"""Losing every message loses nothing: waiting rows are announced again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from webapp.submissions import queue
from webapp.submissions.models import Analysis, Submission

pytestmark = pytest.mark.django_db

MakeSubmission = Callable[..., Submission]
LONG_AGO = timedelta(hours=1)


def forget_announcements() -> None:
    Analysis.objects.update(announced_at=timezone.now() - LONG_AGO)


def test_a_waiting_row_is_announced_again(
    make_submission: MakeSubmission,
    messages: Callable[[], int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    queue.enqueue(make_submission())
    forget_announcements()
    with django_capture_on_commit_callbacks(execute=True):
        assert queue.reannounce() == 1
        assert queue.reannounce() == 0
    assert messages() == 1


def test_a_row_that_was_just_announced_is_left_alone(make_submission: MakeSubmission) -> None:
    queue.enqueue(make_submission())
    assert queue.reannounce() == 0


def test_a_row_that_was_never_announced_is(make_submission: MakeSubmission) -> None:
    queue.enqueue(make_submission())
    Analysis.objects.update(announced_at=None)
    assert queue.reannounce() == 1


def test_only_waiting_rows_are_announced(make_submission: MakeSubmission) -> None:
    running, canceled = (queue.enqueue(make_submission()) for _ in range(2))
    queue.claim(running.pk, worker="w")
    queue.cancel(canceled.pk)
    forget_announcements()
    assert queue.reannounce() == 0


@pytest.mark.parametrize(("slots", "announced"), [(0, 2), (1, 2), (3, 6)])
def test_a_long_queue_is_announced_to_the_workers_that_live(
    make_submission: MakeSubmission, slots: int, announced: int
) -> None:
    for _ in range(10):
        queue.enqueue(make_submission())
    if slots:
        queue.beat("worker1", slots)
    forget_announcements()
    assert queue.reannounce() == announced
    assert queue.reannounce() == 0
