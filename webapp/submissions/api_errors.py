"""Every error of the API in one shape: ``{"error": {"code": …, "message": …}}``.

Codes are stable and for programs; messages are sentences for people.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_framework_handler

from webapp.accounts.rates import TooMany

from .uploads import UploadRejected

logger = logging.getLogger("django.request")

NOT_FOUND_SENTENCE = "There is nothing here, or it is not yours."

_RENAMED_CODES = {
    "parse_error": "malformed",
    "authentication_failed": "invalid_token",
    "permission_denied": "forbidden",
}


_UPLOAD_STATUSES = {
    "session_ended": status.HTTP_403_FORBIDDEN,
    "wrong_offset": status.HTTP_409_CONFLICT,
    "upload_gone": status.HTTP_410_GONE,
    "unsupported_version": status.HTTP_412_PRECONDITION_FAILED,
    "too_large": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "upload_locked": status.HTTP_423_LOCKED,
    "too_many_open_uploads": status.HTTP_429_TOO_MANY_REQUESTS,
    "wrong_checksum": 460,  # Of tus's own.
    "disk_full": status.HTTP_507_INSUFFICIENT_STORAGE,
}


class Conflict(exceptions.APIException):
    """The request is fine, but the state of the analysis does not allow it now."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "This is not possible in the present state."


class CsrfFailed(exceptions.PermissionDenied):
    default_code = "csrf_failed"


def handle(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn whatever a view raised into the one error shape."""
    if isinstance(exception, UploadRejected):
        return Response(
            error_body(exception.code, exception.sentence), status=upload_status(exception.code)
        )
    if isinstance(exception, TooMany):
        return Response(
            error_body(exception.code, exception.sentence),
            status=status.HTTP_429_TOO_MANY_REQUESTS,
            headers={"Retry-After": str(exception.retry_after_s)},
        )
    if isinstance(exception, Http404):
        exception = exceptions.NotFound(NOT_FOUND_SENTENCE)
    elif isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    elif isinstance(exception, MultiPartParserError):
        exception = exceptions.ParseError("The multipart form cannot be read.")
    elif isinstance(exception, SuspiciousOperation):
        # Too many fields or files, or too large a body; Django would answer in HTML.
        exception = exceptions.ParseError("The request is larger or stranger than is allowed.")
    response = rest_framework_handler(exception, dict(context))
    if response is None:
        return _unexpected(exception, context["request"]._request)
    if isinstance(exception, exceptions.APIException):
        response.data = error_body(_code(exception), _sentence(exception.detail))
    return response


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}


def no_such_page(page: int, last: int) -> exceptions.NotFound:
    return exceptions.NotFound(f"There is no page {page}; the last one is {last}.")


def upload_status(code: str) -> int:
    """The HTTP status of a refused upload."""
    return _UPLOAD_STATUSES.get(code, status.HTTP_400_BAD_REQUEST)


@csrf_exempt  # Nothing is done here, and a refusal would come in HTML.
def nothing_here(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Answer for addresses under ``/api/`` that no view has."""
    sentence = "There is nothing at this address."
    if not request.path.endswith("/"):
        sentence += " All addresses of this API end in a slash."
    return JsonResponse(error_body("not_found", sentence), status=status.HTTP_404_NOT_FOUND)


def _unexpected(exception: Exception, request: HttpRequest) -> Response:
    """A bug: reported and logged as Django does, answered in the API's shape."""
    got_request_exception.send(sender=None, request=request)
    response = Response(
        error_body("internal", "Something went wrong on the server."),
        status=status.HTTP_500_INTERNAL_SERVER_ERROR,
    )
    log_response(
        "Internal Server Error: %s",
        request.path,
        response=response,
        request=request,
        exception=exception,
    )
    return response


def _code(exception: exceptions.APIException) -> str:
    if isinstance(exception, exceptions.ValidationError):
        return "invalid"
    code = exception.get_codes()
    if not isinstance(code, str):
        return exception.default_code
    return _RENAMED_CODES.get(code, code)


def _sentence(detail: Any, field: str = "") -> str:
    """The first thing wrong, with the field it is about."""
    if isinstance(detail, Mapping):
        name, inner = next(iter(detail.items()))
        return _sentence(inner, "" if name == "non_field_errors" else str(name))
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return _sentence(detail[0], field)
    return f"{field}: {detail}" if field else str(detail)
