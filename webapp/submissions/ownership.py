"""Who owns a submission: an account, or else the browser session that uploaded it.

An anonymous visitor is a random UUID kept in the session, from the first look at the
upload page on: were it made by an upload, two at once would become two visitors. What
the visitor uploaded becomes the account's on log-in or sign-up (``adopt``). A stranger is
told that a submission does not exist, never that it is somebody else's.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest

from webapp import sessions

from .models import PartialUpload, PartialUploadQuerySet, Submission, SubmissionQuerySet
from .uploads import UploadRejected

SESSION_KEY = "visitor"


def visitor_id(request: HttpRequest, create: bool = False) -> uuid.UUID | None:
    """The anonymous visitor's id, made and remembered when ``create`` and there is none."""
    stored = request.session.get(SESSION_KEY)
    if stored:
        try:
            return uuid.UUID(stored)
        except (TypeError, ValueError):
            del request.session[SESSION_KEY]
    if not create:
        return None
    fresh = uuid.uuid4()
    request.session[SESSION_KEY] = str(fresh)
    return fresh


def mine(request: HttpRequest) -> SubmissionQuerySet:
    """The submissions the person behind the request may see on the site."""
    return Submission.objects.owned_by(request.user, visitor_id(request))


def my_partial_uploads(request: HttpRequest) -> PartialUploadQuerySet:
    """The uploads in pieces that the person behind the request may go on with."""
    return PartialUpload.objects.owned_by(request.user, visitor_id(request))


def may_upload(request: HttpRequest) -> bool:
    """Whether the person may upload: anybody, unless the site demands an account."""
    return bool(request.user.is_authenticated or settings.FRAMEVOTE_ALLOW_ANONYMOUS)


def uploader(request: HttpRequest) -> dict[str, Any]:
    """``owner`` and ``visitor`` for :func:`.uploads.receive`; exactly one is set.

    Raises :class:`.uploads.UploadRejected` when the session ended while the file came.
    """
    if request.user.is_authenticated:
        return {"owner": request.user, "visitor": None}
    if sessions.has_ended(request):
        # A fresh session would take the place of the one the browser may have by now.
        raise UploadRejected(
            "session_ended",
            "You logged in or out, or were away for too long, since this page was loaded. "
            "Load it again and repeat the upload.",
        )
    # Written again with every upload, so that the session lives on from the last one.
    request.session.modified = True
    return {"owner": None, "visitor": visitor_id(request, create=True)}


def visible_to(request: HttpRequest) -> SubmissionQuerySet:
    """Whose media may be fetched: one's own, and anybody's for who sees them in the admin.

    The admin shows videos and faces through the same addresses, to staff who may view
    or change submissions.
    """
    user = request.user
    granted = ("submissions.view_submission", "submissions.change_submission")
    if user.is_staff and any(user.has_perm(permission) for permission in granted):
        return Submission.objects.all()
    return mine(request)


def mine_or_404(request: HttpRequest, pk: uuid.UUID) -> Submission:
    """The submission if it is the person's own, else 404."""
    submission = mine(request).filter(pk=pk).first()
    if submission is None:
        raise Http404("No such submission.")
    return submission


def adopt(request: HttpRequest, user: Any) -> int:
    """Give the visitor's submissions to the account; return how many there were."""
    visitor = visitor_id(request)
    if visitor is None:
        return 0
    # Uploads under way first: one that becomes a submission meanwhile is then found as that.
    PartialUpload.objects.filter(owner=None, visitor=visitor).update(owner=user, visitor=None)
    adopted = Submission.objects.filter(owner=None, visitor=visitor).update(
        owner=user, visitor=None
    )
    del request.session[SESSION_KEY]
    return adopted
