"""``python -m tests.fuzz --inputs 5000``: hostile files, each of which must end in a code.

``--verdicts`` goes on to a verdict with the shipped networks where there are frames.
Exit status 1 if any input killed, hung or ended without a code; it is kept in ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.run import LIMITS, frames_of, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-a-time", type=int, default=2)
    parser.add_argument("--verdicts", action="store_true")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    look = frames_of
    if arguments.verdicts:
        from detector import Detector, Sampling

        detector = Detector.load()

        def look(path: Path) -> str:
            return detector.analyze(path, Sampling.named("quick"), limits=LIMITS).verdict.value

    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    report = fuzz(arguments.inputs, arguments.seed, look, arguments.at_a_time, arguments.keep)
    print(json.dumps(vars(report), indent=2))
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
