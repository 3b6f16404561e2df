"""Names, paths, hosts and numbers made to confuse: refused, or taken for what they are."""

from __future__ import annotations

import uuid
from email.message import Message
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from tests.webapp.evidence import MP4, a_video, finish
from webapp.submissions.byte_ranges import content_disposition
from webapp.submissions.models import Analysis, Submission
from webapp.submissions.uploads import clean_name, receive

pytestmark = pytest.mark.django_db

NAMES = (
    'a"; filename="evil.exe.mp4',
    "a\\\".mp4; filename*=utf-8''evil.exe.mp4",
    "a\r\nSet-Cookie: sessionid=planted\r\n.mp4",
    "a\nX-Accel-Redirect: /etc/passwd.mp4",
    "a%0d%0aSet-Cookie:%20x=y.mp4",
    "a\u2028\u2029\x85.mp4",
    "../../../etc/cron.d/évil.mp4",
    "..\\..\\évil.mp4",
    "gp\u202e4pm.mp4",
    "=?utf-8?q?evil?=.mp4",
    "e\u0301\U0001f3ac\u200d.mp4",
    "'" * 90 + ".mp4",
    "é" * 400 + ".mp4",
    "&#47;etc&#47;passwd.mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "{{ settings.SECRET_KEY }}.mp4",
    "a\tb\x7f\x00.mp4",
    "-rf.mp4",
    "con.mp4",
)


def upload(client: Client, name: str) -> Submission:
    """Send a name as no well-behaved client would; line ends only fit in percent-coded."""
    given = b'filename="%b"' % name.encode().replace(b'"', b'\\"')
    if not name.isprintable():
        given = f"filename*=utf-8''{quote(name)}".encode()
    head = b'--x\r\nContent-Disposition: form-data; name="video"; %b\r\n\r\n' % given
    client.post("/", head + MP4 + b"\r\n--x--\r\n", content_type="multipart/form-data; boundary=x")
    return Submission.objects.get()


def saved_as(header: str) -> str | None:
    """What a client makes of a Content-Disposition (the standard library reads RFC 2231)."""
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename()


# File names -------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, quote("évil/../x.mp4")])
def test_a_name_stays_a_name(client: Client, name: str) -> None:
    submission = upload(client, name)
    assert submission.video.name == f"submissions/{submission.pk}/video.mp4"
    assert len(submission.original_name) <= 255
    answer = client.get(f"/submissions/{submission.pk}/video/?download")
    header = answer["Content-Disposition"]
    assert header.isprintable()
    assert header.isascii()
    assert header.startswith("attachment; filename")
    assert saved_as(header) == submission.original_name
    assert "/" not in submission.original_name
    assert "\\" not in submission.original_name
    assert "Set-Cookie" not in answer
    assert "X-Accel-Redirect" not in answer


@given(st.text(max_size=400))
@example("\ud800.mp4")
@example('"\\".mp4')
@example("gp%E2%80%AE4pm.mp4")
def test_whatever_the_name_the_header_gives_it_back(raw: str) -> None:
    name = clean_name(raw + ".mp4")
    assert not set(name) & set("\r\n\0/\\")
    header = content_disposition(as_attachment=True, filename=name)
    assert header is not None
    assert header.isascii()
    assert header.isprintable()
    assert saved_as(header) == name
    if "%" in name:
        assert 'filename="' not in header, "some browsers would decode it"


def test_a_name_is_text_on_every_page(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    submission = receive(
        a_video("<img src=x onerror=alert(1)>.mp4"), owner=admin_user, visitor=None
    )
    analysis = finish(submission)
    for address in (
        "/submissions/",
        f"/submissions/{submission.pk}/",
        f"/submissions/{submission.pk}/delete/",
        "/admin/submissions/submission/",
        f"/admin/submissions/submission/{submission.pk}/change/",
        f"/admin/submissions/submission/{submission.pk}/delete/",
        "/admin/submissions/analysis/",
        f"/admin/submissions/analysis/{analysis.pk}/change/",
    ):
        page = client.get(address).content.decode()
        assert "&lt;img src=x" in page, address
        assert "<img src=x" not in page, address
    page = client.post(f"/submissions/{submission.pk}/delete/", follow=True).content.decode()
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page


# Hosts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "testserver.evil.example",
        "testserver@evil.example",
        "testserver:80#evil",
        "",
    ],
)
@pytest.mark.parametrize("address", ["/", "/accounts/login/", "/api/v1/submissions/", "/admin/"])
def test_another_hosts_name_is_refused_and_not_repeated(
    client: Client, host: str, address: str
) -> None:
    answer = client.get(address, headers={"Host": host})
    assert answer.status_code == 400
    assert b"evil" not in answer.content
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_what_a_proxy_did_not_say_is_not_believed(client: Client, alice: User) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Rewrite-URL": "/x",
    }
    client.force_login(alice)
    receive(a_video(), owner=alice, visitor=None)
    answer = client.get("/api/v1/submissions/", headers=headers)
    assert b"evil" not in answer.content
    assert answer.json()["results"][0]["url"].startswith("http://testserver/")
    assert not answer.wsgi_request.is_secure()


