"""Videos by their first bytes, and finished analyses with pictures, for tests of the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue, storage
from webapp.submissions.models import Analysis, State, Submission, media_storage
from webapp.submissions.outcomes import Outcome
from webapp.submissions.provisional import Provisional

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 8
JPEG = b"\xff\xd8\xff\xe0 a picture of a face \xff\xd9"


def a_video(name: str = "clip.mp4", content: bytes = MP4) -> SimpleUploadedFile:
    """An upload that passes for a video until a worker decodes it."""
    return SimpleUploadedFile(name, content)


def stored_files() -> set[Path]:
    """Everything that lies in the media storage, below its one folder for each kind."""
    return set(Path(media_storage().path("")).glob("*/**/*"))


def finish(submission: Submission, **changes: Any) -> Analysis:
    """Run an analysis of the submission to SUCCEEDED, thumbnails included."""
    analysis, lease = _claimed(submission)
    folder = storage.evidence_dir(analysis.pk, lease.token)
    outcome: Outcome = an_outcome(evidence_dir=folder, **changes)
    for face in outcome.faces:
        media_storage().save(storage.thumbnail_name(folder, face.number), ContentFile(JPEG))
    assert queue.publish(lease, outcome)
    analysis.refresh_from_db()
    return analysis


def run(
    submission: Submission,
    stage: str = "detect",
    percent: int = 30,
    evidence: Provisional | None = None,
) -> Analysis:
    """An analysis that a worker has at this stage."""
    analysis, lease = _claimed(submission)
    queue.heartbeat(lease, stage=stage, percent=percent, evidence=evidence)
    analysis.refresh_from_db()
    return analysis


def fail(submission: Submission, code: str, sentence: str) -> Analysis:
    """An analysis that failed."""
    analysis, lease = _claimed(submission)
    queue.fail(lease, code, sentence)
    analysis.refresh_from_db()
    return analysis


def _claimed(submission: Submission) -> tuple[Analysis, queue.Lease]:
    """The analysis that waits since the upload, or another one."""
    waiting = submission.analyses.filter(state=State.QUEUED).first()
    analysis = waiting or queue.enqueue(submission)
    lease = queue.claim(analysis.pk, worker="test")
    assert lease is not None
    return analysis, lease
