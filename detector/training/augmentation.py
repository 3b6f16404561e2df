"""What training does to face crops that says nothing about genuine or fake.

Pose of the crop, light, things before the face, resolution, noise, compression: a
detector that learned on clean crops mistakes a weak video for a forged one. Each
change happens to a stated share of the crops (``Augmentation``); the two crops of a
pair, a genuine one and a fake made from it, get the same changes, so that the forgery
is all that tells them apart.

Pictures are RGB ``uint8``, square; every function draws from the generator it is
given and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector.domain import Image
from detector.preprocessing import crop_square
from detector.training.compression import compress_h264, compress_jpeg, compress_mpeg1

SMALLEST_SIDE = 64
"""Pixels that a crop is scaled down to at the least."""


@dataclass(frozen=True)
class Augmentation:
    """Shares, 0 to 1, of the crops that each change happens to.

    A crop is compressed once, so those of ``jpeg``, ``h264`` and ``mpeg1`` together are
    1 at most.
    """

    pose: float = 1.0
    mirror: float = 0.5
    light: float = 0.7
    occlude: float = 0.1
    downscale: float = 0.4
    blur: float = 0.15
    noise: float = 0.15
    jpeg: float = 0.3
    h264: float = 0.4
    mpeg1: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            share = getattr(self, field.name)
            if not 0 <= share <= 1:
                raise ValueError(f"augmentation {field.name} is a share, 0 to 1, got {share}")
        if self.jpeg + self.h264 + self.mpeg1 > 1:
            raise ValueError(
                "augmentation jpeg, h264 and mpeg1 exclude each other, "
                f"got {self.jpeg}, {self.h264} and {self.mpeg1}"
            )


NO_AUGMENTATION = Augmentation(**{field.name: 0.0 for field in fields(Augmentation)})


def augment(image: Image, rng: np.random.Generator, shares: Augmentation) -> Image:
    """A stored crop as a 300×300 training crop.

    The crop is shifted and scaled as much as a face finder's box wanders.
    """
    scale, right, down = rng.uniform([0.85, -0.04, -0.04], [1.05, 0.04, 0.04])
    if rng.random() >= shares.pose:
        scale, right, down = 1.0, 0.0, 0.0
    if rng.random() < shares.mirror:
        image = np.ascontiguousarray(image[:, ::-1])
    if rng.random() < shares.light:
        image = _change_light(image, rng)
    if rng.random() < shares.occlude:
        image = _occlude(image, rng)
    # In the order of a real video: the lens, the size of the face in it, the sensor, the codec.
    if rng.random() < shares.blur:
        sigma = image.shape[0] * rng.uniform(0.002, 0.008)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)
    if rng.random() < shares.downscale:
        image = _shrink(image, rng)
    if rng.random() < shares.noise:
        image = to_bytes(image + rng.normal(0, rng.uniform(1, 8), image.shape))
    codec = rng.random()
    if codec < shares.h264:
        image = compress_h264(_film(image, rng), int(rng.integers(15, 43)))[-1]
    elif codec < shares.h264 + shares.jpeg:
        image = compress_jpeg(image, int(rng.integers(35, 96)))
    elif codec < shares.h264 + shares.jpeg + shares.mpeg1:
        image = compress_mpeg1(_film(image, rng), int(rng.integers(2, 13)))[-1]
    size = image.shape[0]
    side = size * scale
    middle = (size - side) / 2
    return crop_square(image, middle + right * size, middle + down * size, side)


def shift_hue(image: Image, rng: np.random.Generator) -> Image:
    """Hue, saturation and brightness moved a little."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + int(rng.integers(-6, 7))) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] + rng.integers(-25, 26, 2), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)


def to_bytes(values: npt.NDArray[np.floating]) -> Image:
    """Rounded and clipped to ``uint8``."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _change_light(image: Image, rng: np.random.Generator) -> Image:
    gain = rng.uniform(0.8, 1.2)
    offset = rng.uniform(-20, 20)
    tint = rng.uniform(-12, 12, 3)
    # As wide as in self_blend: a tint must not give a pseudo-fake away.
    changed = to_bytes(image * np.float32(gain) + (offset + tint).astype(np.float32))
    return shift_hue(changed, rng) if rng.random() < 0.3 else changed


def _occlude(image: Image, rng: np.random.Generator) -> Image:
    """A plain, soft-edged bar or disc over a part of the face: a hand, a microphone, hair."""
    size = image.shape[0]
    cover: npt.NDArray[Any] = np.zeros((size, size), np.float32)
    x, y = rng.uniform(0.1, 0.9, 2) * size
    half = rng.uniform(0.08, 0.25, 2) * size
    angle = rng.uniform(0, 180)
    if rng.random() < 0.5:
        box = cv2.boxPoints(((x, y), (2 * half[0], 2 * half[1]), angle))
        cv2.fillConvexPoly(cover, box.astype(np.int32), 1.0)
    else:
        axes = (int(half[0]), int(half[1]))
        cv2.ellipse(cover, (int(x), int(y)), axes, angle, 0, 360, 1.0, -1)
    cover = cv2.GaussianBlur(cover, (0, 0), size * rng.uniform(0.002, 0.01))[..., None]
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    return to_bytes(image * (1 - cover) + colour * cover)


def _shrink(image: Image, rng: np.random.Generator) -> Image:
    """The face as a smaller video shows it; cropping scales it up again."""
    size = image.shape[0]
    side = _even(max(SMALLEST_SIDE, round(size * rng.uniform(0.3, 0.9))))
    if side >= size:
        return image
    area = rng.random() < 0.7
    way = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=way), dtype=np.uint8)


def _film(image: Image, rng: np.random.Generator) -> list[Image]:
    """Up to two frames moved by a pixel and then the picture, which a codec may so predict
    from others, as most frames of a video are."""
    even = image[: _even(image.shape[0]), : _even(image.shape[1])]
    moves = [tuple(move) for move in rng.integers(-1, 2, (int(rng.integers(0, 3)), 2))]
    return [*(np.roll(even, move, (0, 1)) for move in moves), even]


def _even(side: int) -> int:
    return side - side % 2
