"""Keeps the AV1 encoder from taking the machine.

SVT-AV1 makes a process of root's SCHED_FIFO with priority 99, and so is whatever that process
starts later. Of browsers and servers, two threads that wait for a third by spinning then keep
both cores from it for ever.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """The thread is scheduled afterwards as it was before."""
    if not hasattr(os, "sched_setscheduler"):  # Linux has it, and only there is it needed.
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)
