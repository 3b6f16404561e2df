"""Where decoding may start again, so that frames nobody wants are never decoded.

A keyframe is a clean start if no frame that is shown after it refers to one before it. Not
everything that a container calls a keyframe is one: in H.264 a picture from which the decoder
*recovers* carries the same mark, so the bytes themselves are asked.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

WORTH_A_START = 24
"""Frames left out for which starting anew pays: it opens the file and fills the decoder."""

ALWAYS_CLEAN = frozenset({"vp8", "libvpx", "vp9", "libvpx-vp9"})
"""A keyframe of these forgets all before it."""

H264_IDR = frozenset({5})
HEVC_IRAP = frozenset(range(16, 22))
"""Kinds of units that clean starts consist of."""


class Bytes(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...


@dataclass(frozen=True)
class Segment:
    """Frames that are decoded in one go."""

    start: int
    """A clean start, or 0."""
    wanted: Collection[int]
    last: int
    """The last one wanted."""


def segments(wanted: Sequence[int], clean_starts: Sequence[int]) -> Iterator[Segment]:
    """Cut the frames wanted where a clean start saves decoding what is between.

    Args:
        wanted: rising.
        clean_starts: rising.

    >>> [(part.start, part.last) for part in segments([0, 5, 300, 305], [0, 100, 250])]
    [(0, 5), (250, 305)]
    """
    start, reached = 0, 0
    part: list[int] = []
    for index in wanted:
        before = bisect.bisect_right(clean_starts, index)
        nearest = clean_starts[before - 1] if before else 0
        if nearest - reached > WORTH_A_START:
            if part:
                yield Segment(start, frozenset(part), part[-1])
            start, part = nearest, []
        part.append(index)
        reached = index
    if part:
        yield Segment(start, frozenset(part), part[-1])


def is_clean_start(codec: str, setup: bytes | None, keyframe: Bytes) -> bool:
    """Whether decoding may begin with this packet, which its container calls a keyframe.

    Args:
        codec: FFmpeg's name of the decoder.
        setup: the stream's configuration record. Without one the packets are not in the form
            in which this can be told, and the answer is no.
    """
    if codec in ALWAYS_CLEAN:
        return True
    if codec == "h264" and setup and len(setup) > 4 and setup[0] == 1:
        return any(unit[0] & 31 in H264_IDR for unit in _units(keyframe, (setup[4] & 3) + 1))
    if codec == "hevc" and setup and len(setup) > 21 and setup[0] == 1:
        return any(unit[0] >> 1 & 63 in HEVC_IRAP for unit in _units(keyframe, (setup[21] & 3) + 1))
    return False


def _units(packet: Bytes, length_bytes: int) -> Iterator[memoryview]:
    """The packet's parts, each behind its own length; those not whole are left out."""
    content = memoryview(packet).cast("B")
    while len(content) > length_bytes:
        length = int.from_bytes(content[:length_bytes], "big")
        unit = content[length_bytes : length_bytes + length]
        if 0 < length == len(unit):
            yield unit
        content = content[length_bytes + length :]
