"""So many at once and then one after another, counted by all web processes together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from tests.webapp.evidence import a_video
from webapp.accounts import rates
from webapp.accounts.addresses import client_network
from webapp.accounts.models import Allowance, ApiToken
from webapp.submissions import queue
from webapp.submissions.models import State, Submission
from webapp.submissions.uploads import receive
from worker import sweeper

pytestmark = pytest.mark.django_db

API = "/api/v1/submissions/"
GUESS = {"username": "alice", "password": "guess"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time stands still but for ``clock(seconds)``."""
    now = [1_800_000_000.7]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


@pytest.fixture
def scarce(settings: Any) -> None:
    """Two of everything in an hour."""
    for what in ("UPLOAD", "LOGIN", "API"):
        setattr(settings, f"FRAMEVOTE_{what}_RATE", "2/hour")


def takes(count: int, who: str = "alice") -> int:
    """How many of so many attempts are let through."""
    let_through = 0
    for _ in range(count):
        try:
            rates.take(rates.API, who)
            let_through += 1
        except rates.TooMany:
            pass
    return let_through


@pytest.mark.parametrize("number", [1, 2, 3, 7, 60, 300])
def test_the_number_may_come_at_once_and_then_one_after_another(
    settings: Any, clock: Callable[[float], None], number: int
) -> None:
    settings.FRAMEVOTE_API_RATE = f"{number}/hour"
    assert takes(number + 3) == number
    clock(3600 / number - 1)
    assert takes(2) == 0
    clock(1)
    assert takes(2) == 1
    clock(9000)
    assert takes(number + 3) == number, "nothing is saved up beyond the number"


def test_it_is_said_how_long_to_wait_and_that_is_enough(
    settings: Any, clock: Callable[[float], None]
) -> None:
    settings.FRAMEVOTE_API_RATE = "7/minute"
    assert takes(7) == 7
    with pytest.raises(rates.TooMany) as refused:
        rates.take(rates.API, "alice")
    assert refused.value.retry_after_s == 9
    assert "Try again in a few seconds." in refused.value.sentence
    with pytest.raises(rates.TooMany):
        rates.check(rates.API, "alice")
    clock(refused.value.retry_after_s)
    rates.check(rates.API, "alice")
    assert takes(2) == 1


def test_checking_uses_nothing_up(scarce: None) -> None:
    for _ in range(5):
        rates.check(rates.API, "alice")
    assert takes(5) == 2


def test_everybody_has_their_own(scarce: None) -> None:
    assert takes(5, "alice") == takes(5, "bob") == 2
    rates.take(rates.UPLOAD, "alice")


def test_what_is_off_is_not_counted(settings: Any) -> None:
    settings.FRAMEVOTE_API_RATE = "off"
    assert takes(50) == 50
    rates.check(rates.API, "alice")
    assert not Allowance.objects.exists()


