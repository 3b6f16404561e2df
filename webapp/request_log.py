"""Gives every request an id and logs every answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from webapp import logs
from webapp.accounts.addresses import client_address

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
MONITORING = ("/healthz", "/readyz", "/metrics")


class RequestLogMiddleware:
    """One line for each answer, and the request's id in a header, for who reports an error.

    The id is ours, whatever the client sends, who could make two requests look like one.
    The query string stays out. Static files and the questions of monitoring are logged at
    DEBUG.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = logs.begin_request()
        began = time.perf_counter()
        response = self.get_response(request)
        response[HEADER] = request_id
        _log(request, response, time.perf_counter() - began)
        return response


def _log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    path = escape_uri_path(request.path)
    quiet = path in MONITORING or path.startswith(settings.STATIC_URL)
    logger.log(
        logging.DEBUG if quiet else logging.INFO,
        "%s %s: %d after %.3f s",
        request.method,
        path,
        response.status_code,
        seconds,
        extra={
            "address": client_address(request),
            "method": request.method,
            "path": path,
            "status": response.status_code,
            "seconds": round(seconds, 4),
        },
    )
