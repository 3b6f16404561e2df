"""How long an analysis still waits: position and estimate, asked and never stored."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Avg, F, Q, QuerySet, Sum
from django.utils import timezone

from .models import Analysis, State, WorkerBeat

QUEUE_ORDER = ("turn", "created_at", "pk")

BEAT_SECONDS = 10
LIVE_FOR = timedelta(seconds=45)
"""A worker that was silent for longer counts as gone."""

RECENT = 20
"""How many finished analyses the estimate looks back on."""


def position(analysis: Analysis) -> int | None:
    """1 for the one a worker takes next; None unless it waits."""
    if analysis.state != State.QUEUED:
        return None
    older = Q(created_at__lt=analysis.created_at) | Q(
        created_at=analysis.created_at, pk__lt=analysis.pk
    )
    earlier = Q(turn__lt=analysis.turn) | Q(older, turn=analysis.turn)
    return Analysis.objects.filter(earlier, state=State.QUEUED).count() + 1


def positions(analyses: Iterable[Analysis]) -> dict[uuid.UUID, int]:
    """The positions of those that wait, for a page of rows: one query for all of them."""
    wanted = {analysis.pk for analysis in analyses if analysis.state == State.QUEUED}
    if not wanted:
        return {}
    waiting = Analysis.objects.filter(state=State.QUEUED).order_by(*QUEUE_ORDER)
    places = enumerate(waiting.values_list("pk", flat=True).iterator(), start=1)
    return {pk: place for place, pk in places if pk in wanted}


def estimated_wait_s(analysis: Analysis) -> float | None:
    """Seconds until a worker takes it; None while nothing is known or no worker lives."""
    place = position(analysis)
    if place is None:
        return None
    workers = live_slots()
    typical = _typical_seconds()
    if not workers or typical is None:
        return None
    running = Analysis.objects.filter(state=State.RUNNING).count()
    # Who runs now is on average halfway through.
    return (place - 1 + min(running, workers) / 2) * typical / workers


def beat(worker: str, slots: int) -> None:
    """A worker's sign of life."""
    WorkerBeat.objects.update_or_create(
        name=worker[:200], defaults={"slots": slots, "beat_at": timezone.now()}
    )


def forget_worker(worker: str) -> None:
    """A worker says good-bye."""
    WorkerBeat.objects.filter(name=worker[:200]).delete()


def forget_silent_workers() -> None:
    """Drop workers that have been gone for a day."""
    WorkerBeat.objects.filter(beat_at__lt=timezone.now() - timedelta(days=1)).delete()


def live_workers() -> QuerySet[WorkerBeat]:
    """The workers that have given a sign of life of late."""
    return WorkerBeat.objects.filter(beat_at__gte=timezone.now() - LIVE_FOR)


def live_slots() -> int:
    """How many analyses the living workers can run at once."""
    return live_workers().aggregate(slots=Sum("slots"))["slots"] or 0


def _typical_seconds() -> float | None:
    finished = Analysis.objects.filter(state=State.SUCCEEDED).order_by("-finished_at")
    recent = finished.values_list("pk", flat=True)[:RECENT]
    mean = Analysis.objects.filter(pk__in=list(recent)).aggregate(
        mean=Avg(F("finished_at") - F("started_at"))
    )["mean"]
    return None if mean is None else mean.total_seconds()
