"""The small forms of the pages: sampling level, filter of the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet

from .latest import newest_analysis_is
from .models import SamplingLevel, State, Submission, VerdictChoice

_CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "fake": {"verdict": VerdictChoice.FAKE},
    "real": {"verdict": VerdictChoice.REAL},
    "undecided": {"verdict": VerdictChoice.UNDECIDED},
    "waiting": {"state": State.QUEUED},
    "running": {"state": State.RUNNING},
    "failed": {"state": State.FAILED},
    "canceled": {"state": State.CANCELED},
}


class SamplingForm(forms.Form):
    """How many frames an analysis looks at; the site's default when nothing is said."""

    sampling = forms.ChoiceField(choices=SamplingLevel.choices, required=False)

    def clean_sampling(self) -> str:
        return self.cleaned_data["sampling"] or settings.FRAMEVOTE_SAMPLING


class FilterForm(forms.Form):
    """Narrows the list by what the newest analysis says, and by name."""

    SHOW = (
        ("", "Everything"),
        ("fake", "Fake"),
        ("real", "Real"),
        ("undecided", "Undecided"),
        ("waiting", "Waiting"),
        ("running", "Running"),
        ("failed", "Failed"),
        ("canceled", "Canceled"),
    )

    q = forms.CharField(
        label="Name",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Part of the name"}),
    )
    show = forms.ChoiceField(choices=SHOW, required=False)

    def narrow(self, submissions: QuerySet[Submission]) -> QuerySet[Submission]:
        """The submissions that match; what is not understood does not narrow."""
        wanted: dict[str, Any] = self.cleaned_data if self.is_valid() else {}
        if name := wanted.get("q", "").strip():
            submissions = submissions.filter(original_name__icontains=name)
        if show := wanted.get("show"):
            submissions = newest_analysis_is(submissions, **_CONDITIONS[show])
        return submissions

    @property
    def narrows(self) -> bool:
        """Whether anything is asked for, to tell an empty list from an empty search."""
        return self.is_valid() and any(self.cleaned_data.values())
