"""An upload is under way in one tab while somebody logs in or out in another."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from tests.webapp.evidence import a_video, stored_files
from tests.webapp.tus_client import begin
from webapp.accounts.models import ApiToken
from webapp.submissions.models import Submission

pytestmark = pytest.mark.django_db

API = "/api/v1/submissions/"


@pytest.fixture
def other_tab(client: Client, alice: User) -> Client:
    """Sends the cookies from before Alice logged in."""
    client.get("/")
    client.post("/", {"video": a_video("before.mp4")})
    tab = Client()
    tab.cookies.load(client.cookies)
    client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert client.cookies["sessionid"].value != tab.cookies["sessionid"].value
    return tab


def nothing_new(answer: Any) -> bool:
    """No row, no file, and the browser keeps the cookie it has by now."""
    return (
        [s.original_name for s in Submission.objects.all()] == ["before.mp4"]
        and len([path for path in stored_files() if path.is_file()]) == 1
        and "sessionid" not in answer.cookies
        and Session.objects.count() == 1
    )


def test_the_script_is_told_that_the_session_ended(other_tab: Client) -> None:
    answer = begin(other_tab)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "session_ended"
    assert answer.json()["error"]["message"].startswith("You logged in or out")
    assert "Cookie" in answer["Vary"]
    assert nothing_new(answer)


def test_the_plain_form_leads_back_to_a_fresh_one_that_says_so(other_tab: Client) -> None:
    answer = other_tab.post("/", {"video": a_video("late.mp4")})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert nothing_new(answer)
    assert b"You logged in or out" in other_tab.get("/").content


def test_the_api_tells_a_browser_so(other_tab: Client) -> None:
    answer = other_tab.post(API, {"video": a_video("late.mp4")})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "session_ended"
    assert nothing_new(answer)


def test_a_token_needs_no_session(other_tab: Client, alice: User) -> None:
    _, secret = ApiToken.objects.issue(alice, "program")
    answer = other_tab.post(
        API, {"video": a_video("late.mp4")}, headers={"Authorization": f"Token {secret}"}
    )
    assert answer.status_code == 201
    assert Submission.objects.get(original_name="late.mp4").owner == alice


def test_a_log_out_in_another_tab_ends_the_session_too(client: Client, alice: User) -> None:
    client.force_login(alice)
    tab = Client()
    tab.cookies.load(client.cookies)
    client.post("/accounts/logout/")
    answer = begin(tab)
    assert answer.json()["error"]["code"] == "session_ended"
    assert not Submission.objects.exists()


def test_looking_with_an_old_cookie_takes_none_away(other_tab: Client) -> None:
    answer = other_tab.get("/submissions/")
    assert answer.status_code == 200
    assert "sessionid" not in answer.cookies


def test_logging_out_does_take_the_cookie_away(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.post("/accounts/logout/")
    assert answer.cookies["sessionid"].value == ""


def test_a_visitor_whose_session_ran_out_begins_a_new_one(client: Client) -> None:
    client.get("/")
    Session.objects.all().delete()
    client.get("/")
    assert begin(client).status_code == 201


def test_a_first_upload_without_any_cookie_is_taken(client: Client) -> None:
    assert begin(client).status_code == 201
