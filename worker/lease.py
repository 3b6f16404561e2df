"""Keeps the lease of a running analysis alive and knows when to stop.

The detector reports progress many times a second; a thread writes it, and what evidence there
is, at most once a second, and at least every ``FRAMEVOTE_HEARTBEAT_SECONDS``.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from functools import partial
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from detector import Evidence
from webapp.submissions import queue
from worker.publish import provisional_of
from worker.shutdown import is_shutting_down

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class LeaseKeeper:
    """``with LeaseKeeper(lease) as keeper:`` around the work that the lease allows."""

    def __init__(self, lease: queue.Lease) -> None:
        self.lease = lease
        self.lost = threading.Event()
        self._done = threading.Event()
        self._wake = threading.Event()
        self._progress: tuple[str, int] = ("", 0)
        self._written: tuple[str, int] = ("", 0)
        self._evidence: Evidence | None = None
        self._written_evidence: Evidence | None = None
        self._held_at = time.monotonic()
        # In a copy of the context, so that its log lines name the analysis too.
        run = partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._wake.set()
        self._thread.join()

    def report(self, stage: str, fraction: float) -> None:
        """The detector's ``on_progress``."""
        self._progress = (stage, round(100 * fraction))

    def show(self, evidence: Evidence) -> None:
        """The detector's ``on_evidence``; the first is written at once, for somebody waits."""
        first, self._evidence = self._evidence is None, evidence
        if first:
            self._wake.set()

    def should_stop(self) -> bool:
        """The detector's ``should_stop``: the lease is lost or the worker shuts down."""
        return self.lost.is_set() or is_shutting_down()

    def _run(self) -> None:
        try:
            while not self._ended():
                silent_for = time.monotonic() - self._held_at
                due = silent_for >= settings.FRAMEVOTE_HEARTBEAT_SECONDS
                told = self._evidence is not self._written_evidence
                if due or told or self._progress != self._written:
                    self._beat(silent_for)
        finally:
            if not self._done.is_set():
                self.lost.set()
            connection.close()

    def _ended(self) -> bool:
        """Wait for the next turn; whether there is none."""
        self._wake.wait(TICK_SECONDS)
        self._wake.clear()
        return self._done.is_set() or self.lost.is_set()

    def _beat(self, silent_for: float) -> None:
        progress, evidence = self._progress, self._evidence
        stage, percent = progress
        told = evidence is not None and evidence is not self._written_evidence
        began = time.monotonic()
        try:
            close_old_connections()
            held = queue.heartbeat(
                self.lease,
                stage=stage,
                percent=percent,
                evidence=provisional_of(evidence) if evidence and told else None,
            )
        except DatabaseError:
            logger.exception("heartbeat of analysis %s was not written", self.lease.analysis_id)
            # The database may come back before the lease ends; afterwards the row is
            # somebody else's, whether or not it can be asked.
            if silent_for >= settings.FRAMEVOTE_LEASE_SECONDS:
                self.lost.set()
            return
        if held:
            self._held_at = began
            self._written = progress
            self._written_evidence = evidence
        else:
            logger.warning("analysis %s: the lease is lost", self.lease.analysis_id)
            self.lost.set()
