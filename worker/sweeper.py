"""Looks after the queue: lost leases, lost messages, orphaned files.

Any number may run side by side; every step is a conditional UPDATE or the
removal of something nobody refers to.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import Q

from webapp.submissions import queue, storage
from webapp.submissions.models import Analysis, Submission

logger = logging.getLogger(__name__)

ORPHAN_SECONDS = 3600
"""Younger files may belong to an upload or a publication that is under way."""

ORPHAN_EVERY_SECONDS = 600


def sweep_until(stop: Event) -> None:
    """Sweep every ``FRAMEVOTE_SWEEP_SECONDS`` until ``stop`` is set.

    A database that is away for a while is logged, not fatal.
    """
    orphans_due = 0.0
    while not stop.is_set():
        try:
            close_old_connections()
            sweep()
            if time.monotonic() >= orphans_due:
                remove_orphans()
                queue.forget_silent_workers()
                orphans_due = time.monotonic() + ORPHAN_EVERY_SECONDS
        except DatabaseError:
            logger.exception("the database did not answer; trying again")
        stop.wait(settings.FRAMEVOTE_SWEEP_SECONDS)


def sweep() -> None:
    """Give back what lost workers held and announce what no message speaks of."""
    for analysis_id in queue.recover_expired():
        logger.info("analysis %s: given back to the queue", analysis_id)
    announced = queue.reannounce()
    if announced:
        logger.info("announced %d waiting analyses again", announced)


def remove_orphans(older_than: float = ORPHAN_SECONDS) -> list[str]:
    """Remove files of uploads and evidence that no row refers to; their names."""
    removed = []
    for name in [*_orphaned_uploads(older_than), *_orphaned_evidence(older_than)]:
        logger.info("removing %s, which no row refers to", name)
        storage.remove_folder(name)
        removed.append(name)
    for file in _interrupted_uploads(older_than):
        logger.info("removing %s, the rest of an interrupted upload", file.name)
        file.unlink(missing_ok=True)
        removed.append(file.name)
    return removed


def _interrupted_uploads(older_than: float) -> list[Path]:
    """What a web process that was killed left of a body it was receiving."""
    incoming = Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*")
    return [file for file in incoming if _age(file) > older_than]


def _orphaned_uploads(older_than: float) -> Iterator[str]:
    for folder in _folders(storage.local_path(storage.SUBMISSIONS)):
        submission_id = _as_uuid(folder.name)
        if _is_old(folder, older_than) and not (
            submission_id and Submission.objects.filter(pk=submission_id).exists()
        ):
            yield f"{storage.SUBMISSIONS}/{folder.name}"


def _orphaned_evidence(older_than: float) -> Iterator[str]:
    for analysis_folder in _folders(storage.local_path(storage.EVIDENCE)):
        for folder in _folders(analysis_folder):
            name = f"{storage.EVIDENCE}/{analysis_folder.name}/{folder.name}"
            analysis_id, token = _as_uuid(analysis_folder.name), _as_uuid(folder.name)
            in_use = Q(evidence_dir=name) | Q(lease=token, lease__isnull=False)
            if _is_old(folder, older_than) and not (
                analysis_id and Analysis.objects.filter(in_use, pk=analysis_id).exists()
            ):
                yield name


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [path for path in sorted(parent.iterdir()) if path.is_dir()]


def _is_old(folder: Path, older_than: float) -> bool:
    """By the newest of the folder and its files, for a file grows without its folder."""
    return all(_age(path) > older_than for path in (folder, *folder.iterdir()))


def _age(path: Path) -> float:
    """Seconds since the last write; 0 for what was removed in this moment."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _as_uuid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
