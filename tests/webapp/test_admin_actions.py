"""What staff do to submissions: run again, cancel, export, delete."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.webapp.analyses import finished, running
from webapp.accounts.models import ApiToken
from webapp.submissions import admin_actions, queue
from webapp.submissions.models import Analysis, Review, State, Submission

pytestmark = pytest.mark.django_db

LIST = "/admin/submissions/submission/"
MakeSubmission = Callable[..., Submission]


def act(client: Client, action: str, chosen: Iterable[Any], **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(one.pk) for one in chosen], **more}
    return client.post(more.pop("address", LIST), data, follow=True)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def states() -> list[str]:
    return sorted(Analysis.objects.values_list("state", flat=True))


def test_running_again_leaves_those_under_way_alone(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    done, busy = make_submission(), make_submission()
    finished(done)
    running(busy)
    page = act(admin_client, "rerun", [done, busy])
    assert done.analyses.count() == 2
    assert busy.analyses.count() == 1
    assert b"1 submission was put in the queue again" in page.content
    assert b"1 submission was left alone" in page.content


def test_canceling_ends_what_waits_or_runs(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    done, busy, waiting = (make_submission() for _ in range(3))
    finished(done)
    running(busy)
    queue.enqueue(waiting)
    page = act(admin_client, "cancel", [done, busy, waiting])
    assert states() == [State.CANCELED, State.CANCELED, State.SUCCEEDED]
    assert b"2 analyses were canceled" in page.content
    page = act(admin_client, "cancel", [done])
    assert b"Nothing was canceled" in page.content


def test_one_submission_is_run_again_and_canceled_from_its_page(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    submission = make_submission()
    finished(submission)
    admin_client.post(reverse("admin:submissions_submission_rerun", args=[submission.pk]))
    assert states() == [State.QUEUED, State.SUCCEEDED]
    admin_client.post(reverse("admin:submissions_submission_cancel", args=[submission.pk]))
    assert states() == [State.CANCELED, State.SUCCEEDED]


@pytest.mark.parametrize("name", ["rerun", "cancel"])
def test_the_buttons_of_the_page_are_forms_with_a_csrf_token(
    admin_user: User, make_submission: MakeSubmission, name: str
) -> None:
    submission = make_submission()
    queue.enqueue(submission)
    address = reverse(f"admin:submissions_submission_{name}", args=[submission.pk])
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 403
    assert states() == [State.QUEUED]


def test_visitors_and_users_cannot_press_the_buttons(
    client: Client, alice: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission()
    address = reverse("admin:submissions_submission_rerun", args=[submission.pk])
    assert client.post(address).status_code == 302
    client.force_login(alice)
    assert client.post(address).status_code == 302
    assert not Analysis.objects.exists()


def test_the_export_has_the_chosen_submissions(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    chosen = [make_submission(name=f"{n}.mp4") for n in range(2)]
    make_submission(name="other.mp4")
    answer = act(admin_client, "export_csv", chosen)
    assert answer.streaming
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert ".csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert {row["name"] for row in rows} == {"0.mp4", "1.mp4"}


def test_the_export_of_everything_obeys_the_filters(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    for number in range(3):
        finished(make_submission(name=f"{number}.mp4"), verdict=("FAKE", "REAL")[number % 2])
    answer = act(
        admin_client,
        "export_csv",
        Submission.objects.all()[:1],
        select_across="1",
        address=f"{LIST}?verdict=FAKE",
    )
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert sorted(row["name"] for row in rows) == ["0.mp4", "2.mp4"]


def test_deleting_one_removes_its_files_too(
    admin_client: Client,
    make_submission: MakeSubmission,
    media_dir: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    submission, other = make_submission(), make_submission()
    finished(submission)
    address = reverse("admin:submissions_submission_delete", args=[submission.pk])
    assert b"clip.mp4" in admin_client.get(address).content
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(address, {"post": "yes"})
    assert list(Submission.objects.all()) == [other]
    assert len(files_below(media_dir)) == 1


def test_deleting_several_removes_their_files_too(
    admin_client: Client,
    make_submission: MakeSubmission,
    media_dir: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    chosen = [make_submission() for _ in range(3)]
    for submission in chosen:
        finished(submission)
    Review.objects.create(submission=chosen[0], reviewer=User.objects.get(), label="REAL")
    assert act(admin_client, "delete_selected", chosen).status_code == 200
    assert Submission.objects.count() == 3, "deleted without asking"
    with django_capture_on_commit_callbacks(execute=True):
        act(admin_client, "delete_selected", chosen, post="yes")
    assert not Submission.objects.exists()
    assert not Review.objects.exists()
    assert not files_below(media_dir)


def test_too_many_at_once_are_not_deleted(
    admin_client: Client, make_submission: MakeSubmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_actions, "MOST_AT_ONCE", 2)
    chosen = [make_submission() for _ in range(3)]
    page = act(admin_client, "delete_selected", chosen, post="yes")
    assert b"at most 2 can be deleted at once" in page.content
    assert Submission.objects.count() == 3


def test_too_many_at_once_are_not_run_again(
    admin_client: Client, make_submission: MakeSubmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_actions, "MOST_AT_ONCE", 2)
    chosen = [make_submission() for _ in range(3)]
    page = act(admin_client, "rerun", chosen[:1], select_across="1")
    assert b"3 submissions are selected; at most 2 can be run again at once" in page.content
    assert not Analysis.objects.exists()
    act(admin_client, "rerun", chosen[:2])
    assert Analysis.objects.count() == 2


def test_deleting_an_account_removes_its_files_and_tokens(
    admin_client: Client,
    alice: User,
    make_submission: MakeSubmission,
    media_dir: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    finished(make_submission(owner=alice))
    ApiToken.objects.issue(alice, "one")
    address = reverse("admin:auth_user_delete", args=[alice.pk])
    assert admin_client.get(address).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(address, {"post": "yes"})
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not Submission.objects.exists()
    assert not ApiToken.objects.exists()
    assert not files_below(media_dir)


def test_several_accounts_are_deleted_with_their_files(
    admin_client: Client,
    alice: User,
    bob: User,
    make_submission: MakeSubmission,
    media_dir: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    for user in (alice, bob):
        finished(make_submission(owner=user))
    with django_capture_on_commit_callbacks(execute=True):
        act(admin_client, "delete_selected", [alice, bob], post="yes", address="/admin/auth/user/")
    assert not User.objects.filter(username__in=["alice", "bob"]).exists()
    assert not files_below(media_dir)


def test_an_account_that_has_reviewed_is_kept_with_its_labels(
    admin_client: Client, bob: User, make_submission: MakeSubmission
) -> None:
    Review.objects.create(submission=make_submission(), reviewer=bob, label="FAKE")
    address = reverse("admin:auth_user_delete", args=[bob.pk])
    admin_client.post(address, {"post": "yes"})
    assert Review.objects.get().reviewer == bob


def test_staff_revoke_a_token_but_never_see_or_make_one(admin_client: Client, alice: User) -> None:
    token, secret = ApiToken.objects.issue(alice, "one")
    tokens = "/admin/accounts/apitoken/"
    for address in (tokens, f"{tokens}{token.pk}/change/"):
        html = admin_client.get(address).content.decode()
        assert "alice" in html
        assert secret not in html
        assert token.digest not in html
    assert admin_client.get(f"{tokens}add/").status_code == 403
    admin_client.post(f"{tokens}{token.pk}/delete/", {"post": "yes"})
    assert not ApiToken.objects.exists()
