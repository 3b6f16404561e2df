"""The sweeper and uploads in pieces: what was abandoned goes, what goes on stays."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tests.webapp.tus_client import VIDEO, ask, begun, pieces_on_disk, send
from webapp.submissions.models import PartialUpload, Submission
from worker import sweeper

pytestmark = pytest.mark.django_db


@pytest.fixture
def paused(client: Client) -> str:
    """The address of an upload of which ten bytes are here."""
    address = begun(client)
    send(client, address, VIDEO[:10])
    return address


def sweep() -> None:
    call_command("sweep", "--once")


def let_uploads_expire() -> None:
    PartialUpload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def age(folder: Path) -> None:
    then = time.time() - 7200
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def test_an_abandoned_upload_goes_with_row_and_bytes(paused: str) -> None:
    let_uploads_expire()
    sweep()
    assert not PartialUpload.objects.exists()
    assert pieces_on_disk() == []


def test_an_upload_that_was_paused_for_hours_stays(
    client: Client, paused: str, media_dir: Path
) -> None:
    age(media_dir)
    sweep()
    assert ask(client, paused)["Upload-Offset"] == "10"
    assert send(client, paused, VIDEO[10:], offset=10).status_code == 204


def test_an_upload_that_is_being_written_is_left_alone(client: Client, paused: str) -> None:
    let_uploads_expire()
    (file,) = pieces_on_disk()
    with file.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        sweep()
        assert file.exists()
    sweep()
    assert not file.exists()


def test_an_upload_that_goes_on_in_this_moment_is_left_alone(
    client: Client, paused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_uploads_expire()
    flock = fcntl.flock

    def a_piece_first(file: int, how: int) -> None:
        PartialUpload.objects.update(expires_at=timezone.now() + timedelta(hours=1))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", a_piece_first)
    sweep()
    assert ask(client, paused)["Upload-Offset"] == "10"
    assert len(pieces_on_disk()) == 1


def test_a_complete_upload_is_forgotten_and_the_submission_stays(
    client: Client, paused: str
) -> None:
    send(client, paused, VIDEO[10:], offset=10)
    sweep()
    assert ask(client, paused).status_code == 200
    let_uploads_expire()
    sweep()
    assert ask(client, paused).status_code == 404
    assert Submission.objects.get().video.size == len(VIDEO)
    assert pieces_on_disk() == []


def test_bytes_without_a_row_go_after_an_hour(alice: User, media_dir: Path) -> None:
    client = Client()
    client.force_login(alice)
    send(client, begun(client), VIDEO[:10])
    alice.delete()
    sweep()
    assert len(pieces_on_disk()) == 1
    age(media_dir)
    sweep()
    assert pieces_on_disk() == []


def test_bytes_that_a_kill_left_of_a_complete_upload_go(
    client: Client, paused: str, media_dir: Path
) -> None:
    (file,) = pieces_on_disk()
    send(client, paused, VIDEO[10:], offset=10)
    file.write_bytes(VIDEO)
    age(media_dir)
    sweep()
    assert not file.exists()
    assert Submission.objects.get().video.size == len(VIDEO)


def test_many_uploads_cost_few_queries(
    client: Client, media_dir: Path, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        send(client, begun(client), VIDEO[:10])
    (media_dir / "incoming" / f"{uuid.uuid4()}.part").touch()
    age(media_dir)
    with django_assert_num_queries(1):
        assert len(sweeper.remove_orphans()) == 1
    assert len(pieces_on_disk()) == 5
