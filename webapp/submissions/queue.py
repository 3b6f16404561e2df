"""The queue of analyses: the only module that writes an analysis's state.

The database row is the truth; a broker message is only a wake-up. Every
transition is one conditional UPDATE, and the number of changed rows says
whether it happened. Whoever runs an analysis holds a lease, and the lease's
token is in every WHERE, so who lost it can write nothing any more.

The states are drawn in ``models.py``; questions about the queue (position,
waiting time) are in ``waiting.py``, messages in ``wakeups.py``, both reachable from here;
whose turn it is, in ``turns.py``.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from . import routes, storage, tallies, turns
from .models import ACTIVE_STATES, Analysis, State, Submission
from .outcomes import FaceOutcome, MediaFacts, Outcome, PersonOutcome, write_rows
from .provisional import Provisional
from .waiting import (
    QUEUE_ORDER,
    beat,
    estimated_wait_s,
    forget_silent_workers,
    forget_worker,
    live_slots,
    position,
    positions,
    unserved,
)
from .wakeups import announce_on_commit, reannounce

__all__ = [
    "AlreadyActive",
    "FaceOutcome",
    "FilesRemoved",
    "Lease",
    "MediaFacts",
    "Outcome",
    "PersonOutcome",
    "beat",
    "cancel",
    "claim",
    "claim_next",
    "delete_submission",
    "enqueue",
    "estimated_wait_s",
    "fail",
    "forget_silent_workers",
    "forget_worker",
    "heartbeat",
    "live_slots",
    "position",
    "positions",
    "publish",
    "reannounce",
    "recover_expired",
    "recover_worker",
    "release",
    "retry",
    "unserved",
]

logger = logging.getLogger(__name__)

GAVE_UP = "gave_up"
GAVE_UP_SENTENCE = "The analysis was tried several times and did not come to an end."
LEASE_LOST = "The worker stopped giving signs of life."

ONLY_WHILE_RUNNING = {"lease": None, "lease_expires_at": None, "provisional": None}

TRIES = 100
"""For a turn: so many analyses of one person would have to be put in the queue at once."""


@dataclass(frozen=True)
class Lease:
    """The right to run one analysis; worthless once the row carries another token."""

    analysis_id: uuid.UUID
    token: uuid.UUID


class AlreadyActive(Exception):
    """An analysis of the submission waits or runs; there is never a second one beside it."""


class FilesRemoved(Exception):
    """The video was removed when its time was up (``retention.py``)."""


def enqueue(submission: Submission, *, sampling: str | None = None) -> Analysis:
    """Add an analysis of ``submission`` to the queue and wake a worker on commit.

    Raises :class:`AlreadyActive`, and :class:`FilesRemoved`. The database decides, for of
    two requests at the same moment neither would see the other's row.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            # A savepoint, so that a refusal does not spoil the caller's transaction.
            with transaction.atomic():
                analysis = _insert(submission, sampling or settings.FRAMEVOTE_SAMPLING)
            break
        except IntegrityError as error:
            if turns.was_taken(error) and tries_left:
                continue
            if turns.was_taken(error) or not Submission.objects.filter(pk=submission.pk).exists():
                raise  # Or deleted meanwhile: another rule was broken than ours.
            raise AlreadyActive(f"submission {submission.pk} has an active analysis") from error
    announce_on_commit(analysis.pk)
    transaction.on_commit(lambda: _log(analysis.pk, "queued, of submission %s", submission.pk))
    return analysis


def claim(analysis_id: uuid.UUID, *, worker: str) -> Lease | None:
    """QUEUED → RUNNING. None when somebody else has it or it is not waiting."""
    now = timezone.now()
    lease = Lease(analysis_id, uuid.uuid4())
    claimed = Analysis.objects.filter(pk=analysis_id, state=State.QUEUED).update(
        state=State.RUNNING,
        lease=lease.token,
        lease_expires_at=now + _lease_length(),
        attempts=F("attempts") + 1,
        started_at=now,
        worker=worker[:200],
        stage="",
        percent=0,
    )
    return lease if claimed else None


def claim_next(*, worker: str, queues: Collection[str] | None = None) -> Lease | None:
    """Claim the analysis whose turn it is, of these queues or of all; None when nothing waits.

    A row that came back from a lost worker has the earliest turn, while its new message
    is the youngest: taking rows in order keeps the promise that position makes.
    """
    mine = Q() if queues is None else routes.waiting_in(queues)
    while True:
        waiting = Analysis.objects.filter(mine, state=State.QUEUED).order_by(*QUEUE_ORDER)
        candidates = list(waiting.values_list("pk", flat=True)[:5])
        if not candidates:
            return None
        for analysis_id in candidates:
            if lease := claim(analysis_id, worker=worker):
                return lease


