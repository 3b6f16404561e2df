"""Damaged files that still have frames go on to their verdict; decoding alone: ``tests/fuzz``."""

from __future__ import annotations

from pathlib import Path

from detector import Detector, Sampling
from tests.fuzz.run import LIMITS, fuzz


def test_what_still_has_frames_ends_in_a_verdict(detector: Detector) -> None:
    def look(path: Path) -> str:
        return detector.analyze(path, Sampling.named("quick"), limits=LIMITS).verdict.value

    report = fuzz(12, seed=2, look=look, at_a_time=1)
    print(report)
    assert report.broken == {}
    assert report.ends.keys() & {"REAL", "FAKE", "UNDECIDED"}
