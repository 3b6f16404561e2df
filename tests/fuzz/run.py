"""Each file through the detector's door: frames, a verdict, or an error with a code."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from detector.errors import DetectorError
from detector.limits import Limits
from detector.video import Sampling, sample
from tests.fuzz.mutations import mutant, originals

LIMITS = Limits(
    max_minutes=5, max_memory_mb=1500, cpu_seconds=20, wall_seconds=60, silence_seconds=40
)
TOO_LONG_S = 90.0
"""More than the limits allow: a hang."""

Look = Callable[[Path], str]
"""What became of a file, in a word; raises ``DetectorError`` as the detector does."""


@dataclass
class Report:
    """Counts, and the number of each input that broke a promise with what it did."""

    ends: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    broken: dict[int, str] = field(default_factory=dict)


def frames_of(path: Path) -> str:
    """Decode as a quick look does."""
    with sample(path, Sampling.named("quick"), LIMITS) as stream:
        frames = sum(1 for _ in stream)
    return "frames" if frames else "nothing"


def fuzz(
    count: int, seed: int, look: Look = frames_of, at_a_time: int = 2, keep: Path | None = None
) -> Report:
    """Look at so many files.

    Args:
        keep: folder for the inputs that broke a promise.
    """
    report = Report()
    with tempfile.TemporaryDirectory(prefix="framevote-fuzz-") as name:
        folder = Path(name)
        (folder / "originals").mkdir()
        videos = originals(folder / "originals")

        def one(number: int) -> tuple[int, str, str, float, str]:
            mutation, content = mutant(number, seed, videos)
            path = folder / f"{number}.mp4"
            path.write_bytes(content)
            began = time.monotonic()
            broken = ""
            try:
                end = look(path)
            except DetectorError as error:
                end = error.code
                if end == DetectorError.code:
                    broken = f"an error without a reason: {error}"
            except Exception as error:
                end, broken = "exception", f"{type(error).__name__}: {error}"
            took = time.monotonic() - began
            if took > TOO_LONG_S:
                broken = f"took {took:.0f} s"
            if end == "nothing":
                broken = "neither frames nor an error"
            if broken and keep is not None:
                path.rename(keep / f"{seed}-{number}-{mutation}.bin")
            path.unlink(missing_ok=True)
            return number, mutation, end, took, broken

        with ThreadPoolExecutor(at_a_time) as pool:
            for number, mutation, end, took, broken in pool.map(one, range(count)):
                report.ends[end] += 1
                report.mutations[mutation] += 1
                report.slowest_s = max(report.slowest_s, took)
                if broken:
                    report.broken[number] = f"{mutation}: {broken}"
    return report
