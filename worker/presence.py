"""A worker's signs of life, and what its dead children left.

A thread of the main process, so that an idle worker is known too and a long
database call never stops Celery's own loop.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from webapp.submissions import queue
from webapp.submissions.waiting import BEAT_SECONDS

logger = logging.getLogger(__name__)


def process_name(node: str) -> str:
    """``node:pid`` of this process, as written into the analysis it runs."""
    return f"{node}:{os.getpid()}"


class Presence:
    """Says every few seconds that the worker lives, until stopped."""

    def __init__(self, node: str, slots: int) -> None:
        self.node = node
        self.slots = slots
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            while True:
                self._beat()
                if self._done.wait(BEAT_SECONDS):
                    break
            queue.forget_worker(self.node)
        except DatabaseError:
            logger.exception("%s could not say good-bye", self.node)
        finally:
            connection.close()

    def _beat(self) -> None:
        try:
            close_old_connections()
            queue.beat(self.node, self.slots, settings.FRAMEVOTE_WORKER_QUEUES)
            # A killed child's analysis need not wait until the lease runs out.
            queue.recover_worker(f"{self.node}:", _is_alive)
        except DatabaseError:
            logger.exception("the sign of life of %s was not written", self.node)


def _is_alive(name: str) -> bool:
    """Whether the process of ``node:pid`` runs on this machine."""
    pid = name.rpartition(":")[2]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_presence: Presence | None = None


@worker_ready.connect
def _begin(sender: Any, **kwargs: Any) -> None:
    global _presence
    _presence = Presence(sender.hostname, sender.controller.concurrency or 1)
    _presence.start()


@worker_shutdown.connect
def _end(**kwargs: Any) -> None:
    if _presence is not None:
        _presence.stop()
