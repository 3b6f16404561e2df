"""Where networks compute, and with how many threads: settled once per process."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from detector.errors import NoDevice

logger = logging.getLogger(__name__)


def choose(device: str = "auto", threads: int = 0) -> str:
    """The device that a network is served on, by TensorFlow's name.

    TensorFlow is asked, and set up, only where there may be a GPU: loading it takes seconds.

    Args, raises: as ``prepare``.
    """
    if threads < 0:
        raise ValueError(f"threads must be 0 or more, got {threads}")
    wanted = device.upper()
    if wanted in ("CPU", "CPU:0") or (wanted == "AUTO" and not _has_gpu_driver()):
        return "CPU:0"
    return prepare(device, threads)


def prepare(device: str = "auto", threads: int = 0) -> str:
    """Set TensorFlow up before its first operation; returns its name of the device.

    Args:
        device: ``"auto"`` (the first GPU if there is one, else the CPU), ``"cpu"``,
            ``"gpu"``, or a device as TensorFlow names it, such as ``"GPU:1"``.
        threads: for the operations of one network; 0 leaves it to TensorFlow, which
            takes all cores. Another number than the first has no effect in a process.

    Raises:
        NoDevice: there is no such device here.
        ValueError: ``threads`` is negative.
    """
    if threads < 0:
        raise ValueError(f"threads must be 0 or more, got {threads}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    try:
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in gpus:
            # Otherwise one process takes the memory of the whole card.
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        logger.warning("TensorFlow is running already; its threads and memory stay as they are")

    wanted = device.upper()
    if wanted == "AUTO":
        wanted = "GPU:0" if gpus else "CPU:0"
    if ":" not in wanted:
        wanted += ":0"
    present = {"CPU:0"} | {f"GPU:{number}" for number in range(len(gpus))}
    if wanted not in present:
        raise NoDevice(f"no device {device!r}; here are: {', '.join(sorted(present))}")
    return wanted


def _has_gpu_driver() -> bool:
    """Whether there is one that TensorFlow could use; where Linux shows none, there is none."""
    if not sys.platform.startswith("linux"):
        return True
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def native_noise_held_back() -> Iterator[None]:
    """TensorFlow greets on standard error before it reads its log level.

    If loading fails, what was said is said after all.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
