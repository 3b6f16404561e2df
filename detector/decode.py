"""The expendable child: ``python -m detector.decode``, started by `detector.video` only.

It reads one request (a line of JSON) from standard input, confines itself, opens
the one file and writes messages to standard output, in the format that
`detector.video` describes. No other process lets a container or codec library
touch a video. The limits stand before such a library is loaded, but for that of
memory, which follows at once (the libraries' own size is not the video's doing), and what
`detector.confinement` puts up, for libraries lie in more places than a video needs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from detector import confinement
from detector.domain import Image
from detector.errors import CannotDecode, DecodingLimit, DetectorError
from detector.limits import Limits
from detector.sampling import PlannedFrame, Sampling, plan, top_up
from detector.video import MAGIC, MESSAGE

if TYPE_CHECKING:
    from detector.readers import Facts

ALIVE_EVERY_S = 1.0
PARENT_GONE = 3
MEGABYTE = 1024 * 1024
ROOM_FOR_FRAMES = 8
ENDED_EARLY = 0.9
"""A stream with less than this share of its frames is sampled a second time."""


def main() -> None:
    request = _read_request()
    limits = Limits(**request["limits"])
    sampling = Sampling(**request["sampling"]) if request["sampling"] else None
    # Libraries may print: their words must not get between the messages.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sender = Sender(output)
    try:
        _confine(limits)
        _load_libraries()
        _confine_reach(request["path"])
        # Confined as well, because it is started only now.
        threading.Thread(target=_die_with_parent, daemon=True).start()
        _confine_memory(limits)
        _answer(request["path"], sampling, limits, sender)
    except DetectorError as error:
        sender.error(error.code, error.detail)
    except Exception as error:
        code = DecodingLimit.code if _lacks_memory(error) else CannotDecode.code
        sender.error(code, traceback.format_exc(limit=-3))
    output.flush()
    os._exit(0)  # The thread that watches standard input would hold up an orderly exit.


class Sender:
    """Writes messages and, in between, signs of life."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._sent_at = time.monotonic()

    def send(self, kind: str, payload: bytes | memoryview = b"", **header: Any) -> None:
        encoded = json.dumps({"kind": kind, **header}).encode()
        self._output.write(MESSAGE.pack(MAGIC, len(encoded), len(payload)) + encoded)
        self._output.write(payload)
        self._output.flush()
        self._sent_at = time.monotonic()

    def frame(self, index: int, time_s: float, window: int, image: Image) -> None:
        height, width = image.shape[:2]
        self.send("frame", image.data.cast("B"), index=index, time_s=time_s, window=window,
                  width=width, height=height)  # fmt: skip

    def alive(self) -> None:
        if time.monotonic() - self._sent_at > ALIVE_EVERY_S:
            self.send("alive")

    def error(self, code: str, detail: str) -> None:
        self.send("error", code=code, detail=detail)


def _answer(path: str, sampling: Sampling | None, limits: Limits, sender: Sender) -> None:
    from detector import readers

    facts = readers.read_facts(path, limits, sender.alive)
    planned = plan(facts.packets, sampling, facts.times) if sampling else []
    sender.send("media", **dataclasses.asdict(facts.media), expected=len(planned))
    if sampling is None:
        return
    passed, sent = _stream(facts, planned, limits, sender)
    if len(sent) < len(planned):
        _rule_out_lack_of_memory(facts, limits)
        early = passed < ENDED_EARLY * facts.packets
        more = top_up(passed, sampling, sent, facts.times) if early else []
        sender.send("plan", expected=len(sent) + len(more))
        sent += _stream(facts, more, limits, sender)[1]
    if not sent:
        raise CannotDecode("not one of the wanted frames could be decoded")
    sender.send("end")


def _stream(
    facts: Facts, wanted: Iterable[PlannedFrame], limits: Limits, sender: Sender
) -> tuple[int, list[PlannedFrame]]:
    """Send the wanted frames; how many frames passed, wanted or not, and those sent."""
    from detector import readers

    windows = dict(wanted)
    passed, sent = 0, []
    for index, frame in readers.decoded_frames(facts, windows, limits, sender.alive):
        passed = index + 1
        if index in windows:
            sender.frame(index, frame.time_s, windows[index], frame.picture())
            sent.append((index, windows[index]))
    return passed, sent


def _load_libraries() -> None:
    """All of them, those too that PyAV would load late: later there may be no memory for it."""
    try:
        import av.audio.stream
        import av.subtitles.stream  # noqa: F401

        from detector import readers  # noqa: F401
    except ImportError as error:
        raise DetectorError(f"a library for decoding is missing: {error}") from error


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether a library says, in its own way, that memory ran out.

    A module that cannot be loaded now, after all were, lacks memory too, and so does
    a thread that cannot be started (EAGAIN).
    """
    while error is not None:
        if isinstance(error, MemoryError | ImportError | BlockingIOError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _rule_out_lack_of_memory(facts: Facts, limits: Limits) -> None:
    """OpenCV reports the end of the video when memory runs out: that is not to be believed."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    free = limits.max_memory_mb * MEGABYTE - used
    if free < ROOM_FOR_FRAMES * facts.media.width * facts.media.height * 3:
        raise DecodingLimit(f"{free // MEGABYTE} MB left of {limits.max_memory_mb} MB")


def _confine(limits: Limits) -> None:
    """Less of everything, before any library that reads files is loaded."""
    cpu = int(limits.cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))


def _confine_reach(path: str) -> None:
    """After the libraries are loaded, which lie in more places than a video needs."""
    try:
        confinement.confine([Path(path), *confinement.needed_by_python()])
    except OSError as error:
        raise DetectorError(f"the decoder cannot be confined: {error}") from error


def _confine_memory(limits: Limits) -> None:
    """After the libraries are loaded, so that lack of memory is always the video's doing."""
    allowed = limits.max_memory_mb * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def _read_request() -> dict[str, Any]:
    """One line; unbuffered, because the watching thread reads the rest."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            sys.exit("No request on standard input: this program is started by detector.video.")
        line += part
    request: dict[str, Any] = json.loads(line)
    return request


def _die_with_parent() -> None:
    """Standard input ends when the parent is gone, even if it was killed."""
    while os.read(0, 1024):
        pass
    os._exit(PARENT_GONE)


if __name__ == "__main__":
    main()
