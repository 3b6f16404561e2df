"""A long look finds thousands of faces: the page shows an even choice, and counts them all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.webapp.evidence import finish
from tests.webapp.outcomes import a_face, an_outcome
from webapp.submissions import presentation, shown_faces, timeline
from webapp.submissions.models import Submission, VerdictChoice, VoteChoice
from webapp.submissions.outcomes import FaceOutcome, PersonOutcome
from webapp.submissions.shown_faces import FACES_PER_PERSON, evenly, spread

MANY = 1400


def faces_of_one(count: int) -> tuple[FaceOutcome, ...]:
    """Faces voted real, but for a short while in the middle."""
    middle = range(count // 2, count // 2 + 3)
    return tuple(
        a_face(n, 1, VoteChoice.FAKE, 0.99) if n in middle else a_face(n, 1, VoteChoice.REAL, 0.1)
        for n in range(1, count + 1)
    )


def finish_with(submission: Submission, faces: Sequence[FaceOutcome], people: int = 1) -> None:
    persons = (
        PersonOutcome(n, VerdictChoice.REAL, 0.1, len(faces) // people, 0, True)
        for n in range(1, people + 1)
    )
    finish(
        submission,
        verdict=VerdictChoice.REAL,
        faces=tuple(faces),
        people=tuple(persons),
        votes_real=len(faces),
        votes_fake=0,
    )


def numbers_shown(page: str) -> list[int]:
    return [int(number) for number in re.findall(r' id="face-(\d+)"', page)]


def page_of(client: Client, submission: Submission, query: str = "") -> str:
    return client.get(f"{submission.get_absolute_url()}{query}").content.decode()


def test_a_long_look_is_shown_in_part_and_says_so(
    signed_in: Client, submission: Submission
) -> None:
    finish_with(submission, faces_of_one(MANY))
    page = page_of(signed_in, submission)
    assert f"{FACES_PER_PERSON} of 1,400 faces shown" in page
    shown = numbers_shown(page)
    assert len(shown) == FACES_PER_PERSON
    gaps = {later - earlier for earlier, later in itertools.pairwise(shown)}
    assert gaps == {11, 12}, "not evenly over time"
    assert page.count('class="mark is-') == FACES_PER_PERSON
    assert len(page) < 200_000


def test_votes_and_counts_are_over_all_faces(signed_in: Client, submission: Submission) -> None:
    finish_with(submission, faces_of_one(MANY))
    page = page_of(signed_in, submission)
    assert "0 of 1,400 faces voted fake" in page
    assert "all 1,400 voting faces voted real" in page
    assert "<dt>Faces found</dt><dd>1,400</dd>" in page


def test_all_faces_are_shown_when_asked_for(signed_in: Client, submission: Submission) -> None:
    finish_with(submission, faces_of_one(MANY))
    link = re.search(r'href="([^"]+)">Show all</a>', page_of(signed_in, submission))
    assert link is not None
    everything = signed_in.get(link.group(1).replace("&amp;", "&")).content.decode()
    assert numbers_shown(everything) == list(range(1, MANY + 1))
    assert "faces shown" not in everything
    assert everything.count('class="mark is-') == presentation.MARKS_PER_PERSON


def test_a_short_fake_between_the_marks_can_be_seen(
    signed_in: Client, submission: Submission
) -> None:
    """Three faces of 1400 may fall between the shown ones; the gray range still rises there."""
    finish_with(submission, faces_of_one(MANY))
    page = page_of(signed_in, submission)
    tops = [float(y) for y in re.findall(r'class="range" [^>]*y1="([\d.]+)"', page)]
    assert len(tops) <= 200
    assert min(tops) < 15 < 80 < max(tops)


def test_a_short_look_is_shown_whole(signed_in: Client, submission: Submission) -> None:
    finish_with(submission, faces_of_one(FACES_PER_PERSON))
    page = page_of(signed_in, submission)
    assert len(numbers_shown(page)) == FACES_PER_PERSON
    assert "faces shown" not in page
    assert 'class="range"' not in page


def test_a_crowd_shares_the_page(
    signed_in: Client, submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_faces, "FACES_PER_PAGE", 60)
    faces = [a_face(n, 1 + n % 3, VoteChoice.REAL, 0.1) for n in range(1, 151)]
    finish_with(submission, faces, people=3)
    page = page_of(signed_in, submission)
    assert len(numbers_shown(page)) == 60
    assert page.count("20 of 50 faces shown") == 3


def test_the_number_of_queries_does_not_grow_with_the_faces(
    signed_in: Client,
    submission: Submission,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    finish_with(submission, faces_of_one(MANY))
    for query in ("", "?faces=all"):
        with django_assert_max_num_queries(14):
            page_of(signed_in, submission, query)


def test_the_choice_is_even_and_whole_where_there_is_room() -> None:
    assert evenly("abc", 3) == "abc"
    assert evenly("abcdefghij", 3) == ["b", "f", "i"]
    assert evenly([], 3) == []


def test_faces_of_a_row_are_spread_over_the_video() -> None:
    assert list(spread(10, 3)) == [2, 6, 9]
    assert list(spread(64, 4)) == [9, 25, 41, 57]
    assert list(spread(2, 4)) == [1, 2, 3, 4]
    for total in range(1, 50):
        numbers = list(spread(total, 4))
        assert len(set(numbers)) == 4
        assert total < 4 or max(numbers) <= total


def test_a_row_shows_both_of_two_people_who_take_turns(submission: Submission) -> None:
    faces = [a_face(n, 1 + n % 2, VoteChoice.REAL, 0.1) for n in range(1, 65)]
    finish_with(submission, faces, people=2)
    analysis = submission.analyses.get()
    row = shown_faces.faces_per_row([analysis])[analysis.pk]
    assert len(row) == 4
    assert len({face.person_id for face in row}) == 2


def test_a_place_on_the_timeline_is_a_time() -> None:
    """What player.js computes from a click: x back to seconds."""
    faces = an_outcome().faces
    moments = [timeline.Moment(face.time_s, face.probability_fake) for face in faces]
    line = timeline.build([], moments, 8.0)
    assert line.length == 8.0
    whole = 100 - 2 * line.inset
    for tick in line.ticks:
        seconds = (float(tick.x.rstrip("%")) - line.inset) / whole * line.length
        assert timeline.clock(seconds, tenths=False) == tick.label
