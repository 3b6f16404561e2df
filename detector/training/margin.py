"""``python -m detector.training.margin``: with which margin were these crops cut?

Serving must cut faces as the training crops were cut. This runs the face finder
that serves on a sample of a set's crops and prints ``margin`` (side of the crop ÷
longer side of the found box) and ``drop`` (how far the crop's middle lies below the
box's, by the crop's side), as ``python -m detector train`` takes them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image
from detector.faces import FaceFinder
from detector.training.crops import load_faces, read_manifest

BORDER = 0.25
"""Black border around a crop, by its side: a box may reach beyond the crop."""


def estimate(crops: list[Image]) -> dict[str, float]:
    """How square crops, RGB ``uint8``, were cut.

    Returns:
        The medians ``margin`` and ``drop``, see ``preprocessing.crop_face``, with the
        quartiles ``margin_low`` and ``margin_high``; ``shift``, to the right, which nobody
        cuts on purpose; ``found`` and ``crops`` (how many).
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
        offsets.append(0.5 - middle / side)
    if not ratios:
        return {"found": 0, "crops": len(crops)}
    low, margin, high = np.percentile(ratios, [25, 50, 75])
    shift, drop = np.median(offsets, axis=0)
    values = {
        "margin": margin,
        "margin_low": low,
        "margin_high": high,
        "drop": drop,
        "shift": shift,
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
