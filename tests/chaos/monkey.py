"""What happens to the site, at moments and to victims that a seed decides."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.backends import Embedded
from tests.chaos.stack import SmallDisk, Stack

LEASE_SECONDS = 6

STEP_LEASES = """
import sys, django
django.setup()
from datetime import timedelta
from django.db.models import F
from webapp.submissions.models import Analysis, State
running = Analysis.objects.filter(state=State.RUNNING)
print(running.update(lease_expires_at=F("lease_expires_at") + timedelta(seconds=int(sys.argv[1]))))
"""


class Monkey(threading.Thread):
    """Acts until ``enough`` is set; ``done`` counts what it did."""

    def __init__(self, stack: Stack, disk: SmallDisk, seed: int, pause: float) -> None:
        super().__init__(name="monkey")
        self.enough = threading.Event()
        self.done: Counter[str] = Counter()
        self.failed: Exception | None = None
        self._stack = stack
        self._disk = disk
        self._random = random.Random(seed)
        self._pause = pause

    def run(self) -> None:
        try:
            while not self.enough.wait(self._random.uniform(0.2, 2 * self._pause)):
                name, act = self._random.choice(self._tricks())
                act()
                self.done[name] += 1
        except Exception as error:  # Raised by end(), in the thread that can fail a test.
            self.failed = error

    def end(self) -> None:
        """Stop it, and what it holds; an error of its own is raised here."""
        self.enough.set()
        self.join()
        self._disk.empty()
        if self.failed is not None:
            raise self.failed

    def _tricks(self) -> list[tuple[str, Callable[[], None]]]:
        stack = self._stack
        tricks: list[tuple[str, Callable[[], None]]] = [
            ("worker killed", lambda: stack.kill(self._worker())),
            ("child of a worker killed", lambda: stack.kill_children(self._worker())),
            ("worker told to stop", lambda: stack.terminate(self._worker())),
            ("worker frozen beyond its lease", self._freeze),
            ("web killed", lambda: stack.kill("web")),
            ("process of web killed", lambda: stack.kill_children("web")),
            ("sweeper killed", lambda: stack.kill("sweeper")),
            ("messages lost", stack.backend.lose_messages),
            ("leases' clock stepped", self._step_leases),
        ]
        if self._disk.is_own:
            tricks.append(("disk full", self._fill_the_disk))
        if not isinstance(stack.backend, Embedded):
            tricks += [
                ("broker killed", stack.backend.kill_broker),
                ("database restarted", stack.backend.restart_database),
            ]
        return tricks

    def _worker(self) -> str:
        return self._random.choice(self._stack.workers)

    def _freeze(self) -> None:
        """The monkey waits meanwhile; the others take over what the frozen one held."""
        worker = self._worker()
        self._stack.freeze(worker)
        time.sleep(LEASE_SECONDS + 3)
        self._stack.thaw(worker)

    def _fill_the_disk(self) -> None:
        self._disk.fill()
        time.sleep(self._random.uniform(0.5, 2))
        self._disk.empty()

    def _step_leases(self) -> None:
        seconds = self._random.choice((-2 * LEASE_SECONDS, LEASE_SECONDS))
        try:
            self._stack.run("-c", STEP_LEASES, str(seconds))
        except RuntimeError:
            # A database that is busy or away takes no step either.
            self.done["of these without an answer"] += 1