# Paths and numbers ------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/media/",
        "/static/../var/secret_key",
        "/static/%2e%2e/var/secret_key",
        "/static/..%2fvar%2fsecret_key",
        "/static/..%5c..%5cvar%5csecret_key",
        "/static//etc/passwd",
        "/static/%00",
        "/var/secret_key",
        "/.env",
        "/.git/config",
        "/%00",
        "/submissions/%00/",
        "/submissions/../admin/",
        "/api/v1/submissions/..%2f..%2fadmin/",
        "/submissions/{pk}%0a/",
        "/submissions/{pk}%20/",
        "/analyses/{analysis}/faces/0.jpg",
        "/analyses/{analysis}/faces/-1.jpg",
        "/analyses/{analysis}/faces/1.jpg/",
        "/analyses/{analysis}/faces/1.jpg%00.png",
        "/analyses/{analysis}/faces/..%2f1.jpg",
        "/analyses/{analysis}/faces/\u0661.jpg",
        "/analyses/{analysis}/faces/" + "9" * 30 + ".jpg",
        "/analyses/{analysis}/faces/" + "9" * 5000 + ".jpg",
        "/submissions/{pk}/?analysis=%ff",
        "/submissions/{pk}/?analysis=" + "9" * 30,
    ],
)
def test_a_strange_path_leads_nowhere(
    client: Client, alice: User, theirs: Analysis, path: str
) -> None:
    client.force_login(alice)
    answer = client.get(path.format(pk=theirs.submission_id, analysis=theirs.pk))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/", "/\\evil.example", "/%5cevil.example", "//admin"]
)
def test_no_path_leads_to_another_site(client: Client, path: str) -> None:
    # As a server hands it over; the test client would take the first part for a host.
    answer = client.get("/", PATH_INFO=path)
    assert answer.status_code == 404 or answer["Location"].startswith(("/%2F", "/%5C"))


@pytest.mark.parametrize(
    "query",
    [
        "page=" + "9" * 30,
        "page=" + "9" * 5000,
        "page=-1",
        "page=\u0663",
        "page=1e9",
        "page=%00",
        "q=%00",
        "q=%ff%fe",
        "q=%25%5f'\"--",
        "show=%00",
        "active=%00",
        "e=1",
    ],
)
@pytest.mark.parametrize("address", ["/submissions/", "/api/v1/submissions/", "/models/"])
def test_a_strange_question_is_no_error_of_ours(
    client: Client, alice: User, theirs: Analysis, address: str, query: str
) -> None:
    client.force_login(alice)
    answer = client.get(f"{address}?{query}")
    assert answer.status_code in (200, 400, 404)
    if address.startswith("/api/") and answer.status_code != 200:
        assert answer.json()["error"]["code"] in ("invalid", "not_found")


@pytest.mark.parametrize("rows", ["submission", "analysis"])
@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}=%00" for name in ("q", "owner", "checkpoint", "state", "verdict", "review")),
        *(f"{name}=%00" for name in ("error_code", "sampling", "p", "o", "all", "created_at__gte")),
        "owner__password__startswith=m",
        "submission__owner__password__startswith=m",
        "p=" + "9" * 30,
        "o=9.-9.x",
        "created_at__gte=never",
    ],
)
def test_a_strange_filter_is_no_error_of_ours_and_tells_nothing(
    admin_client: Client, theirs: Analysis, rows: str, query: str
) -> None:
    answer = admin_client.get(f"/admin/submissions/{rows}/?{query}")
    # SQLite would take a null byte; Postgres does not.
    assert answer.status_code in ((400,) if "%00" in query else (200, 302, 400))
    if "password" in query:
        assert answer.status_code == 400 or answer["Location"].endswith("?e=1")


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "0"])
def test_a_token_number_no_database_has_is_not_found(
    client: Client, alice: User, number: str
) -> None:
    client.force_login(alice)
    assert client.post(f"/accounts/tokens/{number}/revoke/").status_code == 404


def test_a_submission_is_not_found_by_a_guess(client: Client, theirs: Analysis) -> None:
    """Version 4: 122 random bits; no number, time or place of another one's is in it."""
    assert theirs.pk.version == theirs.submission.pk.version == 4
    stranger, nothing = Client(), uuid.uuid4()
    for address in ("/submissions/{}/", "/submissions/{}/video/", "/api/v1/submissions/{}/"):
        there, not_there = (
            stranger.get(address.format(pk)) for pk in (theirs.submission_id, nothing)
        )
        assert (there.status_code, there.content) == (404, not_there.content)


@pytest.fixture
def theirs(alice: User) -> Any:
    return finish(receive(a_video(), owner=alice, visitor=None))
