"""What happens to films and pictures on their way, done to a set that is measured.

Each ``Damage`` has a form for the frames of a video and one for stored face crops. A
damaged video is a temporary H.264 file that is analysed like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image
from detector.training.compression import compress_h264
from detector.video import Sampling, sample

RATES = (23, 32, 40)
"""CRF of the H.264 damages; FaceForensics++ publishes 23 and 40 (Rössler et al., 2019)."""

NEARLY_LOSSLESS = 10
"""CRF of a damaged video where H.264 is not the damage."""

SIGMA = 2.0
"""Of the blur, in pixels of the frame or the stored crop."""

CUT_AWAY = 0.1
"""Of each side of a frame or crop."""

SHIFT = 0.05
"""Of a cropped face to the right and down, by the crop's side: nobody cuts in the middle."""

CLOCK = Fraction(1, 90_000)
"""Tick of the damaged videos in seconds."""

Change = Callable[[Image], Image]
"""RGB ``uint8`` (height, width, 3), of even sides for a frame ▸ the same, of any size."""


@dataclass(frozen=True)
class Damage:
    """One way a set is damaged.

    Attributes:
        frame: what happens to each frame before it is encoded.
        rate: CRF the video is encoded with.
        crop: what happens to a stored square face crop, which stays square.
    """

    name: str
    frame: Change
    rate: int
    crop: Change


def unchanged(image: Image) -> Image:
    return image


def halved(image: Image) -> Image:
    """Half the width and height, averaged over areas."""
    height, width = image.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), SIGMA), np.uint8)


def cropped(image: Image, shift: float = 0.0) -> Image:
    """Without the outer ``CUT_AWAY`` of each side, off the middle by ``shift`` of the sides."""
    height, width = image.shape[:2]
    top, left = (round((CUT_AWAY + shift) * side) for side in (height, width))
    rows, columns = (round((1 - 2 * CUT_AWAY) * side) for side in (height, width))
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def compressed(crop: Image, rate: int) -> Image:
    """A crop as a film of one picture; an odd side is made even by repeating the edge."""
    height, width = crop.shape[:2]
    even = np.pad(crop, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(compress_h264([even], rate)[0][:height, :width])


def _h264(rate: int) -> Damage:
    return Damage(f"H.264 at CRF {rate}", unchanged, rate, lambda crop: compressed(crop, rate))


DAMAGES = (
    *(_h264(rate) for rate in RATES),
    Damage("half size", halved, NEARLY_LOSSLESS, halved),
    Damage("blur", blurred, NEARLY_LOSSLESS, blurred),
    Damage("crop", cropped, NEARLY_LOSSLESS, lambda crop: cropped(crop, SHIFT)),
)


@contextmanager
def damaged_video(path: Path, damage: Damage) -> Iterator[Path]:
    """A copy of a video, damaged, that is gone afterwards.

    It has every frame of the original, upright and at its time, and no sound.

    Raises:
        UnusableVideo: the original cannot be decoded.
    """
    with tempfile.TemporaryDirectory(prefix="framevote-damaged-") as folder:
        copy = Path(folder) / "damaged.mp4"
        _write(path, copy, damage)
        yield copy


def _write(path: Path, copy: Path, damage: Damage) -> None:
    import av

    with (
        sample(path, Sampling("every frame", frames=None, step=1)) as frames,
        av.open(str(copy), "w") as output,
    ):
        stream = output.add_stream("libx264", rate=round(frames.media.fps) or 25)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = CLOCK
        stream.options = {"crf": str(damage.rate), "preset": "veryfast"}
        before = -1
        for number, frame in enumerate(frames):
            image = _even(damage.frame(_even(frame.image)))
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            encoded = av.VideoFrame.from_ndarray(image, format="rgb24")
            encoded.time_base = CLOCK
            before = encoded.pts = max(round(frame.time_s / CLOCK), before + 1)
            output.mux(stream.encode(encoded))
        output.mux(stream.encode(None))


def _even(image: Image) -> Image:
    """Without the last row or column of an odd side: 4:2:0 chroma has no place for it."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])
