"""Making and revoking API tokens on the account page."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from .models import ApiToken

MAX_TOKENS_PER_USER = 20


class AuthenticatedRequest(HttpRequest):
    """What ``login_required`` lets through."""

    user: User


class TokenForm(forms.Form):
    """The name a user gives a token, to know later which program holds it."""

    name = forms.CharField(max_length=60, strip=True)


@login_required
@require_POST
@never_cache
@sensitive_variables("secret")
def create(request: AuthenticatedRequest) -> HttpResponse:
    """Make a token and show its secret in the answer itself.

    There is no redirect, because the secret would then have to be kept
    somewhere in between. Loading the page again asks for the same name again,
    which is refused.
    """
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _refused(request, "Give the token a name of at most 60 characters.")
    name = form.cleaned_data["name"]
    if ApiToken.objects.filter(user=request.user).count() >= MAX_TOKENS_PER_USER:
        return _refused(
            request, f"You have {MAX_TOKENS_PER_USER} tokens already. Revoke one of them first."
        )
    try:
        with transaction.atomic():
            token, secret = ApiToken.objects.issue(request.user, name)
    except IntegrityError:
        return _refused(request, f"You have a token named “{name}” already.")
    return render(request, "accounts/token_created.html", {"token": token, "secret": secret})


@login_required
@require_POST
def revoke(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Delete one of the user's own tokens; it stops working at once."""
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    token.delete()
    messages.success(request, f"The token “{token.name}” was revoked.")
    return redirect("accounts:account")


def _refused(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.error(request, sentence)
    return redirect("accounts:account")
