"""Errors have one shape everywhere, whatever raised them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.analyses import VIDEO
from webapp.accounts.models import ApiToken
from webapp.submissions import api

pytestmark = pytest.mark.django_db

SUBMISSIONS = "/api/v1/submissions/"


@pytest.fixture
def program(alice: User) -> Client:
    _, secret = ApiToken.objects.issue(alice, "tests")
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Token {secret}"})


def error_of(answer: Any) -> tuple[int, str]:
    """Status and code of an answer that must be an error in the one shape."""
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"].strip()
    return answer.status_code, body["error"]["code"]


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "page_size=101", "page_size=-1", "state=DONE", "state=", "verdict=maybe"],
)
def test_a_query_that_is_not_understood(program: Client, query: str) -> None:
    answer = program.get(f"{SUBMISSIONS}?{query}")
    assert error_of(answer) == (400, "invalid")
    assert query.split("=")[0] in answer.json()["error"]["message"]


def test_a_page_past_the_end(program: Client) -> None:
    assert error_of(program.get(f"{SUBMISSIONS}?page=2")) == (404, "not_found")


@pytest.mark.parametrize(
    "address",
    ["/api/", "/api/v1/", "/api/v2/submissions/", f"{SUBMISSIONS}not-an-id/", "/api/v1/analyses/1"],
)
def test_an_address_that_is_none(program: Client, address: str) -> None:
    assert error_of(program.get(address)) == (404, "not_found")
    assert error_of(program.post(address)) == (404, "not_found")


def test_a_forgotten_slash_is_named(program: Client) -> None:
    answer = program.post("/api/v1/submissions")
    assert error_of(answer) == (404, "not_found")
    assert "slash" in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_a_method_that_is_not_offered(program: Client, method: str) -> None:
    answer = getattr(program, method)(SUBMISSIONS)
    assert error_of(answer) == (405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


def test_an_upload_that_is_no_form(program: Client) -> None:
    answer = program.post(SUBMISSIONS, VIDEO, content_type="video/mp4")
    assert error_of(answer) == (415, "unsupported_media_type")
    json = program.post(SUBMISSIONS, {"video": "x"}, content_type="application/json")
    assert error_of(json) == (415, "unsupported_media_type")


def test_a_form_that_is_broken(program: Client) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.get("/")  # From here on its forms are read for their CSRF token first.
    for client in (program, browser):
        answer = client.generic("POST", SUBMISSIONS, b"x", content_type="multipart/form-data")
        assert error_of(answer) == (400, "malformed")


def test_a_body_that_is_no_json(program: Client) -> None:
    from webapp.submissions.models import Submission

    submission = Submission.objects.create(
        owner=User.objects.get(), original_name="a.mp4", size_bytes=1, sha256="0" * 64
    )
    for body in (b"{", b"[]", b'"quick"', b'{"sampling": "often"}', b'{"sampling": null}'):
        answer = program.generic(
            "POST", f"{SUBMISSIONS}{submission.pk}/rerun/", body, content_type="application/json"
        )
        assert answer.status_code == 400, body
        error_of(answer)


def test_too_many_fields(program: Client) -> None:
    answer = program.post(SUBMISSIONS, {f"field{n}": "x" for n in range(1500)})
    assert error_of(answer) == (400, "malformed")


def test_an_unusual_accept_header_is_no_reason_to_refuse(program: Client) -> None:
    answer = program.get(SUBMISSIONS, headers={"Accept": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"


def test_a_bug_is_an_error_in_the_same_shape_and_reported(
    program: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: object) -> None:
        raise RuntimeError("a bug in here")

    monkeypatch.setattr(api, "_mine", broken)
    program.raise_request_exception = False
    answer = program.get(f"{SUBMISSIONS}{uuid.uuid4()}/")
    assert error_of(answer) == (500, "internal")
    assert "a bug in here" not in answer.content.decode()
    assert any(record.exc_info for record in caplog.records if record.name == "django.request")
    program.raise_request_exception = True
    with pytest.raises(RuntimeError, match="a bug in here"):
        program.get(f"{SUBMISSIONS}{uuid.uuid4()}/")
