"""Who may do what through the API: owners, strangers, browsers, anonymous sessions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp.analyses import VIDEO, finished
from webapp.accounts.models import ApiToken
from webapp.submissions import queue
from webapp.submissions.models import Submission

pytestmark = pytest.mark.django_db

SUBMISSIONS = "/api/v1/submissions/"
MakeSubmission = Callable[..., Submission]


def upload(client: Client, **extra: Any) -> Any:
    return client.post(SUBMISSIONS, {"video": SimpleUploadedFile("clip.mp4", VIDEO)}, **extra)


def as_program_of(user: User) -> Client:
    _, secret = ApiToken.objects.issue(user, f"token {uuid.uuid4()}")
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Token {secret}"})


def addresses(submission: Submission) -> list[tuple[str, str]]:
    analysis = submission.analyses.get()
    one = f"{SUBMISSIONS}{submission.pk}/"
    run = f"/api/v1/analyses/{analysis.pk}/"
    return [
        ("get", one),
        ("get", f"{one}result/"),
        ("post", f"{one}cancel/"),
        ("post", f"{one}rerun/"),
        ("get", run),
        ("get", f"{run}result/"),
        ("post", f"{run}cancel/"),
        ("delete", one),
    ]


def test_a_stranger_is_told_that_nothing_is_there(
    alice: User, bob: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission(owner=alice)
    finished(submission)
    for stranger in (as_program_of(bob), Client()):
        for method, address in addresses(submission):
            answer = getattr(stranger, method)(address)
            assert answer.status_code == 404, (method, address)
            assert answer.json()["error"]["code"] == "not_found"
    assert Submission.objects.filter(pk=submission.pk).exists()


def test_staff_see_other_peoples_submissions_in_the_admin_only(
    alice: User, admin_user: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission(owner=alice)
    queue.enqueue(submission)
    assert as_program_of(admin_user).get(f"{SUBMISSIONS}{submission.pk}/").status_code == 404


def test_a_list_has_only_the_callers_submissions(
    alice: User, bob: User, make_submission: MakeSubmission
) -> None:
    hers, his = make_submission(owner=alice), make_submission(owner=bob)
    for submission in (hers, his, make_submission(visitor=uuid.uuid4())):
        queue.enqueue(submission)
    listed = as_program_of(alice).get(SUBMISSIONS).json()
    assert [row["id"] for row in listed["results"]] == [str(hers.pk)]
    assert listed["count"] == 1


def test_a_token_needs_no_csrf_token(alice: User) -> None:
    answer = upload(as_program_of(alice))
    assert answer.status_code == 201
    assert Submission.objects.get().owner == alice


def test_a_token_wins_over_the_session_it_comes_with(alice: User, bob: User) -> None:
    client = as_program_of(alice)
    client.force_login(bob)
    assert upload(client).status_code == 201
    assert Submission.objects.get().owner == alice


def test_a_signed_in_browser_needs_the_csrf_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert upload(client).json()["error"]["code"] == "csrf_failed"
    assert not Submission.objects.exists()


def test_an_anonymous_session_needs_the_csrf_token_for_every_change(
    make_submission: MakeSubmission,
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/")
    token = client.cookies["csrftoken"].value
    created = upload(client, headers={"X-CSRFToken": token})
    assert created.status_code == 201
    submission = Submission.objects.get()
    assert submission.owner is None
    for method, address in addresses(submission):
        if method == "get":
            continue
        answer = getattr(client, method)(address)
        assert answer.status_code == 403, (method, address)
        assert answer.json()["error"]["code"] == "csrf_failed"
    assert upload(client).status_code == 403
    assert Submission.objects.count() == 1
    deleted = client.delete(f"{SUBMISSIONS}{submission.pk}/", headers={"X-CSRFToken": token})
    assert deleted.status_code == 204


def test_the_csrf_token_may_stand_in_the_form(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/")
    token = client.cookies["csrftoken"].value
    form = {"video": SimpleUploadedFile("clip.mp4", VIDEO), "csrfmiddlewaretoken": token}
    assert client.post(SUBMISSIONS, form).status_code == 201


def test_somebody_without_any_session_cannot_upload(db: None) -> None:
    """Nobody could ever find that submission again, and another site could send it."""
    assert upload(Client(enforce_csrf_checks=True)).status_code == 403


def test_an_anonymous_visitor_finds_the_upload_again_on_the_pages(client: Client) -> None:
    created = upload(client).json()
    assert client.get(created["page"]).status_code == 200
    assert client.get(SUBMISSIONS).json()["count"] == 1
    assert Client().get(created["url"]).status_code == 404


def test_where_an_account_is_demanded_the_api_demands_one(settings: Any, alice: User) -> None:
    settings.FRAMEVOTE_ALLOW_ANONYMOUS = False
    for method, address in [
        ("get", SUBMISSIONS),
        ("post", SUBMISSIONS),
        ("get", f"{SUBMISSIONS}{uuid.uuid4()}/"),
        ("get", "/api/v1/models/"),
    ]:
        answer = getattr(Client(), method)(address)
        assert answer.status_code == 401, (method, address)
        assert answer.json()["error"]["code"] == "not_authenticated"
    assert upload(as_program_of(alice)).status_code == 201
