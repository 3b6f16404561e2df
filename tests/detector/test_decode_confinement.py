"""The decoding child: what it may not do, and that its end is only ever an error code."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import video
from detector.errors import CannotDecode, DecodingLimit, DetectorError, NotAVideo
from detector.video import Limits, Sampling, probe, sample
from tests import clips

EVERY_FRAME = Sampling("every frame", frames=None, step=1)
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of 900 kB, so that the child is never far ahead of its reader."""
    return clips.one_person(
        tmp_path_factory.mktemp("clips") / "clip.mp4", size=(640, 480), seconds=1
    )


def is_gone(pid: int) -> bool:
    """Ended and reaped."""
    return not Path(f"/proc/{pid}").exists()


# --- what it is given ---------------------------------------------------------------------


def test_no_secret_of_ours_reaches_the_child(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not-for-codecs")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:not-for-codecs@host/name")
    with sample(clip, EVERY_FRAME) as stream:
        environment = Path(f"/proc/{stream.pid}/environ").read_bytes()
        arguments = Path(f"/proc/{stream.pid}/cmdline").read_bytes()
    assert b"not-for-codecs" not in environment + arguments
    names = {pair.split(b"=")[0].decode() for pair in environment.split(b"\0") if pair}
    assert names <= {*video.INHERITED_ENVIRONMENT, *video.CHILD_ENVIRONMENT, "PYTHONPATH"}


