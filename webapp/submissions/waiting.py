"""How long an analysis still waits: position and estimate, asked and never stored."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import timedelta

from django.db.models import Avg, F, Q, QuerySet
from django.utils import timezone

from . import routes
from .models import Analysis, State, WorkerBeat

QUEUE_ORDER = ("turn", "created_at", "pk")

BEAT_SECONDS = 10
LIVE_FOR = timedelta(seconds=45)
"""A worker that was silent for longer counts as gone."""

RECENT = 20
"""How many finished analyses the estimate looks back on."""


def position(analysis: Analysis) -> int | None:
    """1 for the one that a worker of its queue takes next; None unless it waits."""
    if analysis.state != State.QUEUED:
        return None
    older = Q(created_at__lt=analysis.created_at) | Q(
        created_at=analysis.created_at, pk__lt=analysis.pk
    )
    earlier = Q(turn__lt=analysis.turn) | Q(older, turn=analysis.turn)
    return _beside(analysis).filter(earlier, state=State.QUEUED).count() + 1


def positions(analyses: Iterable[Analysis]) -> dict[uuid.UUID, int]:
    """The positions of those that wait, for a page of rows: one query for all of them."""
    wanted = {analysis.pk for analysis in analyses if analysis.state == State.QUEUED}
    if not wanted:
        return {}
    waiting = Analysis.objects.filter(state=State.QUEUED).order_by(*QUEUE_ORDER)
    places: dict[uuid.UUID, int] = {}
    seen: Counter[str] = Counter()
    for pk, sampling in waiting.values_list("pk", "sampling").iterator():
        queue = routes.queue_of(sampling)
        seen[queue] += 1
        if pk in wanted:
            places[pk] = seen[queue]
    return places


def estimated_wait_s(analysis: Analysis) -> float | None:
    """Seconds until a worker takes it; None while nothing is known or no worker lives."""
    place = position(analysis)
    if place is None:
        return None
    workers = live_slots(routes.queue_of(analysis.sampling))
    typical = _typical_seconds(_beside(analysis))
    if not workers or typical is None:
        return None
    running = _beside(analysis).filter(state=State.RUNNING).count()
    # Who runs now is on average halfway through.
    return (place - 1 + min(running, workers) / 2) * typical / workers


def beat(worker: str, slots: int, queues: Collection[str] = ()) -> None:
    """A worker's sign of life, with the queues it serves; all, if none is named."""
    WorkerBeat.objects.update_or_create(
        name=worker[:200],
        defaults={"slots": slots, "queues": list(queues), "beat_at": timezone.now()},
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


def live_slots(queue: str | None = None) -> int:
    """How many analyses, of one queue or of any, the living workers can run at once."""
    workers = live_workers().values_list("slots", "queues")
    return sum(slots for slots, queues in workers if queue is None or not queues or queue in queues)


def unserved(analysis: Analysis) -> bool:
    """Whether it waits in a queue that no living worker serves."""
    queue = routes.queue_of(analysis.sampling)
    return analysis.state == State.QUEUED and live_slots(queue) == 0


def _beside(analysis: Analysis) -> QuerySet[Analysis]:
    """All of its queue."""
    return Analysis.objects.filter(routes.waiting_in([routes.queue_of(analysis.sampling)]))


def _typical_seconds(analyses: QuerySet[Analysis]) -> float | None:
    finished = analyses.filter(state=State.SUCCEEDED).order_by("-finished_at")
    recent = finished.values_list("pk", flat=True)[:RECENT]
    mean = Analysis.objects.filter(pk__in=list(recent)).aggregate(
        mean=Avg(F("finished_at") - F("started_at"))
    )["mean"]
    return None if mean is None else mean.total_seconds()
