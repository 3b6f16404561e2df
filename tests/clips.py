"""Renders the small test videos, from a real face, when a test needs them.

The face is the NASA portrait of Eileen Collins in scikit-image's package data
(public domain). Person 0 is the portrait; person 1 is made of it by mirroring
and recoloring. Every function writes one file to the path it is given and returns
that path; the same arguments give the same pictures.

    clip = one_person(tmp_path / "clip.mp4", seconds=1)
    clip = one_person(tmp_path / "clip.webm", codec="libvpx-vp9")
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from tests import scheduling

os.environ.setdefault("SVT_LOG", "1")  # The AV1 encoder prints a page of greetings otherwise.

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]  # Width, height.

CORNER_COLOR = (230, 20, 20)
"""Of the square in the upper left corner of upright `rotated` clips."""

MARKER_BITS = 12
"""`numbered` clips carry their frame number in this many black or white blocks."""

FAST: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "18"},
    "libx265": {"preset": "ultrafast", "crf": "18", "x265-params": "log-level=none:pools=1"},
    "libsvtav1": {"preset": "12", "crf": "12", "svtav1-params": "lp=1:pred-struct=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"},
}
QSCALE_CODECS = ("mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "wmv2", "flv")


# --- clips with faces ---------------------------------------------------------------------


def one_person(
    path: Path,
    *,
    size: Size = (320, 240),
    fps: int = 25,
    seconds: float = 2.0,
    codec: str = "libx264",
    person: int = 0,
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """One face, more than 80 pixels high, wandering left and right."""
    count = max(1, round(fps * seconds))
    frames = (scene(size, [(person, *_wander(size, i, count))]) for i in range(count))
    return write(path, frames, fps=fps, codec=codec, pix_fmt=pix_fmt,
                 container=container, options=options)  # fmt: skip


def two_people(
    path: Path,
    *,
    size: Size = (640, 360),
    fps: int = 25,
    seconds: float = 2.0,
    codec: str = "libx264",
) -> Path:
    """Person 0 in the left half and person 1 in the right half, in every frame."""
    width, height = size
    count = max(1, round(fps * seconds))
    side = min(width // 2, height) * 0.85

    def frame(i: int) -> Image:
        bob = height * 0.04 * math.sin(2 * math.pi * i / count)
        return scene(
            size,
            [
                (0, width * 0.25, height * 0.5 + bob, side),
                (1, width * 0.75, height * 0.5 - bob, side),
            ],
        )

    return write(path, (frame(i) for i in range(count)), fps=fps, codec=codec)


def hard_cut(
    path: Path,
    *,
    size: Size = (320, 240),
    fps: int = 25,
    seconds: float = 2.0,
    codec: str = "libx264",
) -> Path:
    """Person 0 for the first half, then, in the same place, person 1."""
    count = max(2, round(fps * seconds))
    frames = (
        scene(size, [(0 if i < count // 2 else 1, *_wander(size, i, count))]) for i in range(count)
    )
    return write(path, frames, fps=fps, codec=codec)


def single_frame(path: Path, *, size: Size = (320, 240), codec: str = "libx264") -> Path:
    """A video of exactly one frame, with a face."""
    return one_person(path, size=size, fps=25, seconds=1 / 25, codec=codec)


def odd_size(path: Path, *, size: Size = (321, 243), seconds: float = 1.0) -> Path:
    """Odd width and height (in VP9: browsers play it, and H.264 4:2:0 cannot be odd)."""
    return one_person(path, size=size, seconds=seconds, codec="libvpx-vp9")


def av1(path: Path, *, seconds: float = 1.0) -> Path:
    """AV1, which OpenCV's wheel opens but cannot decode."""
    return one_person(path, seconds=seconds, codec="libsvtav1")


def vp9_webm(path: Path, *, seconds: float = 1.0) -> Path:
    """VP9 in WebM (give a path ending in .webm)."""
    return one_person(path, seconds=seconds, codec="libvpx-vp9")


def mpeg1(path: Path, *, seconds: float = 1.0) -> Path:
    """MPEG-1 in a program stream (give a path ending in .mpg): no frame count in the file."""
    return one_person(path, seconds=seconds, codec="mpeg1video", container="mpeg")


