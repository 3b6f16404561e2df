"""What who guesses passwords is answered.

django-axes counts wrong passwords for one account from one address. Rates count every
attempt from an address whatever the account, and sign-ups with them; for the form that
changes a password, attempts of the account.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from axes.helpers import get_cool_off
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from webapp.submissions import wording

from . import rates

View = Callable[..., HttpResponseBase]


def limit_attempts(who: Callable[[HttpRequest], str]) -> Callable[[View], View]:
    """Answer 429 in place of the view when ``who`` sends its form too often."""

    def limit(view: View) -> View:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                try:
                    rates.take(rates.LOGIN, who(request))
                except rates.TooMany as error:
                    return _closed(request, error.sentence, error.retry_after_s)
            return view(request, *args, **kwargs)

        return limited

    return limit


def locked(request: HttpRequest, *_: Any) -> HttpResponse:
    """What django-axes answers when the password of an account was wrong too often."""
    cool_off = get_cool_off(request)
    assert cool_off is not None, "AXES_COOLOFF_TIME is set"  # noqa: S101
    seconds = int(cool_off.total_seconds())
    return _closed(
        request,
        "The password was wrong too often, so logging in to this account from your address is "
        f"closed for {wording.duration(seconds)}.",
        seconds,
    )


def _closed(request: HttpRequest, sentence: str, seconds: int) -> HttpResponse:
    answer = render(request, "accounts/locked.html", {"sentence": sentence}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
