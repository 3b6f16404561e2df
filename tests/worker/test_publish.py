"""From the detector's result to files and rows."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError

from tests.worker.results import a_result, some_evidence
from tests.worker.test_sweeper import age
from webapp.submissions import provisional, queue, storage
from webapp.submissions.models import Analysis, Face, State, Submission, media_storage
from worker import sweeper
from worker.publish import provisional_of, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease(make_submission: Callable[..., Submission]) -> queue.Lease:
    analysis = queue.enqueue(make_submission())
    lease = queue.claim(analysis.pk, worker="w")
    assert lease is not None
    return lease


def evidence(media_dir: Path) -> list[Path]:
    return sorted((media_dir / "evidence").rglob("*"))


def test_every_face_has_its_row_and_its_thumbnail(lease: queue.Lease) -> None:
    assert publish(lease, a_result())
    analysis = Analysis.objects.get()
    assert (analysis.verdict, analysis.vote) == ("FAKE", "REAL")
    assert analysis.reasons == ["person_differs"]
    assert analysis.evidence_dir == f"evidence/{lease.analysis_id}/{lease.token}"
    first, second = analysis.faces.order_by("number")
    assert (first.vote, second.vote) == ("REAL", "FAKE")
    assert second.person.verdict == "FAKE"
    assert second.predictions == [[0.75, 0.25]]
    with media_storage().open(second.thumbnail_name) as thumbnail:
        assert thumbnail.read() == b"jpeg of person 2"


def test_evidence_is_put_into_the_words_of_the_database(lease: queue.Lease) -> None:
    assert queue.heartbeat(lease, evidence=provisional_of(some_evidence()))
    shown = provisional.of(Analysis.objects.get())
    assert shown is not None
    assert (shown.judged_frames, shown.planned_frames, shown.voted) == (3, 8, 4)
    assert shown.votes == {"real": 3, "fake": 1}
    first, second = shown.faces
    assert (first.person, first.frame_index, first.time_s) == (1, 0, 0.0)
    assert (second.vote, second.probability_fake) == ("FAKE", 0.75)
    assert second.picture == f"data:image/webp;base64,{b64encode(b'webp of person 2').decode()}"


def test_how_many_frames_were_left_out_is_kept(lease: queue.Lease) -> None:
    assert publish(lease, replace(a_result(), skipped_frames=30))
    assert Analysis.objects.get().skipped_frames == 30


def test_a_lost_lease_leaves_neither_row_nor_file(lease: queue.Lease, media_dir: Path) -> None:
    queue.cancel(lease.analysis_id)
    assert not publish(lease, a_result())
    assert not Face.objects.exists()
    assert evidence(media_dir) == []


def test_a_full_disk_leaves_no_half_of_the_thumbnails(
    lease: queue.Lease, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = FileSystemStorage.save

    def full_after_one(storage: FileSystemStorage, name: str, content: Any) -> str:
        if name.endswith("00002.jpg"):
            raise OSError("no space left on device")
        return save(storage, name, content)

    monkeypatch.setattr(FileSystemStorage, "save", full_after_one)
    with pytest.raises(OSError, match="no space left"):
        publish(lease, a_result())
    assert evidence(media_dir) == []


def test_a_time_limit_just_after_the_commit_takes_no_published_file(
    lease: queue.Lease, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = queue.publish

    def too_late(*arguments: Any) -> bool:
        commit(*arguments)
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(queue, "publish", too_late)
    with pytest.raises(SoftTimeLimitExceeded):
        publish(lease, a_result())
    for face in Analysis.objects.get(state=State.SUCCEEDED).faces.all():
        assert media_storage().exists(face.thumbnail_name)
    age(media_dir)
    assert sweeper.remove_orphans() == []


def test_a_database_that_fails_the_commit_leaves_the_files_to_the_sweeper(
    lease: queue.Lease, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: Any) -> bool:
        raise OperationalError("away")

    monkeypatch.setattr(queue, "publish", away)
    with pytest.raises(OperationalError):
        publish(lease, a_result())
    age(media_dir)
    assert sweeper.remove_orphans() == [], "the lease is held, so the worker may still be there"
    queue.retry(lease, "the database was away")
    assert sweeper.remove_orphans() == [storage.evidence_dir(lease.analysis_id, lease.token)]
    assert evidence(media_dir) == []


def test_a_second_attempt_leaves_no_trace_of_the_first(lease: queue.Lease, media_dir: Path) -> None:
    queue.retry(lease, "internal")
    again = queue.claim(lease.analysis_id, worker="w")
    assert again is not None
    assert publish(again, a_result())
    assert not publish(lease, a_result())
    folders = [path for path in evidence(media_dir) if path.is_dir()]
    assert [folder.name for folder in folders] == [str(lease.analysis_id), str(again.token)]
    assert Analysis.objects.get().state == State.SUCCEEDED
