"""How a pool child learns that its worker is shutting down.

A spawned child shares nothing with the main process but the file system, and
Celery's warm shutdown waits for the running task without telling it. So the main
process leaves a flag file, and the child looks for it between frames. A child
whose main process is gone is shutting down as well.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from celery.signals import worker_init, worker_process_init, worker_shutdown, worker_shutting_down
from django.conf import settings

logger = logging.getLogger(__name__)

_main_pid: int | None = None


def is_shutting_down() -> bool:
    """Asked in a pool child; False in a process that no worker started."""
    if _main_pid is None:
        return False
    return os.getppid() != _main_pid or flag(_main_pid).exists()


def flag(main_pid: int) -> Path:
    """The file whose presence says that the worker with this main process shuts down."""
    return Path(settings.FRAMEVOTE_VAR_DIR) / "run" / f"worker-{main_pid}.stopping"


@worker_init.connect
def _begin(**kwargs: Any) -> None:
    """In the main process: a flag left by an earlier process with this id means nothing."""
    mine = flag(os.getpid())
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.unlink(missing_ok=True)


@worker_process_init.connect
def _remember_main_process(**kwargs: Any) -> None:
    """In each pool child, before its first task."""
    global _main_pid
    _main_pid = os.getppid()


@worker_shutting_down.connect
def _tell_children(**kwargs: Any) -> None:
    """In the main process, at the first SIGTERM or SIGINT."""
    logger.info("shutting down: running analyses go back to the queue")
    flag(os.getpid()).touch()


@worker_shutdown.connect
def _end(**kwargs: Any) -> None:
    """In the main process, when the pool is gone."""
    flag(os.getpid()).unlink(missing_ok=True)
