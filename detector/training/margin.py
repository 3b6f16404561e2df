"""``python -m detector.training.margin``: with which margin were these crops cut?

Serving must cut faces as the training crops were cut. This runs the face finder
that serves on a sample of a set's crops and prints side of the crop ÷ longer side
of the found box: median and quartiles.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image
from detector.faces import FaceFinder
from detector.training.datasets import load_faces, read_manifest

BORDER = 0.25
"""Black border around a crop, by its side: a box may reach beyond the crop."""


def estimate(crops: list[Image]) -> dict[str, float]:
    """Margin of square crops, RGB ``uint8``.

    Returns:
        ``median``, ``low`` and ``high`` quartile, ``offset_x`` and ``offset_y`` (median
        place of the box's middle, by the crop's side from the crop's middle), ``found``
        and ``crops`` (how many).
    """
    finder = FaceFinder()
    ratios, offsets = [], []
    for crop in crops:
        side = crop.shape[0]
        border = round(side * BORDER)
        framed = np.asarray(
            cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_CONSTANT),
            dtype=np.uint8,
        )
        faces = finder.find([framed])[0]
        if not faces:
            continue
        box = max(faces, key=lambda face: face.box.side).box
        ratios.append(side / box.side)
        middle = np.array([box.x + box.width / 2, box.y + box.height / 2]) - border
        offsets.append(middle / side - 0.5)
    low, median, high = np.percentile(ratios, [25, 50, 75])
    offset_x, offset_y = np.median(offsets, axis=0)
    values = {
        "median": median,
        "low": low,
        "high": high,
        "offset_x": offset_x,
        "offset_y": offset_y,
    }
    return {key: round(float(value), 3) for key, value in values.items()} | {
        "found": len(ratios),
        "crops": len(crops),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder with manifest.csv")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows = [row for row in read_manifest(arguments.dataset) if row.split == "train"]
    chosen = np.random.default_rng(arguments.seed).permutation(len(rows))[: arguments.count]
    faces = load_faces(arguments.dataset, [rows[index] for index in sorted(chosen)])
    print(json.dumps(estimate([face.image() for face in faces])))


if __name__ == "__main__":
    main()
