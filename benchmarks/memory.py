"""Peak resident memory of an analysis, against the length of the video.

Each length is analyzed by a process of its own, which is watched together with its decoding
child. (What the kernel itself keeps as a process's peak counts its parent's memory too, from
the moment between fork and exec.)
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks import clips

SIZE = (1280, 720)
LOOK_EVERY_S = 0.02
ANALYZE = """
import sys
from detector import Detector, Limits
Detector.load(sys.argv[2], device="cpu").analyze(sys.argv[1], limits=Limits(max_minutes=70))
"""


def measure(folder: Path, seconds: list[int], checkpoint: str) -> dict[int, dict[str, float]]:
    """Peaks in MB by length: ``analysis``, ``decoding``, and ``together`` at one moment."""
    short = clips.ten_seconds(folder / "short.mp4", size=SIZE, fps=25)
    peaks = {}
    for length in seconds:
        video = clips.repeated(folder / "long.mp4", short, length) if length > 10 else short
        peaks[length] = _peaks([sys.executable, "-c", ANALYZE, str(video), checkpoint])
    return peaks


def _peaks(command: list[str]) -> dict[str, float]:
    peaks = dict.fromkeys(("analysis", "decoding", "together"), 0.0)
    with subprocess.Popen(command) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                analysis = watched.memory_info().rss / 2**20
                decoding = sum(c.memory_info().rss for c in watched.children()) / 2**20
            except psutil.NoSuchProcess:
                continue
            now = {"analysis": analysis, "decoding": decoding, "together": analysis + decoding}
            peaks = {name: max(peak, now[name]) for name, peak in peaks.items()}
            time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {name: round(peak, 1) for name, peak in peaks.items()}
