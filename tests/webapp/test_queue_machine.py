"""Any order of events on the queue keeps its promises (hypothesis looks for one that does not)."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.webapp.outcomes import a_provisional, an_outcome
from webapp.submissions import provisional, queue
from webapp.submissions.models import ACTIVE_STATES, Analysis, Face, State, Submission, Tally

LEGAL = {
    (State.QUEUED, State.RUNNING),
    (State.QUEUED, State.CANCELED),
    (State.RUNNING, State.QUEUED),
    (State.RUNNING, State.SUCCEEDED),
    (State.RUNNING, State.FAILED),
    (State.RUNNING, State.CANCELED),
}


class QueueMachine(RuleBasedStateMachine):
    """Workers, people and the sweeper act in any order; leases may be old or lost."""

    analyses = Bundle("analyses")
    leases = Bundle("leases")

    @initialize()
    def empty_queue(self) -> None:
        Submission.objects.all().delete()
        Tally.objects.all().delete()
        self.submissions = [
            Submission.objects.create(
                original_name="clip.mp4", video="x.mp4", size_bytes=1, sha256="0" * 64
            )
            for _ in range(3)
        ]
        self.seen: dict[uuid.UUID, dict[str, Any]] = {}
        self.judged = itertools.count(1)
        self.shown_by: dict[uuid.UUID, uuid.UUID] = {}

    @rule(target=analyses, which=st.integers(0, 2))
    def enqueue(self, which: int) -> Any:
        submission = self.submissions[which]
        if submission.analyses.filter(state__in=ACTIVE_STATES).exists():
            with pytest.raises(queue.AlreadyActive):
                queue.enqueue(submission)
            return multiple()
        return queue.enqueue(submission).pk

    @rule(target=leases, analysis=analyses)
    def claim(self, analysis: uuid.UUID) -> queue.Lease:
        was_queued = Analysis.objects.get(pk=analysis).state == State.QUEUED
        lease = queue.claim(analysis, worker="w")
        assert (lease is not None) == was_queued
        # A token nobody was ever given stands for the lease of a claim that failed.
        return lease or queue.Lease(analysis, uuid.uuid4())

    @rule(lease=leases)
    def heartbeat(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        assert queue.heartbeat(lease, stage="detect", percent=50) == held

    @rule(lease=leases)
    def show_what_is_known(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        known = a_provisional(judged_frames=next(self.judged))
        assert queue.heartbeat(lease, evidence=known) == held
        shown = provisional.of(Analysis.objects.get(pk=lease.analysis_id))
        assert (shown == known) == held
        if held:
            self.shown_by[lease.analysis_id] = lease.token

    @rule(lease=leases)
    def publish(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        assert queue.publish(lease, an_outcome()) == held

    @rule(lease=leases)
    def fail(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        assert queue.fail(lease, "cannot_decode", "Damaged.") == held

    @rule(lease=consumes(leases))
    def release(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        assert queue.release(lease, "shut down") == held

    @rule(lease=leases)
    def retry(self, lease: queue.Lease) -> None:
        held = self._holds(lease)
        assert queue.retry(lease, "internal") == held

    @rule(analysis=analyses)
    def cancel(self, analysis: uuid.UUID) -> None:
        active = Analysis.objects.get(pk=analysis).is_active
        assert queue.cancel(analysis) == active

    @rule(analysis=analyses)
    def the_worker_falls_silent(self, analysis: uuid.UUID) -> None:
        Analysis.objects.filter(pk=analysis, state=State.RUNNING).update(
            lease_expires_at=timezone.now() - timedelta(seconds=1)
        )

    @rule()
    def sweep(self) -> None:
        expired = Analysis.objects.filter(
            state=State.RUNNING, lease_expires_at__lt=timezone.now()
        ).values_list("pk", flat=True)
        wanted = set(expired)
        assert set(queue.recover_expired()) == wanted
        queue.reannounce()

    @invariant()
    def no_illegal_edge(self) -> None:
        rows: list[dict[str, Any]] = [{**row} for row in Analysis.objects.values()]
        for row in rows:
            before = self.seen.get(row["id"])
            if before is not None and before["state"] != row["state"]:
                assert (before["state"], row["state"]) in LEGAL
            elif before is not None and row["state"] not in ACTIVE_STATES:
                assert row == before, "what is finished never changes"
            self.seen[row["id"]] = row

    @invariant()
    def a_submission_is_analyzed_once_at_a_time(self) -> None:
        active = Count("analyses", filter=Q(analyses__state__in=ACTIVE_STATES))
        assert not Submission.objects.alias(active=active).filter(active__gt=1).exists()

    @invariant()
    def a_lease_is_held_exactly_while_running(self) -> None:
        with_lease = Q(lease__isnull=False, lease_expires_at__isnull=False)
        running = Q(state=State.RUNNING)
        assert not Analysis.objects.filter(running & ~with_lease).exists()
        assert not Analysis.objects.filter(
            ~running & ~Q(lease=None, lease_expires_at=None)
        ).exists()

    @invariant()
    def attempts_are_bounded(self) -> None:
        rows = Analysis.objects.all()
        assert not rows.filter(attempts__gt=settings.FRAMEVOTE_MAX_ATTEMPTS).exists()
        assert not rows.filter(state=State.RUNNING, attempts=0).exists()

    @invariant()
    def only_who_holds_the_lease_shows_what_is_known(self) -> None:
        for analysis in Analysis.objects.exclude(provisional=None):
            assert analysis.state == State.RUNNING
            assert analysis.lease == self.shown_by[analysis.pk]

    @invariant()
    def evidence_belongs_to_what_succeeded(self) -> None:
        assert not Face.objects.exclude(analysis__state=State.SUCCEEDED).exists()
        for analysis in Analysis.objects.filter(state=State.SUCCEEDED):
            assert analysis.faces.count() == len(an_outcome().faces)

    @invariant()
    def each_success_and_failure_is_counted_once(self) -> None:
        states = Analysis.objects.values_list("state", flat=True)
        ended = [state for state in states if state in (State.SUCCEEDED, State.FAILED)]
        for metric in ("waiting_seconds", "running_seconds"):
            counts = Tally.objects.filter(metric=metric).values_list("number", flat=True)
            assert sum(counts) == len(ended)
        failures = Tally.objects.filter(metric="failures").values_list("number", flat=True)
        assert sum(failures) == ended.count(State.FAILED)

    def _holds(self, lease: queue.Lease) -> bool:
        return Analysis.objects.filter(
            pk=lease.analysis_id, state=State.RUNNING, lease=lease.token
        ).exists()


class TestQueueMachine(TestCase):
    @pytest.mark.timeout(600)
    def test_no_order_of_events_breaks_the_queue(self) -> None:
        run_state_machine_as_test(
            QueueMachine,
            settings=hypothesis_settings(
                max_examples=60,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
