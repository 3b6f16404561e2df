"""Accounts and tokens in the admin.

An account's submissions go with it, so deleting one goes through the queue:
otherwise the rows would go and the videos stay on the disk.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.submissions import queue
from webapp.submissions.models import Review, Submission

from . import rates
from .lockout import limit_attempts
from .logout import clear_the_cache
from .models import ApiToken

admin.site.unregister(User)
# The admin has doors of its own, which are to be what those of the pages are.
for _door, _guard in (
    ("login", limit_attempts(rates.whose_address)),
    ("password_change", limit_attempts(rates.whose)),
    ("logout", clear_the_cache),
):
    setattr(admin.site, _door, _guard(getattr(admin.site, _door)))


@admin.register(User)
class AccountAdmin(UserAdmin):
    """Django's own, which also removes the files of those it deletes."""

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What goes, in short: the usual list would load every face to name it.

        A reviewer's labels are kept, so an account that has given some stays;
        it can be made inactive instead.
        """
        users = list(objs)
        submissions = Submission.objects.filter(owner__in=users).count()
        missing = set()
        if submissions and not request.user.has_perm("submissions.delete_submission"):
            missing.add("submission")
        reviews = Review.objects.filter(reviewer__in=users).select_related("submission")[:20]
        protected = [f"review of “{review.submission}” by {review.reviewer}" for review in reviews]
        names = [user.get_username() for user in users]
        return names, {"users": len(users), "submissions": submissions}, missing, protected

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        _delete_submissions_of(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            _delete_submissions_of(user)
        super().delete_queryset(request, queryset)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Whose programs may act for them; staff can only revoke."""

    list_display = ("name", "user", "hint", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    show_full_result_count = False
    fields = ("name", "user", "hint", "created_at", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False


def _delete_submissions_of(user: User) -> None:
    for submission in Submission.objects.filter(owner=user):
        queue.delete_submission(submission)
