"""Probes and samples videos without touching their bytes in this process.

Everything that reads the file runs in a child, ``python -m detector.decode``,
which may die, hang, run out of memory or be taken over: here that is a coded
error and never more. The child answers over its standard output in messages

    b"FV"  length of header (uint32)  length of payload (uint32)  header  payload

where the header is JSON and the payload the RGB bytes of one frame.

    with sample("clip.mp4", Sampling.named("quick")) as frames:
        for frame in frames:
            print(frame.index, frame.time_s, frame.image.shape)
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import json
import math
import os
import selectors
import signal
import stat
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from detector.domain import MediaInfo, SampledFrame
from detector.errors import (
    AnalysisStopped,
    CannotDecode,
    DecodingLimit,
    DetectorError,
    FileNotReadable,
    NotAVideo,
    NoVideoStream,
    TooLong,
)
from detector.limits import Limits
from detector.sampling import Sampling, plan

__all__ = ["FrameStream", "Limits", "Sampling", "plan", "probe", "sample"]

COMMAND = (sys.executable, "-m", "detector.decode")
MESSAGE = struct.Struct(">2sII")
MAGIC = b"FV"
MAX_HEADER = 64 * 1024
POLL_S = 0.1
STDERR_KEPT = 2000
PIPE_BYTES = 1024 * 1024

INHERITED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
CHILD_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Address space is limited: no reserve for threads that are not used.
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_LOG_LEVEL": "ERROR",
}
ERRORS: dict[str, type[DetectorError]] = {
    error.code: error
    for error in (CannotDecode, DecodingLimit, DetectorError, NotAVideo, NoVideoStream, TooLong)
}


def probe(path: str | os.PathLike[str], limits: Limits | None = None) -> MediaInfo:
    """The facts of a video file, after decoding its first frame.

    Raises a child of `DetectorError` if it is not a video that can be sampled.
    """
    with FrameStream(path, None, limits or Limits()) as stream:
        return stream.media


def sample(
    path: str | os.PathLike[str],
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FrameStream:
    """Start decoding; iterate over the answer in a ``with`` block.

    Returns when the file is known to be a video, with ``media`` and ``expected`` set.

    Raises:
        DetectorError: a child of it says what is wrong with the file; also while iterating.
        AnalysisStopped: ``should_stop``, asked several times a second, returned True.
    """
    return FrameStream(path, sampling or Sampling(), limits or Limits(), should_stop)


class FrameStream:
    """The sampled frames of one video, decoded while they are asked for.

    Frames come in order of their index. Only when a damaged file ends early does a
    second round follow, with windows of its own among the frames that exist.
    Leaving the ``with`` block or the loop, in whatever way, ends the child.
    """

    media: MediaInfo
    expected: int
    """Number of frames planned; it may change when a damaged file ends early."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        sampling: Sampling | None,
        limits: Limits,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self._limits = limits
        self._sampling = sampling
        self._should_stop = should_stop or (lambda: False)
        self._asked_at = -math.inf
        self._waited_s = 0.0
        self._silent_s = 0.0
        self._heard = False
        self._stderr = b""
        self._indices: set[int] = set()
        self._process = _start(_regular_file(path), sampling, limits)
        self._finalizer = weakref.finalize(self, _end, self._process)
        self._output = cast(io.FileIO, self._process.stdout)
        self._complaints = cast(io.FileIO, self._process.stderr)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._selector.register(self._complaints, selectors.EVENT_READ)
        try:
            header, _ = self._message()
            if header.get("kind") != "media":
                raise CannotDecode(f"the decoder began with {header.get('kind')!r}")
            self.media = _media_info(header)
            self._expect(header)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the decoding child."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[SampledFrame]:
        try:
            while True:
                header, payload = self._message()
                if header["kind"] == "end":
                    return
                if header["kind"] == "plan":
                    self._expect(header)
                elif header["kind"] == "frame":
                    yield self._frame(header, payload)
                else:
                    raise CannotDecode(f"the decoder sent {header['kind']!r} among frames")
        finally:
            self.close()

    def close(self) -> None:
        """End the child, whatever it is doing. May be called again."""
        if self._finalizer.alive:
            self._selector.close()
            self._finalizer()

    # --- messages -------------------------------------------------------------------------

    def _message(self) -> tuple[dict[str, Any], bytearray]:
        """The next message that is not a mere sign of life; errors are raised."""
        while True:
            magic, header_length, payload_length = MESSAGE.unpack(self._read(MESSAGE.size))
            if magic != MAGIC or header_length > MAX_HEADER:
                raise CannotDecode("the decoder sent garbage")
            if payload_length > 3 * self._limits.max_pixels:
                raise CannotDecode(f"the decoder sent {payload_length} bytes at once")
            try:
                header = json.loads(bytes(self._read(header_length)))
            except ValueError as error:
                raise CannotDecode("the decoder sent garbage") from error
            if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
                raise CannotDecode("the decoder sent a header without a kind")
            payload = self._read(payload_length)
            self._heard = True
            if header["kind"] == "error":
                error_type = ERRORS.get(str(header.get("code")), CannotDecode)
                raise error_type(str(header.get("detail", ""))[:STDERR_KEPT])
            if header["kind"] != "alive":
                return header, payload

    def _frame(self, header: dict[str, Any], payload: bytearray) -> SampledFrame:
        try:
            index, window = int(header["index"]), int(header["window"])
            width, height = int(header["width"]), int(header["height"])
            time_s = float(header["time_s"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CannotDecode("the decoder sent a frame without its facts") from error
        well_formed = (
            index >= 0
            and window >= 0
            and min(width, height) > 0
            and len(payload) == width * height * 3
            and 0 <= time_s < math.inf
            and index not in self._indices
            and len(self._indices) < self.expected
        )
        if not well_formed:
            raise CannotDecode("the decoder sent a frame that cannot be")
        self._indices.add(index)
        image = np.frombuffer(payload, np.uint8).reshape(height, width, 3)
        return SampledFrame(index, time_s, window, image)

    def _expect(self, header: dict[str, Any]) -> None:
        expected = header.get("expected")
        most = self._sampling.frames if self._sampling else 0
        if not isinstance(expected, int) or expected < 0 or (most and expected > most):
            raise CannotDecode(f"the decoder promised {expected!r} frames, at most {most}")
        self.expected = expected

    # --- waiting --------------------------------------------------------------------------

    def _read(self, size: int) -> bytearray:
        """Exactly ``size`` bytes from the child, or the error that explains why not."""
        content = bytearray(size)
        view, got = memoryview(content), 0
        while got < size:
            self._ask_whether_to_stop()
            if not self._wait_for_output():
                continue
            count = self._output.readinto(view[got:])
            if not count:
                raise self._explain_death()
            got += count
            self._silent_s = 0.0
        return content

    def _ask_whether_to_stop(self) -> None:
        now = time.monotonic()
        if now - self._asked_at >= POLL_S:
            self._asked_at = now
            if self._should_stop():
                raise AnalysisStopped

    def _wait_for_output(self) -> bool:
        """Wait a little; True if standard output has something. Keeps the child's complaints."""
        began = time.monotonic()
        ready = [key.fileobj for key, _ in self._selector.select(POLL_S)]
        waited = time.monotonic() - began
        self._waited_s += waited
        self._silent_s += waited
        if self._complaints in ready:
            complaint = self._complaints.read(65536)
            self._stderr = (self._stderr + complaint)[-STDERR_KEPT:]
            if not complaint:
                self._selector.unregister(self._complaints)
        if self._output in ready:
            return True
        if self._silent_s > self._limits.silence_seconds:
            raise DecodingLimit(f"no sign of life for {self._limits.silence_seconds:g} s")
        if self._waited_s > self._limits.wall_seconds:
            raise DecodingLimit(f"not done after {self._limits.wall_seconds:g} s")
        return False

    def _explain_death(self) -> DetectorError:
        """The error for a child that closed its pipe without a last word."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return CannotDecode("the decoder closed its output and lives on")
        detail = f"the decoder ended with status {status}: {self._stderr.decode(errors='replace')}"
        if status in (-signal.SIGKILL, -signal.SIGXCPU):
            return DecodingLimit(detail)
        if status > 0 and not self._heard:
            return DetectorError(detail)
        return CannotDecode(detail)


# --- the child ----------------------------------------------------------------------------


def _regular_file(path: str | os.PathLike[str]) -> str:
    """The absolute path: no name that FFmpeg could take for an address, no pipe to hang on."""
    absolute = Path(path).absolute()
    try:
        mode = absolute.stat().st_mode
    except (OSError, ValueError) as error:
        raise FileNotReadable(f"cannot read {absolute}: {error}") from error
    if not stat.S_ISREG(mode) or not os.access(absolute, os.R_OK):
        raise FileNotReadable(f"{absolute} is not a file that can be read")
    return str(absolute)


def _start(path: str, sampling: Sampling | None, limits: Limits) -> subprocess.Popen[bytes]:
    request = {
        "path": path,
        "sampling": dataclasses.asdict(sampling) if sampling else None,
        "limits": dataclasses.asdict(limits),
    }
    try:
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=_environment(),
            # A terminal's Ctrl-C is for us to handle.
            start_new_session=True,
        )
    except OSError as error:
        raise DetectorError(f"the decoder could not be started: {error}") from error
    output, request_pipe = cast(io.FileIO, process.stdout), cast(io.FileIO, process.stdin)
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux: fewer switches between the two processes.
        with contextlib.suppress(OSError):
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    # Standard input stays open: when it closes, the child knows that we are gone.
    with contextlib.suppress(BrokenPipeError):
        request_pipe.write(json.dumps(request).encode() + b"\n")
    return process


def _environment() -> dict[str, str]:
    """Nothing of ours but where programs and modules are: no secret reaches the child."""
    inherited = {name: os.environ[name] for name in INHERITED_ENVIRONMENT if name in os.environ}
    root = str(Path(__file__).resolve().parent.parent)
    modules = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | CHILD_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(modules)}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def _media_info(header: dict[str, Any]) -> MediaInfo:
    try:
        media = MediaInfo(
            container=str(header["container"])[:32],
            codec=str(header["codec"])[:32],
            width=int(header["width"]),
            height=int(header["height"]),
            duration_s=float(header["duration_s"]),
            frame_count=int(header["frame_count"]),
            fps=float(header["fps"]),
            rotation=int(header["rotation"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CannotDecode("the decoder sent no media facts") from error
    if not (math.isfinite(media.duration_s) and math.isfinite(media.fps)):
        raise CannotDecode("the decoder sent impossible media facts")
    return media
