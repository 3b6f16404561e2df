"""Rows of “my submissions”, in a number of queries that does not grow with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Min

from . import duplicates, queue, wording
from .latest import newest_analyses
from .models import Analysis, Face, State, Submission, SubmissionQuerySet


@dataclass(frozen=True)
class Row:
    """One submission with what its newest analysis says."""

    submission: Submission
    analysis: Analysis | None
    position: int | None
    wait: str
    face: int | None
    """Number of the face that stands for the video."""
    earlier: Submission | None
    """An earlier upload of the same file, with a result."""

    @property
    def is_active(self) -> bool:
        return self.analysis is not None and self.analysis.is_active


def rows(submissions: Iterable[Submission], among: SubmissionQuerySet) -> list[Row]:
    """The rows of one page, fetched with ``latest.with_analyses``.

    ``among`` is everything the person has, for the look at earlier uploads.
    """
    page = list(submissions)
    newest = newest_analyses(page)
    places = queue.positions(newest.values())
    waits = _waits([a for a in newest.values() if a.pk in places], places)
    with_pictures = [s.pk for s in page if s.files_removed_at is None]
    faces = _first_faces(newest[pk] for pk in with_pictures if pk in newest)
    earlier = duplicates.earlier_results(among, page)
    return [
        Row(
            submission=submission,
            analysis=(analysis := newest.get(submission.pk)),
            position=places.get(analysis.pk) if analysis else None,
            wait=waits.get(analysis.pk, "") if analysis else "",
            face=faces.get(analysis.pk) if analysis else None,
            earlier=earlier.get(submission.pk),
        )
        for submission in page
    ]


def active_ids(shown: Iterable[Row]) -> str:
    """The submissions to ask about again, for the address of the next request."""
    return ",".join(str(row.submission.pk) for row in shown if row.is_active)


def _waits(waiting: Sequence[Analysis], places: dict[uuid.UUID, int]) -> dict[uuid.UUID, str]:
    """Waiting times in words. The estimate is linear in the position, so two tell all."""
    if not waiting:
        return {}
    ordered = sorted(waiting, key=lambda analysis: places[analysis.pk])
    first, last = ordered[0], ordered[-1]
    first_s = queue.estimated_wait_s(first)
    last_s = queue.estimated_wait_s(last) if last is not first else first_s
    if first_s is None or last_s is None:
        return {}
    between = places[last.pk] - places[first.pk]
    step = (last_s - first_s) / between if between else 0.0
    return {
        analysis.pk: wording.duration(first_s + step * (places[analysis.pk] - places[first.pk]))
        for analysis in ordered
    }


def _first_faces(analyses: Iterable[Analysis]) -> dict[uuid.UUID, int]:
    done = [analysis.pk for analysis in analyses if analysis.state == State.SUCCEEDED]
    if not done:
        return {}
    firsts = Face.objects.filter(analysis__in=done).values("analysis").order_by("analysis")
    return dict(firsts.annotate(first=Min("number")).values_list("analysis", "first"))
