"""Uploads in pieces through the API: tus 1.0.0 at ``/api/v1/uploads/``.

``tus.py`` reads the headers, ``partial_uploads.py`` keeps the bytes. Who may do what is as
in the rest of the API, asked at every request.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts import rates

from . import partial_uploads, tus
from .api_base import ApiViewSet, responses
from .models import PartialUpload
from .ownership import my_partial_uploads, uploader
from .uploads import max_upload_bytes

STALL_SECONDS = 30
"""A connection that brings nothing for so long is given up, and its lock with it."""

SUBMISSION_HEADER = "FrameVote-Submission"

_REASONS = {status.HTTP_423_LOCKED: "Locked", 460: "Checksum Mismatch"}
_WHOLE_NUMBER: Any = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}


def _asked(name: str, kind: Any, about: str, **details: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=about, **details)


def _answered(name: str, kind: Any, about: str, *statuses: int) -> OpenApiParameter:
    return _asked(name, kind, about, response=list(statuses))


_VERSION = _asked("Tus-Resumable", str, "The protocol.", required=True, enum=[tus.VERSION])
_EXPIRES = "When what is here will be removed, unless another piece comes."
_SUBMISSION = _answered(
    SUBMISSION_HEADER, OpenApiTypes.UUID, "What a complete upload became.", 200, 204
)


@extend_schema(tags=["uploads"])
class PartialUploadViewSet(ApiViewSet):
    """The caller's own uploads in pieces."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Part of tus, for clients that can only GET and POST. Everything after this line,
        # the CSRF check too, goes by the method that is meant.
        if meant := request.headers.get("X-HTTP-Method-Override"):
            request.method = meant.upper()
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        is_offered = self.action is not None
        if is_offered and request.method != "OPTIONS":
            tus.check_version(request.headers)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        if response.status_code == status.HTTP_412_PRECONDITION_FAILED:
            response["Tus-Version"] = tus.VERSION
        if response.status_code in _REASONS:
            response.reason_phrase = _REASONS[response.status_code]
        return response

    def discover(self, request: Request, pk: uuid.UUID | None = None) -> Response:
        """OPTIONS: what this server can do."""
        return Response(
            status=status.HTTP_204_NO_CONTENT,
            headers={
                "Tus-Version": tus.VERSION,
                "Tus-Extension": ",".join(tus.EXTENSIONS),
                "Tus-Max-Size": str(max_upload_bytes()),
                "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            },
        )

    @extend_schema(
        operation_id="uploads_create",
        summary="Begin an upload in pieces (tus 1.0.0)",
        description="`OPTIONS` at this address names the extensions and the largest size. "
        "A piece is sent with `PATCH` to the address in `Location`.",
        request=None,
        parameters=[
            _VERSION,
            _asked("Upload-Length", _WHOLE_NUMBER, "Bytes of the whole file.", required=True),
            _asked(
                "Upload-Metadata",
                str,
                "Pairs of key and Base64 value: `filename`, which must end as a video's does, "
                "and `sampling`.",
            ),
            _answered("Location", OpenApiTypes.URI, "Where the pieces go.", 201),
            _answered("Upload-Expires", str, _EXPIRES, 201),
        ],
        responses=responses({201: None}, 400, 401, 403, 412, 413, 429, 507),
    )
    def create(self, request: Request) -> Response:
        tus.check_extensions(request.headers)
        pairs = tus.metadata(request.headers)
        rates.take(rates.UPLOAD, rates.whose(request))
        upload = partial_uploads.create(
            name=tus.text(pairs, "filename"),
            length=tus.whole_number(request.headers, "Upload-Length"),
            sampling=tus.text(pairs, "sampling"),
            metadata=request.headers.get("Upload-Metadata", ""),
            **uploader(request),
        )
        address = request.build_absolute_uri(reverse("api:upload", args=[upload.pk]))
        headers = {"Location": address, **_expiry(upload)}
        return Response(status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(
        operation_id="uploads_offset",
        summary="Ask how much of an upload is here",
        parameters=[
            _VERSION,
            _answered("Upload-Offset", _WHOLE_NUMBER, "Bytes that are here.", 200),
            _answered("Upload-Length", _WHOLE_NUMBER, "Bytes of the whole file.", 200),
            _answered("Upload-Metadata", str, "As it was sent.", 200),
            _answered("Upload-Expires", str, _EXPIRES, 200),
            _SUBMISSION,
        ],
        responses=responses({200: None}, 401, 404, 410, 412),
    )
    def offset(self, request: Request, pk: uuid.UUID) -> Response:
        upload = _my_upload(request, pk)
        headers = {"Upload-Length": str(upload.length), **_state(upload)}
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        return Response(headers=headers)

    @extend_schema(
        operation_id="uploads_append",
        summary="Send a piece of an upload",
        description="With the last one the upload becomes a submission, under the rules of "
        "every upload. After a broken connection ask with `HEAD` how much has arrived.",
        request={tus.CONTENT_TYPE: OpenApiTypes.BINARY},
        parameters=[
            _VERSION,
            _asked("Upload-Offset", _WHOLE_NUMBER, "Where the piece begins.", required=True),
            _asked(
                "Upload-Checksum",
                str,
                "`sha1` or `sha256`, a space, and the digest of the piece in Base64.",
            ),
            _answered("Upload-Offset", _WHOLE_NUMBER, "Bytes that are here now.", 204),
            _answered("Upload-Expires", str, _EXPIRES, 204),
            _SUBMISSION,
        ],
        responses=responses(
            {204: None}, 400, 401, 403, 404, 409, 410, 412, 413, 415, 423, 460, 507
        ),
    )
    def append(self, request: Request, pk: uuid.UUID) -> Response:
        upload = _my_upload(request, pk)
        kind = (request.content_type or "").split(";")[0].strip().lower()
        if kind != tus.CONTENT_TYPE:
            raise exceptions.UnsupportedMediaType(kind)
        offset = tus.whole_number(request.headers, "Upload-Offset")
        checksum = tus.checksum(request.headers)
        partial_uploads.append(upload, _body(request._request), offset, checksum)
        return Response(status=status.HTTP_204_NO_CONTENT, headers=_state(upload))

    @extend_schema(
        operation_id="uploads_terminate",
        summary="End an upload and remove what is here of it",
        description="A submission that it became stays.",
        parameters=[_VERSION],
        responses=responses({204: None}, 401, 403, 404, 410, 412, 423),
    )
    def terminate(self, request: Request, pk: uuid.UUID) -> Response:
        partial_uploads.terminate(_my_upload(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _my_upload(request: Request, pk: uuid.UUID) -> PartialUpload:
    upload = get_object_or_404(my_partial_uploads(request), pk=pk)
    if partial_uploads.is_expired(upload):
        raise partial_uploads.gone()
    return upload


def _state(upload: PartialUpload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset)}
    if upload.submission_id is None:
        return {**headers, **_expiry(upload)}
    return {**headers, SUBMISSION_HEADER: str(upload.submission_id)}


def _expiry(upload: PartialUpload) -> dict[str, str]:
    return {"Upload-Expires": http_date(upload.expires_at.timestamp())}


def _body(request: HttpRequest) -> partial_uploads.Body:
    """The piece as it comes from the network, never as a whole."""
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(STALL_SECONDS)
    if request.META.get("wsgi.input_terminated") and "Transfer-Encoding" in request.headers:
        # Django reads no body without an announced length; the server knows where it ends.
        return partial_uploads.Body(request.META["wsgi.input"].read, None)
    return partial_uploads.Body(request.read, int(request.META.get("CONTENT_LENGTH") or 0))
