"""Cells that the lists of submissions and of analyses share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import wording
from .models import Analysis, Face, State, Submission


def thumbnails(
    submission: Submission, analysis: Analysis | None, faces: Sequence[Face]
) -> SafeString:
    """A few faces, each marked by its own vote."""
    removed = submission.files_removed_at is not None
    context = {"analysis": analysis, "faces": faces, "removed": removed}
    return render_to_string("admin/framevote/_thumbs.html", context)


def votes_of(analysis: Analysis | None) -> SafeString | str:
    """The count and the probability of a finished analysis."""
    if analysis is None or analysis.state != State.SUCCEEDED:
        return format_html('<span class="fv-quiet fv-none">{}</span>', "–")
    if analysis.probability_fake is None:
        return "no voting face"
    return two_lines(
        f"{analysis.votes_fake} fake, {analysis.votes_real} real",
        f"fake at {wording.percent(analysis.probability_fake)}",
    )


def when_and_whose(moment: datetime, submission: Submission) -> SafeString:
    """A time, and whose video it is."""
    owner = submission.owner.get_username() if submission.owner else "anonymous"
    return two_lines(f"{moment:%Y-%m-%d %H:%M}", owner)


def labels_of(submission: Submission) -> SafeString:
    """What reviewers say of it."""
    return render_to_string("admin/framevote/_labels.html", {"reviews": submission.reviews.all()})


def two_lines(first: str, second: str) -> SafeString:
    """A cell whose second line is the less important one."""
    return format_html(
        '<span class="fv-nowrap">{}</span><br><span class="fv-quiet fv-nowrap">{}</span>',
        first,
        second,
    )
