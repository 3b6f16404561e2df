"""What a visitor uploaded before logging in becomes the account's."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from webapp.submissions.ownership import adopt


@receiver(user_logged_in, dispatch_uid="adopt_visitors_submissions")
def adopt_visitors_submissions(
    sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any
) -> None:
    """Runs at log-in and sign-up; a log-in without a browser session has nothing to adopt."""
    if request is None or not hasattr(request, "session"):
        return
    adopted = adopt(request, user)
    if not adopted:
        return
    sentence = (
        "The video you uploaded in this browser now belongs to your account."
        if adopted == 1
        else f"The {adopted} videos you uploaded in this browser now belong to your account."
    )
    # Silently: a log-in outside of the pages carries no messages.
    messages.success(request, sentence, fail_silently=True)
