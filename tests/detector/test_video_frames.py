"""The frames that come out are the right ones: which, when, upright, in RGB."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from detector.clock import Clock
from detector.domain import SampledFrame
from detector.sampling import plan
from detector.video import Sampling, probe, sample
from tests import clips

EVERY_FRAME = Sampling("every frame", frames=None, step=1)


def frames_of(path: Path, sampling: Sampling = EVERY_FRAME) -> list[SampledFrame]:
    with sample(path, sampling) as stream:
        frames = list(stream)
        assert len(frames) == stream.expected
    return frames


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("h264.mp4", "libx264", None),
        ("h264.ts", "libx264", "mpegts"),
        ("h264.mkv", "libx264", None),
        ("h264.mov", "libx264", None),
        ("hevc.mp4", "libx265", None),
        ("mpeg4.avi", "mpeg4", None),
        ("mjpeg.avi", "mjpeg", None),
        ("mpeg1.mpg", "mpeg1video", "mpeg"),
        ("mpeg2.mpg", "mpeg2video", "vob"),
        ("mpeg1.mpeg", "mpeg1video", "mpeg1video"),
        ("vp8.webm", "libvpx", None),
        ("vp9.webm", "libvpx-vp9", None),
        ("av1.mp4", "libsvtav1", None),
        ("wmv2.wmv", "wmv2", "asf"),
        ("flv.flv", "flv", None),
        ("mpeg4.3gp", "mpeg4", "3gp"),
    ],
)
def test_every_container_and_coding_gives_the_very_frames_of_the_plan(
    tmp_path: Path, name: str, codec: str, container: str | None
) -> None:
    # 352x288 because H.263-like codings accept few sizes.
    clip = clips.numbered(
        tmp_path / name, frames=60, codec=codec, container=container, size=(352, 288)
    )
    sampling = Sampling("test", frames=8)
    frames = frames_of(clip, sampling)
    assert [(frame.index, frame.window) for frame in frames] == plan(60, sampling)
    assert [clips.read_number(frame.image) for frame in frames] == [f.index for f in frames]


@pytest.mark.parametrize("name", ["h264.mp4", "h264.avi", "mpeg2.mpg", "vp9.webm", "av1.mp4"])
def test_time_is_the_containers_and_starts_at_zero(tmp_path: Path, name: str) -> None:
    codec = {"mpeg2": "mpeg2video", "vp9": "libvpx-vp9", "av1": "libsvtav1"}.get(name.split(".")[0])
    clip = clips.numbered(tmp_path / name, frames=40, codec=codec or "libx264",
                          container="vob" if name.endswith("mpg") else None)  # fmt: skip
    times = [frame.time_s for frame in frames_of(clip)]
    assert times == pytest.approx([i / 25 for i in range(40)], abs=0.002)


def sound_first(path: Path, *, pictures_after_s: float, codec: str = "libx264") -> Path:
    """A tone from the start, and half a second of pictures that begin later."""
    tone = clips.audio_only(path.with_name(path.name + ".tone.mp4"), seconds=pictures_after_s + 0.5)
    mute = clips.one_person(path.with_name(path.name + ".mute.mp4"), seconds=0.5, codec=codec)
    with av.open(str(path), "w") as output, av.open(str(tone)) as t, av.open(str(mute)) as m:
        sound = output.add_stream_from_template(t.streams.audio[0])
        picture = output.add_stream_from_template(m.streams.video[0])
        for source, target, delay_s in ((t, sound, 0.0), (m, picture, pictures_after_s)):
            for packet in source.demux():
                if packet.dts is not None and packet.pts is not None and packet.time_base:
                    delay = round(delay_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + delay, packet.dts + delay
                    packet.stream = target
                    output.mux(packet)
    tone.unlink()
    mute.unlink()
    return path


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_pictures_that_begin_after_the_sound_keep_the_players_time(
    tmp_path: Path, name: str, codec: str
) -> None:
    clip = sound_first(tmp_path / name, pictures_after_s=2.0, codec=codec)
    times = [frame.time_s for frame in frames_of(clip)]
    assert times == pytest.approx([2 + i / 25 for i in range(len(times))], abs=0.03)


def test_a_clock_that_begins_late_for_all_streams_begins_at_zero(tmp_path: Path) -> None:
    clip = clips.numbered(tmp_path / "c.mpg", frames=10, codec="mpeg2video", container="vob")
    with av.open(str(clip)) as opened:
        assert opened.start_time > 500_000  # Microseconds.
    assert frames_of(clip)[0].time_s == 0


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_frames_at_a_varying_rate_keep_their_own_times(tmp_path: Path, name: str) -> None:
    clip = clips.variable_frame_rate(tmp_path / name)
    frames = frames_of(clip)
    with av.open(str(clip)) as opened:
        by_pyav = [frame.time for frame in opened.decode(video=0)]
    assert [frame.time_s for frame in frames] == pytest.approx(by_pyav, abs=0.002)
    assert [frame.time_s * 1000 for frame in frames] == pytest.approx(clips.vfr_times_ms(), abs=2)


def test_frames_held_back_at_the_end_do_not_lose_their_time(tmp_path: Path) -> None:
    clip = tmp_path / "b-frames.avi"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "3", "preset": "fast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i in range(30):
            picture = clips.scene((320, 240), [(0, 150 + i, 120, 200)])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    times = [frame.time_s for frame in frames_of(clip)]
    assert times == pytest.approx([i / 25 for i in range(30)], abs=0.002)


@pytest.mark.skipif(sys.platform != "linux", reason="schedules otherwise")
def test_rendering_av1_leaves_no_thread_in_real_time(tmp_path: Path) -> None:
    """What the tests start later would have it too, and starve the machine."""
    clips.av1(tmp_path / "clip.mp4", seconds=0.2)
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied_exactly_once(tmp_path: Path, degrees: int, codec: str) -> None:
    clip = clips.rotated(tmp_path / "clip.mp4", degrees, seconds=0.4, codec=codec)
    media = probe(clip)
    assert (media.width, media.height, media.rotation) == (320, 240, degrees)
    for frame in frames_of(clip):
        assert frame.image.shape == (240, 320, 3)
        corners = {
            "upper left": frame.image[8, 8],
            "upper right": frame.image[8, -8],
            "lower left": frame.image[-8, 8],
            "lower right": frame.image[-8, -8],
        }
        red = [name for name, color in corners.items() if color[0] > 180 and color[2] < 80]
        assert red == ["upper left"]


def test_a_mirrored_picture_is_mirrored_back(tmp_path: Path) -> None:
    upright = clips.scene((320, 240), [(0, 160, 120, 200)])
    upright[:30, :30] = clips.CORNER_COLOR
    clip = tmp_path / "selfie.mp4"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        one = 1 << 16
        stream.set_display_matrix([-one, 0, 0, 0, one, 0, 320 * one, 0, 1 << 30])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(upright[:, ::-1]), format="rgb24")
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    (seen,) = frames_of(clip)
    assert np.abs(seen.image.astype(int) - upright).mean() < 6


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "libvpx-vp9", "mpeg4"])
def test_colors_are_red_green_blue_in_this_order(tmp_path: Path, codec: str) -> None:
    picture = np.empty((240, 320, 3), np.uint8)
    picture[:] = (220, 120, 30)
    clip = clips.write(tmp_path / "orange.mp4", [picture] * 3, codec=codec)
    for frame in frames_of(clip):
        assert frame.image.dtype == np.uint8
        assert frame.image.mean(axis=(0, 1)) == pytest.approx([220, 120, 30], abs=8)


def test_the_pictures_are_those_that_pyav_decodes_one_after_the_other(tmp_path: Path) -> None:
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=1)
    with av.open(str(clip)) as opened:
        by_pyav = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    frames = frames_of(clip)
    assert len(frames) == len(by_pyav)
    for frame in frames:
        assert np.abs(frame.image.astype(int) - by_pyav[frame.index]).mean() < 1.5


def test_odd_sizes_keep_every_pixel(tmp_path: Path) -> None:
    clip = clips.odd_size(tmp_path / "odd.webm")
    media = probe(clip)
    assert (media.width, media.height) == (321, 243)
    assert {frame.image.shape for frame in frames_of(clip, Sampling())} == {(243, 321, 3)}


def test_a_single_frame_is_a_video_too(tmp_path: Path) -> None:
    (frame,) = frames_of(clips.single_frame(tmp_path / "one.mp4"), Sampling())
    assert (frame.index, frame.time_s, frame.window) == (0, 0.0, 0)


def test_twelve_frames_give_a_whole_window(tmp_path: Path) -> None:
    clip = clips.numbered(tmp_path / "short.mp4", frames=12)
    assert [frame.index for frame in frames_of(clip, Sampling())] == [0, 2, 3, 5, 6, 8, 9, 11]


def test_a_container_that_states_no_frame_count_is_covered_to_its_end(tmp_path: Path) -> None:
    clip = clips.numbered(tmp_path / "clip.mpg", frames=400, codec="mpeg1video", container="mpeg")
    with av.open(str(clip)) as opened:
        assert opened.streams.video[0].frames == 0
    frames = frames_of(clip, Sampling.named("standard"))
    assert [clips.read_number(frame.image) for frame in frames] == [f.index for f in frames]
    assert (frames[0].index, frames[-1].index, len(frames)) == (0, 399, 64)


def test_the_whole_of_a_long_video_is_covered_in_eight_windows(tmp_path: Path) -> None:
    clip = clips.numbered(tmp_path / "long.mp4", frames=1500, size=(96, 64))
    frames = frames_of(clip, Sampling.named("standard"))
    assert [clips.read_number(frame.image) for frame in frames] == [f.index for f in frames]
    assert len(frames) == 64
    assert {frame.window for frame in frames} == set(range(8))
    assert frames[0].time_s == 0
    assert frames[-1].time_s == pytest.approx(60 - 1 / 25, abs=0.01)


def test_the_same_file_gives_the_same_frames_each_time(tmp_path: Path) -> None:
    clip = clips.two_people(tmp_path / "clip.mp4")
    first, second = frames_of(clip, Sampling()), frames_of(clip, Sampling())
    assert first == second
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_facts_of_the_file_are_told_without_sampling(tmp_path: Path) -> None:
    media = probe(clips.one_person(tmp_path / "clip.mp4", seconds=2))
    assert (media.container, media.codec, media.rotation) == ("mp4", "h264", 0)
    assert (media.width, media.height) == (320, 240)
    assert media.duration_s == pytest.approx(2.0, abs=0.05)
    assert media.frame_count == 50
    assert media.fps == pytest.approx(25)


def test_a_clock_without_hands_goes_on_with_the_containers_next_time() -> None:
    clock = Clock(times=(0.0, 0.04, 1.0, 1.5), begins_s=0.0, fps=25.0)
    assert [clock.tick(stated) for stated in (7.0, 7.04, None, 0.0, 0.0)] == pytest.approx(
        [0.0, 0.04, 1.0, 1.5, 1.54]
    )
