"""The upload page as a plain form, which works without its script."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import Client

from tests.webapp.evidence import MP4, a_video, stored_files
from webapp.submissions import upload_views
from webapp.submissions.models import Submission
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db

TEXT = b"this is no video at all, only words"


def test_limits_are_stated_before_a_file_is_chosen(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 123
    settings.FRAMEVOTE_MAX_MINUTES = 45
    settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD = 7
    page = client.get("/").content.decode()
    limits = page[: page.index('type="file"')]
    for limit in ("123 MB", "45 min", "up to 7 videos", "MP4", "WEBM"):
        assert limit in limits


def test_the_page_says_what_a_verdict_is_not(client: Client) -> None:
    page = client.get("/").content.decode()
    assert "not proof" in page
    assert "blind to methods it was not trained on" in page


def test_one_video_leads_to_its_page(client: Client) -> None:
    answer = client.post("/", {"video": a_video(), "sampling": "quick"})
    submission = Submission.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == submission.get_absolute_url()
    assert submission.analyses.get().sampling == "quick"


def test_several_videos_lead_to_the_list(client: Client) -> None:
    answer = client.post("/", {"video": [a_video("one.mp4"), a_video("two.mp4")]}, follow=True)
    assert answer.redirect_chain == [("/submissions/", 302)]
    assert Submission.objects.count() == 2
    assert b"one.mp4" in answer.content


def test_a_bad_file_does_not_take_a_good_one_with_it(client: Client) -> None:
    answer = client.post(
        "/", {"video": [a_video("good.mp4"), a_video("bad <b>.mp4", TEXT)]}, follow=True
    )
    page = answer.content.decode()
    assert [s.original_name for s in Submission.objects.all()] == ["good.mp4"]
    assert "bad &lt;b&gt;.mp4</strong> was refused" in page
    assert "its content is not that of a video" in page
    assert "good.mp4</a> was uploaded" in page


def test_when_nothing_is_taken_the_form_says_why(client: Client) -> None:
    answer = client.post("/", {"video": [a_video("bad.mp4", TEXT), a_video("worse.exe")]})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "bad.mp4" in page
    assert "worse.exe" in page
    assert "its content is not that of a video" in page
    assert not Submission.objects.exists()


def test_a_form_without_a_file_asks_for_one(client: Client) -> None:
    answer = client.post("/", {"sampling": "quick"})
    assert answer.status_code == 400
    assert b"Choose at least one video first." in answer.content


def test_too_many_files_are_refused_together(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD = 2
    answer = client.post("/", {"video": [a_video(f"{i}.mp4") for i in range(3)]})
    assert answer.status_code == 400
    assert b"At most 2 videos can be uploaded at once; 3 were sent." in answer.content
    assert not Submission.objects.exists()


def test_an_over_large_file_is_refused_by_name_and_the_others_are_taken(
    client: Client, settings: Any
) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    before = stored_files()
    large = a_video("large.mp4", MP4 + bytes(3 * 1024 * 1024))
    answer = client.post("/", {"video": [large, a_video("small.mp4")]}, follow=True)
    page = answer.content.decode()
    assert "large.mp4</strong> was refused. The file is larger than the 1 MB allowed." in page
    assert [s.original_name for s in Submission.objects.all()] == ["small.mp4"]
    assert len([path for path in stored_files() - before if path.is_file()]) == 1


def test_an_over_large_file_is_not_even_kept_while_it_arrives(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    sizes = []

    def look(uploaded: Any, **fields: Any) -> Submission:
        on_disk = Path(uploaded.temporary_file_path()).stat().st_size
        sizes.append((uploaded.size, on_disk))
        return receive(uploaded, **fields)

    monkeypatch.setattr(upload_views, "receive", look)
    content = MP4 + bytes(3 * 1024 * 1024)
    client.post("/", {"video": a_video("large.mp4", content)})
    assert sizes == [(len(content), 0)]


@pytest.mark.parametrize(
    ("address", "fields", "written"),
    [
        ("/", {"video": 5}, 2),
        ("/", {"attachment": 3, "video": 1}, 1),
        ("/api/v1/submissions/", {"video": 3}, 1),
        ("/accounts/login/", {"video": 2}, 0),
    ],
)
def test_no_more_files_than_are_taken_are_written_while_they_arrive(
    client: Client,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    fields: dict[str, int],
    written: int,
) -> None:
    settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD = 2
    sizes = []
    close = TemporaryUploadedFile.close

    def look_before_it_goes(file: TemporaryUploadedFile) -> None:
        sizes.append(os.fstat(file.fileno()).st_size)
        close(file)

    monkeypatch.setattr(TemporaryUploadedFile, "close", look_before_it_goes)
    content = MP4 + bytes(600 * 1024)  # Two of them are more than Django keeps in memory.
    files = {
        name: [a_video(content=content) for _ in range(count)] for name, count in fields.items()
    }
    client.post(address, files)
    assert len([size for size in sizes if size]) == written


def test_no_temporary_file_is_left(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    folder = Path(django_settings.FILE_UPLOAD_TEMP_DIR)
    client.post("/", {"video": [a_video(content=MP4 + bytes(2 * 1024 * 1024)), a_video()]})
    assert list(folder.iterdir()) == []


def test_an_unknown_sampling_level_is_refused(client: Client) -> None:
    answer = client.post("/", {"video": a_video(), "sampling": "psychic"})
    assert answer.status_code == 400
    assert not Submission.objects.exists()


def test_the_form_demands_its_csrf_key() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/", {"video": a_video()}).status_code == 403
    assert not Submission.objects.exists()
    page = client.get("/").content.decode()
    key = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert key is not None
    answer = client.post("/", {"video": a_video(), "csrfmiddlewaretoken": key.group(1)})
    assert answer.status_code == 302


def test_the_script_is_told_where_its_csrf_key_is(client: Client, settings: Any) -> None:
    settings.CSRF_COOKIE_NAME = "__Host-csrftoken"
    page = client.get("/").content.decode()
    assert 'data-csrf-cookie="__Host-csrftoken"' in page
    assert "__Host-csrftoken" in client.cookies


def test_where_an_account_is_demanded_visitors_are_sent_to_log_in(
    client: Client, settings: Any, alice: User
) -> None:
    settings.FRAMEVOTE_ALLOW_ANONYMOUS = False
    assert client.get("/")["Location"] == "/accounts/login/?next=/"
    assert client.post("/", {"video": a_video()}).status_code == 302
    assert not Submission.objects.exists()
    client.force_login(alice)
    assert client.get("/").status_code == 200
    client.post("/", {"video": a_video()})
    assert Submission.objects.get().owner == alice
