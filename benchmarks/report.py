"""What was measured, as a table, as JSON and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.floors import Cost
from detector.device import cores
from detector.domain import MediaInfo, VideoResult

DECODE = "decode only"
STAGES = ("decode", "detect", "track", "predict", "vote")


@dataclass
class Measured:
    """One entry of each list for each run; seconds unless something else is said."""

    video: str
    media: MediaInfo
    loading: float
    """Of the detector, once."""
    sampled: int = 0
    every_sampled: int = 0
    faces: int = 0
    seed_frame: list[float] = field(default_factory=list)
    standard: list[float] = field(default_factory=list)
    every_frame: list[float] = field(default_factory=list)
    """A frame, all frames of the video looked at."""
    stages: dict[str, list[float]] = field(default_factory=dict)
    floors: dict[str, list[float]] = field(default_factory=dict)
    floors_processor: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of all cores together."""

    def add(
        self,
        seed_frame: float,
        standard: VideoResult,
        every: VideoResult,
        floors: Mapping[str, Cost],
    ) -> None:
        """One run."""
        self.sampled = len(standard.sampled_frames)
        self.every_sampled = len(every.sampled_frames)
        self.faces = len(standard.faces)
        self.seed_frame.append(seed_frame)
        self.standard.append(standard.seconds["total"])
        self.every_frame.append(every.seconds["total"] / self.every_sampled)
        for stage in STAGES:
            self.stages.setdefault(stage, []).append(standard.seconds[stage])
        for name, cost in floors.items():
            self.floors.setdefault(name, []).append(cost.seconds)
            self.floors_processor.setdefault(name, []).append(cost.processor_s)

    @property
    def seed_whole(self) -> list[float]:
        """The way replaced, extrapolated to all frames of the video."""
        return [seconds * self.media.frame_count for seconds in self.seed_frame]

    @property
    def largest_floor(self) -> list[float]:
        """Of each run: the largest of the kinds of work, each in its fastest engine."""
        fastest = (self.floors[name] for name in self._fastest)
        return [max(of_run) for of_run in zip(*fastest, strict=True)]

    @property
    def all_cores_busy(self) -> list[float]:
        """Of each run: what all kinds of work take together while no core is ever idle."""
        fastest = (self.floors_processor[name] for name in self._fastest)
        return [sum(of_run) / cores() for of_run in zip(*fastest, strict=True)]

    @property
    def _fastest(self) -> list[str]:
        """For each kind of work the floor of its fastest engine."""
        kinds: dict[str, list[str]] = {}
        for name in self.floors:
            kinds.setdefault(name.split(",")[0], []).append(name)
        return [
            min(names, key=lambda name: statistics.median(self.floors[name]))
            for names in kinds.values()
        ]

    @property
    def ratios(self) -> dict[str, list[float]]:
        return {
            "standard level, times as fast": _quotients(self.seed_whole, self.standard),
            "every frame, times as fast": _quotients(self.seed_frame, self.every_frame),
            "standard level / largest floor": _quotients(self.standard, self.largest_floor),
            "standard level / all floors, all cores busy": _quotients(
                self.standard, self.all_cores_busy
            ),
        }

    def as_json(self) -> dict[str, Any]:
        media = self.media
        return {
            "video": self.video,
            "frames": media.frame_count,
            "size": [media.width, media.height],
            "codec": media.codec,
            "duration_s": media.duration_s,
            "sampled": self.sampled,
            "faces": self.faces,
            "runs": len(self.standard),
            "seconds": {"loading": [self.loading]} | self._rows(),
            "ratios": self.ratios,
        }

    def _rows(self) -> dict[str, list[float]]:
        return {
            "way replaced, a frame": self.seed_frame,
            "way replaced, whole video (extrapolated)": self.seed_whole,
            "ours, every frame, a frame": self.every_frame,
            "ours, standard level, whole video": self.standard,
            **{f"  {stage}": seconds for stage, seconds in self.stages.items()},
            **{f"floor: {name}": seconds for name, seconds in self.floors.items()},
            "largest floor": self.largest_floor,
            "all floors, all cores busy": self.all_cores_busy,
        }


def table(measured: Measured) -> str:
    """In Markdown, with minimum, median and maximum of the runs."""
    media = measured.media
    lines = [
        f"{measured.video}: {media.frame_count} frames of {media.width}×{media.height}, "
        f"{media.codec}, {media.duration_s:.1f} s; standard level: {measured.sampled} frames, "
        f"{measured.faces} faces. Loaded in {measured.loading:.2f} s. "
        f"{len(measured.standard)} runs.",
        "",
        "| seconds | min | median | max |",
        "|---|---:|---:|---:|",
        *(_line(name, values, 3) for name, values in measured._rows().items()),
        "",
        "| ratio | min | median | max |",
        "|---|---:|---:|---:|",
        *(_line(name, values, 2) for name, values in measured.ratios.items()),
    ]
    return "\n".join(lines)


def memory_table(peaks: Mapping[int, Mapping[str, float]]) -> str:
    """In Markdown."""
    lines = ["| peak memory, MB | analysis | decoding child | together |", "|---|---:|---:|---:|"]
    for seconds, peak in peaks.items():
        name = f"{seconds} s" if seconds < 60 else f"{seconds / 60:g} min"
        lines.append(
            f"| {name} | {peak['analysis']:.0f} | {peak['decoding']:.0f} | {peak['together']:.0f} |"
        )
    return "\n".join(lines)


def plot(measured: Measured, path: Path) -> None:
    """Medians as bars, with the range of the runs, on a logarithmic scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {name.strip(): values for name, values in measured._rows().items() if min(values) > 0}
    names = list(rows)[::-1]
    medians = [statistics.median(rows[name]) for name in names]
    spread = [
        [median - min(rows[name]) for name, median in zip(names, medians, strict=True)],
        [max(rows[name]) - median for name, median in zip(names, medians, strict=True)],
    ]
    figure = Figure(figsize=(8, 0.35 * len(names) + 1.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    colors = ["#8a8a8a" if "floor" in name else "#1f5fa8" for name in names]
    axes.barh(names, medians, xerr=spread, color=colors, ecolor="#333333", capsize=2)
    axes.set_xscale("log")
    axes.set_xlabel("seconds: median and range of the runs")
    axes.set_title(f"{measured.video}, {measured.media.frame_count} frames", fontsize=10)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _quotients(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [n / d for n, d in zip(numerators, denominators, strict=True)]


def _line(name: str, values: Sequence[float], digits: int) -> str:
    shown = (min(values), statistics.median(values), max(values))
    return f"| {name} | " + " | ".join(f"{value:.{digits}f}" for value in shown) + " |"
