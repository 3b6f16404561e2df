"""When frames are shown, for those containers that do not say so of each frame."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

USUAL_FRAME_S = 0.04


class Clock:
    """Seconds by a player's clock, never backwards.

    Where a frame has no time (AVI; those held back at the end of an MPEG program stream)
    the clock goes on with the container's next packet time.

    Args:
        times: of the packets, in seconds from the first, rising.
        begins_s: when the first frame is shown.
        fps: how the clock goes on behind the last packet; 0 if nobody knows.
    """

    def __init__(self, times: Sequence[float], begins_s: float, fps: float) -> None:
        self._times = times
        self._begins_s = begins_s
        self._frame_s = 1 / fps if fps > 0 else USUAL_FRAME_S
        self._started = False
        self._origin = 0.0
        self._now = 0.0

    def tick(self, stated: float | None) -> float:
        """The time of the next frame, which states this one or none."""
        if not self._started:
            self._started = True
            self._origin = stated or 0.0
        elif stated is not None and stated - self._origin > self._now:
            self._now = stated - self._origin
        else:
            following = bisect.bisect_right(self._times, self._now + 0.001)
            self._now = (
                self._times[following]
                if following < len(self._times)
                else self._now + self._frame_s
            )
        return self._begins_s + self._now
