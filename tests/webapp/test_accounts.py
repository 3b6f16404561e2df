"""Signing up, logging in and out, changing the password."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

GOOD = {"username": "frank", "password1": "long enough 77", "password2": "long enough 77"}


def test_signing_up_logs_in(client: Client) -> None:
    answer = client.post("/accounts/signup/", GOOD)
    assert answer["Location"] == "/submissions/"
    assert b"frank" in client.get("/accounts/").content
    assert not User.objects.get(username="frank").is_staff


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"password2": "something else 77"}, "password fields"),
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"password1": "password", "password2": "password"}, "too common"),
        ({"username": "ALICE"}, "already exists"),
        ({"username": "<script>"}, "valid username"),
    ],
)
def test_a_sign_up_that_will_not_do_says_why(
    client: Client, alice: User, change: dict[str, str], sentence: str
) -> None:
    answer = client.post("/accounts/signup/", {**GOOD, **change})
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert User.objects.count() == 1


def test_who_is_logged_in_does_not_sign_up(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/accounts/signup/")["Location"] == "/accounts/"
    assert client.get("/accounts/login/")["Location"] == "/submissions/"


def test_logging_in_goes_where_one_wanted(client: Client, alice: User) -> None:
    form = {"username": "alice", "password": "alice-password", "next": "/accounts/"}
    assert client.post("/accounts/login/", form)["Location"] == "/accounts/"


@pytest.mark.parametrize("door", ["/accounts/login/", "/accounts/signup/"])
def test_nobody_is_led_to_another_site(client: Client, alice: User, door: str) -> None:
    form = {"username": "alice", "password": "alice-password", **GOOD, "next": "//evil.example/"}
    if door.endswith("login/"):
        form["username"] = "alice"
    assert client.post(door, form)["Location"] == "/submissions/"


def test_a_wrong_password_is_refused(client: Client, alice: User) -> None:
    page = client.post("/accounts/login/", {"username": "alice", "password": "guess"})
    assert b"Please enter a correct username and password" in page.content
    assert client.get("/accounts/").status_code == 302


def test_guessing_is_stopped(client: Client, alice: User, settings: Any) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post("/accounts/login/", {"username": "alice", "password": "guess"})
    answer = client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert answer.status_code == 429
    page = answer.content.decode()
    assert "Too many attempts" in page
    assert "<html" in page


@pytest.mark.parametrize(
    ("https", "forwarded", "address"),
    [
        (False, "198.51.100.7", "127.0.0.1"),
        (True, "198.51.100.7", "198.51.100.7"),
        (True, "spoofed, 10.0.0.1, 198.51.100.7", "198.51.100.7"),
        (True, "2001:db8::1", "2001:db8::1"),
        (True, "unknown", "127.0.0.1"),
        (True, None, "127.0.0.1"),
    ],
)
def test_guesses_are_counted_for_the_visitor_and_not_for_the_proxy(
    client: Client, alice: User, settings: Any, https: bool, forwarded: str | None, address: str
) -> None:
    settings.FRAMEVOTE_HTTPS = https
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    client.post("/accounts/login/", {"username": "alice", "password": "guess"}, headers=headers)
    assert AccessAttempt.objects.get().ip_address == address


def test_logging_out_takes_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/")["Location"] == "/"
    assert client.get("/accounts/").status_code == 302


def test_the_password_can_be_changed(client: Client, alice: User) -> None:
    client.force_login(alice)
    form = {
        "old_password": "alice-password",
        "new_password1": "quite another 88",
        "new_password2": "quite another 88",
    }
    page = client.post("/accounts/password/", form, follow=True)
    assert b"Your password was changed." in page.content
    alice.refresh_from_db()
    assert alice.check_password("quite another 88")
    assert client.get("/accounts/").status_code == 200


def test_other_sessions_end_with_the_old_password(client: Client, alice: User) -> None:
    elsewhere = Client()
    for browser in (client, elsewhere):
        browser.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    form = {
        "old_password": "alice-password",
        "new_password1": "quite another 88",
        "new_password2": "quite another 88",
    }
    client.post("/accounts/password/", form)
    assert elsewhere.get("/accounts/").status_code == 302


@pytest.mark.parametrize("address", ["/accounts/", "/accounts/password/"])
def test_the_account_is_for_those_who_have_one(client: Client, address: str) -> None:
    assert client.get(address)["Location"] == f"/accounts/login/?next={address}"


def test_the_account_page_offers_tokens(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert b"API tokens" in client.get("/accounts/").content