def heartbeat(
    lease: Lease,
    *,
    stage: str = "",
    percent: int | None = None,
    evidence: Provisional | None = None,
) -> bool:
    """Extend the lease and show how far the analysis is. False: the lease is lost."""
    changes: dict[str, object] = {"lease_expires_at": timezone.now() + _lease_length()}
    if stage:
        changes["stage"] = stage[:20]
    if percent is not None:
        changes["percent"] = min(100, max(0, percent))
    if evidence is not None:
        changes["provisional"] = asdict(evidence)
    return bool(_held(lease).update(**changes))


def publish(lease: Lease, outcome: Outcome) -> bool:
    """RUNNING → SUCCEEDED with all rows of the result, in one transaction.

    False: the lease is lost and nothing was written; the caller removes its files.
    """
    with transaction.atomic():
        # First, so that the row is locked before anything else is written.
        published = _held(lease).update(
            **_finished(State.SUCCEEDED),
            percent=100,
            stage="publish",
            error_code="",
            error_sentence="",
            verdict=outcome.verdict,
            vote=outcome.vote or "",
            reasons=list(outcome.reasons),
            probability_fake=outcome.probability_fake,
            votes_real=outcome.votes_real,
            votes_fake=outcome.votes_fake,
            checkpoint_name=outcome.checkpoint_name,
            checkpoint_version=outcome.checkpoint_version,
            checkpoint_sha256=outcome.checkpoint_sha256,
            sampled_frames=list(outcome.sampled_frames),
            skipped_frames=outcome.skipped_frames,
            seconds=dict(outcome.seconds),
            versions=dict(outcome.versions),
            evidence_dir=outcome.evidence_dir,
        )
        if not published:
            return False
        write_rows(lease.analysis_id, outcome)
        Submission.objects.filter(analyses=lease.analysis_id).update(
            container=outcome.media.container[:100],
            codec=outcome.media.codec[:40],
            width=outcome.media.width,
            height=outcome.media.height,
            duration_s=outcome.media.duration_s,
        )
        tallies.count_end(lease.analysis_id)
    return True


def fail(lease: Lease, code: str, sentence: str) -> bool:
    """RUNNING → FAILED: trying again would not help."""
    return _update_and_count(
        _held(lease),
        lease.analysis_id,
        **_finished(State.FAILED),
        error_code=code[:40],
        error_sentence=sentence[:300],
    )


def release(lease: Lease, reason: str) -> bool:
    """RUNNING → QUEUED by a worker that shuts down; costs the analysis no attempt."""
    released = _held(lease).update(**_waiting_again(reason), attempts=F("attempts") - 1)
    if released:
        announce_on_commit(lease.analysis_id)
    return bool(released)


def retry(lease: Lease, reason: str) -> bool:
    """RUNNING → QUEUED after an unforeseen error, or FAILED when attempts are used up."""
    return _give_back(_held(lease), lease.analysis_id, reason)


def cancel(analysis_id: uuid.UUID) -> bool:
    """QUEUED or RUNNING → CANCELED; a worker that runs it notices at its next heartbeat."""
    row = Analysis.objects.filter(pk=analysis_id, state__in=ACTIVE_STATES)
    return _update_and_count(row, analysis_id, **_finished(State.CANCELED))


def recover_expired() -> list[uuid.UUID]:
    """Give back every analysis whose worker went silent; the ids that were given back.

    Those that have used up their attempts become FAILED ``gave_up``.
    """
    now = timezone.now()
    expired = Analysis.objects.filter(state=State.RUNNING, lease_expires_at__lt=now)
    recovered = []
    for lease, worker in _leases(expired):
        # The expiry is asked again in the UPDATE: a late heartbeat may have saved the lease.
        row = _held(lease).filter(lease_expires_at__lt=now)
        if _give_back(row, lease.analysis_id, LEASE_LOST):
            _log(lease.analysis_id, "%s went silent", worker, level=logging.WARNING)
            recovered.append(lease.analysis_id)
    return recovered


