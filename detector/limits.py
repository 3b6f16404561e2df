"""What decoding one video may cost before it is given up."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from detector.errors import DecodingLimit, TooLong

MAX_FRAMES_PER_SECOND = 120


@dataclass(frozen=True)
class Limits:
    """What one video may cost.

    Args:
        max_minutes: longest video, by its header or by the frames really in it.
        max_side: of a frame, in pixels. max_pixels: of a frame in all.
        max_memory_mb: address space of the decoding child (8K video needs about 1.7 GB).
        cpu_seconds: of the child, over its threads.
        wall_seconds: how long to wait for the child in all, not counting the time in
            which the child waits for us.
        silence_seconds: how long to wait for a sign of life (it gives one each second).
        open_files: how many file descriptors the child may have.
    """

    max_minutes: float = 30.0
    max_side: int = 8192
    max_pixels: int = 64 * 1024 * 1024
    max_memory_mb: int = 3072
    cpu_seconds: int = 3600
    wall_seconds: float = 3000.0
    silence_seconds: float = 60.0
    open_files: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0 or not math.isfinite(value):
                raise ValueError(f"{field.name} must be a positive number, received {value!r}")


def check_length(seconds: float, frames: int, limits: Limits) -> None:
    """Raise ``TooLong`` for a video of so many seconds or frames, if it is."""
    allowed_s = limits.max_minutes * 60 + 1
    if seconds > allowed_s or frames > allowed_s * MAX_FRAMES_PER_SECOND:
        raise TooLong(
            f"{seconds / 60:.1f} minutes or {frames} frames and more, "
            f"at most {limits.max_minutes:g} minutes"
        )


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ``DecodingLimit`` for frames of so many pixels, if they are too large."""
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise DecodingLimit(
            f"frames of {width}×{height} pixels, at most {limits.max_side} on a side "
            f"and {limits.max_pixels} in all"
        )
