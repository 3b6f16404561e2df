"""Which frames of a video are looked at: pure arithmetic, no video needed.

Frames are taken in windows: runs of ``window_frames`` frames, ``step`` apart.
Within a budget the windows are spread evenly over the time from the first frame of
the video to the last, or over the frames where those carry no times; they never
overlap. A video too short for that is read as one run of every ``step``-th frame,
and a shorter one yet more densely.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

WINDOW_FRAMES = 8
FRAME_STEP = 5

BUDGETS: dict[str, int | None] = {"quick": 32, "standard": 64, "thorough": None}
"""Frames to look at by the name of the level; None: every ``FRAME_STEP``-th of all."""

PlannedFrame = tuple[int, int]
"""Index of the frame in the order of showing, and the number of its window; both from 0."""


@dataclass(frozen=True)
class Sampling:
    """How many frames are looked at, and in what runs.

    Args:
        name: what the level is called in results.
        frames: the budget; None looks at every ``step``-th frame of the whole video.
        window_frames: length of a run (12 suits a checkpoint that reads windows of 8 frames).
        step: distance of neighboring frames in a run.

    >>> Sampling.named("standard").frames
    64
    """

    name: str = "standard"
    frames: int | None = BUDGETS["standard"]
    window_frames: int = WINDOW_FRAMES
    step: int = FRAME_STEP

    def __post_init__(self) -> None:
        if self.window_frames < 1:
            raise ValueError(f"window_frames must be at least 1, received {self.window_frames!r}")
        if self.step < 1:
            raise ValueError(f"step must be at least 1, received {self.step!r}")
        if self.frames is not None and self.frames < self.window_frames:
            raise ValueError(
                f"frames must be None or at least window_frames={self.window_frames}, "
                f"received {self.frames!r}"
            )

    @classmethod
    def named(cls, name: str, *, window_frames: int = WINDOW_FRAMES) -> Sampling:
        """The level called ``name``: quick, standard or thorough."""
        if name not in BUDGETS:
            raise ValueError(f"sampling must be one of {', '.join(BUDGETS)}, received {name!r}")
        return cls(name=name, frames=BUDGETS[name], window_frames=window_frames)

    @property
    def window_span(self) -> int:
        """From the first frame of a full window to its last, both counted."""
        return (self.window_frames - 1) * self.step + 1


def plan(frame_count: int, sampling: Sampling, times: Sequence[float] = ()) -> list[PlannedFrame]:
    """The frames to look at in a video of ``frame_count`` frames, in order.

    Args:
        times: of all frames, in seconds, rising. With them the windows are spread
            over time: a recording of few frames in a quiet minute and many in a lively
            second is looked at all along. Ignored unless there is one for each frame.

    >>> plan(3, Sampling.named("quick"))
    [(0, 0), (1, 0), (2, 0)]
    """
    if frame_count <= 0:
        return []
    indices = range(0, frame_count, sampling.step)
    if len(indices) < sampling.window_frames:
        indices_evenly = _evenly(min(sampling.window_frames, frame_count), frame_count - 1)
        return [(index, 0) for index in indices_evenly]
    if sampling.frames is None or len(indices) <= sampling.frames:
        return [(index, i // sampling.window_frames) for i, index in enumerate(indices)]
    count = sampling.frames // sampling.window_frames
    last_start = frame_count - sampling.window_span
    starts = _evenly(count, last_start)
    if len(times) == frame_count:
        starts = _evenly_in_time(count, times[: last_start + 1], sampling.window_span)
    return [
        (start + i * sampling.step, window)
        for window, start in enumerate(starts)
        for i in range(sampling.window_frames)
    ]


def top_up(
    frame_count: int,
    sampling: Sampling,
    seen: Collection[PlannedFrame],
    times: Sequence[float] = (),
) -> list[PlannedFrame]:
    """What a second look should add when only ``frame_count`` frames turned out to exist.

    ``seen`` are the frames already taken by a plan for a longer video. What is left of
    the budget goes first to windows where nothing was seen yet; windows are numbered on.
    """
    taken = {index for index, _ in seen}
    in_order = sorted(taken)
    untouched: list[list[int]] = []
    touched: list[list[int]] = []
    planned = plan(frame_count, sampling, times[:frame_count])
    for _, frames in groupby(planned, key=itemgetter(1)):
        window = [index for index, _ in frames]
        seen_within = bisect_right(in_order, window[-1]) > bisect_left(in_order, window[0])
        (touched if seen_within else untouched).append([i for i in window if i not in taken])
    room = len(taken) + frame_count if sampling.frames is None else sampling.frames - len(taken)
    windows = min(len(untouched), room // sampling.window_frames)
    chosen = [untouched[i] for i in _evenly(windows, len(untouched) - 1)]
    for window in touched:
        if 0 < len(window) <= room - sum(map(len, chosen)):
            chosen.append(window)
    first_number = max((number for _, number in seen), default=-1) + 1
    return [(i, first_number + n) for n, window in enumerate(sorted(chosen)) for i in window]


def _evenly(count: int, last: int) -> list[int]:
    """``count`` whole numbers evenly from 0 to ``last``; the middle one if only one is asked."""
    if count <= 0:
        return []
    if count == 1:
        return [last // 2]
    return [round(i * last / (count - 1)) for i in range(count)]


def _evenly_in_time(count: int, times: Sequence[float], span: int) -> list[int]:
    """``count`` positions in ``times``, evenly in time, each ``span`` or more after the last.

    There must be room: ``len(times) > (count - 1) * span``.
    """
    if count == 1:
        return [_nearest(times, (times[0] + times[-1]) / 2)]
    starts: list[int] = []
    for i in range(count):
        wanted = _nearest(times, times[0] + (times[-1] - times[0]) * i / (count - 1))
        earliest = starts[-1] + span if starts else 0
        latest = len(times) - 1 - (count - 1 - i) * span
        starts.append(min(max(wanted, earliest), latest))
    return starts


def _nearest(times: Sequence[float], wanted: float) -> int:
    """Position of the time that is nearest, the later one if two are."""
    after = bisect_left(times, wanted)
    if after == 0:
        return 0
    if after == len(times):
        return len(times) - 1
    return after if times[after] - wanted <= wanted - times[after - 1] else after - 1
