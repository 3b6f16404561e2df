"""Filters of the review lists.

The list of submissions is filtered by what the newest analysis says, that of
analyses by what each of them says itself; owners and reviews belong to the submission.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

from .latest import newest, newest_analysis_is
from .models import Analysis, Review, State, Submission, VerdictChoice

Choices = list[tuple[str, str]]
Submissions = QuerySet[Submission]
Rows = QuerySet[Any]
"""Submissions or analyses."""


class VerdictFilter(admin.SimpleListFilter):
    title = "verdict"
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(choice.value, choice.label) for choice in VerdictChoice]

    def queryset(self, request: HttpRequest, queryset: Submissions) -> Submissions:
        wanted = self.value()
        return newest_analysis_is(queryset, verdict=wanted) if wanted else queryset


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(choice.value, choice.label) for choice in State]

    def queryset(self, request: HttpRequest, queryset: Submissions) -> Submissions:
        wanted = self.value()
        return newest_analysis_is(queryset, state=wanted) if wanted else queryset


class CheckpointFilter(admin.SimpleListFilter):
    """By the exact weights: two checkpoints of one name and version are told apart."""

    title = "checkpoint"
    parameter_name = "checkpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        known = (
            Analysis.objects.exclude(checkpoint_sha256="")
            .order_by("checkpoint_name", "checkpoint_version")
            .values_list("checkpoint_sha256", "checkpoint_name", "checkpoint_version")
            .distinct()
        )
        return [(sha, f"{name} {version} ({sha[:8]})") for sha, name, version in known]

    def queryset(self, request: HttpRequest, queryset: Submissions) -> Submissions:
        wanted = self.value()
        return newest_analysis_is(queryset, checkpoint_sha256=wanted) if wanted else queryset


class AnalysisCheckpointFilter(CheckpointFilter):
    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        wanted = self.value()
        return queryset.filter(checkpoint_sha256=wanted) if wanted else queryset


class ReviewFilter(admin.SimpleListFilter):
    """Whether and how submissions were labeled by anybody."""

    title = "review"
    parameter_name = "review"
    submission = "pk"

    def verdict(self) -> Combinable:
        """The verdict that a label is compared with."""
        return newest("verdict")

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        labels = [(truth.value, f"labeled {truth.label}") for truth in Review.GroundTruth]
        return [
            ("no", "not reviewed"),
            ("yes", "reviewed"),
            *labels,
            ("differs", "label differs from verdict"),
        ]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        reviews = Review.objects.filter(submission=OuterRef(self.submission))
        match self.value():
            case None:
                return queryset
            case "no":
                return queryset.filter(~Exists(reviews))
            case "yes":
                return queryset.filter(Exists(reviews))
            case "differs":
                decided = [Review.GroundTruth.REAL, Review.GroundTruth.FAKE]
                other = reviews.filter(label__in=decided).exclude(label=OuterRef("said"))
                return queryset.alias(said=self.verdict()).filter(Exists(other), said__in=decided)
            case label:
                return queryset.filter(Exists(reviews.filter(label=label)))


class AnalysisReviewFilter(ReviewFilter):
    submission = "submission"

    def verdict(self) -> Combinable:
        return F("verdict")


class UploadDateFilter(admin.DateFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "upload date"


class QueueDateFilter(admin.DateFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "date"


class OwnerFilter(admin.SimpleListFilter):
    """By typed user name: a list of all users would be as long as the site is popular."""

    title = "owner"
    parameter_name = "owner"
    template = "admin/framevote/owner_filter.html"
    owner = "owner"

    ANONYMOUS = ":anonymous"
    """No user name may contain a colon."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(self.ANONYMOUS, "anonymous visitors")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        if value == self.ANONYMOUS:
            return queryset.filter(**{self.owner: None})
        return queryset.filter(**{f"{self.owner}__username__iexact": value})

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """One entry: what the form in the template needs."""
        others = {
            name: values[-1]
            for name, values in changelist.get_filters_params().items()
            if name != self.parameter_name
        }
        if changelist.query:
            others["q"] = changelist.query
        value = self.value() or ""
        yield {
            "others": others,
            "everybody": changelist.get_query_string(remove=[self.parameter_name]),
            "anonymous": changelist.get_query_string({self.parameter_name: self.ANONYMOUS}),
            "is_everybody": not value,
            "is_anonymous": value == self.ANONYMOUS,
            "typed": "" if value == self.ANONYMOUS else value,
        }


class AnalysisOwnerFilter(OwnerFilter):
    owner = "submission__owner"
