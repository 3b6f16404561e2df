"""A person's faces over time, laid out for a server-rendered SVG.

The picture's x is time, its y the probability of being fake (high is fake).
x is a percentage, so marks keep their shape at every width; y is in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .models import Face
from .wording import clock

_INSET = 1.5  # Percent of the width that stay free on each side.
_TOP, _BOTTOM = 9.0, 91.0  # of a plot 100 pixels high
_TICK_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_TICKS = 4
_RANGES = 200


@dataclass(frozen=True)
class Moment:
    """When a face was seen, and what the model said of it."""

    time_s: float
    probability_fake: float


@dataclass(frozen=True)
class Mark:
    """One sampled face."""

    face: Face
    x: str
    y: str


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest probability within a narrow strip of time."""

    x: str
    top: str
    bottom: str


@dataclass(frozen=True)
class Tick:
    """One label of the time axis."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True)
class Timeline:
    marks: Sequence[Mark]
    ranges: Sequence[Range]
    """What lies between the marks; empty where every face has one."""
    ticks: Sequence[Tick]
    middle: str
    """y of the line between real and fake."""
    length: float
    """Seconds from the left inset to the right one: with ``inset`` a place is a time."""
    inset: float = _INSET


def build(faces: Iterable[Face], moments: Sequence[Moment], duration_s: float | None) -> Timeline:
    """The timeline of one person in a video of this length.

    ``faces`` get a mark each; ``moments`` are of all faces, of which there may be more.
    """
    ordered = sorted(faces, key=lambda face: (face.time_s, face.number))
    last = max((moment.time_s for moment in moments), default=0.0)
    length = max(duration_s or 0.0, last, 0.001)
    return Timeline(
        marks=tuple(
            Mark(face=face, x=_x(face.time_s, length), y=_y(face.probability_fake))
            for face in ordered
        ),
        ranges=tuple(_ranges(moments, length)) if len(moments) > len(ordered) else (),
        ticks=tuple(_ticks(length)),
        middle=_y(0.5),
        length=length,
    )


def _x(time_s: float, length: float) -> str:
    share = min(max(time_s / length, 0.0), 1.0)
    return f"{_INSET + (100 - 2 * _INSET) * share:.2f}%"


def _y(probability: float) -> str:
    share = min(max(probability, 0.0), 1.0)
    return f"{_BOTTOM - (_BOTTOM - _TOP) * share:.2f}"


def _ranges(moments: Iterable[Moment], length: float) -> Iterable[Range]:
    strips: dict[int, list[float]] = {}
    for moment in moments:
        strip = min(int(moment.time_s / length * _RANGES), _RANGES - 1)
        strips.setdefault(strip, []).append(moment.probability_fake)
    for strip, probabilities in sorted(strips.items()):
        middle = (strip + 0.5) / _RANGES * length
        yield Range(_x(middle, length), _y(max(probabilities)), _y(min(probabilities)))


def _ticks(length: float) -> Iterable[Tick]:
    """Round times, few enough not to collide; the first and last are aligned inwards."""
    step = next((s for s in _TICK_STEPS if length / s <= _MOST_TICKS), _TICK_STEPS[-1])
    count = int(length / step) + 1
    for i in range(count):
        time_s = i * step
        near_end = time_s > length * 0.94
        anchor = "start" if i == 0 else "end" if near_end else "middle"
        yield Tick(_x(time_s, length), clock(time_s, tenths=step < 1), anchor)
