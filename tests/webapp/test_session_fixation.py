"""Somebody planted a session of theirs in the visitor's browser, or reads one afterwards.

The rule for what was uploaded without an account: it belongs to the session, moves to the
account at the next log-in or sign-up in that browser, and never moves back.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from tests.webapp.evidence import a_video
from webapp.submissions.models import Submission

pytestmark = pytest.mark.django_db

Door = Callable[[Client], object]


def log_in(browser: Client) -> object:
    return browser.post("/accounts/login/", {"username": "alice", "password": "alice-password"})


def log_in_to_the_admin(browser: Client) -> object:
    User.objects.filter(username="alice").update(is_staff=True)
    return browser.post("/admin/login/", {"username": "alice", "password": "alice-password"})


def sign_up(browser: Client) -> object:
    form = {"username": "zoe", "password1": "long enough 77", "password2": "long enough 77"}
    return browser.post("/accounts/signup/", form)


def change_password(browser: Client) -> object:
    browser.force_login(User.objects.get(username="alice"))
    new = {"new_password1": "quite another 88", "new_password2": "quite another 88"}
    return browser.post("/accounts/password/", {"old_password": "alice-password", **new})


@pytest.fixture
def attacker(alice: User) -> Client:
    """Has a session, with a video of theirs."""
    browser = Client()
    browser.get("/")
    browser.post("/", {"video": a_video("attackers.mp4")})
    return browser


@pytest.fixture
def victim(attacker: Client) -> Client:
    """A browser in which the attacker's cookies were planted."""
    browser = Client()
    browser.cookies.load(attacker.cookies.output(header=""))
    return browser


@pytest.mark.parametrize("door", [log_in, log_in_to_the_admin, sign_up])
def test_a_planted_session_is_worth_nothing_after_coming_in(
    attacker: Client, victim: Client, door: Door
) -> None:
    planted = attacker.cookies["sessionid"].value
    csrf = attacker.cookies["csrftoken"].value
    door(victim)
    assert victim.get("/accounts/").status_code == 200
    assert victim.cookies["sessionid"].value != planted
    assert victim.cookies["csrftoken"].value != csrf
    assert not Session.objects.filter(session_key=planted).exists()
    assert attacker.get("/accounts/").status_code == 302
    victim.post("/", {"video": a_video("victims.mp4")})
    assert b"victims.mp4" not in attacker.get("/submissions/").content


def test_what_was_uploaded_before_moves_to_the_account_and_stays_there(
    attacker: Client, victim: Client, bob: User
) -> None:
    log_in(victim)
    assert [s.owner and s.owner.username for s in Submission.objects.all()] == ["alice"]
    assert b"attackers.mp4" not in attacker.get("/submissions/").content
    victim.post("/accounts/logout/")
    assert b"attackers.mp4" not in victim.get("/submissions/").content
    victim.force_login(bob)
    assert b"attackers.mp4" not in victim.get("/submissions/").content
    log_in(victim)
    assert Submission.objects.get().owner_id != bob.pk


def test_a_made_up_session_is_not_taken_on(client: Client) -> None:
    client.cookies["sessionid"] = "planted0planted0planted0planted0"
    client.get("/")
    client.post("/", {"video": a_video()})
    kept = client.cookies["sessionid"].value
    assert kept != "planted0planted0planted0planted0"
    assert Session.objects.get().session_key == kept


def test_a_new_password_ends_the_session_it_was_changed_in(alice: User) -> None:
    browser, copy = Client(), Client()
    log_in(browser)
    copy.cookies.load(browser.cookies.output(header=""))
    change_password(browser)
    assert browser.get("/accounts/").status_code == 200
    assert copy.get("/accounts/").status_code == 302


def test_the_cookies_say_who_may_read_and_send_them(client: Client) -> None:
    client.get("/")
    client.get("/accounts/login/")
    session, csrf = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert session["httponly"]
    assert {session["samesite"], csrf["samesite"]} == {"Lax"}
    assert (session["domain"], csrf["domain"], session["path"]) == ("", "", "/")
