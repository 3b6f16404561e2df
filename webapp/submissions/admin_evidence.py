"""What the review pages show of analyses: a few faces per row, the evidence on a page.

A list page costs the same few queries whether it shows ten rows or a hundred.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest

from . import presentation
from .latest import newest_analyses, with_analyses
from .models import Analysis, Review, State, Submission
from .ownership import mine
from .shown_faces import all_asked_for, faces_per_row


class SubmissionChangeList(ChangeList):
    """The list of submissions, with analyses, faces and reviews of the shown page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = with_analyses(self.result_list).prefetch_related(
            Prefetch("reviews", queryset=Review.objects.select_related("reviewer"))
        )
        self.result_list = list(rows)
        newest = newest_analyses(self.result_list)
        faces = faces_per_row(newest.values())
        for submission in self.result_list:
            analysis = newest.get(submission.pk)
            submission.shown_analysis = analysis
            submission.shown_faces = faces.get(analysis.pk, []) if analysis else []


class AnalysisChangeList(ChangeList):
    """The list of analyses, with faces and with the reviews of their submissions."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = self.result_list.prefetch_related(
            Prefetch("submission__reviews", queryset=Review.objects.select_related("reviewer"))
        )
        self.result_list = list(rows)
        faces = faces_per_row(self.result_list)
        for analysis in self.result_list:
            analysis.shown_faces = faces.get(analysis.pk, [])


def evidence(
    request: HttpRequest, submission: Submission, analysis: Analysis | None = None
) -> dict[str, Any]:
    """Context of a review page; without ``analysis`` the newest one with a result is shown."""
    analyses = sorted(
        submission.analyses.all(), key=lambda a: (a.created_at, str(a.pk)), reverse=True
    )
    shown = analysis or next((a for a in analyses if a.state == State.SUCCEEDED), None)
    return {
        "submission": submission,
        "analyses": analyses,
        "newest": analyses[0] if analyses else None,
        "shown": shown,
        "result": presentation.result(shown, submission, all_asked_for(request))
        if shown is not None and shown.state == State.SUCCEEDED
        else None,
        "playable": presentation.playable(submission),
        "may_open_page": mine(request).filter(pk=submission.pk).exists(),
        "other_reviews": Review.objects.filter(submission=submission)
        .exclude(reviewer=request.user.pk)
        .select_related("reviewer"),
    }


def search(submissions: QuerySet[Submission], text: str) -> QuerySet[Submission]:
    """Every word of the text must be in the name, begin the hash, be the id or in the owner."""
    for word in text.split():
        found = (
            Q(original_name__icontains=word)
            | Q(owner__username__icontains=word)
            | Q(sha256__startswith=word.lower())
        )
        try:
            analysis = Analysis.objects.filter(pk=UUID(word))
            found |= Q(pk=UUID(word)) | Q(pk__in=analysis.values("submission"))
        except ValueError:
            pass  # Most words are no ids.
        submissions = submissions.filter(found)
    return submissions
