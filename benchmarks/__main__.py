"""``script/bench``: how fast an analysis is, beside the way it replaced and what is possible.

    script/bench                      a rendered clip, five runs of everything
    script/bench VIDEO --runs 9       one's own video
    script/bench --memory 10 60 600 3600

Each run measures everything once, one after the other, so that what else the machine does
meets all of it; the table has the minimum, the median and the maximum of the runs, and of
their ratios. Everything goes to ``results.json`` as well, and the plot to ``results.png``.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from benchmarks import clips, memory, report
from benchmarks.report import Measured
from detector import Detector, Sampling
from detector.device import cores
from detector.video import probe

EVERY_FRAME = Sampling("every frame", frames=None, step=1)
SEED_FRAMES = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("video", nargs="?", type=Path, help="default: a rendered clip")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--bits", type=int, choices=(8, 32), default=32, help="of the network")
    parser.add_argument("--seed-frames", type=int, default=SEED_FRAMES,
                        help="that the way replaced is measured on (%(default)s)")  # fmt: skip
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="SECONDS",
                        help="measure memory instead, for videos of these lengths")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("var/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="framevote-bench-") as folder:
        if options.memory:
            peaks = memory.measure(Path(folder), sorted(options.memory), options.checkpoint)
            found = about() | {"memory_mb": peaks}
            print(report.memory_table(peaks))
        else:
            video = options.video or clips.ten_seconds(Path(folder) / "ten seconds, 1080p.mp4")
            measured = _measure(video, options)
            found = about() | measured.as_json()
            print(report.table(measured))
            report.plot(measured, options.out / "results.png")
    name = "memory.json" if options.memory else "results.json"
    (options.out / name).write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{options.out / name}")


def about() -> dict[str, object]:
    """When and on what."""
    return {"date": datetime.now(UTC).isoformat(timespec="minutes"), "processor": processor(),
            "cores": cores()}  # fmt: skip


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def _measure(video: Path, options: argparse.Namespace) -> Measured:
    from benchmarks.floors import Floors
    from benchmarks.seed_way import SeedWay

    media = probe(video)
    started = time.perf_counter()
    detector = Detector.load(options.checkpoint, device="cpu", bits=options.bits)
    loading = time.perf_counter() - started
    seed = SeedWay(options.checkpoint)
    floors = Floors(video, Sampling(), options.checkpoint, options.bits)
    detector.analyze(video)
    seed.seconds_a_frame(video, 1)
    measured = Measured(video.name, media, loading)
    for _ in tqdm(range(options.runs), unit="run"):
        standard = detector.analyze(video)
        every = detector.analyze(video, EVERY_FRAME)
        measured.add(
            seed_frame=seed.seconds_a_frame(video, options.seed_frames),
            standard=standard,
            every=every,
            floors=floors.measure(),
        )
    return measured


if __name__ == "__main__":
    main()
