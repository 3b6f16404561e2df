"""When its time is up a video goes from the disk, pictures and all, and the rows stay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from tests.processes import Site
from tests.servers import wait_until
from tests.webapp.analyses import failed, finished, running
from webapp import metrics
from webapp.submissions import queue, retention, storage
from webapp.submissions.models import Analysis, Face, State, Submission
from worker import sweeper

pytestmark = pytest.mark.django_db(transaction=True)

MakeSubmission = Callable[..., Submission]

VIDEO = b"the bytes of a private video"
PICTURE = b"\xff\xd8 a face"
"""What ``tests.webapp.analyses`` stores as thumbnails begins so."""


@pytest.fixture(autouse=True)
def thirty_days(settings: Any) -> None:
    settings.FRAMEVOTE_RETENTION_DAYS = 30


def uploaded(submission: Submission, days_ago: float) -> Submission:
    moment = timezone.now() - timedelta(days=days_ago)
    Submission.objects.filter(pk=submission.pk).update(created_at=moment)
    submission.refresh_from_db()
    return submission


def on_disk(folder: Path, content: bytes) -> list[Path]:
    """Every file anywhere below the folder with these bytes in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if content in path.read_bytes()]


def test_video_and_pictures_go_and_the_rows_stay(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    submission = uploaded(make_submission(VIDEO), days_ago=31)
    for _ in range(2):
        analysis = finished(submission)
    assert len(on_disk(media_dir, VIDEO)) == 1
    assert len(on_disk(media_dir, PICTURE)) == 6

    assert retention.remove_overdue() == 1

    assert not on_disk(media_dir, VIDEO)
    assert not on_disk(media_dir, PICTURE)
    assert not [path for path in media_dir.rglob("*") if path.is_file()]
    kept = Submission.objects.get()
    assert kept.files_removed_at is not None
    assert (kept.sha256, kept.original_name) == (submission.sha256, submission.original_name)
    analysis.refresh_from_db()
    assert (analysis.state, analysis.verdict) == (State.SUCCEEDED, "FAKE")
    assert Face.objects.count() == 6


def test_it_happens_on_time_and_not_before(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    early = uploaded(make_submission(VIDEO), days_ago=29.999)
    late = uploaded(make_submission(VIDEO), days_ago=30.001)
    finished(early)
    finished(late)
    assert retention.remove_overdue() == 1
    assert on_disk(media_dir, VIDEO) == [Path(early.video.path)]
    assert len(on_disk(media_dir, PICTURE)) == 3
    assert retention.due_at(early) == early.created_at + timedelta(days=30)
    assert retention.remove_overdue() == 0, "what is gone is not removed again"


def test_without_the_setting_everything_stays(
    make_submission: MakeSubmission, media_dir: Path, settings: Any
) -> None:
    settings.FRAMEVOTE_RETENTION_DAYS = 0
    submission = uploaded(make_submission(VIDEO), days_ago=4000)
    call_command("sweep", "--once")
    assert on_disk(media_dir, VIDEO)
    assert retention.due_at(submission) is None


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_what_waits_or_runs_keeps_its_video_until_it_has_ended(
    make_submission: MakeSubmission, media_dir: Path, state: str
) -> None:
    submission = uploaded(make_submission(VIDEO), days_ago=31)
    active = queue.enqueue(submission) if state == "QUEUED" else running(submission)
    assert retention.remove_overdue() == 0
    assert on_disk(media_dir, VIDEO)
    queue.cancel(active.pk)
    assert retention.remove_overdue() == 1
    assert not on_disk(media_dir, VIDEO)


def test_failed_and_canceled_ones_go_too(make_submission: MakeSubmission, media_dir: Path) -> None:
    failed(uploaded(make_submission(VIDEO), days_ago=31))
    queue.cancel(queue.enqueue(uploaded(make_submission(VIDEO), days_ago=31)).pk)
    assert retention.remove_overdue() == 2
    assert not on_disk(media_dir, VIDEO)


def test_what_is_gone_is_not_analyzed_again(make_submission: MakeSubmission) -> None:
    submission = uploaded(make_submission(VIDEO), days_ago=31)
    retention.remove_overdue()
    with pytest.raises(queue.FilesRemoved):
        queue.enqueue(submission)
    assert not Analysis.objects.exists()


def test_an_analysis_asked_for_in_this_very_moment_wins(
    make_submission: MakeSubmission, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found to be idle, and before the row is locked somebody asks for another run."""
    submission = uploaded(make_submission(VIDEO), days_ago=31)
    atomic = transaction.atomic

    def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(retention.transaction, "atomic", atomic)
        queue.enqueue(submission)
        return atomic(*args, **kwargs)

    monkeypatch.setattr(retention.transaction, "atomic", late)
    assert retention.remove_overdue() == 0
    assert on_disk(media_dir, VIDEO)
    assert Submission.objects.get().files_removed_at is None


def test_files_left_by_a_removal_that_was_killed_go_with_the_next_tidying(
    make_submission: MakeSubmission, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(uploaded(make_submission(VIDEO), days_ago=31))
    monkeypatch.setattr(storage, "remove_folders", lambda names: None)
    assert retention.remove_overdue() == 1
    assert on_disk(media_dir, VIDEO)
    assert on_disk(media_dir, PICTURE)
    then = time.time() - 7200
    for path in media_dir.rglob("*"):
        os.utime(path, (then, then))

    sweeper.tidy_up()

    assert not on_disk(media_dir, VIDEO)
    assert not on_disk(media_dir, PICTURE)


def test_monitoring_sees_what_is_overdue(make_submission: MakeSubmission) -> None:
    uploaded(make_submission(), days_ago=31)
    make_submission()
    assert b"framevote_overdue_submissions 1.0" in metrics.exposition()
    retention.remove_overdue()
    assert b"framevote_overdue_submissions 0.0" in metrics.exposition()


@pytest.mark.process
def test_the_sweeper_removes_it_from_the_disk(
    site: Site, make_submission: MakeSubmission, media_dir: Path
) -> None:
    old = uploaded(make_submission(VIDEO), days_ago=2)
    young = make_submission(VIDEO)
    finished(old)
    finished(young)
    site.env["FRAMEVOTE_RETENTION_DAYS"] = "1"
    site.start_sweeper()
    wait_until(lambda: not Path(old.video.path).exists(), "the old one is gone", seconds=120)
    wait_until(lambda: len(on_disk(media_dir, PICTURE)) == 3, "its pictures too")
    assert on_disk(media_dir, VIDEO) == [Path(young.video.path)]
    connections.close_all()


# --- on demand ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["page", "api", "admin"])
def test_deleting_is_immediate_and_complete(
    make_submission: MakeSubmission,
    media_dir: Path,
    alice: User,
    admin_client: Client,
    client: Client,
    way: str,
) -> None:
    submission = make_submission(VIDEO, owner=alice)
    finished(submission)
    running(submission)
    kept = make_submission(b"another video", owner=alice)
    client.force_login(alice)

    if way == "page":
        answer = client.post(f"/submissions/{submission.pk}/delete/")
    elif way == "api":
        answer = client.delete(f"/api/v1/submissions/{submission.pk}/")
    else:
        address = f"/admin/submissions/submission/{submission.pk}/delete/"
        answer = admin_client.post(address, {"post": "yes"})

    assert answer.status_code in (302, 204)
    # Not at some later sweep: when the answer is here, the bytes are gone.
    assert not on_disk(media_dir, VIDEO)
    assert not on_disk(media_dir, PICTURE)
    assert [path for path in media_dir.rglob("*") if path.is_file()] == [Path(kept.video.path)]
    assert Submission.objects.get() == kept
    assert not Analysis.objects.exists()
    assert not Face.objects.exists()
