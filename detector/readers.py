"""Opens and decodes video files. Runs in the decoding child only, never in a worker.

The file's own bytes say which container it is; only that one demuxer may open it,
and only through the file protocol, so that a playlist renamed .mp4 opens nothing.
The facts come from a walk over all packets without decoding them, which gives the true
number of frames and their times even where the header lies.

Frames are numbered in the order of showing. Where every packet says when it is shown,
that tells a frame's number, and what nobody wants is left out: long gaps by starting again
at a keyframe, and frames of H.264 that no other refers to. Elsewhere all frames are decoded
and counted.
"""

from __future__ import annotations

import bisect
import math
from array import array
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from detector.clock import Clock
from detector.containers import Container, sniff
from detector.device import cores
from detector.domain import Image, MediaInfo
from detector.errors import CannotDecode, NoVideoStream
from detector.gaps import is_clean_start, segments
from detector.limits import Limits, check_length, check_size

Beat = Callable[[], None]
"""Called once per packet or frame, so that a long silence of ours is never a healthy one."""

NUMBERING = frozenset({"mov", "matroska"})
"""Demuxers whose packets say when they are shown; others guess it where the file does not."""

TIMELESS = frozenset({"avi"})
"""Demuxers of containers that say when a frame is decoded, and not when it is shown."""

MAX_THREADS = 4
LARGE_PIXELS = 4096 * 2304
"""Of larger frames each thread more would hold too much memory."""

OUT_OF_MEMORY = (av.error.MemoryError, av.error.BlockingIOError)
"""The second: no room for the stack of another thread."""

Stamps = tuple[int, ...]


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
    stamps: Stamps
    """Of the packets, sorted, in the stream's unit; empty if they do not number the frames."""
    clean_starts: tuple[int, ...]
    """Numbers of the frames from which on decoding gives the same as from the beginning."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that was decoded; its picture is made only when asked for."""

    time_s: float
    picture: Callable[[], Image]


def read_facts(path: str, limits: Limits, beat: Beat) -> Facts:
    """Walk over the file without decoding more than its first frame."""
    av.logging.set_level(None)
    container = sniff(path)
    with _open(path, container) as opened:
        stream = _video_stream(opened)
        name = _codec_name(stream)
        stated_s = _stated_duration(opened, stream)
        check_length(stated_s, 0, limits)
        check_size(stream.codec_context.width, stream.codec_context.height, limits)
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        stated_frames = int(stream.frames)
        index = int(stream.index)
        begins_s = _begins_s(opened, stream)
        base = float(stream.time_base or 0)
        walk = _walk(opened, stream, limits, beat)
    first, stamps = walk.first, walk.sorted_stamps()
    if first is None:
        raise CannotDecode("not one frame could be decoded")
    check_size(first.width, first.height, limits)
    rotation, mirrored = _orientation(first)
    width, height = first.width, first.height
    if rotation in (90, 270):
        width, height = height, width
    times = tuple((stamp - stamps[0]) * base for stamp in stamps)
    lasting_s = times[-1] * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
    media = MediaInfo(
        container=container.label,
        codec=name,
        width=width,
        height=height,
        duration_s=stated_s or lasting_s,
        frame_count=stated_frames if stated_frames > 0 else walk.packets,
        fps=fps or (walk.packets / lasting_s if lasting_s else 0.0),
        rotation=rotation,
    )
    numbered = stamps if container.demuxer in NUMBERING and walk.shown_numbers_frames else ()
    starts = sorted(bisect.bisect_left(numbered, at) for at in walk.clean_starts if numbered)
    return Facts(path, container, media, index, walk.packets, times, begins_s, mirrored,
                 numbered, tuple(starts))  # fmt: skip


def decoded_frames(
    facts: Facts, wanted: Collection[int], limits: Limits, beat: Beat
) -> Iterator[tuple[int, DecodedFrame]]:
    """Frames and their numbers, in the order of showing: those wanted, and some between."""
    reached = -1
    if facts.stamps:
        try:
            for index, frame in _by_stamps(facts, wanted, limits, beat):
                yield index, frame
                reached = index
            return
        except _NotAsStamped:
            pass
    for index, frame in enumerate(_by_counting(facts, limits, beat)):
        if index > reached:
            yield index, frame
        if index >= max(wanted, default=-1):
            return


