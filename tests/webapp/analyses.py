"""Analyses in a wanted state, brought there through the queue as a worker would."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Submission, media_storage

VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 64
"""Begins as an MP4 does; whether it can be decoded is the worker's business."""


def finished(submission: Submission, **outcome: Any) -> Analysis:
    """A succeeded analysis with two people, three faces and their pictures."""
    lease = _claimed(submission)
    folder = f"evidence/{lease.analysis_id}/{lease.token}"
    result = an_outcome(evidence_dir=folder, **outcome)
    for face in result.faces:
        media_storage().save(f"{folder}/{face.number:05d}.jpg", ContentFile(b"\xff\xd8 a face"))
    assert queue.publish(lease, result)
    return Analysis.objects.get(pk=lease.analysis_id)


def failed(submission: Submission, code: str = "cannot_decode") -> Analysis:
    lease = _claimed(submission)
    assert queue.fail(lease, code, "The video is damaged.")
    return Analysis.objects.get(pk=lease.analysis_id)


def running(submission: Submission) -> Analysis:
    lease = _claimed(submission)
    assert queue.heartbeat(lease, stage="detect", percent=40)
    return Analysis.objects.get(pk=lease.analysis_id)


def _claimed(submission: Submission) -> queue.Lease:
    waiting = queue.enqueue(submission)
    lease = queue.claim(waiting.pk, worker="worker1@host:1")
    assert lease is not None
    return lease