def test_the_sweeper_forgets_what_is_paid_back(
    scarce: None, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates.take(rates.API, "alice")
    clock(1000)
    rates.take(rates.API, "bob")
    clock(900)
    sweeper.tidy_up()
    assert [row.key for row in Allowance.objects.all()] == ["api bob"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_one_subscribers_addresses_count_as_one(address: str, network: str) -> None:
    assert client_network(RequestFactory(REMOTE_ADDR=address).get("/")) == network


# Log-in, sign-up, passwords ---------------------------------------------------


def test_attempts_from_one_address_are_limited_whatever_the_account(
    scarce: None, alice: User
) -> None:
    for name in ("bob", "charlie"):
        answer = Client().post("/accounts/login/", {"username": name, "password": "guess"})
        assert answer.status_code == 200
    answer = Client().post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 1000
    page = answer.content.decode()
    assert "too many attempts in a short time" in page
    assert "Try again in about 30 min." in page
    elsewhere = Client(REMOTE_ADDR="192.0.2.9")
    answer = elsewhere.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert answer.status_code == 302


@pytest.mark.parametrize("door", ["/accounts/login/", "/accounts/signup/", "/admin/login/"])
def test_all_doors_count_together_and_stay_readable(scarce: None, alice: User, door: str) -> None:
    Client().post("/accounts/login/", GUESS)
    Client().post("/admin/login/", GUESS)
    assert Client().get(door).status_code == 200
    form = {"username": "zoe", "password1": "long enough 77", "password2": "long enough 77"}
    assert Client().post(door, {**GUESS, **form}).status_code == 429
    assert User.objects.count() == 1


@pytest.mark.parametrize("form", ["/accounts/password/", "/admin/password_change/"])
def test_who_found_an_open_browser_cannot_guess_the_password(
    scarce: None, admin_user: User, form: str
) -> None:
    fields = {"new_password1": "quite another 88", "new_password2": "quite another 88"}
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        browser = Client(REMOTE_ADDR=address)
        browser.force_login(admin_user)
        answer = browser.post(form, {"old_password": "guess", **fields})
    assert answer.status_code == 429


def test_a_forged_form_uses_nothing_up(scarce: None, alice: User) -> None:
    for _ in range(5):
        answer = Client(enforce_csrf_checks=True).post("/accounts/login/", GUESS)
        assert answer.status_code == 403
    assert not Allowance.objects.exists()


# Uploads ----------------------------------------------------------------------


def test_of_a_form_with_too_many_files_the_first_are_taken(scarce: None, client: Client) -> None:
    files = [a_video(f"{number}.mp4") for number in range(4)]
    page = client.post("/", {"video": files}, follow=True).content.decode()
    assert sorted(s.original_name for s in Submission.objects.all()) == ["0.mp4", "1.mp4"]
    assert page.count("was refused. You have uploaded or run as much") == 2
    answer = client.post("/", {"video": files})
    assert answer.status_code == 429
    assert "Retry-After" in answer
    assert "as much as this site takes for now" in answer.content.decode()


def test_new_sessions_do_not_help(scarce: None) -> None:
    statuses = [Client().post("/", {"video": a_video()}).status_code for _ in "abc"]
    assert statuses == [302, 302, 429]


def test_nothing_is_written_for_who_has_nothing_left(
    scarce: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/", {"video": [a_video(), a_video()]})
    monkeypatch.setattr(
        "webapp.submissions.uploads.TemporaryFileUploadHandler.receive_data_chunk",
        lambda *_: pytest.fail("the disk was written to"),
    )
    assert client.post("/", {"video": a_video()}).status_code == 429


def test_uploads_through_the_api_and_the_page_are_one_count(
    scarce: None, settings: Any, alice: User
) -> None:
    settings.FRAMEVOTE_API_RATE = "off"
    _, secret = ApiToken.objects.issue(alice, "program")
    program = Client(headers={"Authorization": f"Token {secret}"}, REMOTE_ADDR="192.0.2.9")
    browser = Client()
    browser.force_login(alice)
    assert program.post(API, {"video": a_video()}).status_code == 201
    assert browser.post("/", {"video": a_video()}).status_code == 302
    answer = program.post(API, {"video": a_video()})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "too_many_uploads"
    assert int(answer["Retry-After"]) > 1000
    assert Submission.objects.count() == 2


@pytest.mark.parametrize("address", ["/submissions/{}/rerun/", "/api/v1/submissions/{}/rerun/"])
def test_running_again_counts_as_an_upload_does(
    scarce: None, settings: Any, alice: User, address: str
) -> None:
    settings.FRAMEVOTE_API_RATE = "off"
    submission = receive(a_video(), owner=alice, visitor=None)
    browser = Client()
    browser.force_login(alice)
    for analyses in (2, 3, 3):
        for waiting in submission.analyses.filter(state=State.QUEUED):
            queue.cancel(waiting.pk)
        answer = browser.post(
            address.format(submission.pk), {}, content_type="application/json", follow=True
        )
        assert submission.analyses.count() == analyses
    assert "as much as this site takes for now" in answer.content.decode()


# The API ----------------------------------------------------------------------


@pytest.mark.parametrize("address", [API, "/api/v1/models/", "/api/schema/?format=json"])
def test_requests_to_the_api_are_limited(scarce: None, address: str) -> None:
    assert [Client().get(address).status_code for _ in "abc"] == [200, 200, 429]
    answer = Client().get(address)
    assert answer.json()["error"]["code"] == "too_many_requests"
    assert int(answer["Retry-After"]) > 1000


def test_a_token_counts_for_its_account_wherever_it_comes_from(
    scarce: None, alice: User, bob: User
) -> None:
    programs = []
    for user in (alice, bob):
        _, secret = ApiToken.objects.issue(user, "program")
        programs.append({"Authorization": f"Token {secret}"})
    for address in ("192.0.2.1", "192.0.2.2"):
        assert Client(REMOTE_ADDR=address).get(API, headers=programs[0]).status_code == 200
    assert Client(REMOTE_ADDR="192.0.2.3").get(API, headers=programs[0]).status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.3").get(API, headers=programs[1]).status_code == 200


def test_pages_are_not_limited(scarce: None, client: Client) -> None:
    assert {client.get("/submissions/").status_code for _ in range(10)} == {200}
