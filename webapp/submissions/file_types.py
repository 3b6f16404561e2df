"""What a video file looks like from outside: its name and its first bytes.

This keeps text, playlists, archives and pictures from ever reaching a decoder.
Whether the bytes can be decoded is found out by the worker.
"""

from __future__ import annotations

from pathlib import PurePath

CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".m4v": "video/mp4",
    ".avi": "video/x-msvideo",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".wmv": "video/x-ms-wmv",
    ".ogv": "video/ogg",
    ".3gp": "video/3gpp",
    ".flv": "video/x-flv",
    ".ts": "video/mp2t",
}
ALLOWED_EXTENSIONS = tuple(CONTENT_TYPES)

PLAYED_BY_BROWSERS = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".ogv", ".3gp"})
"""Containers some browser plays; the rest is offered as a download only."""

HEAD_BYTES = 2 * 192
"""How much of the start ``looks_like_video`` wants to see: two MPEG-TS packets."""

_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_MAGIC_AT_START = (
    b"\x1a\x45\xdf\xa3",  # EBML: Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1/2 elementary stream
    b"\x00\x00\x01\xb0",  # MPEG-4 elementary stream
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMV
    b"OggS",
    b"FLV\x01",
)
_TS_SYNC = 0x47


def extension(name: str) -> str:
    """The lower-case extension with its dot, or an empty string."""
    return PurePath(name).suffix.lower()


def content_type(name: str) -> str:
    """The media type to serve a file of this name with."""
    return CONTENT_TYPES.get(extension(name), "application/octet-stream")


def looks_like_video(head: bytes) -> bool:
    """Whether the first bytes are those of a video container FrameVote knows."""
    if head.startswith(_MAGIC_AT_START):
        return True
    if head[4:8] in _ISO_BOXES:
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return True
    return _is_transport_stream(head)


def _is_transport_stream(head: bytes) -> bool:
    """Sync bytes one packet apart: 188 bytes, or 192 with a time code in front (M2TS)."""
    return any(
        len(head) > first + size and head[first] == _TS_SYNC and head[first + size] == _TS_SYNC
        for first, size in ((0, 188), (4, 192))
    )
