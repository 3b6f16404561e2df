"""Where the files of submissions and analyses lie, and how they go.

Names here are relative to the private media storage::

    submissions/<submission id>/video<suffix>
    evidence/<analysis id>/<lease token>/<face number>.jpg
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from .models import media_storage

logger = logging.getLogger(__name__)

SUBMISSIONS = "submissions"
EVIDENCE = "evidence"


def submission_dir(submission_id: UUID) -> str:
    return f"{SUBMISSIONS}/{submission_id}"


def evidence_dir(analysis_id: UUID, token: UUID) -> str:
    """A fresh folder for every lease, so that no attempt meets another's files."""
    return f"{EVIDENCE}/{analysis_id}/{token}"


def folders_of(submission_id: UUID, analysis_ids: Iterable[UUID]) -> list[str]:
    """All that belongs to a submission, of lost attempts too."""
    return [submission_dir(submission_id), *(f"{EVIDENCE}/{pk}" for pk in analysis_ids)]


def thumbnail_name(folder: str, number: int) -> str:
    return f"{folder}/{number:05d}.jpg"


def has_room(size: int = 0) -> bool:
    """Whether ``FRAMEVOTE_MIN_FREE_MB`` stay free when so many bytes more are kept.

    Asked of the folder of uploads under way, and of the media folder too, for that one may
    be another disk, or no disk at all.
    """
    folders = [Path(settings.FILE_UPLOAD_TEMP_DIR)]
    kept = media_storage()
    if isinstance(kept, FileSystemStorage):
        folders.append(Path(kept.location))
    least = settings.FRAMEVOTE_MIN_FREE_MB * 1024 * 1024
    return all(shutil.disk_usage(folder).free - size >= least for folder in folders)


def remove_folders(names: Iterable[str]) -> None:
    for name in names:
        remove_folder(name)


def remove_folder(name: str) -> None:
    """Remove a folder and what is in it, and its parent where that becomes empty.

    A folder that is not there is fine. One that cannot be removed is logged and
    left to the sweeper: rows are already gone, so failing now would help nobody.
    """
    try:
        media_storage().remove_folder(name)
    except OSError:
        logger.exception("could not remove %s", name)
