"""Which faces a page shows: all of a short look, an even choice out of a long one.

A thorough look at half an hour finds ten thousand faces, and a page with all of
them is many megabytes. So it shows some of each person's and offers the rest.
Votes and counts are never taken from the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TypeVar
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest

from .models import Analysis, Face, State
from .timeline import Moment

FACES_PER_PAGE = 600
FACES_PER_PERSON = 120
FEWEST_PER_PERSON = 12
FACES_PER_ROW = 4
"""In a list of analyses."""

T = TypeVar("T")


@dataclass
class PersonFaces:
    """The faces of one person: those to show, and when every one of them was seen."""

    shown: list[Face] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)


def all_asked_for(request: HttpRequest) -> bool:
    """Whether the address asks for every face."""
    return request.GET.get("faces") == "all"


def faces_by_person(analysis: Analysis, everything: bool = False) -> Mapping[int, PersonFaces]:
    """The faces to show of each person (by primary key), in two queries."""
    people: dict[int, PersonFaces] = {}
    numbers: dict[int, list[int]] = {}
    faces = analysis.faces.order_by("number")
    every = faces.values_list("person_id", "number", "time_s", "probability_fake")
    for person, number, time_s, probability in every:
        people.setdefault(person, PersonFaces()).moments.append(Moment(time_s, probability))
        numbers.setdefault(person, []).append(number)
    if not everything:
        most = _most_per_person(len(numbers))
        chosen = [n for of_person in numbers.values() for n in evenly(of_person, most)]
        faces = faces.filter(number__in=chosen)
    for face in faces.defer("predictions"):
        people[face.person_id].shown.append(face)
    return people


def faces_per_row(analyses: Iterable[Analysis]) -> dict[UUID, list[Face]]:
    """A few faces of each analysis of a list, spread over its video, in one query."""
    wanted = [
        Q(
            analysis=analysis.pk,
            # There are at least as many faces as votes; a number too many is not found.
            number__in=_of_a_row(analysis.votes_real + analysis.votes_fake),
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


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """The items, or ``most`` of them evenly apart when there are more."""
    if len(items) <= most:
        return items
    return [items[number - 1] for number in spread(len(items), most)]


def spread(total: int, wanted: int) -> Sequence[int]:
    """The numbers of ``wanted`` faces out of ``total``, evenly apart: 10, 3 ▸ 2, 6, 9."""
    if total <= wanted:
        return range(1, wanted + 1)
    return [(2 * i + 1) * total // (2 * wanted) + 1 for i in range(wanted)]


def _of_a_row(total: int) -> Sequence[int]:
    numbers = spread(total, FACES_PER_ROW)
    if total < 2 * FACES_PER_ROW:
        return numbers
    # Two people of every frame take turns: without a step aside only one would be seen.
    return [number - i % 2 for i, number in enumerate(numbers)]


def _most_per_person(people: int) -> int:
    """A crowd shares the page, but nobody in it is left out."""
    fair_share = FACES_PER_PAGE // max(people, 1)
    return max(FEWEST_PER_PERSON, min(FACES_PER_PERSON, fair_share))
