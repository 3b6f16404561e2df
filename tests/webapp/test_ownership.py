"""Alice, Bob and a visitor without an account try to read and change each other's things."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from tests.webapp.evidence import a_video, finish, run
from webapp.submissions import ownership
from webapp.submissions.models import Analysis, State, Submission
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db

READS = (
    "/submissions/{submission}/",
    "/submissions/{submission}/status/",
    "/submissions/{submission}/video/",
    "/submissions/{submission}/delete/",
    "/analyses/{analysis}/faces/1.jpg",
)
WRITES = (
    "/submissions/{submission}/delete/",
    "/submissions/{submission}/rerun/",
    "/analyses/{analysis}/cancel/",
)
NEVER_GET = ("/submissions/{submission}/rerun/", "/analyses/{analysis}/cancel/")


@pytest.fixture
def theirs(alice: User) -> Analysis:
    """Alice's finished analysis."""
    return finish(receive(a_video("alices secret.mp4"), owner=alice, visitor=None))


@pytest.fixture
def browsers(client: Client, bob: User) -> dict[str, Client]:
    """Everybody but the owner."""
    signed_in = Client()
    signed_in.force_login(bob)
    visitor = Client()
    visitor.post("/", {"video": a_video("visitors own.mp4")})
    return {"bob": signed_in, "a visitor": visitor, "a newcomer": client}


@pytest.mark.parametrize("address", READS)
def test_the_owner_reads(theirs: Analysis, alice: User, address: str) -> None:
    browser = Client()
    browser.force_login(alice)
    assert browser.get(_fill(address, theirs)).status_code == 200


@pytest.mark.parametrize("address", READS)
def test_to_strangers_it_does_not_exist(
    theirs: Analysis, browsers: dict[str, Client], address: str
) -> None:
    for who, browser in browsers.items():
        answer = browser.get(_fill(address, theirs))
        assert answer.status_code == 404, who
        assert b"alices secret" not in answer.content


@pytest.mark.parametrize("address", WRITES)
def test_strangers_change_nothing(
    theirs: Analysis, browsers: dict[str, Client], address: str
) -> None:
    for who, browser in browsers.items():
        assert browser.post(_fill(address, theirs)).status_code == 404, who
    assert Submission.objects.get(pk=theirs.submission_id).analyses.count() == 1


@pytest.mark.parametrize("address", NEVER_GET)
def test_nothing_changes_by_looking(theirs: Analysis, alice: User, address: str) -> None:
    browser = Client()
    browser.force_login(alice)
    assert browser.get(_fill(address, theirs)).status_code == 405


def test_a_stranger_cannot_cancel_what_runs(alice: User, browsers: dict[str, Client]) -> None:
    running = run(receive(a_video(), owner=alice, visitor=None))
    for browser in browsers.values():
        browser.post(f"/analyses/{running.pk}/cancel/")
    running.refresh_from_db()
    assert running.state == State.RUNNING


def test_lists_show_only_ones_own(theirs: Analysis, browsers: dict[str, Client]) -> None:
    for browser in browsers.values():
        page = browser.get("/submissions/").content
        assert b"alices secret" not in page
        asked = f"/submissions/?active={theirs.submission_id}"
        rows = browser.get(asked, headers={"HX-Request": "true"}).content
        assert b"alices secret" not in rows
    assert b"visitors own" in browsers["a visitor"].get("/submissions/").content
    assert b"visitors own" not in browsers["a newcomer"].get("/submissions/").content


