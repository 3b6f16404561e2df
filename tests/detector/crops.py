"""A small set of labelled crops, for what trains and measures."""

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Label

SIDE = 224


def picture(seed: int) -> np.ndarray:
    """A smooth picture, like no other seed's."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 7, 3)).astype(np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_dataset(folder: Path) -> Path:
    """12 sources of one genuine and one fake crop, half of them in a zip, one for validation."""
    folder.mkdir()
    rows = []
    with zipfile.ZipFile(folder / "part.zip", "w") as archive:
        for number in range(12):
            for label in Label:
                path = f"{label.name.lower()}/{number}.jpg"
                content = jpeg(picture(number * 2 + label))
                if number % 2:
                    archive.writestr(path, content)
                else:
                    (folder / path).parent.mkdir(exist_ok=True)
                    (folder / path).write_bytes(content)
                rows.append(
                    {
                        "zip": "part.zip" if number % 2 else "",
                        "path": path,
                        "label": label.name,
                        "source_video": f"{number}.mp4",
                        "split": "val" if number == 11 else "train",
                    }
                )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder
