"""Videos and evidence in a bucket of a server that speaks like S3, through the same site."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.servers import free_port
from tests.tus import UPLOADS
from tests.webapp.evidence import MP4
from tests.webapp.tus_client import begun, pieces_on_disk, send
from tests.worker.results import a_result
from webapp.submissions import bucket, queue, retention, storage
from webapp.submissions.models import Analysis, State, Submission, media_storage
from webapp.submissions.uploads import receive
from worker import sweeper, tasks
from worker.publish import publish

pytestmark = [pytest.mark.django_db, pytest.mark.process]

LARGE = MP4 + bytes(range(256)) * 40 * 1024
"""More than one block of ten megabytes."""


@pytest.fixture(autouse=True)
def in_a_bucket(bucket_options: dict[str, str], use_bucket: Callable[..., None]) -> None:
    use_bucket(**bucket_options)


def uploaded(content: bytes = MP4, **who: Any) -> Submission:
    file = SimpleUploadedFile("clip.mp4", content)
    return receive(file, owner=who.get("owner"), visitor=who.get("visitor"))


def published(submission: Submission) -> Analysis:
    lease = queue.claim(Analysis.objects.get(submission=submission).pk, worker="w")
    assert lease is not None
    assert publish(lease, a_result())
    return Analysis.objects.get(pk=lease.analysis_id)


def names() -> list[str]:
    """Everything in the bucket."""
    kept = media_storage()
    found = [f"submissions/{f}" for f in kept.folders("submissions")]
    for analysis in kept.folders("evidence"):
        found += [f"evidence/{analysis}/{token}" for token in kept.folders(f"evidence/{analysis}")]
    return sorted(found)


def test_an_upload_ends_in_the_bucket_and_nowhere_else(alice: User) -> None:
    submission = uploaded(owner=alice)
    assert media_storage().open(str(submission.video.name)).read() == MP4
    assert names() == [storage.submission_dir(submission.pk)]
    assert pieces_on_disk() == []


def test_pieces_wait_on_the_disk_and_the_whole_goes_to_the_bucket(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    address = begun(client, len(MP4))
    assert send(client, address, MP4[:40]).status_code == 204
    assert len(pieces_on_disk()) == 1
    assert names() == []
    assert send(client, address, MP4[40:], offset=40).status_code == 204
    submission = Submission.objects.get()
    assert media_storage().open(str(submission.video.name)).read() == MP4
    assert pieces_on_disk() == []
    assert address.startswith(UPLOADS) or UPLOADS in address


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=8388600-8388617", slice(8388600, 8388618)),  # Over the end of a block.
        ("bytes=-7", slice(len(LARGE) - 7, None)),
        ("bytes=9000000-", slice(9000000, None)),
    ],
)
def test_a_player_seeks_in_a_video(client: Client, alice: User, asked: str, part: slice) -> None:
    submission = uploaded(LARGE, owner=alice)
    client.force_login(alice)
    answer = client.get(f"/submissions/{submission.pk}/video/", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer["Content-Range"].endswith(f"/{len(LARGE)}")
    assert b"".join(answer.streaming_content) == LARGE[part]  # type: ignore[attr-defined]


def test_a_file_can_be_read_back_and_forth(alice: User) -> None:
    name = str(uploaded(LARGE, owner=alice).video.name)
    with media_storage().open(name) as stored:
        for first, length in ((0, 9), (9_000_000, 300_000), (5, 7), (8_388_000, 2_000), (0, 1)):
            stored.seek(first)
            assert stored.read(length) == LARGE[first : first + length]
        assert stored.size == len(LARGE)


def test_media_are_the_owners_and_have_no_address(client: Client, alice: User, bob: User) -> None:
    submission = uploaded(owner=alice)
    face = published(submission).faces.select_related("analysis")[0]
    video = f"/submissions/{submission.pk}/video/"
    picture = f"/analyses/{face.analysis_id}/faces/{face.number}.jpg"
    client.force_login(alice)
    assert client.get(video).getvalue() == MP4
    assert client.get(picture).status_code == 200
    client.force_login(bob)
    assert client.get(video).status_code == 404
    assert client.get(picture).status_code == 404
    with pytest.raises(NotImplementedError):
        media_storage().url(str(submission.video.name))


def test_what_is_gone_is_not_found(client: Client, alice: User) -> None:
    submission = uploaded(owner=alice)
    media_storage().remove_folder(storage.submission_dir(submission.pk))
    client.force_login(alice)
    assert client.get(f"/submissions/{submission.pk}/video/").status_code == 404
    with pytest.raises(CommandError), io.StringIO() as said:
        call_command("check_files", stdout=said)


def test_files_can_be_checked(alice: User) -> None:
    published(uploaded(LARGE, owner=alice))
    with io.StringIO() as said:
        call_command("check_files", stdout=said)
        assert "as they should be" in said.getvalue()


def test_deleting_a_submission_empties_its_folders(
    alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    submission, kept = uploaded(owner=alice), uploaded(owner=alice)
    published(submission)
    assert len(names()) == 3
    with django_capture_on_commit_callbacks(execute=True):
        queue.delete_submission(submission)
    assert names() == [storage.submission_dir(kept.pk)]


def test_what_is_too_old_goes_from_the_bucket_and_its_rows_stay(
    alice: User, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.FRAMEVOTE_RETENTION_DAYS = 30
    old, young = uploaded(owner=alice), uploaded(MP4 + b"another", owner=alice)
    published(old)
    Submission.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=31))
    with django_capture_on_commit_callbacks(execute=True):
        assert retention.remove_overdue() == 1
    assert names() == [storage.submission_dir(young.pk)]
    assert Analysis.objects.get(submission=old).verdict
    assert retention.remove_overdue() == 0


def test_a_folder_of_more_files_than_one_request_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "AT_ONCE", 2)
    for number in range(5):
        media_storage().save(f"evidence/a/b/{number}.jpg", SimpleUploadedFile("x", b"x"))
    media_storage().save("evidence/a/bc/1.jpg", SimpleUploadedFile("x", b"x"))
    media_storage().remove_folder("evidence/a/b")
    assert names() == ["evidence/a/bc"]


def test_orphans_are_found_and_removed(alice: User) -> None:
    kept = uploaded(owner=alice)
    evidence = published(kept).evidence_dir
    for name in (f"submissions/{uuid.uuid4()}/video.mp4", f"evidence/{uuid.uuid4()}/x/1.jpg"):
        media_storage().save(name, SimpleUploadedFile("x", b"x"))
    assert sweeper.remove_orphans() == [], "what is young may be under way"
    assert len(sweeper.remove_orphans(older_than=-5)) == 2
    assert names() == sorted([storage.submission_dir(kept.pk), evidence])


@pytest.mark.django_db(transaction=True)
def test_the_detector_gets_a_file_of_this_machine_which_goes_afterwards(
    alice: User, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any
) -> None:
    settings.FRAMEVOTE_VAR_DIR = tmp_path
    seen: list[bytes] = []

    class Looks:
        def analyze(self, path: Any, **_: Any) -> Any:
            assert path.suffix == ".mp4"
            seen.append(path.read_bytes())
            return a_result()

    monkeypatch.setattr(tasks, "loaded_detector", Looks)
    uploaded(LARGE, owner=alice)
    lease = queue.claim_next(worker="w")
    assert lease is not None
    tasks.run(lease)
    assert Analysis.objects.get().state == State.SUCCEEDED
    assert seen == [LARGE]
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_copy_that_a_killed_worker_left_goes_later(settings: Any, tmp_path: Any) -> None:
    settings.FRAMEVOTE_VAR_DIR = tmp_path
    settings.FRAMEVOTE_TASK_SECONDS = -700
    left = tmp_path / "copies" / "tmpleft"
    left.mkdir(parents=True)
    (left / "video.mp4").touch()
    with media_storage().local_copy("submissions/x/video.mp4") as missing:
        assert not missing.exists(), "there is no such file"
        assert not left.exists()


def test_without_a_server_uploads_leave_nothing_and_the_site_is_not_ready(
    client: Client, use_bucket: Callable[..., None], bucket_options: dict[str, str], alice: User
) -> None:
    assert client.get("/readyz").json()["storage"] == "ok"
    use_bucket(**{**bucket_options, "endpoint_url": f"http://127.0.0.1:{free_port()}"})
    assert client.get("/readyz").json()["storage"] == "unavailable"
    with pytest.raises(OSError, match="does not answer"):
        uploaded(owner=alice)
    assert not Submission.objects.exists()
    assert connection.is_usable()


def test_a_bucket_that_is_not_there_is_named(
    client: Client, use_bucket: Callable[..., None], bucket_options: dict[str, str]
) -> None:
    use_bucket(**{**bucket_options, "bucket_name": "another"})
    assert client.get("/readyz").json()["storage"] == "unavailable"
