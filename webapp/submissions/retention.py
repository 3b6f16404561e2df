"""How long videos and pictures of faces stay: ``FRAMEVOTE_RETENTION_DAYS`` after the upload.

Then the sweeper removes them. The rows stay: file name, SHA-256, verdict, and every vote with
its time and place in the picture. An analysis that waits or runs still needs the video, which
goes when it has ended.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from . import storage
from .models import ACTIVE_STATES, Analysis, Submission

logger = logging.getLogger(__name__)


def due_at(submission: Submission) -> datetime | None:
    """When its files go, or went; None where they stay for good."""
    if submission.files_removed_at is not None:
        return submission.files_removed_at
    if not settings.FRAMEVOTE_RETENTION_DAYS:
        return None
    return submission.created_at + timedelta(days=settings.FRAMEVOTE_RETENTION_DAYS)


def overdue() -> QuerySet[Submission]:
    """Submissions whose files should be gone and are not."""
    if not settings.FRAMEVOTE_RETENTION_DAYS:
        return Submission.objects.none()
    oldest = timezone.now() - timedelta(days=settings.FRAMEVOTE_RETENTION_DAYS)
    return Submission.objects.filter(files_removed_at=None, created_at__lte=oldest)


def remove_overdue() -> int:
    """Remove the files of all that are overdue and idle; how many submissions that were."""
    removed = sum(_remove_files(pk) for pk in list(overdue().values_list("pk", flat=True)))
    if removed:
        logger.info("removed the files of %d submissions, whose time was up", removed)
    return removed


def _remove_files(submission_id: UUID) -> bool:
    """Say in the row that the files are gone, and then remove them.

    Were the process to die in between, the sweeper would find files that no row claims.
    """
    with transaction.atomic():
        # Locked, for in this moment somebody may ask for another analysis (queue.enqueue).
        row = Submission.objects.select_for_update().filter(pk=submission_id, files_removed_at=None)
        analyses = Analysis.objects.filter(submission=submission_id)
        if not list(row) or analyses.filter(state__in=ACTIVE_STATES).exists():
            return False
        row.update(files_removed_at=timezone.now())
        folders = storage.folders_of(submission_id, analyses.values_list("pk", flat=True))
        transaction.on_commit(lambda: storage.remove_folders(folders))
    return True
