"""The HTML of a face and of its mark is written in Python: it must be as sound as a template's."""

from __future__ import annotations

import pytest

from webapp.submissions.models import Face
from webapp.submissions.templatetags.faces import face_item, timeline_mark
from webapp.submissions.timeline import Mark


def a_face(probability: float, *, vote: str = "REAL", counts: bool = True) -> Face:
    return Face(number=7, time_s=3.25, probability_fake=probability, vote=vote, counts=counts)


@pytest.mark.parametrize(("vote", "shape"), [("REAL", "<circle"), ("FAKE", "<path")])
def test_a_vote_has_its_class_shape_and_word(vote: str, shape: str) -> None:
    face, word = a_face(0.5, vote=vote), vote.lower()
    item = face_item(face, "/video", "/pictures/")
    assert item.startswith(f'<li class="face is-{word}" id="face-7"><a href="/video#t=3.250"')
    assert f'<svg class="sign-svg is-{word}"' in item
    assert f'<span class="face-vote">{word}</span> <span class="face-probability">50%' in item
    assert item.endswith("</span>0:03.3</span></span></a></li>")
    mark = timeline_mark(Mark(face, "1.5%", "9.00"))
    assert mark.startswith(f'<a href="#face-7" class="mark is-{word}" data-seek="3.250"')
    assert f'aria-label="0:03.3, voted {word}, 50% probability of fake">' in mark
    assert f'{shape} class="shape"' in mark


@pytest.mark.parametrize(("probability", "words"), [(0.001, "&lt;1%"), (0.999, "&gt;99%")])
def test_a_probability_with_a_sign_of_html_in_it_is_escaped(probability: float, words: str) -> None:
    face = a_face(probability)
    assert f">{words}</span>" in face_item(face, "", "")
    assert f"voted real, {words} probability of fake" in timeline_mark(Mark(face, "1.5%", "9.00"))


def test_addresses_are_escaped() -> None:
    html = face_item(a_face(0.5), '/v"ideo', '/p"ictures/')
    assert 'href="/v&quot;ideo#t=3.250"' in html
    assert 'src="/p&quot;ictures/7.jpg"' in html


def test_a_face_leads_to_the_player_where_the_page_cannot_play_the_video() -> None:
    html = face_item(a_face(0.5), "", "/pictures/")
    assert 'href="#player-heading" data-seek="3.250"' in html


def test_a_face_whose_picture_was_removed_has_a_sign_in_its_place() -> None:
    html = face_item(a_face(0.5), "/video", "")
    assert 'class="no-picture"' in html
    assert "<img" not in html


@pytest.mark.parametrize("counts", [True, False])
def test_a_face_that_does_not_count_says_so(counts: bool) -> None:
    face = a_face(0.5, counts=counts)
    item = face_item(face, "", "")
    assert ("not counted" in item) is not counts
    assert ("is-real is-ghost" in item) is not counts
    assert ("does not count" in timeline_mark(Mark(face, "1.5%", "9.00"))) is not counts
