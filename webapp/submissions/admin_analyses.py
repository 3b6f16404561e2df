"""Every run of the detector in the admin, which is also the queue; read-only but for canceling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import queue, wording
from .admin_evidence import evidence
from .latest import HEAVY_FIELDS
from .models import Analysis, State
from .templatetags.framevote import analysis_badge


class AnalysisAdmin(admin.ModelAdmin):
    """One row per run: what came out, with which weights, how long it took."""

    list_display = (
        "outcome",
        "video",
        "votes",
        "sampling",
        "checkpoint",
        "attempts",
        "created_at",
        "took",
    )
    list_display_links = ("outcome",)
    list_select_related = ("submission",)
    list_filter: ClassVar[Any] = (
        "state",
        "verdict",
        "sampling",
        ("created_at", admin.DateFieldListFilter),
        ("checkpoint_name", admin.AllValuesFieldListFilter),
        ("error_code", admin.AllValuesFieldListFilter),
    )
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("submission__original_name", "worker")
    search_help_text = "Part of the video's name or of the worker's, or an id."
    actions = ("cancel",)
    change_form_template = "admin/framevote/analysis.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Analysis | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Analysis | None = None) -> bool:
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("submissions.change_analysis")

    def get_fieldsets(self, request: HttpRequest, obj: Analysis | None = None) -> Any:
        return []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Analysis]:
        return super().get_queryset(request).defer(*HEAVY_FIELDS)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Analysis], search_term: str
    ) -> tuple[QuerySet[Analysis], bool]:
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(Q(pk=wanted) | Q(submission=wanted)), False

    @admin.display(description="outcome", ordering="state")
    def outcome(self, analysis: Analysis) -> SafeString:
        return analysis_badge(analysis)

    @admin.display(description="video", ordering="submission__original_name")
    def video(self, analysis: Analysis) -> SafeString:
        address = reverse("admin:submissions_submission_change", args=[analysis.submission_id])
        return format_html('<a href="{}">{}</a>', address, analysis.submission.original_name)

    @admin.display(description="votes")
    def votes(self, analysis: Analysis) -> SafeString | str:
        return votes_of(analysis)

    @admin.display(description="checkpoint", ordering="checkpoint_name")
    def checkpoint(self, analysis: Analysis) -> str:
        if not analysis.checkpoint_name:
            return "–"
        return f"{analysis.checkpoint_name} {analysis.checkpoint_version}".strip()

    @admin.display(description="took")
    def took(self, analysis: Analysis) -> str:
        if analysis.started_at is None or analysis.finished_at is None:
            return "–"
        return f"{(analysis.finished_at - analysis.started_at).total_seconds():.0f} s"

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        cancel_all(self, request, queryset.values_list("pk", flat=True))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Analyses", **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "title": "Analysis"}
        analysis = self.get_object(request, object_id)
        if analysis is not None and self.has_view_permission(request, analysis):
            name = analysis.submission.original_name
            context["subtitle"] = f"{name}: {analysis.get_state_display()}"
            context["evidence"] = evidence(request, analysis.submission, analysis)
        return super().change_view(request, object_id, form_url, context)


def cancel_all(
    model_admin: admin.ModelAdmin, request: HttpRequest, analyses: Iterable[UUID]
) -> None:
    """Cancel what is still waiting or running, and say how many that were."""
    canceled = sum(queue.cancel(pk) for pk in list(analyses))
    if canceled:
        counted = "1 analysis was" if canceled == 1 else f"{canceled} analyses were"
        model_admin.message_user(request, f"{counted} canceled.")
    else:
        model_admin.message_user(
            request, "Nothing was canceled: no analysis is waiting or running.", messages.WARNING
        )


def votes_of(analysis: Analysis | None) -> SafeString | str:
    """The count and the probability of a finished analysis."""
    if analysis is None or analysis.state != State.SUCCEEDED:
        return format_html('<span class="fv-quiet fv-none">{}</span>', "–")
    if analysis.probability_fake is None:
        return "no voting face"
    return format_html(
        '<span class="fv-nowrap">{} fake, {} real</span><br>'
        '<span class="fv-quiet fv-nowrap">fake at {}</span>',
        analysis.votes_fake,
        analysis.votes_real,
        wording.percent(analysis.probability_fake),
    )
