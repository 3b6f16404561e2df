"""``python -m tests.chaos --seed 1``: many uploads while a monkey is about; then the counts.

A fast stand-in takes the networks' place (``stand_in.py``), unless ``--real`` is given.
Exit status 1 if anything was lost, doubled or left behind.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.backends import BACKENDS
from tests.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--stack", choices=sorted(BACKENDS), default="embedded")
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two tricks")
    parser.add_argument("--real", action="store_true", help="with the shipped networks")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="framevote-chaos-") as folder:
        report = run(
            Path(folder),
            seed=arguments.seed,
            submissions=arguments.submissions,
            workers=arguments.workers,
            backend=arguments.stack,
            pause=arguments.pause,
            real=arguments.real,
        )
    print(json.dumps(report, indent=2))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