def mpeg2(path: Path, *, seconds: float = 1.0) -> Path:
    """MPEG-2 in a program stream (give a path ending in .mpg): no frame count in the file."""
    return one_person(path, seconds=seconds, codec="mpeg2video", container="vob")


def rotated(
    path: Path,
    degrees: int,
    *,
    size: Size = (320, 240),
    seconds: float = 1.0,
    codec: str = "libx264",
) -> Path:
    """Upright only if the player turns the stored pictures clockwise by ``degrees``.

    ``size`` is the upright size. The upright picture has a `CORNER_COLOR` square
    in its upper left corner. ``degrees`` is 0, 90, 180 or 270.
    """
    count, corner = max(1, round(25 * seconds)), max(16, min(size) // 8)

    def stored(i: int) -> Image:
        upright = scene(size, [(0, *_wander(size, i, count))])
        upright[:corner, :corner] = CORNER_COLOR
        return np.ascontiguousarray(np.rot90(upright, degrees // 90))

    return write(path, (stored(i) for i in range(count)), codec=codec, rotation=degrees)


def variable_frame_rate(
    path: Path, *, size: Size = (320, 240), times_ms: Iterable[int] | None = None
) -> Path:
    """Frames at the given milliseconds; by default one second at 25 fps, then one at 10 fps."""
    times = list(times_ms) if times_ms is not None else vfr_times_ms()
    frames = (scene(size, [(0, *_wander(size, i, len(times)))]) for i in range(len(times)))
    return write(path, frames, fps=25, times_ms=times)


def vfr_times_ms() -> list[int]:
    """The default clock of `variable_frame_rate`."""
    return [40 * i for i in range(25)] + [1000 + 100 * i for i in range(10)]


def truncated(path: Path, *, keep: float = 0.5, seconds: float = 2.0) -> Path:
    """An MP4 that promises all its frames (25 a second); about ``keep`` of them are there."""
    whole = path.with_name(path.name + ".whole.mp4")
    one_person(whole, seconds=seconds, container="mp4", options={"movflags": "faststart"})
    content = whole.read_bytes()
    whole.unlink()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[: start + int((len(content) - start) * keep)])
    return path


# --- clips without faces ------------------------------------------------------------------


def no_face(
    path: Path,
    *,
    size: Size = (320, 240),
    fps: int = 25,
    seconds: float = 1.0,
    codec: str = "libx264",
) -> Path:
    """A drifting texture."""
    count = max(1, round(fps * seconds))
    frames = (np.roll(_background(size), 2 * i, axis=1) for i in range(count))
    return write(path, frames, fps=fps, codec=codec)


def numbered(
    path: Path,
    *,
    frames: int = 50,
    size: Size = (320, 240),
    fps: int = 25,
    codec: str = "libx264",
    container: str | None = None,
    options: dict[str, str] | None = None,
    coding: dict[str, str] | None = None,
    times_ms: Iterable[int] | None = None,
) -> Path:
    """Every frame carries its number; `read_number` reads it back after decoding."""

    def frame(i: int) -> Image:
        picture = _background(size).copy()
        width, height = size
        for bit in range(MARKER_BITS):
            left, right = bit * width // MARKER_BITS, (bit + 1) * width // MARKER_BITS
            picture[height // 3 : 2 * height // 3, left:right] = 255 if i >> bit & 1 else 0
        return picture

    return write(path, (frame(i) for i in range(frames)), fps=fps, codec=codec,
                 container=container, options=options, coding=coding,
                 times_ms=times_ms)  # fmt: skip


def read_number(picture: Image) -> int:
    """The frame number in a decoded picture of a `numbered` clip."""
    height, width = picture.shape[:2]
    row = picture[height // 2]
    at = [(2 * bit + 1) * width // (2 * MARKER_BITS) for bit in range(MARKER_BITS)]
    return sum(int(row[x].mean() > 127) << bit for bit, x in enumerate(at))


# --- files that are no video --------------------------------------------------------------


def zero_bytes(path: Path) -> Path:
    """An empty file."""
    path.write_bytes(b"")
    return path


def text_file(path: Path) -> Path:
    """Plain text, whatever the name says."""
    path.write_text("This is not a video, only a few words about one.\n" * 40)
    return path


def audio_only(path: Path, *, seconds: float = 1.0) -> Path:
    """A tone (AAC in MP4, or what the extension asks for) and no picture."""
    rate, block = 44100, 1024
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=rate)
        for start in range(0, int(rate * seconds), block):
            wave = 0.3 * np.sin(2 * np.pi * 440 * (start + np.arange(block)) / rate)
            frame = av.AudioFrame.from_ndarray(
                wave.astype(np.float32)[None, :], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def hls_playlist(path: Path, target: str) -> Path:
    """An HLS playlist whose only segment is ``target`` (a path or an address)."""
    path.write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n"
    )
    return path


def concat_playlist(path: Path, target: str) -> Path:
    """An FFmpeg concat script that refers to ``target``."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    return path


# --- pictures and encoding ----------------------------------------------------------------


def scene(size: Size, people: Iterable[tuple[int, float, float, float]]) -> Image:
    """A picture with people: each (person, center x, center y, side of the portrait)."""
    picture = _background(size).copy()
    for person, x, y, side in people:
        _paste(picture, person, round(x), round(y), round(side))
    return picture


def portrait(person: int) -> Image:
    """A square portrait, the face in its middle, of person 0 or 1."""
    from skimage import data

    cut = np.ascontiguousarray(data.astronaut()[18:218, 124:324])
    if person == 0:
        return cut
    if person != 1:
        raise ValueError(f"person must be 0 or 1, received {person!r}")
    mirrored = cut[:, ::-1].astype(np.float32) / 255
    darker = mirrored**1.5 * np.array([0.95, 0.8, 0.7], np.float32)
    return np.ascontiguousarray((darker * 255).clip(0, 255).astype(np.uint8))


@scheduling.as_before()
def write(
    path: Path,
    frames: Iterable[Image],
    *,
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    options: dict[str, str] | None = None,
    coding: dict[str, str] | None = None,
    times_ms: Iterable[int] | None = None,
    rotation: int = 0,
) -> Path:
    """Encode RGB pictures into ``path``; its extension names the container unless given.

    ``options`` go to the container, ``coding`` to the encoder in place of its fast settings;
    a player shall turn the pictures clockwise by ``rotation``.
    """
    clock: Callable[[int], int] | None = None
    if times_ms is not None:
        clock = list(times_ms).__getitem__
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        settings = coding or FAST.get(codec, {})
        stream = cast(VideoStream, output.add_stream(codec, rate=fps, options=dict(settings)))
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else pix_fmt
        stream.thread_count = 1
        if clock is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if codec in QSCALE_CODECS:
            stream.bit_rate = 4_000_000
        for i, picture in enumerate(frames):
            if i == 0:
                stream.height, stream.width = picture.shape[:2]
                if rotation:
                    stream.set_display_rotation(-rotation)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = Fraction(1, 1000) if clock else Fraction(1, fps)
            frame.pts = clock(i) if clock else i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _wander(size: Size, i: int, count: int) -> tuple[float, float, float]:
    """Center and side of one person's portrait in frame i of count."""
    width, height = size
    side = min(width, height) * 0.9
    phase = 2 * math.pi * i / max(count, 2)
    return (
        width / 2 + 0.2 * (width - side) * math.sin(phase),
        height / 2 + 0.03 * height * math.cos(phase),
        side,
    )


@functools.lru_cache(maxsize=16)
def _background(size: Size) -> Image:
    """A gradient with gentle noise, the same every time."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    base = np.stack([90 + 60 * x, 120 + 40 * y, 150 - 50 * x * y], axis=-1)
    noise = np.random.default_rng(7).normal(0, 12, (height // 8 + 1, width // 8 + 1, 1))
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return (base + smooth).clip(0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _cutout(person: int, side: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The portrait at this size and its soft-edged round mask."""
    picture = cv2.resize(portrait(person), (side, side), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    mask = np.clip((1.0 - np.hypot(x, y)) * 8, 0, 1)[..., None]
    return picture.astype(np.float32), mask.astype(np.float32)


def _paste(picture: Image, person: int, x: int, y: int, side: int) -> None:
    height, width = picture.shape[:2]
    cutout, mask = _cutout(person, side)
    left, top = x - side // 2, y - side // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, width), min(top + side, height)
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    under = picture[y0:y1, x0:x1]
    mixed = cutout[part] * mask[part] + under * (1 - mask[part])
    picture[y0:y1, x0:x1] = mixed.clip(0, 255).astype(np.uint8)