def upright(picture: Image, rotation: int, mirrored: bool) -> Image:
    """Undo the camera's orientation: flip if mirrored, then turn clockwise."""
    if mirrored:
        picture = picture[::-1]
    return np.ascontiguousarray(np.rot90(picture, -(rotation // 90)))


# --- decoding -----------------------------------------------------------------------------


class _NotAsStamped(Exception):
    """The decoder gave a frame that no packet announced, or gave it out of order."""


def _by_stamps(
    facts: Facts, wanted: Collection[int], limits: Limits, beat: Beat
) -> Iterator[tuple[int, DecodedFrame]]:
    number = {stamp: index for index, stamp in enumerate(facts.stamps)}
    leaves_out = facts.media.codec == "h264"
    with _open(facts.path, facts.container) as opened:
        stream = _prepared_stream(opened, facts)
        packets = _packets(opened, stream)
        for nth, part in enumerate(segments(sorted(wanted), facts.clean_starts)):
            if part.start:
                if nth == 0:
                    # The first packet may name the encoder, whose mistakes FFmpeg knows and
                    # undoes: decoding goes on with it, and without it comes out otherwise.
                    _decode(stream, next(packets))
                opened.seek(facts.stamps[part.start], stream=stream)
                packets = _packets(opened, stream)
            reached = -1
            for packet in packets:
                beat()
                if leaves_out and packet is not None:
                    unwanted = number.get(cast(int, packet.pts)) not in part.wanted
                    stream.codec_context.skip_frame = "NONREF" if unwanted else "DEFAULT"
                for frame in _decode(stream, packet):
                    index = number.get(cast(int, frame.pts))
                    if index is None or index <= reached:
                        raise _NotAsStamped
                    if reached < 0 and index > part.start:
                        raise _NotAsStamped
                    reached = index
                    if part.start <= index <= part.last:
                        time_s = facts.begins_s + facts.times[index]
                        yield index, _decoded(frame, facts, limits, time_s)
                if reached >= part.last:
                    break


def _by_counting(facts: Facts, limits: Limits, beat: Beat) -> Iterator[DecodedFrame]:
    clock = Clock(facts.times, facts.begins_s, facts.media.fps)
    timeless = facts.container.demuxer in TIMELESS
    with _open(facts.path, facts.container) as opened:
        stream = _prepared_stream(opened, facts)
        for packet in _packets(opened, stream):
            beat()
            for frame in _decode(stream, packet):
                time_s = clock.tick(None if timeless or frame.pts is None else frame.time)
                yield _decoded(frame, facts, limits, time_s)


def _prepared_stream(opened: InputContainer, facts: Facts) -> VideoStream:
    stream = cast(VideoStream, opened.streams[facts.stream_index])
    stream.thread_type = "AUTO"
    large = facts.media.width * facts.media.height > LARGE_PIXELS
    stream.codec_context.thread_count = 2 if large else min(MAX_THREADS, cores())
    return stream


def _decoded(frame: av.VideoFrame, facts: Facts, limits: Limits, time_s: float) -> DecodedFrame:
    check_size(frame.width, frame.height, limits)

    def picture() -> Image:
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        return upright(rgb, facts.media.rotation, facts.mirrored)

    return DecodedFrame(time_s, picture)


# --- reading the container ----------------------------------------------------------------


def _open(path: str, container: Container) -> InputContainer:
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


@dataclass
class _Walk:
    """What all packets say; of an hour of video these are a hundred thousand."""

    first: av.VideoFrame | None = None
    packets: int = 0
    """That hold frames."""
    shown: array[int] = field(default_factory=lambda: array("q"))
    stored: array[int] = field(default_factory=lambda: array("q"))
    """When they are shown and decoded, as far as they say."""
    clean_starts: list[int] = field(default_factory=list)
    """When the keyframes are shown from which on nothing refers to what was before."""

    @property
    def shown_numbers_frames(self) -> bool:
        return len(self.shown) == self.packets and len(set(self.shown)) == self.packets

    def sorted_stamps(self) -> Stamps:
        if len(self.shown) == self.packets:
            return tuple(sorted(self.shown))
        return tuple(sorted(self.stored)) if len(self.stored) == self.packets else ()


def _walk(opened: InputContainer, stream: VideoStream, limits: Limits, beat: Beat) -> _Walk:
    stream.codec_context.thread_count = 1
    codec, setup = stream.codec_context.name, stream.codec_context.extradata
    base = float(stream.time_base or 0)
    walk = _Walk()
    earliest = latest = None
    for packet in _packets(opened, stream):
        beat()
        if walk.first is None:
            walk.first = next(iter(_decode(stream, packet)), None)
            if walk.first is None and walk.packets >= 1000:
                break
        if packet is None or packet.is_discard:
            continue
        walk.packets += 1
        if packet.dts is not None:
            walk.stored.append(packet.dts)
        if packet.pts is not None:
            walk.shown.append(packet.pts)
            earliest = min(packet.pts, earliest) if earliest is not None else packet.pts
            latest = max(packet.pts, latest) if latest is not None else packet.pts
            if packet.is_keyframe and is_clean_start(codec, setup, packet):
                walk.clean_starts.append(packet.pts)
        check_length(((latest or 0) - (earliest or 0)) * base, walk.packets, limits)
    return walk


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
