"""Files that are no video, or damaged, or too much: a coded error or as much as there is."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from detector.errors import (
    CannotDecode,
    DecodingLimit,
    DetectorError,
    FileNotReadable,
    NotAVideo,
    NoVideoStream,
    TooLong,
)
from detector.video import Limits, Sampling, probe, sample
from tests import clips


def numbers_of(path: Path, sampling: Sampling, limits: Limits | None = None) -> list[int]:
    with sample(path, sampling, limits) as stream:
        numbers = [(frame.index, clips.read_number(frame.image)) for frame in stream]
        assert len(numbers) == stream.expected
    assert [index for index, _ in numbers] == [number for _, number in numbers]
    return [number for _, number in numbers]


def assert_refused(path: Path, error: type[DetectorError], limits: Limits | None = None) -> None:
    with pytest.raises(error):
        probe(path, limits)
    with pytest.raises(error), sample(path, Sampling(), limits) as stream:
        list(stream)


@pytest.mark.parametrize("render", [clips.zero_bytes, clips.text_file])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.webm"])
def test_what_is_not_a_video_is_refused_whatever_its_name(
    tmp_path: Path, render: object, name: str
) -> None:
    assert callable(render)
    assert_refused(render(tmp_path / name), NotAVideo)


def test_a_picture_is_not_a_video(tmp_path: Path) -> None:
    picture = tmp_path / "clip.mp4"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(500))
    assert_refused(picture, NotAVideo)


def test_a_missing_file_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "missing.mp4", tmp_path, tmp_path / "pipe.mp4"):
        assert_refused(path, FileNotReadable)


@pytest.mark.parametrize("name", ["tone.mp4", "tone.mkv", "tone.mov"])
def test_sound_alone_is_refused_as_such(tmp_path: Path, name: str) -> None:
    assert_refused(clips.audio_only(tmp_path / name), NoVideoStream)


def test_the_cover_of_an_album_is_not_a_video(tmp_path: Path) -> None:
    album = tmp_path / "album.mp4"
    tone = clips.audio_only(tmp_path / "tone.mp4")
    cover = clips.write(tmp_path / "cover.avi", [clips.portrait(0)], codec="mjpeg")
    with av.open(str(album), "w") as output, av.open(str(tone)) as t, av.open(str(cover)) as c:
        sound = output.add_stream_from_template(t.streams.audio[0])
        picture = output.add_stream_from_template(c.streams.video[0])
        picture.disposition = Disposition.attached_pic
        for source, target in ((c, picture), (t, sound)):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = target
                    output.mux(packet)
    assert_refused(album, NoVideoStream)


def test_a_video_with_the_right_magic_and_nothing_behind_it_cannot_be_decoded(
    tmp_path: Path,
) -> None:
    for name, magic in {
        "clip.mp4": b"\x00\x00\x00\x18ftypmp42",
        "clip.webm": b"\x1a\x45\xdf\xa3",
        "clip.avi": b"RIFF\x00\x00\x00\x00AVI LIST",
        "clip.mpg": b"\x00\x00\x01\xba",
    }.items():
        (tmp_path / name).write_bytes(magic + bytes(2000))
        with pytest.raises((CannotDecode, NoVideoStream)):
            probe(tmp_path / name)


def test_a_file_cut_off_before_its_index_cannot_be_decoded(tmp_path: Path) -> None:
    whole = clips.one_person(tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    assert_refused(cut, CannotDecode)


def test_a_video_without_one_decodable_frame_cannot_be_decoded(tmp_path: Path) -> None:
    content = bytearray(clips.one_person(tmp_path / "whole.mp4").read_bytes())
    start = content.index(b"mdat") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    content[start : start + length] = bytes(length)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    assert_refused(broken, CannotDecode)


def test_a_truncated_file_is_covered_as_far_as_it_goes(tmp_path: Path) -> None:
    """It promises 1000 frames and has about 250: the windows lie within those."""
    whole = clips.numbered(
        tmp_path / "whole.mp4", frames=1000, size=(96, 64), options={"movflags": "faststart"}
    )
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: content.index(b"mdat") + int(len(content) * 0.25)])
    numbers = numbers_of(cut, Sampling.named("quick"))
    assert 31 <= len(numbers) <= 32  # The last packet may be cut in two.
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert 150 < numbers[-1] < 400


def test_damage_that_ends_decoding_early_brings_a_second_look_at_what_exists(
    tmp_path: Path,
) -> None:
    """All 1000 packets are there, but from the middle on they are zeros."""
    content = bytearray(
        clips.numbered(tmp_path / "whole.mp4", frames=1000, size=(96, 64)).read_bytes()
    )
    start = content.index(b"mdat") + 4
    end = start - 8 + int.from_bytes(content[start - 8 : start - 4], "big")
    middle = (start + end) // 2
    content[middle:end] = bytes(end - middle)
    zeroed = tmp_path / "zeroed.mp4"
    zeroed.write_bytes(content)
    with sample(zeroed, Sampling.named("quick")) as stream:
        frames = list(stream)
        assert len(frames) == stream.expected
    indices = [frame.index for frame in frames]
    assert len(set(indices)) == len(indices)
    assert 24 <= len(indices) <= 32
    assert min(indices) == 0
    assert 490 < max(indices) <= 510
    assert len({frame.window for frame in frames}) > 3


def test_the_common_truncated_clip_is_analyzed(tmp_path: Path) -> None:
    clip = clips.truncated(tmp_path / "clip.mp4")
    assert probe(clip).frame_count == 50
    with sample(clip, Sampling()) as stream:
        assert 4 <= len(list(stream)) <= 20


def test_damage_in_the_middle_does_not_end_the_analysis(tmp_path: Path) -> None:
    content = bytearray(clips.one_person(tmp_path / "whole.mp4", seconds=4).read_bytes())
    start = content.index(b"mdat") + 4
    middle = start + (len(content) - start) // 3
    content[middle : middle + 2000] = bytes(2000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    with sample(broken, Sampling()) as stream:
        frames = list(stream)
    indices = [frame.index for frame in frames]
    assert indices == sorted(indices)
    assert len(frames) >= 19
    assert frames[-1].time_s > 3.7


def test_a_video_longer_than_allowed_is_refused(tmp_path: Path) -> None:
    clip = clips.variable_frame_rate(tmp_path / "long.mkv", times_ms=[0, 1000, 31 * 60 * 1000])
    assert_refused(clip, TooLong)
    assert probe(clip, Limits(max_minutes=32)).duration_s > 31 * 60


def test_a_header_that_hides_the_length_does_not_help(tmp_path: Path) -> None:
    """Program streams state no number of frames; Matroska's stated duration is patched to 1 s."""
    clip = clips.variable_frame_rate(tmp_path / "long.mkv", times_ms=[0, 1000, 31 * 60 * 1000])
    content = bytearray(clip.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = bytes.fromhex("408f400000000000")  # 1000.0 ms
    clip.write_bytes(content)
    with av.open(str(clip)) as opened:
        assert opened.duration == 1_000_000
    assert_refused(clip, TooLong)


def test_frames_without_end_at_one_instant_are_too_long(tmp_path: Path) -> None:
    """However short the stated time, nobody needs more than 120 frames a second."""
    clip = clips.numbered(
        tmp_path / "clip.mkv", frames=300, size=(96, 64), times_ms=list(range(300))
    )
    assert_refused(clip, TooLong, Limits(max_minutes=1 / 60))


@pytest.mark.parametrize("limits", [Limits(max_side=300), Limits(max_pixels=70_000)])
def test_absurd_dimensions_are_refused(tmp_path: Path, limits: Limits) -> None:
    assert_refused(clips.one_person(tmp_path / "clip.mp4", seconds=0.2), DecodingLimit, limits)


def test_a_picture_wider_than_any_screen_is_refused_by_default(tmp_path: Path) -> None:
    clip = clips.no_face(tmp_path / "wide.avi", size=(8200, 16), seconds=0.04, codec="mjpeg")
    assert_refused(clip, DecodingLimit)


@pytest.mark.parametrize(
    ("side", "error"), [(9000, DecodingLimit), (30_000, CannotDecode), (2**31 - 1, CannotDecode)]
)
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, side: int, error: type[DetectorError]
) -> None:
    """The container says 64×64; the PNG in each frame has the room for far more."""
    black = [np.zeros((64, 64, 3), np.uint8)] * 8
    clip = clips.write(tmp_path / "clip.mov", black, codec="png", pix_fmt="rgb24")
    honest = clip.read_bytes()
    clip.write_bytes(honest.replace(_png_head(64), _png_head(side)))
    assert honest.count(_png_head(64)) > 1
    assert clip.stat().st_size == len(honest) < 1_000_000
    assert_refused(clip, error)


@pytest.mark.parametrize("name", ["%03d.mp4", "a|b;c.mp4", "http:clip.mp4", "-i.mp4", "ü ñ 名.mp4"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    clips.numbered(tmp_path / "plain.mp4", frames=10).rename(tmp_path / name)
    assert numbers_of(tmp_path / name, Sampling()) == [0, 1, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize("field", ["max_minutes", "max_memory_mb", "silence_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_impossible_limits_are_refused_with_the_value(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be a positive number, received {value}"):
        Limits(**{field: value})  # type: ignore[arg-type]


def _png_head(side: int) -> bytes:
    """The chunk that says how large a square RGB picture is, with its checksum."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return chunk + struct.pack(">I", zlib.crc32(chunk))
