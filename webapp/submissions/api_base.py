"""What all parts of the API share: who may call, one format, one shape of errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from webapp.accounts import rates

from . import api_errors
from .api_auth import BrowserAuthentication, MayUseApi, TokenAuthentication
from .serializers import ErrorSerializer
from .uploads import cap_uploads

ERRORS: Mapping[int, str] = {
    400: "The request is not understood, or the file is refused.",
    401: "The token is unknown or was revoked, or this site demands an account.",
    403: "A request without a token needs a session that has not ended, and its CSRF token.",
    404: "There is no such thing, or it belongs to somebody else.",
    409: "Not possible in the present state; the code says why.",
    410: "The upload is not here any more; begin it again.",
    412: "Another version of the tus protocol.",
    413: "The file is larger than this site allows, or the piece than was announced.",
    415: "The body is of a type that is not accepted here.",
    423: "Another request is writing to this upload.",
    429: "More than this site answers or takes; the header Retry-After says how long to wait.",
    460: "The piece does not match its checksum, and nothing of it was kept.",
    507: "The disk is full.",
}


def responses(success: Mapping[int, Any], *errors: int) -> dict[int, Any]:
    """All answers of an operation, for its description; every one is limited."""
    failures = {code: OpenApiResponse(ErrorSerializer, ERRORS[code]) for code in (*errors, 429)}
    return {**success, **failures}


class AlwaysJson(BaseContentNegotiation):
    """There is one format, so an unusual Accept header is no reason to refuse."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        wanted = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        return only, only.media_type or "application/json"


class ApiRate(BaseThrottle):
    """So many requests of an account, or of an address without one."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        rates.take(rates.API, rates.whose(request))
        return True


class ApiViewSet(ViewSet):
    """What all parts of the API share; nothing is left to project-wide defaults."""

    authentication_classes = (TokenAuthentication, BrowserAuthentication)
    permission_classes = (MayUseApi,)
    parser_classes: Sequence[type[BaseParser]] = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJson
    metadata_class = None
    throttle_classes = (ApiRate,)
    versioning_class = None
    schema = AutoSchema()

    def get_exception_handler(self) -> Any:
        return api_errors.handle

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Before anything reads the body, which the CSRF check may already do.
        cap_uploads(request, most_files=1)
        return super().initialize_request(request, *args, **kwargs)
