"""Deleting a submission: rows and files go, whatever a worker is doing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError

from tests.webapp.outcomes import an_outcome
from webapp.submissions import queue, storage
from webapp.submissions.models import Analysis, Face, Person, Submission, media_storage

pytestmark = pytest.mark.django_db(transaction=True)

MakeSubmission = Callable[..., Submission]


def write_evidence(lease: queue.Lease) -> str:
    folder = storage.evidence_dir(lease.analysis_id, lease.token)
    for number in (1, 2, 3):
        media_storage().save(storage.thumbnail_name(folder, number), ContentFile(b"jpeg"))
    return folder


def files_below(media_dir: Path) -> list[Path]:
    return [path for path in media_dir.rglob("*") if path.is_file()]


def test_a_finished_submission_leaves_no_row_and_no_file(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    submission = make_submission()
    for _ in range(2):
        lease = queue.claim(queue.enqueue(submission).pk, worker="w")
        assert lease is not None
        assert queue.publish(lease, an_outcome(evidence_dir=write_evidence(lease)))
    assert len(files_below(media_dir)) == 7

    queue.delete_submission(submission)

    assert files_below(media_dir) == []
    for model in (Submission, Analysis, Person, Face):
        assert not model.objects.exists()


def test_another_submission_keeps_its_files(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    kept = make_submission()
    queue.delete_submission(make_submission())
    assert files_below(media_dir) == [Path(kept.video.path)]
    assert Submission.objects.get() == kept


def test_a_worker_that_runs_it_can_publish_nothing(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    submission = make_submission()
    lease = queue.claim(queue.enqueue(submission).pk, worker="w")
    assert lease is not None

    queue.delete_submission(submission)

    assert not queue.heartbeat(lease)
    assert not queue.publish(lease, an_outcome())
    assert not queue.release(lease, "shut down")
    assert not Analysis.objects.exists()
    assert not Face.objects.exists()


def test_files_that_are_gone_already_do_not_matter(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    submission = make_submission()
    storage.remove_folder(storage.submission_dir(submission.pk))
    queue.delete_submission(submission)
    assert not Submission.objects.exists()


def test_what_was_deleted_meanwhile_is_not_called_active(make_submission: MakeSubmission) -> None:
    submission = make_submission()
    queue.delete_submission(Submission.objects.get())
    with pytest.raises(IntegrityError):
        queue.enqueue(submission)
    assert not Analysis.objects.exists()
