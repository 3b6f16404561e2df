"""``/metrics`` for Prometheus: the queue, its workers, what became of all analyses, the disk.

All of it is read from the database when it is asked for, so every web process gives the same
answer, and workers need no port of their own. Who may ask: see :func:`_may_read`.
"""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webapp.environment import LOOPBACK_HOSTS
from webapp.submissions import retention, tallies
from webapp.submissions.models import Analysis, State, Tally
from webapp.submissions.waiting import live_workers

FORWARDED = ("Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host")
"""Headers by which a proxy shows itself."""


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything in Prometheus's text format, for who may read it."""
    if settings.FRAMEVOTE_METRICS_TOKEN:
        if not _shows_the_token(request):
            return _refusal(
                401,
                "Send the header “Authorization: Bearer …” with FRAMEVOTE_METRICS_TOKEN.",
                **{"WWW-Authenticate": 'Bearer realm="metrics"'},
            )
    elif not _comes_from_here(request):
        return _refusal(
            403, "Only this machine may read the metrics, unless FRAMEVOTE_METRICS_TOKEN is set."
        )
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def exposition() -> bytes:
    """The metrics as they are now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Database())
    return generate_latest(registry)


class _Database(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from _queue()
        yield from _workers()
        yield from _ends()
        yield GaugeMetricFamily(
            "framevote_overdue_submissions",
            "Submissions whose files should have been removed by now.",
            value=retention.overdue().count(),
        )
        yield _free_space()


def _queue() -> Iterator[Metric]:
    found = dict(Analysis.objects.order_by().values_list("state").annotate(Count("pk")))
    by_state = GaugeMetricFamily(
        "framevote_analyses", "Analyses in the database, by state.", labels=["state"]
    )
    for state in State.values:
        by_state.add_metric([state], found.get(state, 0))
    yield by_state
    oldest = Analysis.objects.filter(state=State.QUEUED).aggregate(oldest=Min("created_at"))
    since = oldest["oldest"]
    yield GaugeMetricFamily(
        "framevote_oldest_waiting_seconds",
        "For how long the oldest waiting analysis has waited; 0 if none waits.",
        value=max(0.0, (timezone.now() - since).total_seconds()) if since else 0.0,
    )


def _workers() -> Iterator[Metric]:
    alive = live_workers().aggregate(workers=Count("pk"), slots=Sum("slots"))
    yield GaugeMetricFamily(
        "framevote_workers", "Workers that have given a sign of life.", value=alive["workers"]
    )
    yield GaugeMetricFamily(
        "framevote_worker_slots",
        "Analyses these workers can run at once.",
        value=alive["slots"] or 0,
    )


def _ends() -> Iterator[Metric]:
    rows = list(Tally.objects.order_by("label"))

    def of(metric: str) -> list[Tally]:
        return [row for row in rows if row.metric == metric]

    waiting = HistogramMetricFamily(
        "framevote_waiting_seconds",
        "From the request for an analysis to the start of the attempt that ended it.",
    )
    _add_histogram(waiting, [], tallies.WAITING, of(tallies.WAITING))
    yield waiting
    running = HistogramMetricFamily(
        "framevote_running_seconds",
        "From that start to the end, by the state of the end.",
        labels=["state"],
    )
    for state in tallies.COUNTED:
        of_state = [row for row in of(tallies.RUNNING) if row.label == state]
        _add_histogram(running, [state.value], tallies.RUNNING, of_state)
    yield running
    failures = CounterMetricFamily(
        "framevote_failures", "Analyses that failed, by code.", labels=["code"]
    )
    for row in of(tallies.FAILURES):
        failures.add_metric([row.label], row.number)
    yield failures
    stages = SummaryMetricFamily(
        "framevote_stage_seconds", "What the detector's stages took.", labels=["stage"]
    )
    for row in of(tallies.STAGES):
        stages.add_metric([row.label], row.number, row.seconds)
    yield stages


def _add_histogram(
    family: HistogramMetricFamily, labels: list[str], metric: str, rows: Iterable[Tally]
) -> None:
    """Buckets contain those below them; a row counts those of its own bucket alone."""
    counted = [(float(row.bound), row.number, row.seconds) for row in rows]
    bounds = [*map(str, tallies.BOUNDS[metric]), tallies.INFINITE]
    buckets = [(b, sum(n for bound, n, _ in counted if bound <= float(b))) for b in bounds]
    family.add_metric(labels, buckets, sum(seconds for _, _, seconds in counted))


def _free_space() -> Metric:
    free = GaugeMetricFamily(
        "framevote_free_bytes", "Free space where the folder lies.", labels=["folder"]
    )
    for name, folder in (("media", settings.MEDIA_ROOT), ("var", settings.FRAMEVOTE_VAR_DIR)):
        free.add_metric([name], shutil.disk_usage(Path(folder)).free)
    return free


def _shows_the_token(request: HttpRequest) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    expected = settings.FRAMEVOTE_METRICS_TOKEN
    return scheme.lower() == "bearer" and constant_time_compare(shown.strip(), expected)


def _comes_from_here(request: HttpRequest) -> bool:
    """Whether a program of this machine asks, and not a proxy on it for somebody else.

    A proxy shows itself by its headers, by the site's public name, or by
    ``FRAMEVOTE_HTTPS``; one that does none of it cannot be told apart.
    """
    try:
        is_local = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False  # A socket of the file system: there is a proxy.
    host, _ = split_domain_port(request.get_host())
    forwarded = any(header in request.headers for header in FORWARDED)
    return is_local and host in LOOPBACK_HOSTS and not forwarded and not settings.FRAMEVOTE_HTTPS


def _refusal(status: int, sentence: str, **headers: str) -> HttpResponse:
    return HttpResponse(
        f"{sentence}\n",
        status=status,
        content_type="text/plain; charset=utf-8",
        headers=headers,
    )
