"""Finding submissions by their newest analysis, for lists of ten thousand.

The newest analysis is what a list shows, so it is what a list filters by. The
index on (submission, created_at) answers the inner query with one look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from .models import Analysis, Submission

HEAVY_FIELDS = ("provisional", "sampled_frames", "seconds", "versions")
"""JSON of an analysis that no list shows."""


def newest(column: str) -> Subquery:
    """A column of the newest analysis of the submission in the outer query."""
    analyses = Analysis.objects.filter(submission=OuterRef("pk"))
    return Subquery(analyses.order_by("-created_at", "-id").values(column)[:1])


def newest_analysis_is(
    submissions: QuerySet[Submission], **conditions: str
) -> QuerySet[Submission]:
    """The submissions whose newest analysis has these values in its columns."""
    for column, value in conditions.items():
        name = f"newest_{column}"
        submissions = submissions.alias(**{name: newest(column)}).filter(**{name: value})
    return submissions


def with_analyses(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    """Fetch the analyses of the whole page in one query, without their heavy columns."""
    return submissions.prefetch_related(
        Prefetch("analyses", queryset=Analysis.objects.defer(*HEAVY_FIELDS))
    )


def newest_analyses(submissions: Iterable[Submission]) -> dict[UUID, Analysis]:
    """The newest analysis of each submission on a page that ``with_analyses`` fetched."""
    return {
        submission.pk: analysis
        for submission in submissions
        if (analysis := submission.latest_analysis) is not None
    }
