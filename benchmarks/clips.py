"""The videos that are measured on, rendered when they are needed.

The ten-second clip is what a person uploads: 1080p, 30 frames a second, H.264 with frames that
refer forwards, and a face that moves. A clip of an hour is made of a short one, whose packets
are written again and again: rendering an hour would take longer than measuring it.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from tests.clips import Image, Size, scene

FULL_HD: Size = (1920, 1080)
CODING = {"preset": "veryfast", "crf": "23"}
"""Of libx264: as a phone or a platform would, with B-frames and a keyframe in ten seconds."""

NOISE = 4.5
"""Of the camera, in gray levels: pictures without any cost a decoder next to nothing."""


def ten_seconds(path: Path, *, size: Size = FULL_HD, fps: int = 30, seconds: float = 10.0) -> Path:
    """One face, a third of the picture's height, that wanders; camera noise everywhere."""
    width, height = size
    count = round(fps * seconds)
    noise = np.random.default_rng(1).normal(0, NOISE, (4, height // 2, width // 2, 1))
    grain = [n.repeat(2, axis=0).repeat(2, axis=1).astype(np.int16) for n in noise]

    def frame(i: int) -> Image:
        phase = 2 * math.pi * i / count
        x = width * (0.5 + 0.2 * math.sin(phase))
        y = height * (0.5 + 0.05 * math.cos(2 * phase))
        picture = scene(size, [(0, x, y, 0.6 * height)])
        return (picture + grain[i % len(grain)]).clip(0, 255).astype(np.uint8)

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options=dict(CODING))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(count):
            coded = av.VideoFrame.from_ndarray(frame(i), format="rgb24")
            coded.pts, coded.time_base = i, Fraction(1, fps)
            output.mux(stream.encode(coded))
        output.mux(stream.encode(None))
    return path


def repeated(path: Path, short: Path, seconds: float) -> Path:
    """The short clip over and over, ``seconds`` long in all; each time begins with a keyframe."""
    with av.open(str(short)) as source, av.open(str(path), "w") as output:
        template = source.streams.video[0]
        target = output.add_stream_from_template(template)
        base = cast(Fraction, template.time_base)
        duration = cast(int, template.duration)
        for round_number in range(math.ceil(seconds / float(duration * base))):
            source.seek(0)
            for packet in source.demux(template):
                if packet.dts is None or packet.pts is None:
                    continue
                packet.pts += round_number * duration
                packet.dts += round_number * duration
                packet.stream = target
                output.mux(packet)
    return path
