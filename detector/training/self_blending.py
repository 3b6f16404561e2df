"""Self-blended images: pseudo-fakes made from one genuine face.

A face is blended with a transformed copy of itself, which teaches the traces of
blending rather than those of one generator, and needs no forgery to learn from
(Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022;
written from the paper, with drawn face shapes where the paper uses landmarks).

Pictures are RGB ``uint8``, square; every function draws from the generator it is
given and from nothing else.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from detector.domain import Image
from detector.training.augmentation import shift_hue, to_bytes

Mask = npt.NDArray[np.float32]


def self_blend(image: Image, rng: np.random.Generator) -> Image:
    """A pseudo-fake of one genuine face, of the same size.

    As in the paper: one of the two copies has its colours or frequencies changed; the
    inner copy is shifted and scaled a little; the mask is deformed, softened, and
    weighted by a blending ratio.
    """
    inner, outer = image, image
    if rng.random() < 0.5:
        inner = _change_copy(inner, rng)
    else:
        outer = _change_copy(outer, rng)
    inner = _shift_and_scale(inner, rng)
    ratio = rng.choice([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    mask = (_face_mask(image.shape[0], rng) * ratio)[..., None]
    return to_bytes(inner * mask + outer * (1.0 - mask))


def _down_and_up(image: Image, scale: float) -> Image:
    size = image.shape[0]
    small = max(16, int(size * scale))
    reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(reduced, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.uint8
    )


def _change_copy(image: Image, rng: np.random.Generator) -> Image:
    """The paper's source-target change: colour, then sharpness or resolution."""
    changed = image.astype(np.float32)
    if rng.random() < 0.7:
        changed += rng.uniform(-15, 15, 3).astype(np.float32)
    if rng.random() < 0.7:
        mean = changed.mean(axis=(0, 1), keepdims=True)
        changed = (changed - mean) * np.float32(rng.uniform(0.8, 1.2)) + mean
        changed += np.float32(rng.uniform(-15, 15))
    image = to_bytes(changed)
    if rng.random() < 0.5:
        image = shift_hue(image, rng)
    if rng.random() < 0.5:
        blurred = cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32)
        strength = rng.uniform(0.2, 0.7)
        return to_bytes(image + strength * (image - blurred))
    return _down_and_up(image, rng.uniform(0.25, 0.6))


def _shift_and_scale(image: Image, rng: np.random.Generator) -> Image:
    size = image.shape[0]
    scale = rng.uniform(0.95, 1.05, 2)
    shift = rng.uniform(-0.03, 0.03, 2) * size
    angle = np.deg2rad(rng.uniform(-2, 2))
    centre = size / 2
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        scale
    )
    offset = centre + shift - linear @ np.array([centre, centre])
    matrix = np.column_stack([linear, offset]).astype(np.float32)
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, dtype=np.uint8)


def _face_mask(size: int, rng: np.random.Generator) -> Mask:
    """0…1, shape (size, size): a face-like region, deformed and softened.

    In a tightly cut crop the face is some three quarters as wide and nearly as high.
    """
    centre = np.array([0.5, rng.uniform(0.46, 0.58)]) * size
    half = np.array([rng.uniform(0.24, 0.42), rng.uniform(0.3, 0.48)]) * size
    mask = np.zeros((size, size), np.float32)
    kind = rng.random()
    if kind < 0.4:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(8, 17))))
        radii = rng.uniform(0.75, 1.1, angles.size)
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * half * radii[:, None]
        hull = cv2.convexHull(points.astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1.0)
    else:
        if kind > 0.75:  # a part of the face: mouth and chin, or the eyes
            lower = rng.random() < 0.6
            centre[1] += (0.5 if lower else -0.4) * half[1]
            half[1] *= 0.5
        axes = (int(half[0]), int(half[1]))
        cv2.ellipse(
            mask, (int(centre[0]), int(centre[1])), axes, rng.uniform(-10, 10), 0, 360, 1.0, -1
        )
    mask = _deform(mask, rng)
    grow = int(rng.integers(1, 12)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow))
    changed = cv2.erode(mask, kernel) if rng.random() < 0.5 else cv2.dilate(mask, kernel)
    softened = cv2.GaussianBlur(changed, (0, 0), size * rng.uniform(0.008, 0.05))
    peak = float(softened.max())
    return np.asarray(softened / peak if peak > 0 else softened, dtype=np.float32)


def _deform(mask: Mask, rng: np.random.Generator) -> Mask:
    """Elastic deformation by a smooth random field."""
    size = mask.shape[0]
    coarse = rng.normal(0, size * 0.02, (2, 6, 6)).astype(np.float32)
    field = [cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC) for part in coarse]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    return np.asarray(
        cv2.remap(mask, columns + field[0], rows + field[1], cv2.INTER_LINEAR), dtype=np.float32
    )