def recover_worker(worker_prefix: str, is_alive: Callable[[str], bool]) -> list[uuid.UUID]:
    """Give back what a dead process of this worker held, without waiting for the lease.

    ``is_alive`` is told the full worker name of each row whose name has the prefix.
    """
    held = Analysis.objects.filter(state=State.RUNNING, worker__startswith=worker_prefix)
    recovered = []
    for lease, worker in _leases(held):
        if not is_alive(worker) and _give_back(_held(lease), lease.analysis_id, LEASE_LOST):
            _log(lease.analysis_id, "%s died", worker, level=logging.WARNING)
            recovered.append(lease.analysis_id)
    return recovered


def delete_submission(submission: Submission) -> None:
    """Remove a submission with its analyses, rows and files; safe while one is running."""
    submission_id = submission.pk
    with transaction.atomic():
        analyses = Analysis.objects.filter(submission=submission_id)
        # Ends every lease first: a publish that is under way has committed before this
        # UPDATE gets the row, and a later one matches nothing.
        active = analyses.filter(state__in=ACTIVE_STATES)
        for analysis_id in list(active.values_list("pk", flat=True)):
            cancel(analysis_id)
        folders = storage.folders_of(submission_id, analyses.values_list("pk", flat=True))
        Submission.objects.filter(pk=submission_id).delete()
        transaction.on_commit(lambda: storage.remove_folders(folders))


def _insert(submission: Submission, sampling: str) -> Analysis:
    # Locked, so that the video is not removed in this very moment.
    row = Submission.objects.select_for_update().filter(pk=submission.pk)
    if any(row.values_list("files_removed_at", flat=True)):
        raise FilesRemoved(f"the video of submission {submission.pk} is gone")
    queue = routes.queue_of(sampling)
    share = turns.share_of(submission, queue)
    return Analysis.objects.create(
        submission=submission,
        sampling=sampling,
        announced_at=timezone.now(),
        share=share,
        turn=turns.next_turn(share, queue),
    )


def _log(analysis_id: uuid.UUID, event: str, *details: object, level: int = logging.INFO) -> None:
    extra = {"analysis_id": str(analysis_id)}
    logger.log(level, f"analysis %s: {event}", analysis_id, *details, extra=extra)


def _leases(running: QuerySet[Analysis]) -> Iterator[tuple[Lease, str]]:
    """Each row's lease and the name of the worker that holds it."""
    for analysis_id, token, worker in running.values_list("pk", "lease", "worker"):
        if token is not None:
            yield Lease(analysis_id, token), worker


def _held(lease: Lease) -> QuerySet[Analysis]:
    return Analysis.objects.filter(pk=lease.analysis_id, state=State.RUNNING, lease=lease.token)


def _lease_length() -> timedelta:
    return timedelta(seconds=settings.FRAMEVOTE_LEASE_SECONDS)


def _finished(state: State) -> dict[str, object]:
    return {
        "state": state,
        "share": None,
        **ONLY_WHILE_RUNNING,
        "finished_at": timezone.now(),
    }


def _waiting_again(reason: str) -> dict[str, object]:
    return {
        "state": State.QUEUED,
        **ONLY_WHILE_RUNNING,
        "started_at": None,
        "worker": "",
        "stage": "",
        "percent": 0,
        "last_reason": reason,
        "announced_at": timezone.now(),
    }


def _give_back(row: QuerySet[Analysis], analysis_id: uuid.UUID, reason: str) -> bool:
    """One UPDATE that decides by the row's own attempts whether it may try again."""
    out_of_attempts = Q(attempts__gte=settings.FRAMEVOTE_MAX_ATTEMPTS)

    def either(gave_up: object, waiting: object) -> Case:
        return Case(When(out_of_attempts, then=Value(gave_up)), default=Value(waiting))

    changed = _update_and_count(
        row,
        analysis_id,
        state=either(State.FAILED.value, State.QUEUED.value),
        share=Case(When(out_of_attempts, then=None), default=F("share")),
        error_code=either(GAVE_UP, ""),
        error_sentence=either(GAVE_UP_SENTENCE, ""),
        **ONLY_WHILE_RUNNING,
        stage="",
        percent=0,
        last_reason=reason,
        announced_at=timezone.now(),
        finished_at=Case(When(out_of_attempts, then=Value(timezone.now())), default=None),
    )
    if changed:
        # For one that was given up the message wakes a worker that finds nothing.
        announce_on_commit(analysis_id)
    return changed


def _update_and_count(row: QuerySet[Analysis], analysis_id: uuid.UUID, **changes: object) -> bool:
    """The one UPDATE of a transition; if it was the analysis's end, that is counted with it."""
    with transaction.atomic():
        changed = bool(row.update(**changes))
        if changed:
            tallies.count_end(analysis_id)
    return changed
