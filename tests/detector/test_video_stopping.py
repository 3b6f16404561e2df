"""However a consumer leaves, the decoding child is gone and nothing stays open."""

from __future__ import annotations

import gc
import math
import os
import signal
import time
from pathlib import Path

import pytest

from detector.errors import AnalysisStopped, NotAVideo
from detector.video import Sampling, probe, sample
from tests import clips

EVERY_FRAME = Sampling("every frame", frames=None, step=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.one_person(
        tmp_path_factory.mktemp("clips") / "clip.mp4", size=(640, 480), seconds=1
    )


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def open_descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_should_stop_ends_the_child_before_the_first_frame(clip: Path) -> None:
    with pytest.raises(AnalysisStopped):
        sample(clip, EVERY_FRAME, should_stop=lambda: True)


def test_should_stop_ends_the_child_between_frames(clip: Path) -> None:
    stop = False
    with sample(clip, EVERY_FRAME, should_stop=lambda: stop) as stream:
        frames = iter(stream)
        next(frames)
        stop = True
        time.sleep(0.15)
        with pytest.raises(AnalysisStopped):
            next(frames)
        assert is_gone(stream.pid)


def test_should_stop_is_asked_while_the_child_is_silent(clip: Path) -> None:
    stop_at = math.inf
    with sample(clip, EVERY_FRAME, should_stop=lambda: time.monotonic() > stop_at) as stream:
        frames = iter(stream)
        next(frames)
        os.kill(stream.pid, signal.SIGSTOP)
        stop_at = time.monotonic() + 1
        with pytest.raises(AnalysisStopped):
            list(frames)
    assert time.monotonic() - stop_at < 20
    assert is_gone(stream.pid)


def test_leaving_the_with_block_ends_the_child(clip: Path) -> None:
    with sample(clip, EVERY_FRAME) as stream:
        assert not is_gone(stream.pid)
    assert is_gone(stream.pid)


def test_leaving_the_loop_ends_the_child(clip: Path) -> None:
    stream = sample(clip, EVERY_FRAME)
    for _ in stream:
        break
    gc.collect()
    assert is_gone(stream.pid)


def test_an_exception_in_the_consumer_ends_the_child(clip: Path) -> None:
    stream = sample(clip, EVERY_FRAME)

    def consume() -> None:
        with stream:
            for frame in stream:
                raise KeyError(frame.index)

    with pytest.raises(KeyError):
        consume()
    assert is_gone(stream.pid)


def test_a_forgotten_stream_ends_the_child(clip: Path) -> None:
    stream = sample(clip, EVERY_FRAME)
    pid = stream.pid
    del stream
    gc.collect()
    assert is_gone(pid)


def test_the_child_is_gone_after_the_last_frame(clip: Path) -> None:
    stream = sample(clip, EVERY_FRAME)
    assert len(list(stream)) == 25
    assert is_gone(stream.pid)


def test_closing_twice_is_harmless(clip: Path) -> None:
    stream = sample(clip, EVERY_FRAME)
    stream.close()
    stream.close()
    assert is_gone(stream.pid)


def test_nothing_stays_open(clip: Path, tmp_path: Path) -> None:
    text = clips.text_file(tmp_path / "text.mp4")
    probe(clip)
    before = open_descriptors()
    for _ in range(3):
        probe(clip)
        with sample(clip, EVERY_FRAME) as stream:
            next(iter(stream))
        with pytest.raises(NotAVideo):
            probe(text)
    assert open_descriptors() == before
