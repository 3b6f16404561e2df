"""Uploads are refused before the disk is full, and nothing kept is lost by it.

Where it matters how much is free the disk is a real small one, which takes root to mount.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.webapp.disks import MORE_THAN_THERE_IS, a_small_disk
from tests.webapp.evidence import MP4, a_video, stored_files
from tests.webapp.tus_client import ask, begin, begun, code_of, pieces_on_disk, send
from webapp.submissions import partial_uploads, storage
from webapp.submissions.models import PartialUpload, Submission
from webapp.submissions.uploads import UploadRejected

pytestmark = pytest.mark.django_db

MB = 1024 * 1024
API = "/api/v1/submissions/"


def video_of(size: int) -> bytes:
    return MP4 + bytes(size - len(MP4))


def fill(folder: Path, size: int) -> Path:
    """What others write to the same disk."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(size))
    return ballast


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@pytest.fixture
def disk(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The media folder on a disk of 32 MB, of which 4 MB have to stay free."""
    with a_small_disk(tmp_path / "disk", megabytes=32) as folder:
        (folder / "incoming").mkdir()
        settings.MEDIA_ROOT = folder
        settings.FILE_UPLOAD_TEMP_DIR = folder / "incoming"
        settings.FRAMEVOTE_MIN_FREE_MB = 4
        yield folder


def by_form(client: Client) -> int:
    answer = client.post("/", {"video": a_video()})
    assert "The server has no room for this file at the moment." in answer.content.decode()
    return answer.status_code


def by_api(client: Client) -> int:
    answer = client.post(API, {"video": a_video()})
    assert code_of(answer) == (507, "disk_full")
    return answer.status_code


def in_pieces(client: Client) -> int:
    answer = begin(client)
    assert code_of(answer) == (507, "disk_full")
    return answer.status_code


@pytest.mark.parametrize("way", [by_form, by_api, in_pieces])
def test_what_would_leave_too_little_free_is_refused(
    client: Client, settings: Any, way: Callable[[Client], int]
) -> None:
    settings.FRAMEVOTE_MIN_FREE_MB = MORE_THAN_THERE_IS
    before = stored_files()
    assert way(client) == 507
    assert stored_files() == before
    assert pieces_on_disk() == []
    assert not Submission.objects.exists()
    assert not PartialUpload.objects.exists()


def test_what_fits_is_taken_and_what_does_not_is_refused(client: Client, disk: Path) -> None:
    small, large = video_of(10 * MB), video_of(20 * MB)
    assert client.post(API, {"video": a_video(content=small)}).status_code == 201
    assert code_of(client.post(API, {"video": a_video(content=large)})) == (507, "disk_full")
    assert client.post("/", {"video": a_video(content=large)}).status_code == 507
    assert code_of(begin(client, len(large))) == (507, "disk_full")
    assert send(client, begun(client, len(small)), small).status_code == 204
    assert Submission.objects.count() == 2
    assert 4 * MB <= free(disk) < 14 * MB


def test_no_byte_of_a_form_is_written_that_does_not_fit(
    client: Client, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = []
    has_room = storage.has_room

    def look(size: int = 0) -> bool:
        least.append(free(disk))
        return has_room(size)

    monkeypatch.setattr(storage, "has_room", look)
    empty = free(disk)
    assert client.post("/", {"video": a_video(content=video_of(29 * MB))}).status_code == 507
    assert set(least) == {empty}


def test_of_a_form_what_fits_is_taken(client: Client, disk: Path) -> None:
    videos = [a_video("large.mp4", video_of(25 * MB)), a_video("small.mp4", video_of(5 * MB))]
    page = client.post("/", {"video": videos}, follow=True).content.decode()
    assert "large.mp4</strong> was refused. The server has no room" in page
    assert Submission.objects.get().original_name == "small.mp4"


def test_what_is_too_large_anyway_is_called_so(client: Client, disk: Path, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    answer = client.post(API, {"video": a_video(content=video_of(30 * MB))})
    assert code_of(answer) == (413, "too_large")


def test_a_piece_is_refused_and_what_came_before_it_waits(client: Client, disk: Path) -> None:
    video = video_of(10 * MB)
    address = begun(client, len(video))
    assert send(client, address, video[:MB]).status_code == 204
    ballast = fill(disk, 19 * MB)  # 12 MB are left, and 9 MB to come.
    answer = send(client, address, video[MB : 2 * MB], offset=MB)
    assert code_of(answer) == (507, "disk_full")
    assert ask(client, address)["Upload-Offset"] == str(MB)
    ballast.unlink()
    assert send(client, address, video[MB:], offset=MB).status_code == 204
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == video


def test_what_others_write_in_the_middle_of_a_piece_counts(client: Client, disk: Path) -> None:
    video = video_of(20 * MB)
    begun(client, len(video))
    upload = PartialUpload.objects.get()
    sent = 0

    def read(most: int) -> bytes:
        nonlocal sent
        if sent == 4 * MB:
            fill(disk, 10 * MB)
        block = video[sent : sent + most]
        sent += len(block)
        return block

    with pytest.raises(UploadRejected) as refused:
        partial_uploads.append(upload, partial_uploads.Body(read, len(video)), 0, None)
    assert refused.value.code == "disk_full"
    upload.refresh_from_db()
    assert 4 * MB < upload.offset == sent < len(video)
    assert free(disk) > 4 * MB


def test_what_a_kill_left_past_the_offset_is_not_counted(client: Client, disk: Path) -> None:
    video = video_of(10 * MB)
    address = begun(client, len(video))
    send(client, address, video[:MB])
    (file,) = pieces_on_disk()
    with file.open("ab") as left:
        left.write(bytes(20 * MB))
    assert send(client, address, video[MB:], offset=MB).status_code == 204


@pytest.mark.parametrize("small", ["MEDIA_ROOT", "FILE_UPLOAD_TEMP_DIR"])
def test_both_disks_are_asked_where_there_are_two(
    client: Client, tmp_path: Path, settings: Any, small: str
) -> None:
    with a_small_disk(tmp_path / "disk", megabytes=8) as folder:
        setattr(settings, small, folder)
        settings.FRAMEVOTE_MIN_FREE_MB = 4
        assert code_of(begin(client, 5 * MB)) == (507, "disk_full")
        assert begin(client, 3 * MB).status_code == 201


def test_a_storage_that_is_no_disk_is_not_asked(
    tmp_path: Path, settings: Any, media_dir: Path
) -> None:
    with a_small_disk(tmp_path / "disk", megabytes=1) as folder:
        settings.MEDIA_ROOT = folder
        settings.FRAMEVOTE_MIN_FREE_MB = 4
        assert not storage.has_room()
        elsewhere = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        settings.STORAGES = {**settings.STORAGES, "media": elsewhere}
        assert storage.has_room()


def test_without_the_guard_everything_is_taken_that_fits(
    client: Client, disk: Path, settings: Any
) -> None:
    settings.FRAMEVOTE_MIN_FREE_MB = 0
    assert begin(client, 31 * MB).status_code == 201
    assert code_of(begin(client, 33 * MB)) == (507, "disk_full")
