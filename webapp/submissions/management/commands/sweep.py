"""``manage.py sweep``: looks after the queue until it is told to stop."""

from __future__ import annotations

import signal
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from worker.sweeper import sweep, sweep_until, tidy_up


class Command(BaseCommand):
    help = (
        "Return lost analyses to the queue, announce waiting ones, remove orphaned files and "
        "abandoned uploads."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="sweep once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if once:
            sweep()
            tidy_up()
            return
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sweep_until(stop)
