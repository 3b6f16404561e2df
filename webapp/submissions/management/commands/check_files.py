"""``manage.py check_files``: whether every file is there and is what its row says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.submissions.models import Analysis, Face, State, Submission, media_storage


class Command(BaseCommand):
    help = (
        "Read every video and compare its SHA-256, and look for every picture of a face; "
        "for use after a restore or a broken disk. Ends with 1 if something is amiss."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        amiss = 0
        for complaint in _complaints():
            amiss += 1
            self.stdout.write(complaint)
        if amiss:
            raise CommandError(f"{amiss} of the files are missing or changed, see above.")
        videos = Submission.objects.filter(files_removed_at=None).count()
        self.stdout.write(f"All files of {videos} submissions are as they should be.")


def _complaints() -> Iterator[str]:
    kept = Submission.objects.filter(files_removed_at=None).order_by("created_at")
    for submission in kept.iterator(chunk_size=500):
        name = str(submission.video.name)
        try:
            with media_storage().open(name) as video:
                digest = hashlib.file_digest(video, "sha256").hexdigest()
        except FileNotFoundError:
            yield f"{name} is missing"
            continue
        if digest != submission.sha256:
            yield f"{name} has the SHA-256 {digest}, expected {submission.sha256}"
    shown = Analysis.objects.filter(
        state=State.SUCCEEDED, submission__files_removed_at=None
    ).order_by("created_at")
    faces = Face.objects.filter(analysis__in=shown).select_related("analysis")
    for face in faces.defer("predictions").iterator(chunk_size=500):
        if not media_storage().exists(face.thumbnail_name):
            yield f"{face.thumbnail_name} is missing"
