"""Refuses questions with a null byte in them, which no browser asks.

Postgres takes none in a text and fails; what is typed into forms is checked by them, but
lists of the admin filter by what stands in the address.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse


def refuse_null_bytes(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: 400 but for the API, which checks each parameter and answers in its own shape."""

    def middleware(request: HttpRequest) -> HttpResponse:
        asked = request.META.get("QUERY_STRING", "")
        if ("%00" in asked or "\0" in asked) and not request.path.startswith("/api/"):
            raise SuspiciousOperation("a null byte in the query string")
        return get_response(request)

    return middleware
