"""Processes that fight over the queue: ``python -m tests.claimants COMMAND ARGUMENT``.

Each command prints JSON. Those that fight wait for the starting signal, a file, so
that all processes begin at once.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402

from tests.webapp.outcomes import an_outcome  # noqa: E402
from webapp.accounts import rates  # noqa: E402
from webapp.submissions import queue, retention  # noqa: E402
from webapp.submissions.models import Analysis, Face, State, Submission, Tally  # noqa: E402


def fill(count: str) -> list[str]:
    """A queue of so many analyses."""
    Submission.objects.all().delete()
    return [str(queue.enqueue(_submission()).pk) for _ in range(int(count))]


def fill_for_two(count: str) -> list[str]:
    """So many of one visitor, and then one of another, whose comes last in the answer."""
    Submission.objects.all().delete()
    many, one = uuid.uuid4(), uuid.uuid4()
    visitors = [*(many for _ in range(int(count))), one]
    return [str(queue.enqueue(_submission(visitor=visitor)).pk) for visitor in visitors]


def enqueue_thirty(signal: str) -> list[int]:
    """Thirty videos of the one visitor that all processes are; the turns they got."""
    visitor = uuid.UUID(int=1)
    submissions = [_submission(visitor=visitor) for _ in range(30)]
    _wait_for(signal)
    return [queue.enqueue(submission).turn for submission in submissions]


def submit(_: str) -> list[str]:
    """One submission that was never analyzed."""
    Submission.objects.all().delete()
    return [str(_submission().pk)]


def submit_long_ago(_: str) -> list[str]:
    """The same, with a video whose time is up."""
    submitted = submit("")
    Submission.objects.update(created_at=timezone.now() - timedelta(days=4000))
    return submitted


def enqueue_slowly(signal: str) -> list[str]:
    """Ask for an analysis, and take more than a second to commit it."""
    with transaction.atomic():
        enqueued = queue.enqueue(Submission.objects.get())
        _wait_for(signal)
        time.sleep(1.5)
    return [str(enqueued.pk)]


def retire(signal: str) -> list[str]:
    """Remove the files of what is overdue; of how many submissions."""
    _wait_for(signal)
    with override_settings(FRAMEVOTE_RETENTION_DAYS=30):
        return [str(retention.remove_overdue())]


def enqueue(signal: str) -> list[str]:
    """Ask for an analysis of the only submission; what was put in the queue."""
    submission = Submission.objects.get()
    _wait_for(signal)
    try:
        return [str(queue.enqueue(submission).pk)]
    except queue.AlreadyActive:
        return []


def claim(signal: str) -> list[str]:
    """Claim and keep until nothing waits; what was claimed."""
    _wait_for(signal)
    claimed = []
    while lease := queue.claim_next(worker="claimant"):
        claimed.append(str(lease.analysis_id))
    return claimed


def work(signal: str) -> list[str]:
    """Claim and publish until nothing is left to do; what was published."""
    _wait_for(signal)
    published = []
    while Analysis.objects.filter(state__in=(State.QUEUED, State.RUNNING)).exists():
        lease = queue.claim_next(worker="worker")
        # As long as a real analysis never is, but long enough to be disturbed in.
        time.sleep(random.uniform(0, 0.02))
        if lease and queue.heartbeat(lease, stage="vote") and queue.publish(lease, an_outcome()):
            published.append(str(lease.analysis_id))
    return published


def disturb(signal: str) -> list[str]:
    """Let leases run out and take them back while others work; what was taken back."""
    _wait_for(signal)
    recovered: list[str] = []
    while Analysis.objects.filter(state__in=(State.QUEUED, State.RUNNING)).exists():
        running = Analysis.objects.filter(state=State.RUNNING, attempts=1)
        # At once, for on a busy machine a heartbeat would nearly always come in between.
        with transaction.atomic():
            running.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            recovered += [str(pk) for pk in queue.recover_expired()]
        time.sleep(random.uniform(0, 0.01))
    return recovered


def take(signal: str) -> list[str]:
    """Try sixty times to use a rate; one item for each time it was let through."""
    _wait_for(signal)
    taken = []
    for _ in range(60):
        try:
            rates.take(rates.UPLOAD, "somebody")
            taken.append("taken")
        except rates.TooMany:
            pass
    return taken


def report(_: str) -> dict[str, object]:
    rows = Analysis.objects.all()
    return {
        "states": sorted(set(rows.values_list("state", flat=True))),
        "attempts": sorted(set(rows.values_list("attempts", flat=True))),
        "as claimed": [str(pk) for pk in rows.order_by("started_at").values_list("pk", flat=True)],
        "faces": Face.objects.count(),
        "counted": sum(
            Tally.objects.filter(metric="stage_seconds").values_list("number", flat=True)
        ),
    }


def _submission(visitor: uuid.UUID | None = None) -> Submission:
    return Submission.objects.create(
        original_name="clip.mp4", video="x.mp4", size_bytes=1, sha256="0" * 64, visitor=visitor
    )


def _wait_for(signal: str) -> None:
    connection.ensure_connection()  # So that nobody is late by connecting.
    Path(f"{signal}.{time.monotonic_ns()}.ready").touch()
    while not Path(signal).exists():
        time.sleep(0.005)


if __name__ == "__main__":
    commands = (fill, fill_for_two, submit, submit_long_ago, enqueue, enqueue_slowly,
                enqueue_thirty, claim, work, disturb, take, retire, report)  # fmt: skip
    chosen = next(command for command in commands if command.__name__ == sys.argv[1])
    print(json.dumps(chosen(sys.argv[2])))
