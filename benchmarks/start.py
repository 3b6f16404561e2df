"""How long the processes of the site take to start: ``python -m benchmarks.start``.

Until the web process answers ``/healthz``; until a worker takes messages, and until its network
is loaded, with the checkpoint's graph kept from an earlier start.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.site import print_table, site

if TYPE_CHECKING:
    from tests.processes import Site

ROUNDS = 5


def main() -> int:
    """Print the table. Exit status."""
    rounds = []
    with site() as measured:
        _start_worker(measured, "first")  # Makes the graph.
        measured.stop_all()
        for number in range(ROUNDS):
            began = time.monotonic()
            measured.start_web()
            web = time.monotonic() - began
            measured.stop_all()
            rounds.append((web, *_start_worker(measured, f"worker{number}")))
            measured.stop_all()
    names = ("web process answers, s", "worker takes messages, s", "worker's network is loaded, s")
    print_table(f"{ROUNDS} times", dict(zip(names, zip(*rounds, strict=True), strict=True)))
    return 0


def _start_worker(measured: Site, name: str) -> tuple[float, float]:
    """Seconds until it takes messages, and until its network is loaded."""
    from tests.servers import wait_until

    began = time.monotonic()
    measured.start_worker(name)
    ready = time.monotonic() - began
    wait_until(lambda: "is loaded" in measured.log(name), "the network is loaded", seconds=300)
    return ready, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
