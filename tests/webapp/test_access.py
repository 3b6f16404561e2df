"""Owners, strangers, anonymous sessions, staff and tokens at every address of the site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.webapp.access_table import (
    ACCOUNTS,
    ACTORS,
    API,
    METHODS,
    PAGES,
    TABLE,
    Row,
    expected,
    filled,
)
from tests.webapp.evidence import a_video, finish
from webapp.accounts.models import ApiToken
from webapp.submissions import partial_uploads
from webapp.submissions.models import Submission
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db


def _owners(row: Row) -> tuple[str, ...]:
    """Only for pages and API about a submission does it matter whose it is."""
    about_one = "<uuid" in row.route and not row.route.startswith("admin/")
    return ("alice", "visitor") if about_one else ("alice",)


def _each(rows: Iterable[Row]) -> pytest.MarkDecorator:
    cases = [
        pytest.param(row, owner, id=f"{row.route or '/'}-{owner}")
        for row in rows
        for owner in _owners(row)
    ]
    return pytest.mark.parametrize(("row", "owner"), cases)


A_FEW = ("nobody", "alice", "admin", "admin's token")
"""Who tries the methods that a row says nothing about."""

CHANGES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass
class World:
    """Everybody, and one submission of ``owner``'s that was analyzed."""

    owner: str
    cookies: Mapping[str, SimpleCookie]
    headers: Mapping[str, dict[str, str]]
    ids: Mapping[str, object]

    def ask(self, row: Row, method: str, actor: str, *, forged: bool = False) -> int:
        """The status of a request that leaves no trace: the database forgets it, and the client."""
        client = Client(
            enforce_csrf_checks=forged, headers={**row.headers, **self.headers.get(actor, {})}
        )
        client.cookies = SimpleCookie(self.cookies.get(actor, SimpleCookie()).output(header=""))
        body: Any = {}
        if method == "POST" and not row.takes_json:
            body = {"data": dict(row.form)}
        elif method not in ("GET", "HEAD"):
            body = {"data": {}, "content_type": "application/json"}
        with transaction.atomic():
            answer = getattr(client, method.lower())(filled(row, self.ids), **body)
            transaction.set_rollback(True)
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert "'none'" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        return int(answer.status_code)


@pytest.fixture
def world(owner: str, settings: Any, alice: User, bob: User) -> World:
    for what in ("UPLOAD", "LOGIN", "API"):
        setattr(settings, f"FRAMEVOTE_{what}_RATE", "off")
    browsers = {actor: Client() for actor in ACTORS if not actor.endswith("token")}
    users = {"alice": alice, "bob": bob}
    users["staff"] = User.objects.create_user("staff", is_staff=True)
    users["reviewer"] = User.objects.create_user("reviewer", is_staff=True)
    for codename in ("view_submission", "view_analysis"):
        users["reviewer"].user_permissions.add(Permission.objects.get(codename=codename))
    users["admin"] = User.objects.create_superuser("admin")
    for name, user in users.items():
        browsers[name].force_login(user)
    browsers["newcomer"].get("/")
    browsers["visitor"].post("/", {"video": a_video()})
    submission = Submission.objects.get()
    if owner == "alice":
        submission = receive(a_video(), owner=alice, visitor=None)
    upload = partial_uploads.create(
        name="clip.mp4",
        length=100,
        sampling="",
        metadata="",
        owner=submission.owner,
        visitor=submission.visitor,
    )
    tokens = {
        name: ApiToken.objects.issue(users[name], "one") for name in ("alice", "bob", "admin")
    }
    attempt = {"username": "alice", "ip_address": "192.0.2.1", "path_info": "/"}
    ids: dict[str, object] = {
        "submission": submission.pk,
        "analysis": finish(submission).pk,
        "upload": upload.pk,
        "apitoken": tokens["alice"][0].pk,
        "submission_type": ContentType.objects.get_for_model(Submission).pk,
        "group": Group.objects.create(name="reviewers").pk,
        "user": User.objects.create_user("somebody").pk,
        "accessattempt": AccessAttempt.objects.create(**attempt, failures_since_start=1).pk,
        "accesslog": AccessLog.objects.create(**attempt).pk,
        "accessfailurelog": AccessFailureLog.objects.create(**attempt).pk,
    }
    headers = {
        f"{name}'s token": {"Authorization": f"Token {secret}"}
        for name, (_, secret) in tokens.items()
    }
    cookies = {name: browser.cookies for name, browser in browsers.items()}
    return World(owner, cookies, headers, ids)


def test_every_address_of_the_site_is_in_the_table() -> None:
    known = [row.route for row in TABLE]
    assert len(set(known)) == len(known), "a row is there twice"
    assert sorted(set(_routes(get_resolver().url_patterns))) == sorted(known)


@_each(TABLE)
def test_everybody_gets_what_the_table_says(world: World, row: Row) -> None:
    differs = [
        f"{actor}: {method} gives {status}, not {wanted}"
        for method in METHODS
        for actor in (ACTORS if method in row.rules else A_FEW)
        if (wanted := expected(row.rule(method), actor, world.owner))
        != (status := world.ask(row, method, actor))
    ]
    assert not differs, "\n".join(["", *differs])


@_each((*PAGES, *ACCOUNTS, *API))
def test_where_an_account_is_demanded_nobody_else_gets_in(
    world: World, row: Row, settings: Any
) -> None:
    settings.FRAMEVOTE_ALLOW_ANONYMOUS = False
    differs = []
    for method in row.rules:
        for actor, roles in ACTORS.items():
            wanted = expected(row.rule(method), actor, world.owner)
            counts = ("account", "token") if row.route.startswith("api/") else ("account",)
            if row.closed and not set(counts) & set(roles):
                wanted = row.closed
            status = world.ask(row, method, actor)
            if status != wanted:
                differs.append(f"{actor}: {method} gives {status}, not {wanted}")
    assert not differs, "\n".join(["", *differs])


@_each(TABLE)
def test_no_browser_changes_anything_without_a_csrf_token(world: World, row: Row) -> None:
    differs = [
        f"{actor}: {method} gives {status}, not {row.forged}"
        for method in CHANGES
        for actor in world.cookies
        if (status := world.ask(row, method, actor, forged=True)) != row.forged
    ]
    assert not differs, "\n".join(["", *differs])


def _routes(patterns: list[Any], above: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = above + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route
