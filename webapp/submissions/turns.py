"""Fair shares: in what order the analyses of different people are taken.

Each analysis gets a *turn* when it is put in the queue, and workers take them by turn
(start-time fair queueing: P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996, every analysis
counted as one). The analyses of one person are ``STEP`` apart. Who has none in the queue
begins just behind what is being worked on now, before the next round of those who wait:

* of two people with many videos, workers take one of each in turn;
* one video waits for at most one of each other person, however many those have;
* nobody waits for ever, for whoever comes later gets later turns.

A turn does not change while it waits, so the order is one index, and a position a count.
Each queue (``routes.py``) has turns and shares of its own.
"""

from __future__ import annotations

from django.db import IntegrityError
from django.db.models import Max, Min

from . import routes
from .models import Analysis, State, Submission

STEP = 2
"""Between two analyses of one person; half of it is for those who had none."""


def share_of(submission: Submission, queue: str) -> str | None:
    """Whose share of the queue an analysis uses up: an account's or an anonymous visitor's."""
    if submission.owner_id is not None:
        return f"{queue}/account:{submission.owner_id}"
    return f"{queue}/visitor:{submission.visitor}" if submission.visitor else None


def next_turn(share: str | None, queue: str) -> int:
    """The turn of an analysis that is put in the queue now."""
    turn = _now(queue) + 1
    if share is None:
        return turn
    last = Analysis.objects.filter(share=share).aggregate(last=Max("turn"))["last"]
    return turn if last is None else max(turn, last + STEP)


def was_taken(error: IntegrityError) -> bool:
    """Whether a row was refused because another with the same share got its turn first.

    Neither of two requests at once sees the other's row, so the database decides, and who
    lost asks for the next turn.
    """
    # As Postgres and as SQLite say it.
    says = str(error)
    return "analysis_turn_taken_once" in says or "submissions_analysis.turn" in says


def _now(queue: str) -> int:
    """Up to which turn the workers have come."""
    rows = Analysis.objects.filter(routes.waiting_in([queue]))
    running = rows.filter(state=State.RUNNING).aggregate(turn=Max("turn"))["turn"]
    waiting = rows.filter(state=State.QUEUED).aggregate(turn=Min("turn"))["turn"]
    if running is None:
        return -1 if waiting is None else waiting - 1
    # What runs may be very late: a row that came back from a lost worker.
    return running if waiting is None else max(running, waiting - STEP)
