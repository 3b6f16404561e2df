"""Every run of the detector in the admin, which is also the queue; nothing in it is edited."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import reports
from .admin_actions import cancel_all, csv_download, run_again, too_many
from .admin_cells import labels_of, thumbnails, two_lines, votes_of, when_and_whose
from .admin_evidence import AnalysisChangeList, evidence
from .admin_filters import (
    AnalysisCheckpointFilter,
    AnalysisOwnerFilter,
    AnalysisReviewFilter,
    QueueDateFilter,
)
from .latest import HEAVY_FIELDS
from .models import ACTIVE_STATES, Analysis, Submission
from .templatetags.framevote import analysis_badge


class AnalysisAdmin(admin.ModelAdmin):
    """One row per run: what came out, with which weights, how long it took."""

    list_display = (
        "faces",
        "video",
        "outcome",
        "votes",
        "how",
        "queued",
    )
    list_display_links = ("outcome",)
    list_select_related = ("submission__owner",)
    list_filter: ClassVar[Any] = (
        "verdict",
        "state",
        AnalysisReviewFilter,
        ("created_at", QueueDateFilter),
        AnalysisCheckpointFilter,
        AnalysisOwnerFilter,
        "sampling",
        ("error_code", admin.AllValuesFieldListFilter),
    )
    list_per_page = 30
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("submission__original_name", "submission__owner__username", "worker")
    search_help_text = "Part of the video's name, of the owner's or of the worker's, or an id."
    actions = ("rerun", "cancel", "export_csv")
    change_form_template = "admin/framevote/analysis.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Analysis | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Analysis | None = None) -> bool:
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("submissions.change_analysis")

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("submissions.change_submission")

    def get_fieldsets(self, request: HttpRequest, obj: Analysis | None = None) -> Any:
        return []

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AnalysisChangeList

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

    @admin.display(description="faces")
    def faces(self, analysis: Any) -> SafeString:
        return thumbnails(analysis.submission, analysis, analysis.shown_faces)

    @admin.display(description="outcome", ordering="state")
    def outcome(self, analysis: Analysis) -> SafeString:
        badge = analysis_badge(analysis)
        return two_lines(badge, f"{analysis.attempts} attempts") if analysis.attempts > 1 else badge

    @admin.display(description="video, reviews", ordering="submission__original_name")
    def video(self, analysis: Analysis) -> SafeString:
        submission = analysis.submission
        return format_html(
            '<a href="{}">{}</a>{}',
            reverse("admin:submissions_submission_change", args=[submission.pk]),
            submission.original_name,
            labels_of(submission) if submission.reviews.all() else "",
        )

    @admin.display(description="votes")
    def votes(self, analysis: Analysis) -> SafeString | str:
        return votes_of(analysis)

    @admin.display(description="run", ordering="checkpoint_name")
    def how(self, analysis: Analysis) -> SafeString:
        took = ""
        if analysis.started_at is not None and analysis.finished_at is not None:
            took = f", {(analysis.finished_at - analysis.started_at).total_seconds():.0f} s"
        weights = f"{analysis.checkpoint_name} {analysis.checkpoint_version}".strip()
        return two_lines(f"{analysis.sampling}{took}", weights)

    @admin.display(description="queued", ordering="created_at")
    def queued(self, analysis: Analysis) -> SafeString:
        return when_and_whose(analysis.created_at, analysis.submission)

    @admin.action(description="Run the analysis again", permissions=["rerun"])
    def rerun(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        if too_many(self, request, queryset, "run again"):
            return
        # Two analyses of one video are one run, with the sampling of the newer one.
        newest_last = queryset.order_by("created_at", "id").values_list("submission", "sampling")
        sampling = dict(newest_last)
        run_again(self, request, Submission.objects.filter(pk__in=sampling), sampling)

    @admin.action(description="Cancel the analysis", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        active = queryset.filter(state__in=ACTIVE_STATES)
        cancel_all(self, request, active.values_list("pk", flat=True))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(
        self, request: HttpRequest, queryset: QuerySet[Analysis]
    ) -> StreamingHttpResponse:
        return csv_download(reports.analysis_csv_lines(queryset), "analyses")

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
