"""From a face in a frame to the network's input: the ONE path.

Training, evaluation and serving all call these functions, so that a face looks
the same to the network wherever it comes from. Two steps:

1. ``crop_face``: a square with a margin around the face's box, resampled to
   300×300×3 (the seed's face size; also what thumbnails are made from);
2. ``to_network_input``: resampled to the checkpoint's ``image_size`` and scaled
   to −1…1, as ``keras.applications.inception_resnet_v2.preprocess_input`` does.

Shrinking averages areas and enlarging interpolates linearly: a face keeps no
aliasing that depends on how large it was in the frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from detector.domain import FaceBox, Image

CROP_SIDE = 300
"""Side of a face crop in pixels."""

NetworkInput = npt.NDArray[np.float32]


def crop_face(image: Image, box: FaceBox, margin: float, drop: float = 0.0) -> Image:
    """Cut a square around a face and resample it to 300×300.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        box: the face, in pixels of ``image``.
        margin: side of the square divided by the longer side of the box; fixed by
            the checkpoint, since the network learned on crops of one margin.
        drop: how far the square's middle lies below the box's, by the square's side;
            fixed by the checkpoint as well, for other face finders draw other boxes.

    Returns:
        RGB ``uint8``, shape (300, 300, 3). What lies outside the frame repeats its
        edge: a black bar would be a feature of its own.

    Raises:
        ValueError: the box is empty, or the margin is not positive.
    """
    if box.width <= 0 or box.height <= 0:
        raise ValueError(f"a face box must have an area, got {box}")
    if margin <= 0:
        raise ValueError(f"margin must be positive, got {margin}")
    side = max(1.0, box.side * margin)
    left = box.x + box.width / 2 - side / 2
    top = box.y + box.height / 2 - side / 2 + drop * side
    return crop_square(image, left, top, side)


def crop_square(image: Image, left: float, top: float, side: float) -> Image:
    """The square ``side`` × ``side`` at (left, top), rounded to pixels, at 300×300.

    Args, returns: as ``crop_face``, with the square given directly.
    """
    x0, y0 = round(left), round(top)
    size = max(1, round(side))
    height, width = image.shape[:2]
    x1, y1 = x0 + size, y0 + size
    inside = image[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    if inside.size == 0:
        raise ValueError(f"the square {x0},{y0} {size}px lies outside a {width}×{height} frame")
    if inside.shape[:2] != (size, size):
        above, below = max(0, -y0), max(0, y1 - height)
        before, behind = max(0, -x0), max(0, x1 - width)
        bordered = cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
        inside = np.asarray(bordered, dtype=np.uint8)
    return _resize(inside, CROP_SIDE)


def whole_crop(image: Image) -> Image:
    """A stored face crop of any size as a 300×300 crop (training and evaluation sets).

    Args:
        image: RGB ``uint8``, square, cut with the margin that is to be served.
    """
    height, width = image.shape[:2]
    if height != width:
        raise ValueError(f"a face crop is square, got {width}×{height}")
    return crop_square(image, 0, 0, width)


def to_network_input(crops: Sequence[Image], image_size: int) -> NetworkInput:
    """Face crops as the network reads them.

    Args:
        crops: n arrays, RGB ``uint8``, shape (300, 300, 3).
        image_size: side of the network's input in pixels.

    Returns:
        ``float32``, shape (n, image_size, image_size, 3), RGB, −1…1.

    Raises:
        ValueError: a crop of another shape or dtype.
    """
    batch = np.empty((len(crops), image_size, image_size, 3), np.float32)
    for position, crop in enumerate(crops):
        if crop.shape != (CROP_SIDE, CROP_SIDE, 3) or crop.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 crops of shape ({CROP_SIDE}, {CROP_SIDE}, 3), "
                f"got {crop.dtype} {crop.shape}"
            )
        batch[position] = _resize(crop, image_size)
    batch /= 127.5
    batch -= 1.0
    return batch


def _resize(square: Image, side: int) -> Image:
    current = square.shape[0]
    if current == side:
        return np.ascontiguousarray(square)
    interpolation = cv2.INTER_AREA if side < current else cv2.INTER_LINEAR
    resized = cv2.resize(square, (side, side), interpolation=interpolation)
    return np.asarray(resized, dtype=np.uint8)
