"""The stages of an analysis: how far it is, how long each took, whether to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detector.errors import AnalysisStopped

OnProgress = Callable[[str, float], None]
"""Called with the stage and the fraction of the whole, 0 to 1, never falling."""

ShouldStop = Callable[[], bool]

STAGES = {
    "probe": (0.0, 0.01),
    "sample": (0.01, 0.02),
    "detect": (0.02, 0.9),
    "track": (0.9, 0.92),
    "predict": (0.92, 0.98),
    "vote": (0.98, 1.0),
}
"""In order, with the fractions of the whole where each begins and ends: about its
share of the time. Frames stream: sampling, detecting and predicting go on side by side."""

CLOCKS = ("decode", "detect", "track", "predict", "vote")


class Stages:
    """Progress, time and cancellation of one analysis."""

    def __init__(
        self, on_progress: OnProgress | None = None, should_stop: ShouldStop | None = None
    ) -> None:
        self.should_stop = should_stop or (lambda: False)
        self._on_progress = on_progress or (lambda stage, fraction: None)
        self._furthest = 0.0
        self._seconds = dict.fromkeys(CLOCKS, 0.0)
        self._lock = threading.Lock()
        self._began = time.perf_counter()

    def stop_if_asked(self) -> None:
        """Raise ``AnalysisStopped`` if ``should_stop`` says so."""
        if self.should_stop():
            raise AnalysisStopped

    def report(self, stage: str, done: float) -> None:
        """Say which part of a stage is done, 0 to 1."""
        start, end = STAGES[stage]
        self._furthest = max(self._furthest, start + (end - start) * min(1.0, done))
        self._on_progress(stage, self._furthest)

    @contextmanager
    def enter(self, stage: str, clock: str | None = None) -> Iterator[None]:
        """Begin a stage, unless asked to stop, and take its time."""
        self.stop_if_asked()
        self.report(stage, 0.0)
        with self.timed(clock or stage):
            yield

    @contextmanager
    def timed(self, clock: str) -> Iterator[None]:
        """Add the time of the block to one of the clocks; several threads may do so."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[clock] += time.perf_counter() - began

    def seconds(self) -> dict[str, float]:
        """So far, by clock, and ``total``: less than the sum, where stages overlap.

        ``decode`` is only what was waited for; ``detect`` and ``predict`` are added up over
        the threads at work.
        """
        total = time.perf_counter() - self._began
        return {name: round(value, 3) for name, value in (self._seconds | {"total": total}).items()}
