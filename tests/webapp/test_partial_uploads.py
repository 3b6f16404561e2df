"""What an upload in pieces becomes, and what is left of it when something goes wrong."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from tests.webapp.evidence import MP4, stored_files
from tests.webapp.test_uploads import NO_VIDEOS, STARTS
from tests.webapp.tus_client import VIDEO, ask, begun, code_of, end, pieces_on_disk, send
from webapp.submissions import partial_uploads, queue, uploads
from webapp.submissions.models import Analysis, PartialUpload, State, Submission

pytestmark = pytest.mark.django_db


@contextmanager
def held(file: Path) -> Iterator[None]:
    """The lock that a request which writes to the file would hold."""
    with file.open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        yield


def nothing_is_left() -> bool:
    return not (pieces_on_disk() or PartialUpload.objects.exists() or Submission.objects.exists())


def test_a_complete_upload_is_a_submission_in_the_queue(
    client: Client,
    messages: Callable[[], int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    address = begun(client, name="My holiday.MP4")
    send(client, address, VIDEO[:1000])
    with django_capture_on_commit_callbacks(execute=True):
        send(client, address, VIDEO[1000:], offset=1000)
    submission = Submission.objects.get()
    assert submission.original_name == "My holiday.MP4"
    assert submission.video.name == f"submissions/{submission.pk}/video.mp4"
    assert submission.size_bytes == len(VIDEO)
    assert submission.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert Analysis.objects.get().state == State.QUEUED
    assert messages() == 1
    assert pieces_on_disk() == []
    assert Path(submission.video.path).stat().st_mode & 0o777 == 0o640


def test_the_bytes_are_moved_and_not_written_a_second_time(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:1000])
    (file,) = pieces_on_disk()
    number = file.stat().st_ino
    send(client, address, VIDEO[1000:], offset=1000)
    assert Path(Submission.objects.get().video.path).stat().st_ino == number


def test_where_files_cannot_be_linked_they_are_copied(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    send(client, begun(client), VIDEO)
    assert Submission.objects.get().video.size == len(VIDEO)
    assert pieces_on_disk() == []


def test_while_they_arrive_the_bytes_are_for_the_server_alone(client: Client) -> None:
    send(client, begun(client), VIDEO[:1000])
    (file,) = pieces_on_disk()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", STARTS)
def test_every_container_that_the_form_takes_is_taken(client: Client, kind: str) -> None:
    content = STARTS[kind] + bytes(100)
    assert send(client, begun(client, len(content)), content).status_code == 204


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_what_the_form_refuses_is_refused(client: Client, kind: str) -> None:
    before = stored_files()
    content = NO_VIDEOS[kind]
    address = begun(client, len(content))
    assert code_of(send(client, address, content)) == (400, "not_a_video")
    assert nothing_is_left()
    assert stored_files() == before
    assert ask(client, address).status_code == 404


def test_what_is_no_video_is_refused_before_all_of_it_was_sent(client: Client) -> None:
    words = b"Dear diary, today I made a video.\n" * 100
    address = begun(client, len(words))
    assert send(client, address, words[:100]).status_code == 204
    answer = send(client, address, words[100:1000], offset=100)
    assert code_of(answer) == (400, "not_a_video")
    assert nothing_is_left()


def test_it_goes_the_way_of_the_form(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is added for one is a rule for both."""
    seen = []

    def look(uploaded: Any, **fields: Any) -> Submission:
        seen.append((uploaded.name, uploaded.size))
        raise uploads.UploadRejected("too_blue", "This video is too blue.")

    monkeypatch.setattr(partial_uploads, "receive", look)
    answer = send(client, begun(client), VIDEO)
    assert code_of(answer) == (400, "too_blue")
    assert seen == [("clip.mp4", len(VIDEO))]
    assert nothing_is_left()


def test_a_limit_that_was_lowered_meanwhile_holds(client: Client, settings: Any) -> None:
    content = MP4 + bytes(2 * 1024 * 1024)
    address = begun(client, len(content))
    send(client, address, content[:1000])
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    assert code_of(send(client, address, content[1000:], offset=1000)) == (413, "too_large")
    assert nothing_is_left()


