"""What a decoding child that was taken over can reach: nothing but the video."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector import confinement, video
from detector.errors import CannotDecode, DetectorError
from detector.video import Sampling, probe, sample
from tests import clips

# Starts as every child does; then, in place of reading the video, it tries to get out.
TAKEN_OVER = """
import ctypes, json, os, socket, subprocess, sys, threading
from detector import decode, errors, readers

def attempt(act):
    try:
        act()
    except OSError as error:
        return error.strerror
    return "done"

def in_a_thread(act):
    said = []
    thread = threading.Thread(target=lambda: said.append(attempt(act)))
    thread.start()
    thread.join()
    return said[0]

def open_file(path, flags=os.O_RDONLY):
    return lambda: os.close(os.open(path, flags))

def call_32_bit_socket():
    if ctypes.CDLL(None, use_errno=True).syscall(0x40000000 + 41, 2, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def try_everything(path, *arguments):
    secret, parent = sys.argv[1], int(sys.argv[2])
    raise errors.CannotDecode(json.dumps({
        "video": attempt(open_file(path)),
        "late module": attempt(lambda: __import__("wave")),
        "thread": in_a_thread(open_file(path)),
        "secret": attempt(open_file(secret)),
        "secret in a thread": in_a_thread(open_file(secret)),
        "folder of the secret": attempt(lambda: os.listdir(os.path.dirname(secret))),
        "overwrite the video": attempt(open_file(path, os.O_WRONLY)),
        "new file": attempt(open_file(secret + ".new", os.O_WRONLY | os.O_CREAT)),
        "remove": attempt(lambda: os.unlink(secret)),
        "memory of the parent": attempt(open_file(f"/proc/{parent}/mem")),
        "internet socket": attempt(socket.socket),
        "local socket": attempt(lambda: socket.socket(socket.AF_UNIX)),
        "call of another kind": attempt(call_32_bit_socket),
        "program": attempt(lambda: os.execv("/bin/true", ["true"])),
        "process": attempt(os.fork),
        "subprocess": attempt(lambda: subprocess.run(["/bin/true"])),
        "signal": attempt(lambda: os.kill(parent, 0)),
    }))

readers.read_facts = try_everything
decode.main()
"""

MUST_WORK = {"video", "late module", "thread"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.one_person(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=0.4)


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "another" / "secret_key"
    path.parent.mkdir()
    path.write_text("of the site")
    yield path
    assert path.read_text() == "of the site"
    assert list(path.parent.iterdir()) == [path]


def attempts(clip: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    arguments = (str(secret), str(os.getpid()))
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", TAKEN_OVER, *arguments))
    with pytest.raises(CannotDecode) as caught:
        probe(clip)
    found = json.loads(str(caught.value))
    assert isinstance(found, dict)
    return found


@pytest.mark.skipif(
    confinement.landlock_abi() < 6 or not confinement.can_forbid_calls(),
    reason="this kernel has no Landlock with scopes (6.12), or no seccomp for this processor",
)
def test_a_child_that_was_taken_over_reaches_nothing(
    clip: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = attempts(clip, secret, monkeypatch)
    assert {name for name, said in found.items() if said == "done"} == MUST_WORK
    refusals = {"Permission denied", "Operation not permitted"}
    assert set(found.values()) <= {"done", *refusals}, found


def test_without_the_confinement_all_of_it_could_be_reached(
    clip: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the test above would prove nothing."""
    script = TAKEN_OVER.replace(
        "readers.read_facts =",
        "from detector import confinement; confinement.confine = lambda *a: []\n"
        "readers.read_facts =",
    )
    for harmful in ("remove", "program", "process", "overwrite the video", "new file"):
        script = "\n".join(line for line in script.splitlines() if f'"{harmful}"' not in line)
    monkeypatch.setitem(globals(), "TAKEN_OVER", script)
    found = attempts(clip, secret, monkeypatch)
    found.pop("call of another kind")  # Few kernels have it at all.
    assert set(found.values()) == {"done"}, found


def test_where_the_kernel_has_neither_videos_are_decoded_all_the_same(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "from detector import confinement, decode\n"
        "confinement.landlock_abi = lambda: -1\n"
        "confinement.can_forbid_calls = lambda: False\n"
        "decode.main()"
    )
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", script))
    with sample(clip, Sampling.named("quick")) as stream:
        assert len(list(stream)) > 1


def test_a_confinement_that_fails_is_not_the_videos_fault(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "from detector import confinement, decode\n"
        "def refuse(*a): raise OSError(1, 'no')\n"
        "confinement.confine = refuse\n"
        "decode.main()"
    )
    monkeypatch.setattr(video, "COMMAND", (sys.executable, "-c", script))
    with pytest.raises(DetectorError, match="cannot be confined") as caught:
        probe(clip)
    assert type(caught.value) is DetectorError


def test_sockets_are_not_forbidden_to_us() -> None:
    """The confinement is the child's alone."""
    socket.socket().close()
