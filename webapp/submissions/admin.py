"""Review in the Django admin: lists, evidence, labels, actions.

Nothing that the queue owns can be edited here; actions call ``queue``, and
deleting goes through it too, so that files go with their rows. What a reviewer
writes is one label and one note of their own per submission.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.actions import delete_selected as ask_and_delete
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from . import queue, reports
from .admin_actions import cancel_all, csv_download, run_again, too_many
from .admin_analyses import AnalysisAdmin
from .admin_cells import labels_of, thumbnails, votes_of, when_and_whose
from .admin_evidence import SubmissionChangeList, evidence, search
from .admin_filters import (
    CheckpointFilter,
    OwnerFilter,
    ReviewFilter,
    StateFilter,
    UploadDateFilter,
    VerdictFilter,
)
from .models import ACTIVE_STATES, Analysis, Review, Submission
from .templatetags.framevote import analysis_badge

admin.site.register(Analysis, AnalysisAdmin)
admin.site.site_header = "FrameVote review"
admin.site.site_title = "FrameVote review"
admin.site.enable_nav_sidebar = False  # Faces and verdicts need the width.
admin.site.index_title = "Review and administration"


class ReviewInline(admin.StackedInline):
    """The reviewer's own label and note; other people's are shown above, read-only."""

    model = Review
    fields = ["label", "note"]
    radio_fields = {"label": admin.HORIZONTAL}
    max_num = 1
    verbose_name = "my review"
    verbose_name_plural = "my review"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        return super().get_queryset(request).filter(reviewer=cast(User, request.user))

    def get_extra(self, request: HttpRequest, obj: Submission | None = None, **kwargs: Any) -> int:
        return 1


@admin.register(Submission)
class SubmissionAdmin(admin.ModelAdmin):
    """Every uploaded video with its verdict and what reviewers say."""

    list_display = [
        "faces",
        "video_name",
        "verdict",
        "votes",
        "uploaded",
        "labels",
    ]
    list_display_links = ["video_name"]
    list_select_related = ["owner"]
    list_filter = [
        VerdictFilter,
        StateFilter,
        ReviewFilter,
        ("created_at", UploadDateFilter),
        CheckpointFilter,
        OwnerFilter,
    ]
    list_per_page = 30
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ["original_name", "sha256", "id", "owner__username"]
    search_help_text = "Part of the name or the owner, the beginning of the SHA-256, or an id."
    actions = ["rerun", "cancel", "export_csv", "delete_selected"]
    inlines = [ReviewInline]
    change_form_template = "admin/framevote/submission.html"
    view_on_site = False  # The result page is the owner's alone; evidence() knows who may.

    # What may be done ---------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Submission | None = None) -> Any:
        return []

    def save_model(self, request: HttpRequest, obj: Submission, form: Any, change: bool) -> None:
        """Only the review changes: writing the row could undo what a worker just wrote."""

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        reviewer = cast(User, request.user)
        for review in formset.save(commit=False):
            review.reviewer = reviewer
            Review.objects.update_or_create(
                submission=review.submission,
                reviewer=reviewer,
                defaults={"label": review.label, "note": review.note},
            )
        for review in formset.deleted_objects:
            review.delete()

    # The list -----------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Submissions", **(extra_context or {})})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SubmissionChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Submission], search_term: str
    ) -> tuple[QuerySet[Submission], bool]:
        return search(queryset, search_term), False

    @admin.display(description="faces")
    def faces(self, submission: Any) -> SafeString:
        return thumbnails(submission, submission.shown_analysis, submission.shown_faces)

    @admin.display(description="video", ordering="original_name")
    def video_name(self, submission: Submission) -> str:
        return submission.original_name

    @admin.display(description="verdict")
    def verdict(self, submission: Any) -> SafeString:
        return analysis_badge(submission.shown_analysis)

    @admin.display(description="votes")
    def votes(self, submission: Any) -> SafeString | str:
        return votes_of(submission.shown_analysis)

    @admin.display(description="uploaded", ordering="created_at")
    def uploaded(self, submission: Submission) -> SafeString:
        return when_and_whose(submission.created_at, submission)

    @admin.display(description="reviews")
    def labels(self, submission: Submission) -> SafeString:
        return labels_of(submission)

    # The page -----------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "title": "Review", "show_save_and_add_another": False}
        submission = self.get_object(request, object_id)
        if submission is not None and self.has_view_or_change_permission(request, submission):
            context["evidence"] = evidence(request, submission)
            context["may_change"] = self.has_change_permission(request, submission)
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[Any]:
        site = self.admin_site.admin_view
        return [
            path("<uuid:pk>/rerun/", site(self.rerun_view), name="submissions_submission_rerun"),
            path("<uuid:pk>/cancel/", site(self.cancel_view), name="submissions_submission_cancel"),
            *super().get_urls(),
        ]

    @method_decorator(require_POST)
    def rerun_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        self.rerun(request, Submission.objects.filter(pk=self._changeable(request, pk).pk))
        return redirect("admin:submissions_submission_change", pk)

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        self.cancel(request, Submission.objects.filter(pk=self._changeable(request, pk).pk))
        return redirect("admin:submissions_submission_change", pk)

    def _changeable(self, request: HttpRequest, pk: Any) -> Submission:
        submission = self.get_object(request, str(pk))
        if submission is None:
            raise Http404("No such submission.")
        if not self.has_change_permission(request, submission):
            raise PermissionDenied
        return submission

    # Actions ------------------------------------------------------------------

    @admin.action(description="Run the analysis again", permissions=["change"])
    def rerun(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        if not too_many(self, request, queryset, "run again"):
            run_again(self, request, queryset.select_related(None))

    @admin.action(description="Cancel the analysis", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        active = Analysis.objects.filter(
            state__in=ACTIVE_STATES, submission__in=queryset.order_by().values("pk")
        )
        cancel_all(self, request, active.values_list("pk", flat=True))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(
        self, request: HttpRequest, queryset: QuerySet[Submission]
    ) -> StreamingHttpResponse:
        return csv_download(reports.csv_lines(queryset), "submissions")

    # Deleting -----------------------------------------------------------------

    @admin.action(description="Delete with video and results", permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[Submission]
    ) -> HttpResponseBase | None:
        if too_many(self, request, queryset, "deleted"):
            return None
        return ask_and_delete(self, request, queryset)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """What goes, in short: the usual list would load every face to name it."""
        names = [submission.original_name for submission in objs]
        analyses = Analysis.objects.filter(submission__in=[s.pk for s in objs]).count()
        return names, {"submissions": len(names), "analyses": analyses}, set(), []

    def delete_model(self, request: HttpRequest, obj: Submission) -> None:
        queue.delete_submission(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        for submission in queryset:
            queue.delete_submission(submission)
