"""Whether two versions of the detector give the same verdicts.

    python -m detector analyze --json VIDEO… > before.jsonl     (with the one)
    python -m detector analyze --json VIDEO… > after.jsonl      (with the other)
    python -m benchmarks.agreement before.jsonl after.jsonl

Prints the videos whose verdict or reasons differ, and how far the probabilities moved.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any


def main(before: str, after: str) -> None:
    one, other = _read(before), _read(after)
    moved = []
    same = 0
    for file in sorted(one.keys() & other.keys()):
        was, now = one[file], other[file]
        if _judged(was) == _judged(now):
            same += 1
        else:
            print(f"{file}: {_judged(was)} -> {_judged(now)}, "
                  f"{was.get('probability_fake')} -> {now.get('probability_fake')}")  # fmt: skip
        if was.get("probability_fake") is not None and now.get("probability_fake") is not None:
            moved.append(abs(was["probability_fake"] - now["probability_fake"]))
    faces = [sum(len(result.get("faces", [])) for result in r.values()) for r in (one, other)]
    print(f"{same} of {len(one.keys() & other.keys())} the same; probability moved by "
          f"{statistics.median(moved):.4f} in the median, {max(moved):.4f} at most; "
          f"faces: {faces[0]} -> {faces[1]}")  # fmt: skip


def _read(path: str) -> dict[str, dict[str, Any]]:
    answers = map(json.loads, Path(path).read_text().splitlines())
    return {answer["file"]: answer for answer in answers}


def _judged(answer: dict[str, Any]) -> tuple[Any, ...]:
    if "error" in answer:
        return ("error", answer["error"]["code"])
    return (answer["verdict"], *sorted(str(reason) for reason in answer["reasons"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
