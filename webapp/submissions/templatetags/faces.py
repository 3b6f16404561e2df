"""The two pieces of HTML that a result page has by the hundred: a face, and its mark in time.

They stand here and not in the template because Django's template language took two thirds of the
time of a page of 200 faces for them (``benchmarks/pages.py``). All they hold is numbers and words
of ours, so only what may have a sign of HTML in it is escaped, such as ``<1%``.
"""

from __future__ import annotations

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString

from ..models import Face
from ..timeline import Mark
from ..wording import clock, percent
from .framevote import exact, look, no_picture, sign, vote_word

register = template.Library()

_SHAPES = {
    "FAKE": '<path class="shape" d="M0-6.5 6.5 0 0 6.5-6.5 0Z"/>',
    "REAL": '<circle class="shape" r="5.2"/>',
}
_GHOST = '<span class="face-ghost">not counted</span>'


@register.simple_tag
def timeline_mark(mark: Mark) -> SafeString:
    """A face on the timeline: a link to it, with what it says in words."""
    face = mark.face
    return SafeString(
        f'<a href="#face-{face.number}" class="mark {look(face)}" data-seek="{exact(face.time_s)}" '
        f'aria-label="{clock(face.time_s)}, voted {vote_word(face.vote)}, '
        f"{escape(percent(face.probability_fake))} probability of fake"
        f'{"" if face.counts else ", does not count"}">'
        f'<svg x="{mark.x}" y="{mark.y}" width="1" height="1" overflow="visible">'
        f'<circle class="hit" r="12"/>{_SHAPES[face.vote]}</svg></a>'
    )


@register.simple_tag
def face_item(face: Face, video: str, pictures: str) -> SafeString:
    """A face with its picture, vote, probability and time: a link to its moment.

    Args:
        video: address of the video; empty if the page does not play it.
        pictures: what ``thumbnail_folder`` says; empty if the pictures were removed.
    """
    seconds = exact(face.time_s)
    link = f"{escape(video)}#t={seconds}" if video else "#player-heading"
    source = f"{escape(pictures)}{face.number}.jpg"
    picture = f'<img src="{source}" alt="" width="96" height="96" loading="lazy">'
    if not pictures:
        picture = no_picture()
    return SafeString(
        f'<li class="face {look(face)}" id="face-{face.number}">'
        f'<a href="{link}" data-seek="{seconds}">'
        f'<span class="face-picture">{picture}{sign(face.vote)}</span>'
        f'<span class="face-words"><span class="face-vote">{vote_word(face.vote)}</span> '
        f'<span class="face-probability">{escape(percent(face.probability_fake))}</span>'
        '<span class="visually-hidden"> probability of fake,</span> '
        '<span class="face-time"><span class="visually-hidden">at </span>'
        f"{clock(face.time_s)}</span>{'' if face.counts else _GHOST}</span></a></li>"
    )
