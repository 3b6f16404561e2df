"""What the review pages show of analyses: a few faces per row, all of them on a page.

A list page costs the same few queries whether it shows ten rows or a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest

from . import presentation
from .latest import newest_analyses, with_analyses
from .models import Analysis, Face, Review, State, Submission
from .ownership import mine

FACES_PER_ROW = 4
FACES_PER_PERSON = 120
"""A thorough look at half an hour has ten thousand faces; the page offers the rest."""


class SubmissionChangeList(ChangeList):
    """The list of submissions, with analyses, faces and reviews of the shown page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = with_analyses(self.result_list).prefetch_related(
            Prefetch("reviews", queryset=Review.objects.select_related("reviewer"))
        )
        self.result_list = list(rows)
        newest = newest_analyses(self.result_list)
        faces = faces_of(newest.values())
        for submission in self.result_list:
            analysis = newest.get(submission.pk)
            submission.shown_analysis = analysis
            submission.shown_faces = faces.get(analysis.pk, []) if analysis else []


def faces_of(analyses: Iterable[Analysis]) -> dict[UUID, list[Face]]:
    """A few faces of each analysis, spread over its video, in one query."""
    wanted = [
        Q(
            analysis=analysis.pk,
            # There are at least as many faces as votes; a number too many is not found.
            number__in=spread(analysis.votes_real + analysis.votes_fake, FACES_PER_ROW),
        )
        for analysis in analyses
        if analysis.state == State.SUCCEEDED
    ]
    found: dict[UUID, list[Face]] = {}
    if wanted:
        faces = Face.objects.filter(reduce(or_, wanted)).order_by("analysis", "number")
        for face in faces.defer("predictions"):
            found.setdefault(face.analysis_id, []).append(face)
    return found


def spread(total: int, wanted: int) -> Sequence[int]:
    """The numbers of ``wanted`` faces out of ``total``, evenly apart: 10, 3 ▸ 2, 6, 9."""
    if total <= wanted:
        return range(1, wanted + 1)
    return [(2 * i + 1) * total // (2 * wanted) + 1 for i in range(wanted)]


def evidence(
    request: HttpRequest, submission: Submission, analysis: Analysis | None = None
) -> dict[str, Any]:
    """Context of a review page; without ``analysis`` the newest one with a result is shown."""
    analyses = sorted(
        submission.analyses.all(), key=lambda a: (a.created_at, str(a.pk)), reverse=True
    )
    shown = analysis or next((a for a in analyses if a.state == State.SUCCEEDED), None)
    everything = "faces" in request.GET
    return {
        "submission": submission,
        "analyses": analyses,
        "newest": analyses[0] if analyses else None,
        "shown": shown,
        "result": presentation.result(shown, submission)
        if shown is not None and shown.state == State.SUCCEEDED
        else None,
        "playable": presentation.playable(submission),
        "faces_per_person": ":" if everything else f":{FACES_PER_PERSON}",
        "most_faces": FACES_PER_PERSON,
        "everything": everything,
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