def test_the_child_has_nothing_open_but_the_video_and_its_pipes(clip: Path, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w"), sample(clip, EVERY_FRAME) as stream:
        frames = iter(stream)
        next(frames)
        folder = Path(f"/proc/{stream.pid}/fd")
        targets = {str(link.readlink()) for link in folder.iterdir()}
    files = {target for target in targets if not target.startswith(("pipe:", "/dev/"))}
    assert files == {str(clip)}


def test_the_child_is_confined_by_the_kernel(clip: Path) -> None:
    limits = Limits(max_memory_mb=2000, cpu_seconds=77, open_files=50)
    with sample(clip, EVERY_FRAME, limits) as stream:
        frames = iter(stream)
        next(frames)
        lines = Path(f"/proc/{stream.pid}/limits").read_text().splitlines()
    soft = {line[:26].strip(): line[26:].split()[0] for line in lines}
    assert soft["Max address space"] == str(2000 * 1024 * 1024)
    assert soft["Max cpu time"] == "77"
    assert soft["Max open files"] == "50"
    assert soft["Max core file size"] == "0"
    assert soft["Max file size"] == "0"


# --- how it may end -----------------------------------------------------------------------


def test_a_killed_child_is_an_error_code(clip: Path) -> None:
    with sample(clip, EVERY_FRAME) as stream:
        frames = iter(stream)
        next(frames)
        os.kill(stream.pid, signal.SIGKILL)
        with pytest.raises(DecodingLimit):
            list(frames)
    assert is_gone(stream.pid)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crashed_codec_is_an_error_code(clip: Path, number: signal.Signals) -> None:
    with sample(clip, EVERY_FRAME) as stream:
        frames = iter(stream)
        next(frames)
        os.kill(stream.pid, number)
        with pytest.raises(CannotDecode):
            list(frames)
    assert is_gone(stream.pid)


def test_a_silent_child_is_killed(clip: Path) -> None:
    with sample(clip, EVERY_FRAME) as stream:
        frames = iter(stream)
        next(frames)
        # Only now: how long a child takes to start is not what is measured.
        stream._limits = Limits(silence_seconds=4)
        os.kill(stream.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DecodingLimit, match="no sign of life for 4 s"):
            list(frames)
        assert 3.9 < time.monotonic() - began < 30
    assert is_gone(stream.pid)


def test_time_in_which_the_child_waits_for_us_is_not_counted(clip: Path) -> None:
    with sample(clip, EVERY_FRAME) as stream:
        for frame in stream:
            if frame.index == 0:
                # From here on, not from the start of the child, which a busy machine delays.
                stream._waited_s = 0.0
                stream._limits = Limits(silence_seconds=4, wall_seconds=4)
                time.sleep(5)
    assert frame.index == 24


def test_a_child_that_takes_too_long_in_all_is_killed(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chatter = "import sys, time\nwhile True: sys.stdout.buffer.write(b'FV'); time.sleep(9)"
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", chatter))
    with pytest.raises(DecodingLimit, match="not done after 1 s"):
        probe(clip, Limits(wall_seconds=1))


def test_too_little_memory_is_an_error_code(tmp_path: Path) -> None:
    large = clips.single_frame(tmp_path / "4k.mp4", size=(3840, 2160))
    with sample(large, EVERY_FRAME) as stream:
        assert [frame.image.shape for frame in stream] == [(2160, 3840, 3)]
    # Too little to start, and too little for the frame; how much is enough differs by machine.
    for megabytes in (100, 340):
        with (
            pytest.raises(DecodingLimit),
            sample(large, EVERY_FRAME, Limits(max_memory_mb=megabytes)) as stream,
        ):
            list(stream)


# Starts as every child does, and then has a video that costs any machine too much.
BUSY_CHILD = """
import os, pathlib, sys
from detector import decode, readers
def compute_for_ever(*arguments):
    while True:
        pass
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
readers.read_facts = compute_for_ever
decode.main()
"""


def test_too_much_processor_time_is_an_error_code(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "pid"
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", BUSY_CHILD, str(told)))
    with pytest.raises(DecodingLimit, match="status -24"):
        probe(clip, Limits(cpu_seconds=3))
    assert is_gone(int(told.read_text()))


@pytest.mark.parametrize(
    "words",
    [
        "b'hello, world, this is not a message'",
        "b'FV' + bytes([255] * 8)",
        "b'FV' + (4).to_bytes(4, 'big') + (0).to_bytes(4, 'big') + b'{]!}'",
        "b'FV' + (2).to_bytes(4, 'big') + (0).to_bytes(4, 'big') + b'[]'",
        "b'FV' + (16).to_bytes(4, 'big') + (0).to_bytes(4, 'big') + b'{\"kind\":\"media\"}'",
        "b'FV' + (15).to_bytes(4, 'big') + (0).to_bytes(4, 'big') + b'{\"kind\":\"boo\"}'",
        "b''",
    ],
)
def test_garbage_from_the_child_is_an_error_code(
    clip: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    script = f"import sys, time; sys.stdout.buffer.write({words}); sys.stdout.flush(); sys.exit(0)"
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", script))
    with pytest.raises(CannotDecode):
        probe(clip)


CHEAT = """
import json, struct, sys
def send(payload=b"", **header):
    head = json.dumps(header).encode()
    sys.stdout.buffer.write(struct.pack(">2sII", b"FV", len(head), len(payload)) + head + payload)
    sys.stdout.flush()
send(kind="media", container="mp4", codec="h264", width=2, height=2, duration_s=1.0,
     frame_count=9, fps=9.0, rotation=0, expected={expected})
for i in range(1000):
    send(bytes({bytes}), kind="frame", index={index}, time_s={time}, window=0, width=2, height=2)
"""


@pytest.mark.parametrize(
    "lie",
    [
        {"expected": 65},
        {"expected": -1},
        {"expected": '"many"'},
        {"index": 3},
        {"index": -1},
        {"time": 'float("nan")'},
        {"bytes": 11},
        {"expected": 20},
    ],
)
def test_a_child_that_lies_about_its_frames_is_an_error_code(
    clip: Path, monkeypatch: pytest.MonkeyPatch, lie: dict[str, object]
) -> None:
    script = CHEAT
    for name, value in ({"expected": 64, "index": "i", "time": "i / 9", "bytes": 12} | lie).items():
        script = script.replace("{" + name + "}", str(value))
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", script))
    indices: list[int] = []
    with pytest.raises(CannotDecode), sample(clip, Sampling()) as stream:
        indices.extend(frame.index for frame in stream)
    assert len(indices) == len(set(indices)) <= 64


def test_a_decoder_that_cannot_start_is_not_the_videos_fault(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ((sys.executable, "-m", "detector.no_such"), ("/no/such/python",)):
        monkeypatch.setattr(video, "COMMAND", command)
        with pytest.raises(DetectorError) as caught:
            probe(clip)
        assert type(caught.value) is DetectorError


HANGING_CHILD = """
import os, pathlib, sys, time
from detector import decode, readers
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
readers.read_facts = lambda *arguments: time.sleep(120)
decode.main()
"""


def test_even_a_hanging_child_ends_when_its_parent_is_killed(clip: Path, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = (
        "import sys; from detector import video\n"
        f"video.COMMAND = (sys.executable, '-c', {HANGING_CHILD!r}, sys.argv[2])\n"
        "video.probe(sys.argv[1])"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(clip), str(told)], cwd=ROOT) as parent:
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = int(told.read_text())
        assert _runs(pid)
        parent.kill()
    deadline = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """An orphan may stay a zombie where nobody reaps."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_memory_of_the_child_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for frames in (50, 800):
        path = clips.numbered(tmp_path / f"{frames}.mp4", frames=frames, size=(640, 360))
        with sample(path, Sampling.named("thorough")) as stream:
            for frame in stream:
                if frame.index == frames - 20:
                    status = Path(f"/proc/{stream.pid}/status").read_text()
                    peaks.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    assert len(peaks) == 2
    assert peaks[1] - peaks[0] < 20


# --- what it may not open -----------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine and the list of what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/segment.ts", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.ts"])
def test_a_playlist_opens_no_address(
    tmp_path: Path, listener: tuple[str, list[str]], name: str
) -> None:
    address, asked = listener
    for render in (clips.hls_playlist, clips.concat_playlist):
        with pytest.raises(NotAVideo):
            probe(render(tmp_path / name, address))
    assert asked == []


def test_a_playlist_opens_no_other_file(tmp_path: Path, clip: Path) -> None:
    for render in (clips.hls_playlist, clips.concat_playlist):
        with pytest.raises(NotAVideo):
            probe(render(tmp_path / "clip.mp4", str(clip)))


@pytest.mark.parametrize("magic", [b"\0\0\0\x08free", b"FLV\x01", b"OggS", b"\0\0\x01\xba"])
def test_a_playlist_behind_magic_bytes_opens_nothing(
    tmp_path: Path, listener: tuple[str, list[str]], magic: bytes
) -> None:
    address, asked = listener
    disguised = tmp_path / "clip.mp4"
    for render in (clips.hls_playlist, clips.concat_playlist):
        disguised.write_bytes(magic + render(tmp_path / "list", address).read_bytes())
        with pytest.raises(DetectorError):
            probe(disguised)
    assert asked == []


def test_even_without_a_look_at_the_magic_bytes_no_decoder_follows_a_playlist(
    tmp_path: Path, clip: Path
) -> None:
    """The second line of defense: one demuxer and one protocol."""
    script = (
        "import sys; from detector import readers; from detector.limits import Limits\n"
        "readers.sniff = lambda path: readers.Container('mp4', 'mov')\n"
        "real, fake = sys.argv[1:]\n"
        "facts = readers.read_facts(real, Limits(), lambda: None)\n"
        "import dataclasses; facts = dataclasses.replace(facts, path=fake)\n"
        "try: list(readers.decoded_frames(facts, [0], Limits(), lambda: None))\n"
        "except readers.CannotDecode: print('refused')\n"
        "try: readers.read_facts(fake, Limits(), lambda: None)\n"
        "except readers.CannotDecode: print('refused')\n"
    )
    (tmp_path / "other.mp4").write_bytes(clip.read_bytes())
    playlist = clips.concat_playlist(tmp_path / "clip.mp4", "other.mp4")
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip), str(playlist)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["refused", "refused"]
