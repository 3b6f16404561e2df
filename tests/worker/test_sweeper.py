"""The sweeper: lost leases, lost messages, orphaned files and sessions."""

from __future__ import annotations

import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from tests.processes import Site
from tests.servers import wait_until
from tests.worker.results import a_result
from webapp.submissions import media, queue, storage
from webapp.submissions.models import Analysis, State, Submission, media_storage
from worker import sweeper
from worker.publish import publish

MakeSubmission = Callable[..., Submission]


def local_path(name: str) -> Path:
    return Path(media_storage().path(name))


def running(submission: Submission) -> queue.Lease:
    lease = queue.claim(queue.enqueue(submission).pk, worker="w")
    assert lease is not None
    return lease


def let_leases_run_out() -> None:
    Analysis.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def age(media_dir: Path) -> None:
    """Everything in the storage was last touched two hours ago."""
    then = time.time() - 7200
    for path in media_dir.rglob("*"):
        os.utime(path, (then, then))


@pytest.mark.django_db
def test_one_sweep_returns_lost_work(make_submission: MakeSubmission) -> None:
    running(make_submission())
    let_leases_run_out()
    call_command("sweep", "--once")
    assert Analysis.objects.get().state == State.QUEUED


@pytest.mark.django_db
def test_files_without_rows_are_removed(make_submission: MakeSubmission, media_dir: Path) -> None:
    kept = make_submission()
    assert publish(running(kept), a_result())
    stray_upload = media_dir / "submissions" / str(uuid.uuid4())
    stray_evidence = media_dir / "evidence" / str(uuid.uuid4()) / str(uuid.uuid4())
    for folder in (stray_upload, stray_evidence):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    age(media_dir)

    assert len(sweeper.remove_orphans()) == 2

    assert not stray_upload.exists()
    assert not stray_evidence.parent.exists()
    assert Path(kept.video.path).exists()
    assert len(list((media_dir / "evidence").rglob("*.jpg"))) == 2


@pytest.mark.django_db
def test_the_files_of_a_lost_attempt_are_removed(
    make_submission: MakeSubmission, media_dir: Path
) -> None:
    lost = running(make_submission())
    folder = local_path(storage.evidence_dir(lost.analysis_id, lost.token))
    folder.mkdir(parents=True)
    (folder / "00001.jpg").touch()
    queue.retry(lost, "died while publishing")
    current = queue.claim(lost.analysis_id, worker="w")
    assert current is not None
    in_use = local_path(storage.evidence_dir(current.analysis_id, current.token))
    in_use.mkdir(parents=True)
    age(media_dir)

    sweeper.remove_orphans()

    assert not folder.exists()
    assert in_use.exists()


@pytest.mark.django_db
def test_a_large_storage_costs_few_queries_and_few_looks_at_files(
    make_submission: MakeSubmission,
    media_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
) -> None:
    for _ in range(6):
        assert publish(running(make_submission()), a_result())
    stray = media_dir / "evidence" / str(uuid.uuid4()) / str(uuid.uuid4())
    stray.mkdir(parents=True)
    age(media_dir)
    looked_at = []

    def look(path: Path) -> float:
        looked_at.append(path)
        return 7200.0

    monkeypatch.setattr(media, "_age", look)
    monkeypatch.setattr(sweeper, "CHUNK", 4)
    with django_assert_num_queries(4):
        assert len(sweeper.remove_orphans()) == 1
    assert looked_at == [stray]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["submissions", "evidence"])
def test_a_folder_that_vanishes_while_it_is_looked_at_is_passed_over(
    media_dir: Path, kind: str
) -> None:
    for _ in range(2):
        (media_dir / kind / str(uuid.uuid4()) / str(uuid.uuid4())).mkdir(parents=True)
    age(media_dir)

    def delete_everything_first(execute: Any, *query: Any) -> Any:
        shutil.rmtree(media_dir / kind, ignore_errors=True)
        return execute(*query)

    with connection.execute_wrapper(delete_everything_first):
        assert sweeper.remove_orphans() == []


@pytest.mark.django_db
def test_what_is_younger_than_an_hour_is_left_alone(media_dir: Path) -> None:
    arriving = media_dir / "submissions" / str(uuid.uuid4())
    arriving.mkdir(parents=True)
    assert sweeper.remove_orphans() == []
    assert arriving.exists()


@pytest.mark.django_db
def test_the_rest_of_an_interrupted_upload_is_removed(settings: Any, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    interrupted = settings.FILE_UPLOAD_TEMP_DIR / "tmpabc.upload.mp4"
    arriving = settings.FILE_UPLOAD_TEMP_DIR / "tmpdef.upload.mp4"
    interrupted.touch()
    age(tmp_path)
    arriving.touch()
    sweeper.remove_orphans()
    assert arriving.exists()
    assert not interrupted.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (OperationalError("away"), "did not answer"),
        (PermissionError("not yours"), "could not be read or removed"),
    ],
)
def test_it_survives_a_database_that_is_away_and_a_file_that_stays(
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    logged: str,
) -> None:
    settings.FRAMEVOTE_SWEEP_SECONDS = 0.05
    sweeps = []

    def fail_at_first() -> None:
        sweeps.append(1)
        if len(sweeps) == 1:
            raise error

    monkeypatch.setattr(sweeper, "sweep", fail_at_first)
    monkeypatch.setattr(sweeper, "tidy_up", lambda: None)
    stop = Event()
    thread = Thread(target=sweeper.sweep_until, args=[stop])
    thread.start()
    try:
        wait_until(lambda: len(sweeps) > 2, "more sweeps")
    finally:
        stop.set()
        thread.join()
    assert logged in caplog.text


@pytest.mark.django_db
def test_sessions_that_ran_out_are_cleared() -> None:
    living, gone = (SessionStore() for _ in range(2))
    living.create()
    gone.set_expiry(-1)
    gone.create()
    call_command("sweep", "--once")
    assert [session.session_key for session in Session.objects.all()] == [living.session_key]


@pytest.mark.process
def test_the_command_sweeps_until_sigterm(site: Site, make_submission: MakeSubmission) -> None:
    running(make_submission())
    let_leases_run_out()
    process = site.start_sweeper()
    wait_until(lambda: Analysis.objects.get().state == State.QUEUED, "the row came back")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
