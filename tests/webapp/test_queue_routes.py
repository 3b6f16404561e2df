"""Queues of their own by level of sampling: who takes what, positions and estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Submission

pytestmark = pytest.mark.django_db

Wait = Callable[..., Analysis]


@pytest.fixture(autouse=True)
def routes(settings: Any) -> None:
    settings.FRAMEVOTE_QUEUES = {"quick": "analyses", "standard": "analyses", "thorough": "gpu"}


@pytest.fixture
def wait(make_submission: Callable[..., Submission]) -> Wait:
    """``wait("thorough", owner=alice)``: one more waits."""
    return lambda sampling, **who: queue.enqueue(make_submission(**who), sampling=sampling)


def taken(*queues: str) -> str | None:
    lease = queue.claim_next(worker="w", queues=queues)
    return Analysis.objects.get(pk=lease.analysis_id).sampling if lease else None


def test_a_worker_takes_from_its_queues_alone(wait: Wait) -> None:
    for level in ("quick", "thorough", "standard"):
        wait(level)
    assert [taken("gpu"), taken("gpu")] == ["thorough", None]
    assert [taken("analyses"), taken("analyses")] == ["quick", "standard"]


def test_a_worker_of_both_takes_by_turn(wait: Wait) -> None:
    for level in ("thorough", "quick"):
        wait(level)
    assert [taken("gpu", "analyses"), taken("gpu", "analyses")] == ["thorough", "quick"]


def test_positions_are_counted_in_each_queue(wait: Wait) -> None:
    rows = [wait(level) for level in ("quick", "thorough", "standard", "thorough")]
    places = [1, 1, 2, 2]
    assert [queue.position(row) for row in rows] == places
    assert queue.positions(rows) == dict(zip([row.pk for row in rows], places, strict=True))


def test_the_estimate_is_by_the_workers_and_the_pace_of_the_queue(wait: Wait) -> None:
    first = wait("thorough")
    lease = queue.claim(first.pk, worker="w")
    assert lease is not None
    assert queue.publish(lease, an_outcome())
    queue.beat("cpu0", 1, ["analyses"])
    waiting = wait("thorough")
    assert queue.estimated_wait_s(waiting) is None, "no worker serves it"
    assert queue.estimated_wait_s(wait("quick")) is None, "nothing was measured"
    queue.beat("gpu0", 1, ["gpu"])
    assert queue.estimated_wait_s(waiting) is not None


def test_a_worker_that_names_no_queue_serves_all() -> None:
    queue.beat("worker1", 2)
    queue.beat("gpu0", 3, ["gpu"])
    assert [queue.live_slots(name) for name in ("analyses", "gpu", None)] == [2, 5, 5]


def test_turns_of_one_queue_are_nothing_to_the_other(wait: Wait, alice: User, bob: User) -> None:
    """The GPU is far ahead; who comes to the others begins where those are."""
    for _ in range(3):
        wait("quick", owner=alice)
    for _ in range(8):
        wait("thorough", owner=alice)
        lease = queue.claim_next(worker="gpu0", queues=["gpu"])
        assert lease is not None
    assert queue.position(wait("quick", owner=bob)) == 2


def test_wake_ups_go_to_the_queue(
    wait: Wait, broker_dir: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        wait("thorough")
    assert [p.name.split(".")[-2] for p in (broker_dir / "messages").glob("*.msg")] == ["gpu"]


def test_each_queue_is_announced_again(wait: Wait) -> None:
    for level in ("quick", "quick", "quick", "thorough"):
        wait(level)
    Analysis.objects.update(announced_at=None)
    assert queue.reannounce() == 3, "two for the workers of the one, one that waits in the other"
