"""What staff do to many rows at once: run again, cancel, export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from . import queue, reports
from .models import Submission

MOST_AT_ONCE = 500
"""A re-run is a row and a message each, all in one request. Before deleting, a page asks
and sends every id back as a form field, of which Django takes a thousand."""


def too_many(
    model_admin: admin.ModelAdmin, request: HttpRequest, rows: QuerySet[Any], done: str
) -> bool:
    """Whether more are selected than one request can do; if so, it has been said."""
    count = rows.count()
    if count <= MOST_AT_ONCE:
        return False
    model_admin.message_user(
        request,
        f"{count:,} {model_admin.opts.verbose_name_plural} are selected; "
        f"at most {MOST_AT_ONCE} can be {done} at once.",
        messages.ERROR,
    )
    return True


def run_again(
    model_admin: admin.ModelAdmin,
    request: HttpRequest,
    submissions: QuerySet[Submission],
    sampling: Mapping[UUID, str] | None = None,
) -> None:
    """Put the submissions into the queue again, but for those that cannot be, and count them."""
    started = busy = gone = 0
    for submission in submissions:
        try:
            queue.enqueue(submission, sampling=(sampling or {}).get(submission.pk))
            started += 1
        except queue.AlreadyActive:
            busy += 1
        except queue.FilesRemoved:
            gone += 1
    if started:
        model_admin.message_user(request, f"{_counted(started)} put in the queue again.")
    if busy:
        model_admin.message_user(
            request,
            f"{_counted(busy)} left alone: an analysis is under way already.",
            messages.WARNING,
        )
    if gone:
        model_admin.message_user(
            request,
            f"{_counted(gone)} left alone: the video was removed when its time was up.",
            messages.WARNING,
        )


def cancel_all(
    model_admin: admin.ModelAdmin, request: HttpRequest, analyses: Iterable[UUID]
) -> None:
    """Cancel what is still waiting or running, and say how many that were."""
    canceled = sum(queue.cancel(pk) for pk in list(analyses))
    if canceled:
        counted = "1 analysis was" if canceled == 1 else f"{canceled} analyses were"
        model_admin.message_user(request, f"{counted} canceled.")
    else:
        model_admin.message_user(
            request, "Nothing was canceled: no analysis is waiting or running.", messages.WARNING
        )


def csv_download(lines: Iterator[str], what: str) -> StreamingHttpResponse:
    """The lines of a report as a file."""
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{reports.filename(what)}"'},
    )


def _counted(submissions: int) -> str:
    return "1 submission was" if submissions == 1 else f"{submissions} submissions were"
