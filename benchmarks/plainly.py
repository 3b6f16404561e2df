"""The same sampling and votes with nothing taken the quick way: what speed may not change.

    python -m benchmarks.plainly VIDEO… > plainly.jsonl
    python -m detector analyze --json VIDEO… > quickly.jsonl
    python -m benchmarks.agreement plainly.jsonl quickly.jsonl

Faces are looked for everywhere in every frame instead of being followed, and the network
answers in TensorFlow with 32 bits instead of in the engine that is served.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from tqdm import tqdm

from detector import Detector, checkpoints
from detector.domain import DetectedFace, Image
from detector.errors import UnusableVideo
from detector.faces import FaceFinder
from detector.report import result_to_json


class Everywhere(FaceFinder):
    """Follows nobody."""

    def follow(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
        return self.find(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--checkpoint", default="default")
    options = parser.parse_args()
    detector = Detector(Everywhere(), checkpoints.load(options.checkpoint))
    for video in tqdm(options.videos, unit="video"):
        try:
            answer = result_to_json(detector.analyze(video))
        except UnusableVideo as error:
            answer = {"error": {"code": error.code}}
        print(json.dumps({"file": video} | answer), flush=True)


if __name__ == "__main__":
    main()
