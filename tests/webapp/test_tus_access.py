"""Whose upload it is, asked at every request: accounts, tokens, anonymous sessions."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.tus import TUS, UPLOADS
from tests.webapp.tus_client import VIDEO, ask, begin, begun, code_of, end, send
from webapp.accounts.models import ApiToken
from webapp.submissions import partial_uploads, queue
from webapp.submissions.models import PartialUpload, Submission

pytestmark = pytest.mark.django_db


def program_of(user: User) -> Client:
    _, secret = ApiToken.objects.issue(user, f"token {uuid.uuid4()}")
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Token {secret}"})


def browser() -> tuple[Client, str]:
    """A visitor on the upload page, and the page's CSRF token."""
    client = Client(enforce_csrf_checks=True)
    client.get("/")
    return client, client.cookies["csrftoken"].value


def test_to_strangers_it_does_not_exist(alice: User, bob: User, admin_user: User) -> None:
    address = begun(program_of(alice))
    visitor = Client()
    begun(visitor)
    signed_in = Client()
    signed_in.force_login(bob)
    for stranger in (program_of(bob), program_of(admin_user), signed_in, visitor, Client()):
        assert ask(stranger, address).status_code == 404
        assert code_of(send(stranger, address, VIDEO)) == (404, "not_found")
        assert code_of(end(stranger, address)) == (404, "not_found")
    assert PartialUpload.objects.get(owner=alice).offset == 0


def test_a_visitors_upload_is_no_accounts(alice: User) -> None:
    visitor = Client()
    address = begun(visitor)
    assert ask(program_of(alice), address).status_code == 404
    assert ask(Client(), address).status_code == 404
    assert ask(visitor, address).status_code == 200


def test_a_token_and_a_browser_of_one_account_share_an_upload(alice: User) -> None:
    address = begun(program_of(alice))
    signed_in = Client()
    signed_in.force_login(alice)
    assert send(signed_in, address, VIDEO[:10]).status_code == 204
    assert send(program_of(alice), address, VIDEO[10:], offset=10).status_code == 204
    assert Submission.objects.get().owner == alice


def test_a_token_that_was_revoked_ends_an_upload_in_the_middle(alice: User) -> None:
    program = program_of(alice)
    address = begun(program)
    assert send(program, address, VIDEO[:10]).status_code == 204
    ApiToken.objects.all().delete()
    assert code_of(send(program, address, VIDEO[10:], offset=10)) == (401, "invalid_token")
    assert PartialUpload.objects.get().offset == 10


def test_a_browser_needs_its_csrf_token_for_every_change() -> None:
    client, token = browser()
    assert code_of(begin(client)) == (403, "csrf_failed")
    address = begun(client, X_CSRFToken=token)
    assert code_of(send(client, address, VIDEO)) == (403, "csrf_failed")
    assert code_of(end(client, address)) == (403, "csrf_failed")
    assert ask(client, address)["Upload-Offset"] == "0"
    assert send(client, address, VIDEO[:9], X_CSRFToken=token).status_code == 204
    headers = {**TUS, "X-CSRFToken": token}
    assert client.delete(address, headers=headers).status_code == 204


def test_a_visitor_finds_the_submission_on_the_pages() -> None:
    client, token = browser()
    address = begun(client, X_CSRFToken=token)
    done = send(client, address, VIDEO, X_CSRFToken=token)
    page = f"/submissions/{done['FrameVote-Submission']}/"
    assert client.get(page).status_code == 200
    assert Client().get(page).status_code == 404


@pytest.mark.parametrize("door", ["/accounts/login/", "/accounts/signup/"])
def test_an_upload_under_way_comes_along_on_logging_in(client: Client, door: str) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    if door.endswith("login/"):
        User.objects.create_user("erin", password="long enough 77")
        form = {"username": "erin", "password": "long enough 77"}
    else:
        form = {"username": "erin", "password1": "long enough 77", "password2": "long enough 77"}
    client.post(door, form)
    assert send(client, address, VIDEO[10:], offset=10).status_code == 204
    submission = Submission.objects.get()
    assert submission.owner == User.objects.get(username="erin")
    assert submission.visitor is None


def test_a_log_in_takes_nothing_from_other_visitors(client: Client, alice: User) -> None:
    other = Client()
    address = begun(other)
    begun(client)
    client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert ask(client, address).status_code == 404
    assert ask(other, address).status_code == 200


def test_who_logs_in_while_the_last_piece_comes_sends_it_again(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submission would belong to a visitor whom nobody is any more."""
    address = begun(client)
    enqueue = queue.enqueue

    def log_in_first(*args: Any, **kwargs: Any) -> Any:
        PartialUpload.objects.update(owner=alice, visitor=None)
        return enqueue(*args, **kwargs)

    monkeypatch.setattr(queue, "enqueue", log_in_first)
    assert code_of(send(client, address, VIDEO)) == (423, "upload_locked")
    monkeypatch.undo()
    assert not Submission.objects.exists()
    # In this test the log-in was undone with the rest of the transaction.
    assert send(client, address, VIDEO).status_code == 204
    assert Submission.objects.count() == 1


def test_logging_out_leaves_nothing_to_the_next_person(client: Client, alice: User) -> None:
    client.force_login(alice)
    address = begun(client)
    client.post("/accounts/logout/")
    assert ask(client, address).status_code == 404


def test_where_an_account_is_demanded_one_is_demanded(settings: Any, alice: User) -> None:
    visitor = Client()
    address = begun(visitor)
    settings.FRAMEVOTE_ALLOW_ANONYMOUS = False
    assert code_of(begin(visitor)) == (401, "not_authenticated")
    assert ask(visitor, address).status_code == 401
    assert code_of(send(visitor, address, VIDEO)) == (401, "not_authenticated")
    assert code_of(end(visitor, address)) == (401, "not_authenticated")
    assert visitor.options(UPLOADS).status_code == 401
    assert begin(program_of(alice)).status_code == 201


def test_uploads_go_with_their_account(alice: User) -> None:
    program = program_of(alice)
    address = begun(program)
    send(program, address, VIDEO[:10])
    alice.delete()
    assert not PartialUpload.objects.exists()
    assert len(partial_uploads.files()) == 1, "the sweeper's business"
