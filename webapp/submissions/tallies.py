"""What became of all analyses so far, counted in the database for ``/metrics``.

Not counted from the rows of the analyses: these go when people delete their videos, and a
counter that falls is taken for one that began anew. Not in the processes either: each would
know its own part only. ``queue.py`` counts each end once, in the transaction that writes it.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import F

from .models import Analysis, State, Tally

WAITING = "waiting_seconds"
RUNNING = "running_seconds"
FAILURES = "failures"
STAGES = "stage_seconds"

BOUNDS: Mapping[str, Sequence[int]] = {
    WAITING: (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400),
    RUNNING: (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600),
}
"""Upper bounds of the histograms, in seconds."""

INFINITE = "+Inf"

COUNTED = (State.SUCCEEDED, State.FAILED)


def count_end(analysis_id: uuid.UUID) -> None:
    """Count an analysis that has just succeeded or failed; all others are passed over.

    A canceled one says nothing about how long analyses wait and run.

    To be called last in the transaction, for until its end these few rows are locked for
    the other workers too.
    """
    analysis = Analysis.objects.get(pk=analysis_id)
    if analysis.state in COUNTED:
        # In order, so that two workers never wait for each other.
        for key, seconds in sorted(_observations(analysis)):
            _add(*key, seconds)


def _observations(analysis: Analysis) -> Iterator[tuple[tuple[str, str, str], float]]:
    if analysis.started_at is not None and analysis.finished_at is not None:
        waited = (analysis.started_at - analysis.created_at).total_seconds()
        yield (WAITING, "", _bucket(WAITING, waited)), waited
        ran = (analysis.finished_at - analysis.started_at).total_seconds()
        yield (RUNNING, analysis.state, _bucket(RUNNING, ran)), ran
    if analysis.state == State.FAILED:
        yield (FAILURES, analysis.error_code, ""), 0.0
    for stage, seconds in analysis.seconds.items():
        if stage != "total":
            yield (STAGES, str(stage)[:40], ""), float(seconds)


def _bucket(metric: str, seconds: float) -> str:
    """The bound below which it lies, as Prometheus writes it."""
    bounds = BOUNDS[metric]
    place = bisect_left(bounds, seconds)
    return str(bounds[place]) if place < len(bounds) else INFINITE


def _add(metric: str, label: str, bound: str, seconds: float) -> None:
    key: dict[str, Any] = {"metric": metric, "label": label, "bound": bound}
    row = Tally.objects.filter(**key)
    change: dict[str, Any] = {"number": F("number") + 1, "seconds": F("seconds") + seconds}
    if not row.update(**change):
        # Another worker may be first, and then this waits for its transaction.
        Tally.objects.bulk_create([Tally(**key)], ignore_conflicts=True)
        row.update(**change)
