"""Who may open the pages at all: everybody, unless the site demands an account."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django_htmx.http import HttpResponseClientRefresh

from .ownership import may_upload

View = Callable[..., HttpResponseBase]


def account_if_demanded(view: View) -> View:
    """Send anonymous visitors to the log-in page where ``FRAMEVOTE_ALLOW_ANONYMOUS`` is 0."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_upload(request):
            if request.htmx:  # type: ignore[attr-defined]
                # A redirect would put the log-in page into the live part of this one.
                return HttpResponseClientRefresh()
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return guarded
