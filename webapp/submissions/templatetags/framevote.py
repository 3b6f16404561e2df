"""How the pages write times, probabilities and votes.

A vote is always a sign of its own shape and a word; color comes on top.
"""

from __future__ import annotations

import functools
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from .. import wording
from ..model_cards import Figure
from ..models import Analysis, Face, State

register = template.Library()

_SHAPES = {
    "REAL": (
        '<circle class="shape" cx="8" cy="8" r="7"/>'
        '<path class="sign" d="M4.6 8.3 7 10.7l4.4-5.2"/>'
    ),
    "FAKE": (
        '<path class="shape" d="M8 .4 15.6 8 8 15.6.4 8Z"/>'
        '<path class="sign" d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8"/>'
    ),
    "UNDECIDED": (
        '<rect class="shape" x="1" y="1" width="14" height="14" rx="3"/>'
        '<path class="sign" d="M6 6.1c.1-1.3 1-2 2.1-2 1.2 0 2 .8 2 1.8 0 1.4-2 1.5-2 3.2"/>'
        '<path class="sign" d="M8.1 11.4v.3"/>'
    ),
    "QUEUED": (
        '<circle class="line" cx="8" cy="8" r="6.5"/><path class="line" d="M8 4.4V8l2.4 1.6"/>'
    ),
    "RUNNING": (
        '<circle class="line faint" cx="8" cy="8" r="6.5"/>'
        '<path class="line" d="M8 1.5A6.5 6.5 0 0 1 14.5 8"/>'
    ),
    "FAILED": (
        '<path class="line" d="M8 1.8 15 14H1Z"/><path class="line" d="M8 6.2v3.6m0 2v.2"/>'
    ),
    "CANCELED": (
        '<circle class="line" cx="8" cy="8" r="6.5"/><path class="line" d="m3.5 12.5 9-9"/>'
    ),
}
_NO_PICTURE = SafeString(
    '<svg class="no-picture" viewBox="0 0 48 48" width="96" height="96" aria-hidden="true" '
    'focusable="false"><circle class="line" cx="24" cy="19" r="8"/>'
    '<path class="line" d="M9 41c1.5-8.5 7-12 15-12s13.5 3.5 15 12"/></svg>'
)
_STATE_WORDS = {
    State.QUEUED: "Waiting",
    State.RUNNING: "Running",
    State.FAILED: "Failed",
    State.CANCELED: "Canceled",
}


@register.simple_tag
@functools.cache
def sign(kind: str) -> SafeString:
    """The shape of a vote, verdict or state as an inline SVG, silent to screen readers."""
    shape = mark_safe(_SHAPES.get(kind, ""))  # noqa: S308 - our own constants
    return format_html(
        '<svg class="sign-svg is-{}" viewBox="0 0 16 16" width="16" height="16" '
        'aria-hidden="true" focusable="false">{}</svg>',
        kind.lower(),
        shape,
    )


@register.simple_tag
def thumbnail_folder(analysis: Analysis) -> str:
    """Where the pictures of its faces lie; each is its number and ``.jpg``.

    Asking for the address of each one would be a tenth of a page of many faces.
    """
    return reverse("submissions:thumbnail", args=[analysis.pk, 0]).removesuffix("0.jpg")


@register.simple_tag
def no_picture() -> SafeString:
    """In the place of a face whose picture was removed."""
    return _NO_PICTURE


@register.simple_tag
def verdict_badge(verdict: str) -> SafeString:
    """A verdict as sign and word."""
    return _badge(verdict, wording.VERDICT_TITLES.get(verdict, verdict))


@register.simple_tag
def analysis_badge(analysis: Analysis | None) -> SafeString:
    """The verdict of a finished analysis, else its state."""
    if analysis is None:
        return SafeString("")
    if analysis.state == State.SUCCEEDED:
        return verdict_badge(analysis.verdict)
    word = _STATE_WORDS[State(analysis.state)]
    if analysis.state == State.RUNNING:
        word = f"{word} {analysis.percent}%"
    return _badge(analysis.state, word)


@register.filter
def look(face: Face) -> str:
    """The classes of a face on a page, by its vote and whether that counts."""
    return f"is-{face.vote.lower()}" if face.counts else f"is-{face.vote.lower()} is-ghost"


@register.filter
def vote_word(vote: str) -> str:
    """``FAKE`` ▸ ``fake``."""
    return str(vote).lower()


@register.filter
def clock(seconds: Any) -> str:
    """A moment in a video: ``0:03.2``."""
    return "–" if seconds is None else wording.clock(float(seconds))


@register.filter
def running_time(seconds: Any) -> str:
    """The length of a video: ``1:23``, and with tenths when it is short."""
    return "–" if seconds is None else wording.clock(float(seconds), tenths=float(seconds) < 20)


@register.filter
def exact(seconds: Any) -> str:
    """Seconds for a program to read, never localized."""
    return f"{float(seconds):.3f}"


@register.filter
def percent(probability: Any) -> str:
    """A probability as a percentage that never claims certainty."""
    return wording.percent(None if probability is None else float(probability))


@register.filter
def figure(value: Any) -> str:
    """A measured figure with three decimals."""
    return "–" if value is None else f"{float(value):.3f}"


@register.filter
def interval(measured: Figure) -> str:
    """The interval of a measured figure, or a dash."""
    if measured.low is None or measured.high is None:
        return "–"
    return f"{figure(measured.low)} to {figure(measured.high)}"


@register.filter
def short_hash(digest: str) -> str:
    """The first twelve digits of a hash."""
    return str(digest)[:12]


@register.filter
def in_words(key: str) -> str:
    """``backbone_cut`` ▸ ``backbone cut``."""
    return str(key).replace("_", " ")


@register.simple_tag(takes_context=True)
def with_page(context: template.Context, number: int) -> str:
    """The present query string with another page number."""
    query = context["request"].GET.copy()
    query.pop("active", None)
    query["page"] = str(number)
    return "?" + str(query.urlencode())


def _badge(kind: str, word: str) -> SafeString:
    return format_html('<span class="badge is-{}">{}{}</span>', kind.lower(), sign(kind), word)
