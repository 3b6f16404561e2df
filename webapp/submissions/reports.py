"""The review lists as CSV, one line per row, streamed however long they are.

People open such files in spreadsheets, and a spreadsheet runs what begins like a
formula. The video's name is the uploader's choice, so such texts are defused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from .latest import with_analyses
from .models import Analysis, Review, State, Submission

_OF_SUBMISSION = ("uploaded", "name", "owner", "size_bytes", "sha256", "duration_s")
_OF_ANALYSIS = (
    "state",
    "error_code",
    "verdict",
    "vote",
    "votes_real",
    "votes_fake",
    "probability_fake",
    "reasons",
    "checkpoint_name",
    "checkpoint_version",
    "checkpoint_sha256",
    "sampling",
)
_OF_REVIEWS = ("review_labels", "review_notes")

COLUMNS = ("id", *_OF_SUBMISSION, *_OF_ANALYSIS, "analyses", *_OF_REVIEWS)
ANALYSIS_COLUMNS = (
    "id",
    "submission",
    "created",
    "started",
    "finished",
    "attempts",
    *_OF_SUBMISSION,
    *_OF_ANALYSIS,
    *_OF_REVIEWS,
)

CHUNK = 500

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_lines(submissions: QuerySet[Submission]) -> Iterator[str]:
    """The header and one line per submission with its newest analysis, as text to send."""
    rows = with_analyses(submissions.select_related("owner")).prefetch_related(_reviews("reviews"))
    return _lines(COLUMNS, map(_submission_row, rows.iterator(chunk_size=CHUNK)))


def analysis_csv_lines(analyses: QuerySet[Analysis]) -> Iterator[str]:
    """The header and one line per analysis."""
    rows = analyses.select_related("submission__owner").prefetch_related(
        _reviews("submission__reviews")
    )
    return _lines(ANALYSIS_COLUMNS, map(_analysis_row, rows.iterator(chunk_size=CHUNK)))


def filename(what: str) -> str:
    """A name that tells exports of different days apart."""
    return f"framevote-{what}-{timezone.now():%Y%m%d-%H%M%S}.csv"


def harmless(value: Any) -> Any:
    """The value with an apostrophe in front where a spreadsheet would run it.

    Numbers stay numbers. Leading blanks count for nothing, as in a spreadsheet.
    """
    if not isinstance(value, str):
        return value
    risky = value.startswith(_FORMULA_STARTS) or value.lstrip().startswith(_FORMULA_STARTS)
    return f"'{value}" if risky else value


def _lines(columns: Iterable[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([harmless(value) for value in row])


def _reviews(path: str) -> Prefetch[str]:
    return Prefetch(path, queryset=Review.objects.select_related("reviewer").order_by("pk"))


def _submission_row(submission: Submission) -> list[Any]:
    analysis = submission.latest_analysis
    return [
        str(submission.pk),
        *_submission_cells(submission),
        *(_analysis_cells(analysis) if analysis else [""] * len(_OF_ANALYSIS)),
        len(submission.analyses.all()),
        *_review_cells(submission),
    ]


def _analysis_row(analysis: Analysis) -> list[Any]:
    return [
        str(analysis.pk),
        str(analysis.submission_id),
        _time(analysis.created_at),
        _time(analysis.started_at),
        _time(analysis.finished_at),
        analysis.attempts,
        *_submission_cells(analysis.submission),
        *_analysis_cells(analysis),
        *_review_cells(analysis.submission),
    ]


def _submission_cells(submission: Submission) -> list[Any]:
    return [
        _time(submission.created_at),
        submission.original_name,
        submission.owner.get_username() if submission.owner else "",
        submission.size_bytes,
        submission.sha256,
        submission.duration_s,
    ]


def _analysis_cells(analysis: Analysis) -> list[Any]:
    voted = analysis.state == State.SUCCEEDED
    return [
        analysis.state,
        analysis.error_code,
        analysis.verdict,
        analysis.vote,
        analysis.votes_real if voted else "",
        analysis.votes_fake if voted else "",
        analysis.probability_fake,
        " ".join(analysis.reasons),
        analysis.checkpoint_name,
        analysis.checkpoint_version,
        analysis.checkpoint_sha256,
        analysis.sampling,
    ]


def _review_cells(submission: Submission) -> list[str]:
    reviews = list(submission.reviews.all())
    return [
        "; ".join(f"{review.reviewer.get_username()}: {review.label}" for review in reviews),
        "; ".join(
            f"{review.reviewer.get_username()}: {review.note}" for review in reviews if review.note
        ),
    ]


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""


class _Echo:
    """What ``csv.writer`` writes into when the line itself is wanted."""

    def write(self, line: str) -> str:
        return line