def test_the_bytes_are_on_the_disk_before_the_row_speaks_of_them(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    fsync = os.fsync

    def look(file: int) -> None:
        fsync(file)
        seen.append((os.fstat(file).st_size, PartialUpload.objects.get().offset))

    monkeypatch.setattr(os, "fsync", look)
    address = begun(client)
    send(client, address, VIDEO[:1000])
    send(client, address, VIDEO[1000:], offset=1000)
    assert seen == [(1000, 0), (len(VIDEO), 1000)]


@pytest.mark.parametrize("where", ["enqueue", "complete"])
def test_a_database_that_fails_at_the_end_costs_the_last_piece_only(
    client: Client, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = stored_files()
    address = begun(client)
    send(client, address, VIDEO[:3000])

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the database went away")

    module, name = (queue, "enqueue") if where == "enqueue" else (partial_uploads, "_complete")
    monkeypatch.setattr(module, name, broken)
    client.raise_request_exception = False
    answer = send(client, address, VIDEO[3000:], offset=3000)
    assert code_of(answer) == (500, "internal")
    monkeypatch.undo()
    assert not Submission.objects.exists()
    assert len(stored_files() - before) == 1, "the piece alone"
    assert ask(client, address)["Upload-Offset"] == "3000"
    assert send(client, address, VIDEO[3000:], offset=3000).status_code == 204
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("at", ["write", "sync", "store"])
def test_a_full_disk_is_said_and_loses_nothing_that_was_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch, number: int, at: str
) -> None:
    address = begun(client)
    send(client, address, VIDEO[:1000])

    def full(*args: Any) -> None:
        raise OSError(number, "full")

    if at == "write":
        monkeypatch.setattr(partial_uploads, "_write_all", full)
    elif at == "sync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "hardlink_to", full)
        monkeypatch.setattr(shutil, "copyfile", full)
    answer = send(client, address, VIDEO[1000:], offset=1000)
    assert code_of(answer) == (507, "disk_full")
    monkeypatch.undo()
    assert ask(client, address)["Upload-Offset"] == "1000"
    assert send(client, address, VIDEO[1000:], offset=1000).status_code == 204
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


def test_another_failure_of_the_disk_is_no_full_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise OSError(errno.EIO, "broken")

    address = begun(client)
    monkeypatch.setattr(partial_uploads, "_write_all", broken)
    client.raise_request_exception = False
    assert code_of(send(client, address, VIDEO)) == (500, "internal")


def test_of_two_requests_at_once_one_is_refused(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    (file,) = pieces_on_disk()
    with held(file):
        answer = send(client, address, VIDEO[10:], offset=10)
        assert code_of(answer) == (423, "upload_locked")
        assert answer.reason_phrase == "Locked"
        assert code_of(end(client, address)) == (423, "upload_locked")
        assert ask(client, address)["Upload-Offset"] == "10"
        assert file.stat().st_size == 10
    assert send(client, address, VIDEO[10:], offset=10).status_code == 204


def test_who_waited_for_an_upload_that_was_ended_meanwhile_revives_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row was read before, the lock is had afterwards."""
    address = begun(client)
    flock = fcntl.flock

    def ended_in_between(file: Any, how: int) -> None:
        PartialUpload.objects.all().delete()
        flock(file, how)

    monkeypatch.setattr(partial_uploads.fcntl, "flock", ended_in_between)
    assert code_of(send(client, address, VIDEO)) == (410, "upload_gone")
    assert nothing_is_left()


def test_what_a_killed_request_left_past_the_offset_is_cut_off(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:1000])
    (file,) = pieces_on_disk()
    with file.open("ab") as left:
        left.write(b"half a piece that no row speaks of")
    assert ask(client, address)["Upload-Offset"] == "1000"
    send(client, address, VIDEO[1000:], offset=1000)
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


def test_a_name_that_a_killed_request_left_is_no_hindrance(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:1000])
    (file,) = pieces_on_disk()
    file.with_suffix(".upload").write_bytes(b"left by a kill")
    send(client, address, VIDEO[1000:], offset=1000)
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO
    assert pieces_on_disk() == []
