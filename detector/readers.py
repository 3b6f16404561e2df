"""Opens and decodes video files. Runs in the decoding child only, never in a worker.

The file's own bytes say which container it is; only that one demuxer may open it,
and only through the file protocol, so that a playlist renamed .mp4 opens nothing.
PyAV reads the facts: it walks over all packets without decoding them, which gives
the true number of frames and their times even where the header lies. OpenCV decodes,
and PyAV where OpenCV cannot (AV1, and whatever follows damage).
"""

from __future__ import annotations

import bisect
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import av
import av.error
import av.logging
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from detector.containers import Container, sniff
from detector.domain import Image, MediaInfo
from detector.errors import CannotDecode, DecodingLimit, NoVideoStream, TooLong
from detector.limits import Limits

Beat = Callable[[], None]
"""Called once per packet or frame, so that a long silence of ours is never a healthy one."""

OPENCV_CANNOT = frozenset({"av1"})
MAX_FRAMES_PER_SECOND = 120
DECODING_THREADS = 2
OUT_OF_MEMORY = (av.error.MemoryError, av.error.BlockingIOError)
"""The second: no room for the stack of another thread."""


@dataclass(frozen=True)
class Facts:
    """What is known of a file before its frames are read."""

    path: str
    container: Container
    media: MediaInfo
    stream_index: int
    packets: int
    """How many frames really are in the file, damage aside."""
    times: tuple[float, ...]
    """Presentation times of the packets, sorted, from the first; empty if they carry none."""
    begins_s: float
    """When a player shows the first frame: sound may begin before the pictures."""
    mirrored: bool
    opencv_can: bool


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that was decoded; its picture is made only when asked for."""

    time_s: float
    picture: Callable[[], Image | None]


def read_facts(path: str, limits: Limits, beat: Beat) -> Facts:
    """Walk over the file without decoding more than its first frame."""
    av.logging.set_level(None)
    container = sniff(path)
    with _open_pyav(path, container) as opened:
        stream = _video_stream(opened)
        name = _codec_name(stream)
        stated_s = _stated_duration(opened, stream)
        _check_length(stated_s, 0, limits)
        _check_size(stream.codec_context.width, stream.codec_context.height, limits)
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        stated_frames = int(stream.frames)
        index = int(stream.index)
        opencv_can = (
            name not in OPENCV_CANNOT
            and stream is opened.streams.video[0]
            and _has_a_name_for_opencv(path)
        )
        begins_s = _begins_s(opened, stream)
        first, packets, stamps = _walk(opened, stream, limits, beat)
    if first is None:
        raise CannotDecode("not one frame could be decoded")
    _check_size(first.width, first.height, limits)
    rotation, mirrored = _orientation(first)
    width, height = first.width, first.height
    if rotation in (90, 270):
        width, height = height, width
    times = tuple(float(t - stamps[0]) for t in stamps)
    lasting_s = times[-1] * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
    media = MediaInfo(
        container=container.label,
        codec=name,
        width=width,
        height=height,
        duration_s=stated_s or lasting_s,
        frame_count=stated_frames if stated_frames > 0 else packets,
        fps=fps or (packets / lasting_s if lasting_s else 0.0),
        rotation=rotation,
    )
    return Facts(path, container, media, index, packets, times, begins_s, mirrored, opencv_can)


def decoded_frames(facts: Facts, limits: Limits, beat: Beat) -> Iterator[DecodedFrame]:
    """All frames in the order of showing: by OpenCV, and by PyAV from where that gives up.

    OpenCV gives up at the first damaged packet; PyAV steps over it.
    """
    passed, reached_s = 0, -1.0
    if facts.opencv_can:
        for frame in _by_opencv(facts, limits, beat):
            passed, reached_s = passed + 1, frame.time_s
            yield frame
    if passed < facts.packets:
        for frame in _by_pyav(facts, limits, beat):
            # Half a millisecond: the two do not round alike.
            if frame.time_s > reached_s + 0.0005:
                yield frame


def upright(picture: Image, rotation: int, mirrored: bool) -> Image:
    """Undo the camera's orientation: flip if mirrored, then turn clockwise."""
    if mirrored:
        picture = picture[::-1]
    return np.ascontiguousarray(np.rot90(picture, -(rotation // 90)))


# --- the two decoders ---------------------------------------------------------------------


def _by_opencv(facts: Facts, limits: Limits, beat: Beat) -> Iterator[DecodedFrame]:
    cv2.setNumThreads(1)
    demuxer = facts.container.demuxer
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = (
        f"protocol_whitelist;file|input_format;{demuxer}|format_whitelist;{demuxer}"
    )
    capture = cv2.VideoCapture(
        facts.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, DECODING_THREADS]
    )
    # Versions of OpenCV disagree on who turns the picture (opencv#22088, #26876): we do.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    orientation = (facts.media.rotation, facts.mirrored)

    def picture() -> Image | None:
        found, bgr = capture.retrieve()
        if not found or bgr is None:
            return None
        _check_size(bgr.shape[1], bgr.shape[0], limits)
        return upright(np.asarray(bgr, np.uint8)[:, :, ::-1], *orientation)

    clock = _Clock(facts)
    try:
        while capture.grab():
            beat()
            time_s = clock.tick(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            if clock.ticks == 1 and picture() is None:
                return
            yield DecodedFrame(time_s, picture)
    finally:
        capture.release()


def _by_pyav(facts: Facts, limits: Limits, beat: Beat) -> Iterator[DecodedFrame]:
    clock = _Clock(facts)
    orientation = (facts.media.rotation, facts.mirrored)
    with _open_pyav(facts.path, facts.container) as opened:
        stream = cast(VideoStream, opened.streams[facts.stream_index])
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = DECODING_THREADS
        for packet in _packets(opened, stream):
            beat()
            for frame in _decode(stream, packet):
                _check_size(frame.width, frame.height, limits)

                def picture(frame: av.VideoFrame = frame) -> Image | None:
                    return upright(
                        np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), *orientation
                    )

                yield DecodedFrame(clock.tick(frame.time), picture)


class _Clock:
    """Seconds by a player's clock, never backwards.

    OpenCV loses the time of the frames it still holds back at the end of a stream
    with B-frames (AVI, MPEG program streams): there the clock goes on with the
    container's next packet time.
    """

    def __init__(self, facts: Facts) -> None:
        self.ticks = 0
        self._times = facts.times
        self._begins_s = facts.begins_s
        self._frame_s = 1 / facts.media.fps if facts.media.fps > 0 else 0.04
        self._origin = 0.0
        self._now = 0.0

    def tick(self, stated: float | None) -> float:
        self.ticks += 1
        if self.ticks == 1:
            self._origin = stated or 0.0
        elif stated is not None and stated - self._origin > self._now:
            self._now = stated - self._origin
        else:
            following = bisect.bisect_right(self._times, self._now + 0.001)
            self._now = (
                self._times[following]
                if following < len(self._times)
                else self._now + self._frame_s
            )
        return self._begins_s + self._now


# --- reading the container ----------------------------------------------------------------


def _open_pyav(path: str, container: Container) -> InputContainer:
    options = {"protocol_whitelist": "file", "format_whitelist": container.demuxer}
    try:
        return av.open(path, format=container.demuxer, options=options, metadata_errors="replace")
    except OUT_OF_MEMORY:
        raise
    except av.error.FFmpegError as error:
        raise CannotDecode(f"cannot open as {container.demuxer}: {error}") from error


def _video_stream(opened: InputContainer) -> VideoStream:
    """The first stream of moving pictures; the cover of an album is none."""
    for stream in opened.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise NoVideoStream(f"streams: {', '.join(s.type for s in opened.streams) or 'none'}")


def _has_a_name_for_opencv(path: str) -> bool:
    """Its binding crashes on a name that is no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _codec_name(stream: VideoStream) -> str:
    try:
        return str(stream.codec_context.codec.canonical_name)
    except (AttributeError, ValueError) as error:
        raise CannotDecode("no decoder for the video stream") from error


def _stated_duration(opened: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (opened.duration or 0) / 1_000_000)


def _begins_s(opened: InputContainer, stream: VideoStream) -> float:
    """How long after the container's beginning the stream's first frame is shown.

    A negative beginning is sound that no player plays (priming of its coder).
    """
    container_s = max(0.0, (opened.start_time or 0) / av.time_base)
    stream_s = float((stream.start_time or 0) * (stream.time_base or 0))
    return max(0.0, stream_s - container_s)


def _walk(
    opened: InputContainer, stream: VideoStream, limits: Limits, beat: Beat
) -> tuple[av.VideoFrame | None, int, list[float]]:
    """The first frame, the number of packets that hold frames, their sorted times."""
    stream.codec_context.thread_count = 1
    base = float(stream.time_base or 0)
    first: av.VideoFrame | None = None
    packets = 0
    shown: list[float] = []
    stored: list[float] = []
    earliest = latest = None
    for packet in _packets(opened, stream):
        beat()
        if first is None:
            first = next(iter(_decode(stream, packet)), None)
            if first is None and packets >= 1000:
                break
        if packet is None or packet.is_discard:
            continue
        packets += 1
        if packet.dts is not None:
            stored.append(packet.dts * base)
        if packet.pts is not None:
            shown.append(packet.pts * base)
            earliest = min(shown[-1], earliest) if earliest is not None else shown[-1]
            latest = max(shown[-1], latest) if latest is not None else shown[-1]
        _check_length((latest or 0.0) - (earliest or 0.0), packets, limits)
    stamps = shown if len(shown) == packets else stored if len(stored) == packets else []
    return first, packets, sorted(stamps)


def _packets(opened: InputContainer, stream: VideoStream) -> Iterator[av.Packet[Any] | None]:
    """Packets up to the end or the first damage the demuxer cannot step over.

    Then None, which asks the decoder for the frames it still holds back.
    """
    packets = opened.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except OUT_OF_MEMORY:
            raise
        except av.error.FFmpegError:
            break
        if packet.size > 0:
            yield packet
    yield None


def _decode(stream: VideoStream, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
    """The frames a packet completes; a damaged packet completes none."""
    try:
        return stream.codec_context.decode(packet)
    except OUT_OF_MEMORY:
        raise
    except av.error.FFmpegError:
        return []


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Clockwise degrees and whether to flip first, from the display matrix."""
    matrix = cast(SideData | None, frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(matrix), np.int32))
    return round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90, a * d - b * c < 0


# --- limits -------------------------------------------------------------------------------


def _check_length(seconds: float, frames: int, limits: Limits) -> None:
    allowed_s = limits.max_minutes * 60 + 1
    if seconds > allowed_s or frames > allowed_s * MAX_FRAMES_PER_SECOND:
        raise TooLong(
            f"{seconds / 60:.1f} minutes or {frames} frames and more, "
            f"at most {limits.max_minutes:g} minutes"
        )


def _check_size(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise DecodingLimit(
            f"frames of {width}×{height} pixels, at most {limits.max_side} on a side "
            f"and {limits.max_pixels} in all"
        )