def test_an_analysis_of_another_submission_is_not_shown(theirs: Analysis, alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    other = finish(receive(a_video(), owner=alice, visitor=None))
    page = f"/submissions/{theirs.submission_id}/?analysis="
    assert browser.get(f"{page}{other.pk}").status_code == 404
    assert browser.get(f"{page}{uuid.uuid4()}").status_code == 404
    assert browser.get(f"{page}nonsense").status_code == 404


@pytest.mark.parametrize(
    ("permission", "is_staff", "media"),
    [
        ("view_submission", True, 200),
        ("change_submission", True, 200),
        ("view_review", True, 404),
        ("view_submission", False, 404),
    ],
)
def test_who_reviews_sees_media_but_not_other_peoples_pages(
    theirs: Analysis, permission: str, is_staff: bool, media: int
) -> None:
    dora = User.objects.create_user("dora", is_staff=is_staff)
    dora.user_permissions.add(Permission.objects.get(codename=permission))
    browser = Client()
    browser.force_login(dora)
    assert browser.get(_fill("/submissions/{submission}/video/", theirs)).status_code == media
    assert browser.get(_fill("/analyses/{analysis}/faces/1.jpg", theirs)).status_code == media
    assert browser.get(_fill("/submissions/{submission}/", theirs)).status_code == 404


def test_superusers_see_media(theirs: Analysis, admin_client: Client) -> None:
    assert admin_client.get(_fill("/submissions/{submission}/video/", theirs)).status_code == 200


def test_a_visitor_owns_what_the_browser_uploaded(client: Client) -> None:
    client.post("/", {"video": a_video("mine.mp4")})
    submission = Submission.objects.get()
    assert submission.owner is None
    assert submission.visitor is not None
    assert client.get(submission.get_absolute_url()).status_code == 200
    assert Client().get(submission.get_absolute_url()).status_code == 404


@pytest.mark.parametrize("door", ["/accounts/login/", "/accounts/signup/"])
def test_a_visitor_keeps_the_uploads_on_coming_in(
    client: Client, make_user: Callable[[], User], door: str
) -> None:
    client.post("/", {"video": a_video("mine.mp4")})
    if door.endswith("login/"):
        make_user()
        form = {"username": "erin", "password": "long enough 77"}
    else:
        form = {"username": "erin", "password1": "long enough 77", "password2": "long enough 77"}
    page = client.post(door, form, follow=True)
    submission = Submission.objects.get()
    assert submission.owner == User.objects.get(username="erin")
    assert submission.visitor is None
    assert b"mine.mp4" in page.content
    assert b"now belongs to your account" in page.content
    assert client.get(submission.get_absolute_url()).status_code == 200


def test_logging_out_leaves_nothing_to_the_next_person(client: Client, alice: User) -> None:
    client.post("/", {"video": a_video("mine.mp4")})
    client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    client.post("/accounts/logout/")
    assert b"mine.mp4" not in client.get("/submissions/").content
    assert client.get(Submission.objects.get().get_absolute_url()).status_code == 404


def test_a_log_in_takes_nothing_from_other_visitors(client: Client, alice: User) -> None:
    Client().post("/", {"video": a_video("somebody elses.mp4")})
    client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    assert Submission.objects.get().owner is None


def test_a_broken_visitor_key_is_nobody(client: Client) -> None:
    session = client.session
    session[ownership.SESSION_KEY] = "not-a-uuid"
    session.save()
    assert client.get("/submissions/").status_code == 200


def test_every_upload_renews_the_session(client: Client) -> None:
    client.post("/", {"video": a_video()})
    Session.objects.update(expire_date=timezone.now() + timedelta(days=1))
    client.post("/", {"video": a_video()})
    assert Session.objects.get().expire_date > timezone.now() + timedelta(days=59)


def test_reading_makes_no_session(client: Client, theirs: Analysis) -> None:
    client.head("/")
    for page in ("/submissions/", "/models/", "/accounts/login/", _fill(READS[0], theirs)):
        client.get(page)
    assert "sessionid" not in client.cookies


def test_first_uploads_from_two_tabs_are_one_visitors(client: Client) -> None:
    client.get("/")
    cookies = client.cookies.output()
    tabs = [Client(), Client()]
    for number, tab in enumerate(tabs):
        tab.cookies.load(client.cookies)
        tab.post("/", {"video": a_video(f"{number}.mp4")})
        assert tab.cookies["sessionid"].value in cookies
    page = client.get("/submissions/").content
    assert b"0.mp4" in page
    assert b"1.mp4" in page


def test_the_upload_page_of_an_account_makes_no_visitor(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.get("/")
    assert ownership.SESSION_KEY not in client.session


@pytest.mark.parametrize("address", READS)
def test_where_an_account_is_demanded_visitors_log_in_first(
    client: Client, theirs: Analysis, address: str, settings: pytest.FixtureRequest
) -> None:
    settings.FRAMEVOTE_ALLOW_ANONYMOUS = False  # type: ignore[attr-defined]
    answer = client.get(_fill(address, theirs))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=/")


@pytest.fixture
def make_user() -> Callable[[], User]:
    return lambda: User.objects.create_user("erin", password="long enough 77")


def _fill(address: str, analysis: Analysis) -> str:
    return address.format(submission=analysis.submission_id, analysis=analysis.pk)
