"""One byte range of a stored file, as RFC 9110 section 14 asks for it.

Browsers seek in a video with these requests, and Safari plays nothing without
them. Several ranges in one request are answered with the whole file, which the
RFC allows and no player asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.core.files.base import File
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe

CHUNK = 256 * 1024
_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'"
"""Enough for a browser's own page around a picture or a video, and for nothing in the file."""

# Eighteen digits count any file's bytes; Python refuses to read thousands.
_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies outside the file."""


@dataclass(frozen=True)
class ByteRange:
    """First and last byte, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def parse_range(header: str, size: int) -> ByteRange | None:
    """The one range a ``Range`` header asks for; None means to send everything.

    Raises :class:`Unsatisfiable`. A header that is not understood is ignored.
    """
    match = _ONE_RANGE.fullmatch(header)
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first_digits, last_digits = match.groups()
    if first_digits == "":
        suffix = int(last_digits)
        if suffix == 0 or size == 0:
            raise Unsatisfiable
        return ByteRange(max(0, size - suffix), size - 1)
    first = int(first_digits)
    last = int(last_digits) if last_digits else size - 1
    if last_digits and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, min(last, size - 1))


def serve(
    request: HttpRequest,
    stored: File,
    *,
    content_type: str,
    etag: str,
    last_modified: datetime,
    cache_control: str,
    filename: str = "",
    as_attachment: bool = False,
) -> HttpResponseBase:
    """The file, or the range asked for, streamed in chunks; closes the file.

    ``etag`` is given without its quotes. Both validators are strong: a file is written
    once and never again.
    """
    known = _Validators(f'"{etag}"', int(last_modified.timestamp()))
    size = stored.size
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": known.etag,
        "Last-Modified": http_date(known.last_modified),
        "Cache-Control": cache_control,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if disposition := content_disposition(as_attachment, filename):
        headers["Content-Disposition"] = disposition
    instead = get_conditional_response(request, known.etag, known.last_modified)
    if instead is not None:
        stored.close()
        for name, value in headers.items():
            instead[name] = value
        return instead
    try:
        wanted = _wanted_range(request, known, size)
    except Unsatisfiable:
        stored.close()
        headers["Content-Range"] = f"bytes */{size}"
        return HttpResponse(status=416, headers=headers, content_type=content_type)
    part = wanted or ByteRange(0, size - 1)
    headers["Content-Length"] = str(part.length)
    if wanted:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        stored.close()
        return HttpResponse(status=status, headers=headers, content_type=content_type)
    return StreamingHttpResponse(
        _Chunks(stored, part), status=status, headers=headers, content_type=content_type
    )


def content_disposition(as_attachment: bool, filename: str) -> str | None:
    """The header for a name, or None without need of one.

    Some browsers decode a percent sign in the plain form (RFC 6266, appendix D), and with
    it what was taken out of the name; the extended form means what it says.
    """
    if "%" not in filename:
        return content_disposition_header(as_attachment, filename)
    kind = "attachment" if as_attachment else "inline"
    return f"{kind}; filename*=utf-8''{quote(filename)}"


@dataclass(frozen=True)
class _Validators:
    """What tells this file from an earlier one: the tag in quotes, the time since the epoch."""

    etag: str
    last_modified: int

    def match(self, condition: str) -> bool:
        """Whether ``If-Range`` is about this file: the same tag, or the very same second."""
        return condition == self.etag or parse_http_date_safe(condition) == self.last_modified


def _wanted_range(request: HttpRequest, known: _Validators, size: int) -> ByteRange | None:
    """``Range``, unless ``If-Range`` says the client's copy is of another file."""
    header = request.headers.get("Range", "")
    condition = request.headers.get("If-Range")
    if not header or request.method != "GET":
        return None
    if condition is not None and not known.match(condition.strip()):
        return None
    return parse_range(header, size)


class _Chunks:
    """Iterates over a part of a file; Django calls ``close`` when the client is gone."""

    def __init__(self, stored: File, part: ByteRange) -> None:
        self._stored = stored
        self._part = part

    def __iter__(self) -> Iterator[bytes]:
        left = self._part.length
        self._stored.seek(self._part.first)
        while left > 0:
            chunk = self._stored.read(min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._stored.close()
