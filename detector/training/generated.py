"""Drawn crops in place of data: to try the trainer with nothing downloaded.

Nobody's face: an oval with eyes and a mouth. The fakes have stripes across the oval's
lower half, so a network that learns at all learns to tell them.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image, Label
from detector.training.crops import MANIFEST

SIDE = 96
FRAMES = 10


def write_generated(folder: Path, sources: int, seed: int) -> Path:
    """A folder of crops with a manifest: ``sources`` genuine videos of 10 frames, and a
    fake of each."""
    rows = []
    for source in range(sources):
        for label in Label:
            video = f"{label.name.lower()}/{source}"
            (folder / video).mkdir(parents=True, exist_ok=True)
            for frame in range(FRAMES):
                path = f"{video}/{frame}.png"
                drawn = draw((seed, source), frame, fake=label == Label.FAKE)
                cv2.imwrite(str(folder / path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
                rows.append(
                    {
                        "path": path,
                        "label": label.name,
                        "source_video": source,
                        "method": "stripes" if label == Label.FAKE else "",
                        "video": video,
                        "frame_index": frame,
                    }
                )
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def draw(person: tuple[int, int], frame: int, *, fake: bool) -> Image:
    """One frame of a person's video, RGB ``uint8`` (96, 96, 3)."""
    rng = np.random.default_rng(person)
    background, skin, dark = (
        rng.uniform(low, high, 3) for low, high in ((40, 200), (120, 230), (10, 90))
    )
    x, y = rng.uniform(44, 52, 2) + 0.3 * frame
    width, height = rng.uniform(26, 32), rng.uniform(34, 40)
    picture = np.full((SIDE, SIDE, 3), background)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    oval = ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 < 1
    picture[oval] = skin
    for offset in (-0.4, 0.4):
        eye = ((columns - x - offset * width) / 5) ** 2 + ((rows - y + 9) / 3) ** 2 < 1
        picture[eye] = dark
    mouth = ((columns - x) / 11) ** 2 + ((rows - y - 17) / 3) ** 2 < 1
    picture[mouth] = dark
    if fake:
        stripes = oval & (rows > y) & (rows % 8 < 4)
        picture[stripes] *= 0.6
    picture += np.random.default_rng((*person, frame)).normal(0, 4, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
