"""Liveness and readiness, for load balancers and Compose.

``/healthz`` says that the process answers. ``/readyz`` says whether what it
needs is there: database, storage, broker; it names the parts, never their addresses.
It adds whether a worker lives, for each queue, for whoever watches; without one the site is
ready all the same, for uploads are taken and wait. On a full disk it is ready too, for all
but uploads.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.submissions import queue, routes, storage
from webapp.submissions.models import media_storage
from worker.celery import app

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when every part is usable, else 503; each with ``ok`` or ``unavailable``.

    ``disk`` is ``full`` when uploads are refused, by ``FRAMEVOTE_MIN_FREE_MB``.
    """
    parts = {name: _try(name, check) for name, check in CHECKS.items()}
    usable = all(state == "ok" for state in parts.values())
    lives = parts["database"] == "ok" and all(map(queue.live_slots, routes.queue_names()))
    worker = "ok" if lives else "unavailable"
    disk = "full" if parts["storage"] == "ok" and not storage.has_room() else parts["storage"]
    answer = {**parts, "worker": worker, "disk": disk}
    return JsonResponse(answer, status=200 if usable else 503)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM submissions_analysis LIMIT 1")


def _storage() -> None:
    # Uploads under way are files here, wherever they end.
    with tempfile.TemporaryFile(dir=settings.MEDIA_ROOT) as probe:
        probe.write(b"ok")
    media_storage().check()


def _broker() -> None:
    if not settings.REDIS_URL:
        with tempfile.TemporaryFile(dir=settings.FRAMEVOTE_BROKER_DIR) as probe:
            probe.write(b"ok")
        return
    with app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "storage": _storage,
    "broker": _broker,
}


def _try(name: str, check: Callable[[], None]) -> str:
    # Whatever goes wrong in a check is the answer, not a crash of the health page.
    try:
        check()
    except Exception:
        logger.exception("%s is unavailable", name)
        return "unavailable"
    return "ok"
