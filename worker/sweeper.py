"""Looks after the queue: lost leases, lost messages, orphaned files, abandoned uploads.

Any number may run side by side; every step is a conditional UPDATE or the
removal of something nobody refers to.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import TypeVar

from django.conf import settings
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import close_old_connections

from webapp import logs
from webapp.accounts import rates
from webapp.submissions import partial_uploads, queue, retention, storage
from webapp.submissions.models import Analysis, PartialUpload, Submission, media_storage

logger = logging.getLogger(__name__)

_Name = TypeVar("_Name")

ORPHAN_SECONDS = 3600
"""Younger files may belong to an upload or a publication that is under way."""

TIDY_EVERY_SECONDS = 600

CHUNK = 500
"""Folders whose rows one query asks for."""


def sweep_until(stop: Event) -> None:
    """Sweep every ``FRAMEVOTE_SWEEP_SECONDS`` until ``stop`` is set.

    A database that is away for a while, or a file that cannot be removed, is logged
    and not fatal.
    """
    tidy_due = 0.0
    while not stop.is_set():
        try:
            close_old_connections()
            sweep()
            if time.monotonic() >= tidy_due:
                tidy_due = time.monotonic() + TIDY_EVERY_SECONDS
                tidy_up()
        except DatabaseError:
            logger.exception("the database did not answer; trying again")
        except OSError:
            logger.exception("a file could not be read or removed; trying again")
        stop.wait(settings.FRAMEVOTE_SWEEP_SECONDS)


def sweep() -> None:
    """Give back what lost workers held and announce what no message speaks of."""
    for analysis_id in queue.recover_expired():
        with logs.about_analysis(analysis_id):
            logger.info("analysis %s: given back to the queue", analysis_id)
    announced = queue.reannounce()
    if announced:
        logger.info("announced %d waiting analyses again", announced)


def tidy_up() -> None:
    """Remove files whose time is up, and what nobody needs any more: uploads, files, silent
    workers, sessions, rates."""
    retention.remove_overdue()
    for name in partial_uploads.remove_expired():
        logger.info("upload %s: removed, for it waited for too long", name)
    remove_orphans()
    queue.forget_silent_workers()
    rates.forget_the_paid()
    call_command("clearsessions")


def remove_orphans(older_than: float = ORPHAN_SECONDS) -> list[str]:
    """Remove files of uploads and evidence that no row claims; their names."""
    removed = []
    for name in [*_orphaned_uploads(older_than), *_orphaned_evidence(older_than)]:
        logger.info("removing %s, which no row claims", name)
        storage.remove_folder(name)
        removed.append(name)
    for file in [*_interrupted_uploads(older_than), *_orphaned_pieces(older_than)]:
        logger.info("removing %s, the rest of an interrupted upload", file.name)
        file.unlink(missing_ok=True)
        removed.append(file.name)
    return removed


def _interrupted_uploads(older_than: float) -> list[Path]:
    """What a web process that was killed left of a body it was receiving."""
    incoming = Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*")
    return [file for file in incoming if _age(file) > older_than]


def _orphaned_pieces(older_than: float) -> Iterator[Path]:
    """Bytes of uploads in pieces that have gone, with their owner for instance."""
    files = partial_uploads.files()
    for ids in _in_chunks(sorted(files)):
        known = set(PartialUpload.objects.open().filter(pk__in=ids).values_list("pk", flat=True))
        for pk in ids:
            if pk not in known and _age(files[pk]) > older_than:
                yield files[pk]


def _orphaned_uploads(older_than: float) -> Iterator[str]:
    for ids in _in_chunks(media_storage().folders(storage.SUBMISSIONS)):
        rows = Submission.objects.filter(pk__in=_uuids(ids), files_removed_at=None)
        known = {storage.submission_dir(pk) for pk in rows.values_list("pk", flat=True)}
        names = (f"{storage.SUBMISSIONS}/{name}" for name in ids)
        yield from _old_ones(names, known, older_than)


def _orphaned_evidence(older_than: float) -> Iterator[str]:
    for ids in _in_chunks(media_storage().folders(storage.EVIDENCE)):
        rows = Analysis.objects.filter(pk__in=_uuids(ids), submission__files_removed_at=None)
        found = list(rows.values_list("pk", "evidence_dir", "lease"))
        known = {shown for _, shown, _ in found}
        known |= {storage.evidence_dir(pk, lease) for pk, _, lease in found if lease}
        parents = [f"{storage.EVIDENCE}/{name}" for name in ids]
        folders = media_storage().folders
        names = (f"{parent}/{name}" for parent in parents for name in folders(parent))
        yield from _old_ones(names, known, older_than)


def _old_ones(names: Iterable[str], known: Container[str], older_than: float) -> Iterator[str]:
    """The unknown among the folders that are old; the files of the others are not looked at."""
    return (n for n in names if n not in known and media_storage().age(n) > older_than)


def _age(path: Path) -> float:
    """Seconds since the last write; 0 for what was removed in this moment."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _in_chunks(names: Sequence[_Name]) -> Iterator[Sequence[_Name]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))


def _uuids(names: Iterable[str]) -> list[uuid.UUID]:
    return [known for name in names if (known := _as_uuid(name))]


def _as_uuid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
