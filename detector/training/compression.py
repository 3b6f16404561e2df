"""One round through a lossy codec, in memory.

Pictures are RGB ``uint8`` (height, width, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import cv2
import numpy as np

from detector.domain import Image
from detector.training.crops import decode_rgb


def compress_jpeg(image: Image, quality: int) -> Image:
    """The picture after JPEG; ``quality`` from 1 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("JPEG encoding failed")
    return decode_rgb(encoded.tobytes())


def compress_h264(images: Sequence[Image], crf: int) -> list[Image]:
    """Pictures of one even size after H.264 as a film, with its 4:2:0 chroma.

    Args:
        crf: x264's constant rate factor, 0 to 51; FaceForensics++ names its "c23" and
            "c40" after it (Rössler et al., ICCV 2019).

    Raises:
        ValueError: no picture, an odd side, or sizes that differ.
    """
    options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    return _compress_film(images, "libx264", "h264", options)


def compress_mpeg1(images: Sequence[Image], quantizer: int) -> list[Image]:
    """Pictures of one even size after MPEG-1 as a film: blocks of 8×8 and no deblocking.

    Args:
        quantizer: 1, the finest, to 31.

    Raises:
        ValueError: no picture, an odd side, or sizes that differ.
    """
    # No choice is left to the rate control.
    options = {"qmin": str(quantizer), "qmax": str(quantizer)}
    return _compress_film(images, "mpeg1video", "mpeg1video", options)


def _compress_film(
    images: Sequence[Image], encoder_name: str, decoder_name: str, options: dict[str, str]
) -> list[Image]:
    import av
    from av.video.codeccontext import VideoCodecContext

    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"a film needs pictures of one size, got {sorted(shapes)}")
    height, width, _ = shapes.pop()
    if height % 2 or width % 2:
        raise ValueError(f"a film with 4:2:0 chroma needs even sides, got {width}×{height}")
    encoder = cast(VideoCodecContext, av.CodecContext.create(encoder_name, "w"))
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    # One thread: how the work is divided changes the bits.
    encoder.options = {**options, "threads": "1"}
    packets = []
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(VideoCodecContext, av.CodecContext.create(decoder_name, "r"))
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    return [np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8) for frame in decoded]
