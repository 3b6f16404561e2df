"""What nobody wants is not decoded, and what is wanted comes out as if it had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from detector import readers
from detector.gaps import is_clean_start, segments
from detector.limits import Limits
from detector.video import Sampling, sample
from tests import clips

FRAMES = 400
SPARSE = Sampling("sparse", frames=16)
B_FRAMES = {"preset": "fast", "crf": "23", "g": "50", "bf": "3", "sc_threshold": "0"}
CODINGS = {
    "closed.mp4": ("libx264", B_FRAMES),
    "closed.mkv": ("libx264", B_FRAMES),
    "open.mp4": ("libx264", B_FRAMES | {"x264-params": "open-gop=1"}),
    "refresh.mp4": ("libx264", {"preset": "fast", "x264-params": "intra-refresh=1:keyint=50"}),
    "hevc.mp4": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:keyint=50:bframes=3"},
    ),
    "open-hevc.mkv": (
        "libx265",
        {"preset": "superfast", "x265-params": "log-level=none:pools=1:keyint=50:open-gop=1"},
    ),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "50"}),
    "mpeg4.mp4": ("mpeg4", {"g": "50", "bf": "2"}),
    "av1.mp4": ("libsvtav1", clips.FAST["libsvtav1"] | {"g": "50"}),
}


def render(path: Path, codec: str, coding: dict[str, str]) -> Path:
    """The frames move, so that each depends on what it refers to."""
    size = (176, 144)

    def frame(i: int) -> clips.Image:
        picture = clips.scene(size, [(i // 90 % 2, 60 + i % 50, 72, 90)])
        return np.roll(picture, 3 * i, axis=1)

    return clips.write(path, (frame(i) for i in range(FRAMES)), codec=codec, coding=coding)


@pytest.fixture(scope="module", params=CODINGS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, coding = CODINGS[request.param]
    return render(tmp_path_factory.mktemp("gaps") / request.param, codec, coding)


def test_frames_are_those_of_decoding_one_after_the_other(clip: Path) -> None:
    with av.open(str(clip)) as opened:
        whole = [(f.time, f.to_ndarray(format="rgb24")) for f in opened.decode(video=0)]
    assert len(whole) == FRAMES
    with sample(clip, SPARSE) as stream:
        frames = list(stream)
    assert len(frames) == stream.expected == 16
    for frame in frames:
        time_s, picture = whole[frame.index]
        np.testing.assert_array_equal(frame.image, picture)
        assert frame.time_s == pytest.approx(float(time_s or 0) - float(whole[0][0] or 0), abs=1e-3)


@pytest.mark.parametrize("wanted", [[0, 5, 355, 360], [355, 360]])
def test_one_decoder_that_has_seen_the_first_packet_goes_on_behind_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: list[int]
) -> None:
    """That packet may name x264 before its build 151, whose 4:4:4 comes out wrong otherwise."""
    clip = render(tmp_path / "closed.mp4", *CODINGS["closed.mp4"])
    facts = readers.read_facts(str(clip), Limits(), lambda: None)
    plain_open, plain_decode = readers._open, readers._decode
    opened: list[object] = []
    fed: list[int] = []

    def count(*arguments: Any) -> Any:
        opened.append(arguments)
        return plain_open(*arguments)

    def note(stream: Any, packet: Any) -> Any:
        fed.append(packet.pts)
        return plain_decode(stream, packet)

    monkeypatch.setattr(readers, "_open", count)
    monkeypatch.setattr(readers, "_decode", note)
    indices = [i for i, _ in readers.decoded_frames(facts, wanted, Limits(), lambda: None)]
    assert set(wanted) <= set(indices)
    assert not set(range(6, 350)) & set(indices)
    assert fed[0] == facts.stamps[0]
    assert len(opened) == 1


def decoded(clip: Path, wanted: list[int]) -> tuple[readers.Facts, list[int]]:
    facts = readers.read_facts(str(clip), Limits(), lambda: None)
    frames = readers.decoded_frames(facts, wanted, Limits(), lambda: None)
    return facts, [index for index, _ in frames]


def test_long_gaps_are_not_decoded(tmp_path: Path) -> None:
    for name in ("closed.mp4", "closed.mkv", "hevc.mp4", "vp9.webm"):
        clip = render(tmp_path / name, *CODINGS[name])
        facts, indices = decoded(clip, [0, 5, 355, 360])
        assert {0, 350} <= set(facts.clean_starts), name
        assert {0, 5, 355, 360} <= set(indices), name
        assert not set(range(6, 350)) & set(indices), name


def test_a_picture_that_decoding_recovers_from_is_no_start(tmp_path: Path) -> None:
    """Intra refresh marks frames as keyframes from which the picture is whole only later."""
    facts, indices = decoded(render(tmp_path / "refresh.mp4", *CODINGS["refresh.mp4"]), [380])
    assert facts.clean_starts == (0,)
    assert indices[-1] == 380


def test_frames_no_other_refers_to_are_left_out(tmp_path: Path) -> None:
    _, indices = decoded(render(tmp_path / "closed.mp4", *CODINGS["closed.mp4"]), [0, 40])
    assert indices[0] == 0
    assert indices[-1] == 40
    assert len(indices) < 35


def test_a_container_without_times_is_decoded_and_counted(tmp_path: Path) -> None:
    clip = clips.numbered(tmp_path / "clip.avi", frames=60, codec="mpeg4")
    facts, indices = decoded(clip, [50])
    assert facts.stamps == ()
    assert indices == list(range(51))


def test_frames_the_container_announced_otherwise_are_counted(tmp_path: Path) -> None:
    from dataclasses import replace

    clip = clips.numbered(tmp_path / "clip.mp4", frames=60)
    facts = readers.read_facts(str(clip), Limits(), lambda: None)
    lying = replace(facts, stamps=tuple(stamp + 1 for stamp in facts.stamps))
    frames = readers.decoded_frames(lying, [3, 50], Limits(), lambda: None)
    seen = {index: clips.read_number(frame.picture()) for index, frame in frames}
    assert seen == {index: index for index in range(51)}


def test_nothing_wanted_is_nothing_decoded() -> None:
    assert list(segments([], [0, 100])) == []


def test_a_short_gap_is_decoded_through() -> None:
    (only,) = segments([0, 30, 60], [0, 20, 50])
    assert (only.start, only.last) == (0, 60)


def test_bytes_that_make_no_sense_are_no_clean_start() -> None:
    setup = b"\x01\x64\x00\x1f\xff"
    for content in (b"", b"\0\0", b"\xff\xff\xff\xff\x65", b"\0\0\0\0\0\0\0\0\x65"):
        assert not is_clean_start("h264", setup, content)
    assert is_clean_start("h264", setup, b"\0\0\0\x02\x65\x00")
    assert not is_clean_start("h264", None, b"\0\0\0\x02\x65\x00")
