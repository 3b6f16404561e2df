"""The page for a fault of ours, which names the request for who reports it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.template import loader

from webapp import logs


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's own, plus the request's id; nothing else that might break a second time."""
    context = {"request_id": logs.current_request_id()}
    return HttpResponseServerError(loader.render_to_string("500.html", context))
