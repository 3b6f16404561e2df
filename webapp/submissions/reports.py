"""The review list as CSV, one line per submission, streamed however long it is.

People open such files in spreadsheets, and a spreadsheet runs what begins like a
formula. The video's name is the uploader's choice, so such texts are defused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from .latest import with_analyses
from .models import Analysis, Review, State, Submission

COLUMNS = (
    "id",
    "uploaded",
    "name",
    "owner",
    "size_bytes",
    "sha256",
    "duration_s",
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
    "analyses",
    "review_labels",
    "review_notes",
)

CHUNK = 500

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_lines(submissions: QuerySet[Submission]) -> Iterator[str]:
    """The header and one line per submission, each as text to send."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    rows = with_analyses(submissions.select_related("owner")).prefetch_related(
        Prefetch("reviews", queryset=Review.objects.select_related("reviewer").order_by("pk"))
    )
    for submission in rows.iterator(chunk_size=CHUNK):
        yield writer.writerow([harmless(value) for value in _row(submission)])


def filename() -> str:
    """A name that tells exports of different days apart."""
    return f"framevote-submissions-{timezone.now():%Y%m%d-%H%M%S}.csv"


def harmless(value: Any) -> Any:
    """The value with an apostrophe in front where a spreadsheet would run it.

    Numbers stay numbers. Leading blanks count for nothing, as in a spreadsheet.
    """
    if not isinstance(value, str):
        return value
    risky = value.startswith(_FORMULA_STARTS) or value.lstrip().startswith(_FORMULA_STARTS)
    return f"'{value}" if risky else value


def _row(submission: Submission) -> list[Any]:
    analysis = submission.latest_analysis
    reviews = list(submission.reviews.all())
    return [
        str(submission.pk),
        submission.created_at.isoformat(timespec="seconds"),
        submission.original_name,
        submission.owner.get_username() if submission.owner else "",
        submission.size_bytes,
        submission.sha256,
        submission.duration_s,
        *(_analysis_cells(analysis) if analysis else [""] * 12),
        len(submission.analyses.all()),
        "; ".join(f"{review.reviewer.get_username()}: {review.label}" for review in reviews),
        "; ".join(
            f"{review.reviewer.get_username()}: {review.note}" for review in reviews if review.note
        ),
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


class _Echo:
    """What ``csv.writer`` writes into when the line itself is wanted."""

    def write(self, line: str) -> str:
        return line
