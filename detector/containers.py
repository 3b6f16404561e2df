"""Which container a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detector.errors import NotAVideo

SNIFFED_BYTES = 4096


@dataclass(frozen=True)
class Container:
    """What the first bytes say."""

    label: str
    demuxer: str


def sniff(path: str) -> Container:
    """The container by its magic bytes; raises `NotAVideo` for anything else."""
    with Path(path).open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}:
        return Container("mov" if head[4:12] == b"ftypqt  " else "mp4", "mov")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Container("webm" if b"webm" in head[:64] else "matroska", "matroska")
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return Container("avi", "avi")
    if head.startswith(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")):
        return Container("asf", "asf")
    if head.startswith(b"\x00\x00\x01\xba"):
        return Container("mpeg", "mpeg")
    if head.startswith(b"\x00\x00\x01\xb3"):
        return Container("mpegvideo", "mpegvideo")
    if head.startswith(b"FLV\x01"):
        return Container("flv", "flv")
    if head.startswith(b"OggS"):
        return Container("ogg", "ogg")
    if _is_transport_stream(head):
        return Container("mpegts", "mpegts")
    raise NotAVideo("empty file" if not head else f"unknown magic bytes {head[:12].hex(' ')}")


def _is_transport_stream(head: bytes) -> bool:
    """Sync bytes at a steady distance: 188, or 192 where times are stored in between."""
    return any(
        len(head) > start + 3 * size and all(head[start + n * size] == 0x47 for n in range(4))
        for size in (188, 192)
        for start in range(size)
    )
