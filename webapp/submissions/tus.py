"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), read strictly.

Extensions: creation, termination, expiration, checksum. Nothing here knows of files or rows;
what is not understood raises :class:`.uploads.UploadRejected` with a stable code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .uploads import UploadRejected

VERSION = "1.0.0"
EXTENSIONS = ("creation", "termination", "expiration", "checksum")
CONTENT_TYPE = "application/offset+octet-stream"
ALGORITHMS: Mapping[str, Callable[[], Any]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
"""Names as clients send them; sha1 is the one that tus demands."""

MAX_METADATA = 4096
"""Characters; web servers limit a header to about twice as many."""

_NOT_OFFERED = ("Upload-Defer-Length", "Upload-Concat")


@dataclass(frozen=True)
class Checksum:
    """What a piece must amount to."""

    algorithm: str
    digest: bytes


def check_version(headers: Mapping[str, str]) -> None:
    """Refuse every version but ours, and a request that names none."""
    asked = headers.get("Tus-Resumable", "")
    if asked != VERSION:
        raise UploadRejected(
            "unsupported_version",
            f"The header Tus-Resumable must be {VERSION}, not “{asked}”.",
        )


def check_extensions(headers: Mapping[str, str]) -> None:
    """Refuse what belongs to an extension that is not offered, for ignoring it would be wrong."""
    for header in _NOT_OFFERED:
        if header in headers:
            raise UploadRejected("unsupported_extension", f"{header} is not offered here.")


def whole_number(headers: Mapping[str, str], header: str) -> int:
    """The header's value, which must be 0 or more in plain digits."""
    value = headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
        raise _invalid(header, f"must be a whole number of bytes, not “{value}”")
    return int(value)


def metadata(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The pairs of Upload-Metadata; a key without a value has an empty one."""
    header = "Upload-Metadata"
    raw = headers.get(header, "")
    if len(raw) > MAX_METADATA:
        raise _invalid(header, f"has {len(raw)} characters; {MAX_METADATA} are allowed")
    if not raw:
        return {}
    # It is sent back as it came, so there must be nothing in it that ends a header.
    if not (raw.isascii() and raw.isprintable()):
        raise _invalid(header, "may have printable ASCII only")
    pairs: dict[str, bytes] = {}
    for pair in raw.split(","):
        key, _, value = pair.strip().partition(" ")
        if not key:
            raise _invalid(header, "has a pair without a key")
        if key in pairs:
            raise _invalid(header, f"has “{key}” twice")
        pairs[key] = _from_base64(header, value)
    return pairs


def text(pairs: Mapping[str, bytes], key: str) -> str:
    """The value of a key of the metadata; empty when there is none."""
    try:
        return pairs.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise _invalid("Upload-Metadata", f"has a “{key}” that is not UTF-8") from error


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    """What the piece must amount to, if the client says so."""
    header = "Upload-Checksum"
    if header not in headers:
        return None
    algorithm, _, value = headers[header].partition(" ")
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise UploadRejected(
            "unsupported_checksum", f"“{algorithm}” is not among the checksums {known}."
        )
    digest = _from_base64(header, value)
    if len(digest) != ALGORITHMS[algorithm]().digest_size:
        raise _invalid(header, f"has {len(digest)} bytes, which is not the length of {algorithm}")
    return Checksum(algorithm, digest)


def _from_base64(header: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(header, "has a value that is not Base64") from error


def _invalid(header: str, what: str) -> UploadRejected:
    return UploadRejected("invalid_header", f"The header {header} {what}.")
