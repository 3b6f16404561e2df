"""Fair shares: a person with many videos does not keep the others waiting."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from webapp.submissions import queue
from webapp.submissions.models import Analysis, State, Submission
from webapp.submissions.waiting import QUEUE_ORDER

pytestmark = pytest.mark.django_db

Enqueue = Callable[..., list[Analysis]]


@pytest.fixture
def enqueue() -> Enqueue:
    """``enqueue(3, owner=alice)``: so many videos of one person, waiting."""

    def make(count: int, **who: Any) -> list[Analysis]:
        who |= {"original_name": "clip.mp4", "size_bytes": 1, "sha256": "0" * 64}
        return [queue.enqueue(Submission.objects.create(**who)) for _ in range(count)]

    return make


def taken() -> Analysis:
    """What a worker takes now, and has done at once."""
    analysis = begun()
    assert queue.cancel(analysis.pk)
    return analysis


def begun() -> Analysis:
    """What a worker takes now, and works on."""
    lease = queue.claim_next(worker="w")
    assert lease is not None
    return Analysis.objects.get(pk=lease.analysis_id)


def owners(analyses: Iterable[Analysis]) -> list[str]:
    return [str(analysis.submission.owner or "") for analysis in analyses]


def test_one_video_does_not_wait_for_five_hundred(enqueue: Enqueue, alice: User, bob: User) -> None:
    enqueue(500, owner=alice)
    running = begun()
    (only,) = enqueue(1, owner=bob)
    assert queue.position(only) == 1
    assert owners([running, begun(), begun()]) == ["alice", "bob", "alice"]


def test_what_is_uploaded_while_nothing_runs_waits_for_one_of_each_other_person(
    enqueue: Enqueue, alice: User, bob: User, charlie: User
) -> None:
    enqueue(5, owner=alice)
    enqueue(5, owner=bob)
    (only,) = enqueue(1, owner=charlie)
    assert queue.position(only) == 3


def test_people_with_many_videos_take_turns(
    enqueue: Enqueue, alice: User, bob: User, charlie: User
) -> None:
    enqueue(4, owner=alice)
    enqueue(3, owner=bob)
    assert owners(taken() for _ in range(3)) == ["alice", "bob", "alice"]
    enqueue(2, owner=charlie)
    assert owners(taken() for _ in range(6)) == [
        *("bob", "charlie", "alice"),
        *("bob", "charlie", "alice"),
    ]


def test_ones_own_videos_keep_their_order(enqueue: Enqueue, alice: User, bob: User) -> None:
    mine = enqueue(5, owner=alice)
    enqueue(5, owner=bob)
    order = [taken() for _ in range(10)]
    assert [analysis for analysis in order if analysis.submission.owner == alice] == mine


def test_workers_take_in_the_order_of_the_positions(
    enqueue: Enqueue, alice: User, bob: User
) -> None:
    enqueue(4, owner=alice)
    begun()
    enqueue(3, visitor=uuid.uuid4())
    enqueue(2, owner=bob)
    enqueue(2)
    waiting = list(Analysis.objects.filter(state=State.QUEUED))
    promised = sorted(waiting, key=lambda analysis: queue.position(analysis) or 0)
    assert queue.positions(waiting) == {a.pk: n for n, a in enumerate(promised, start=1)}
    assert [begun().pk for _ in waiting] == [analysis.pk for analysis in promised]


def test_newcomers_without_end_keep_nobody_waiting_for_ever(enqueue: Enqueue, alice: User) -> None:
    """At each moment somebody new arrives, and the one worker is as fast as they come."""
    enqueue(5, owner=alice)
    running = begun()
    hers = 0
    for _ in range(20):
        enqueue(1, visitor=uuid.uuid4())
        assert queue.cancel(running.pk)
        running = begun()
        hers += running.submission.owner == alice
    assert hers == 4


def test_visitors_are_different_people(enqueue: Enqueue) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    enqueue(3, visitor=one)
    enqueue(1, visitor=other)
    assert [taken().submission.visitor for _ in range(3)] == [one, other, one]


def test_who_canceled_many_is_not_behind_for_them(enqueue: Enqueue, alice: User, bob: User) -> None:
    enqueue(20, owner=bob)
    for analysis in enqueue(20, owner=alice):
        queue.cancel(analysis.pk)
    assert not Analysis.objects.filter(state=State.CANCELED).exclude(share=None).exists()
    (again,) = enqueue(1, owner=alice)
    assert queue.position(again) == 2


def test_what_was_given_up_uses_no_share_any_more(
    enqueue: Enqueue, alice: User, settings: Any
) -> None:
    settings.FRAMEVOTE_MAX_ATTEMPTS = 2
    enqueue(1, owner=alice)
    shares = []
    for _ in range(2):
        lease = queue.claim_next(worker="w")
        assert lease is not None
        assert queue.retry(lease, "internal")
        shares.append(Analysis.objects.values_list("state", "share").get())
    assert shares == [(State.QUEUED, f"analyses/account:{alice.pk}"), (State.FAILED, None)]


def test_what_a_lost_worker_gave_back_comes_first(enqueue: Enqueue, alice: User, bob: User) -> None:
    enqueue(5, owner=alice)
    lease = queue.claim_next(worker="w")
    assert lease is not None
    for _ in range(3):
        begun()
    enqueue(2, owner=bob)
    assert queue.release(lease, "shut down")
    assert begun().pk == lease.analysis_id


def test_a_row_that_came_back_late_moves_no_newcomer_far_ahead(
    enqueue: Enqueue, alice: User, bob: User
) -> None:
    """It runs alone now, with a turn of long ago; the others' turns have come further."""
    enqueue(30, owner=alice)
    begun()
    for _ in range(10):
        taken()
    enqueue(10, owner=bob)
    assert owners(taken() for _ in range(4)) == ["bob", "alice", "bob", "alice"]


def test_the_next_is_found_in_an_index_without_sorting(enqueue: Enqueue) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("how Postgres plans depends on what it knows of the table")
    waiting = Analysis.objects.filter(state=State.QUEUED).order_by(*QUEUE_ORDER)
    plan = waiting.values_list("pk", flat=True)[:5].query.explain("default")
    assert "USING COVERING INDEX" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_gives_turns_to_what_waits(enqueue: Enqueue, alice: User, bob: User) -> None:
    before, after = ("submissions", "0004_retention"), ("submissions", "0005_fair_turns")
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    try:
        MigrationExecutor(connection).migrate([before])
        old = MigrationExecutor(connection).loader.project_state([before]).apps
        for owner in (alice, alice, alice, bob):
            row = old.get_model("submissions", "Submission").objects.create(
                owner_id=owner.pk, original_name="clip.mp4", size_bytes=1, sha256="0" * 64
            )
            old.get_model("submissions", "Analysis").objects.create(submission=row)
        MigrationExecutor(connection).migrate([after])
    finally:
        MigrationExecutor(connection).migrate(newest)
    enqueue(1, owner=bob)
    assert owners(taken() for _ in range(5)) == ["alice", "bob", "alice", "bob", "alice"]
