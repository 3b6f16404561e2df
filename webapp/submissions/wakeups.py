"""Messages that wake workers. They may be lost, doubled or late; the rows are the truth."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from . import routes
from .models import Analysis, State
from .waiting import QUEUE_ORDER, live_slots

WAKE_UPS_PER_SLOT = 2
"""Only the head of the queue is announced again: any message makes a worker take the
first waiting row, so more wake-ups than the workers can answer only fill the broker."""


def reannounce() -> int:
    """Announce waiting rows whose message may be lost again; how many were."""
    return sum(_reannounce(queue) for queue in routes.queue_names())


def _reannounce(queue: str) -> int:
    now = timezone.now()
    stale = now - timedelta(seconds=settings.FRAMEVOTE_REANNOUNCE_SECONDS)
    # At least for one worker: it may have started a moment ago.
    most = WAKE_UPS_PER_SLOT * max(1, live_slots(queue))
    rows = Analysis.objects.filter(routes.waiting_in([queue]), state=State.QUEUED)
    head = rows.order_by(*QUEUE_ORDER)
    announced = 0
    for analysis_id, announced_at in head.values_list("pk", "announced_at")[:most]:
        if announced_at is not None and announced_at > stale:
            continue
        row = Analysis.objects.filter(pk=analysis_id, state=State.QUEUED, announced_at=announced_at)
        if row.update(announced_at=now):
            announce_on_commit(analysis_id)
            announced += 1
    return announced


def announce_on_commit(analysis_id: uuid.UUID) -> None:
    # Robust: the row is committed and the sweeper announces it again, so a broker
    # that is down must not turn a finished upload into an error page.
    transaction.on_commit(lambda: _announce(analysis_id), robust=True)


def _announce(analysis_id: uuid.UUID) -> None:
    # Imported late and sent by name: the web process needs neither tasks nor detector.
    from worker.celery import app

    sampling = Analysis.objects.filter(pk=analysis_id).values_list("sampling", flat=True).first()
    if sampling is not None:  # Else it was deleted in this moment.
        queue = routes.queue_of(sampling)
        app.send_task("worker.tasks.analyze", args=[str(analysis_id)], queue=queue)
