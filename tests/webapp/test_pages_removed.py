"""What people and programs see of a video whose time was up: what is gone, and what stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.webapp.evidence import a_video, fail, finish, run
from webapp.submissions import queue, retention
from webapp.submissions.models import Analysis, Submission
from webapp.submissions.uploads import receive

# With commits: files are removed after them.
pytestmark = pytest.mark.django_db(transaction=True)

GONE = "The video and the pictures of faces were removed on"


@pytest.fixture(autouse=True)
def thirty_days(settings: Any) -> None:
    settings.FRAMEVOTE_RETENTION_DAYS = 30


def remove(submission: Submission) -> Submission:
    past = timezone.now() - timedelta(days=31)
    Submission.objects.filter(pk=submission.pk).update(created_at=past)
    assert retention.remove_overdue() == 1
    return Submission.objects.get(pk=submission.pk)


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_result_stays_and_says_what_is_gone(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    gone = remove(submission)
    page = text(signed_in, submission.get_absolute_url())
    assert f"{GONE} <time" in page
    assert f"{gone.files_removed_at:%Y}" in page.partition(GONE)[2][:120]
    # The verdict, the votes, the times, the hash.
    assert "2 of 3 voting faces voted fake" in page
    assert page.count('<span class="face-vote">') == 3
    assert page.count('class="mark is-') == 3
    assert submission.sha256 in page
    # And nothing that would ask for what is gone.
    assert page.count('class="no-picture"') == 3
    for dead in ("<video", "/video/", ".jpg"):
        assert dead not in page
    assert f'action="/submissions/{submission.pk}/rerun/"' not in page
    assert "Upload it once more" in page
    assert "pictures stay until" not in page


def test_a_failed_and_a_canceled_one_do_not_promise_the_video(
    signed_in: Client, alice: User, submission: Submission
) -> None:
    fail(submission, "internal", "Broken.")
    canceled = receive(a_video(), owner=alice, visitor=None)
    queue.cancel(canceled.analyses.get().pk)
    assert "The video is still here" in text(signed_in, canceled.get_absolute_url())
    for one in (submission, canceled):
        remove(one)
        page = text(signed_in, one.get_absolute_url())
        assert GONE in page
        assert "The video is still here" not in page
        assert f'action="/submissions/{one.pk}/rerun/"' not in page


def test_the_list_shows_no_broken_picture(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    assert ".jpg" in text(signed_in, "/submissions/")
    remove(submission)
    page = text(signed_in, "/submissions/")
    assert ".jpg" not in page
    assert "video removed" in page
    assert "2 of 3 faces voted fake" in page


def test_until_then_the_pages_say_until_when(
    signed_in: Client, submission: Submission, settings: Any
) -> None:
    finish(submission)
    due = submission.created_at + timedelta(days=30)
    until = f'video and pictures stay until <time datetime="{due:%Y-%m-%d}'
    assert until in text(signed_in, submission.get_absolute_url())
    assert "removed 30 days after the upload" in text(signed_in, "/")
    settings.FRAMEVOTE_RETENTION_DAYS = 0
    assert "pictures stay until" not in text(signed_in, submission.get_absolute_url())
    assert "after the upload. Verdict" not in text(signed_in, "/")


def test_the_files_themselves_are_not_found(signed_in: Client, submission: Submission) -> None:
    analysis = finish(submission)
    files = (f"/submissions/{submission.pk}/video/", f"/analyses/{analysis.pk}/faces/1.jpg")
    assert [signed_in.get(file).status_code for file in files] == [200, 200]
    remove(submission)
    assert [signed_in.get(file).status_code for file in files] == [404, 404]


def test_running_it_again_is_refused_with_a_sentence(
    signed_in: Client, submission: Submission
) -> None:
    finish(submission)
    remove(submission)
    address = f"/submissions/{submission.pk}/rerun/"
    response = signed_in.post(address, {"sampling": "quick"}, follow=True)
    assert "The video is not here any more. Upload it once more." in response.content.decode()
    assert Analysis.objects.count() == 1


def test_the_api_says_when_and_refuses_a_rerun(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    address = f"/api/v1/submissions/{submission.pk}/"
    assert signed_in.get(address).json()["files_removed_at"] is None
    gone = remove(submission)
    answer = signed_in.get(address).json()
    assert gone.files_removed_at is not None
    assert answer["files_removed_at"] == gone.files_removed_at.isoformat().replace("+00:00", "Z")
    assert (answer["verdict"], answer["sha256"]) == ("FAKE", submission.sha256)
    assert len(signed_in.get(f"{address}result/").json()["faces"]) == 3
    refused = signed_in.post(f"{address}rerun/", {}, content_type="application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "files_removed")


def test_deleting_what_is_left_asks_in_other_words(
    signed_in: Client, submission: Submission
) -> None:
    finish(submission)
    remove(submission)
    address = f"/submissions/{submission.pk}/delete/"
    assert "are gone already" in text(signed_in, address)
    signed_in.post(address)
    assert not Submission.objects.exists()


def test_reviewers_see_votes_without_pictures(
    admin_client: Client, alice: User, submission: Submission
) -> None:
    analysis = finish(submission)
    busy = run(receive(a_video(), owner=alice, visitor=None))
    remove(submission)
    page = text(admin_client, f"/admin/submissions/submission/{submission.pk}/change/")
    run_page = text(admin_client, f"/admin/submissions/analysis/{analysis.pk}/change/")
    for one in (page, run_page):
        assert one.count('class="no-picture"') == 3
        assert GONE in one
        for dead in ("<video", "/video/", ".jpg"):
            assert dead not in one
    assert "Run again" not in page
    for listing in ("submission", "analysis"):
        assert "removed</span>" in text(admin_client, f"/admin/submissions/{listing}/")

    action = {"action": "rerun", "_selected_action": [str(submission.pk)]}
    response = admin_client.post("/admin/submissions/submission/", action, follow=True)
    assert "1 submission was left alone: the video was removed" in response.content.decode()
    assert set(Analysis.objects.values_list("pk", flat=True)) == {analysis.pk, busy.pk}
