"""tus's core protocol, header by header: OPTIONS, HEAD, PATCH and versions."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from tests.tus import PIECE, TUS, UPLOADS, encoded
from tests.webapp.tus_client import VIDEO, ask, begin, begun, code_of, end, send
from webapp.submissions.models import PartialUpload, Submission

pytestmark = pytest.mark.django_db


def test_options_say_what_the_server_can_do(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 3
    for address in (UPLOADS, f"{UPLOADS}{uuid.uuid4()}/"):
        # The version of the client is to be ignored here.
        answer = client.options(address, headers={"Tus-Resumable": "0.0.1"})
        assert answer.status_code == 204
        assert answer.content == b""
        assert answer["Tus-Version"] == "1.0.0"
        assert answer["Tus-Resumable"] == "1.0.0"
        assert answer["Tus-Extension"] == "creation,termination,expiration,checksum"
        assert answer["Tus-Max-Size"] == str(3 * 1024 * 1024)
        assert answer["Tus-Checksum-Algorithm"].split(",") == ["sha1", "sha256"]


@pytest.mark.parametrize("version", [None, "", "0.2.2", "1.0", "1.0.0 ", "2.0.0"])
def test_another_version_is_refused_and_nothing_is_done(
    client: Client, version: str | None
) -> None:
    address = begun(client)
    given = {} if version is None else {"Tus-Resumable": version}
    answers = {
        "POST": begin(client, Tus_Resumable=version),
        "PATCH": send(client, address, VIDEO, Tus_Resumable=version),
        "HEAD": client.head(address, headers=given),
        "DELETE": client.delete(address, headers=given),
    }
    for method, answer in answers.items():
        assert answer.status_code == 412, method
        assert answer["Tus-Version"] == "1.0.0", method
        assert answer["Tus-Resumable"] == "1.0.0", method
        if method != "HEAD":
            assert code_of(answer) == (412, "unsupported_version")
    assert PartialUpload.objects.get().offset == 0


def test_every_answer_names_the_version_and_is_never_stored(client: Client) -> None:
    address = begun(client)
    nowhere = f"{UPLOADS}{uuid.uuid4()}/"
    answers = [
        begin(client),
        begin(client, Upload_Length="x"),
        ask(client, address),
        ask(client, nowhere),
        send(client, address, b"x", offset=7),
        send(client, address, VIDEO),
        end(client, address),
        client.get(address),
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [201, 400, 200, 404, 409, 204, 204, 405]
    for answer in answers:
        assert answer["Tus-Resumable"] == "1.0.0"
        assert answer["Cache-Control"] == "no-store"


def test_head_says_how_much_is_here(client: Client) -> None:
    address = begun(client)
    for offset in (0, 1000):
        answer = ask(client, address)
        assert answer.status_code == 200
        assert answer.content == b""
        assert answer["Upload-Offset"] == str(offset)
        assert answer["Upload-Length"] == str(len(VIDEO))
        assert "Upload-Defer-Length" not in answer
        send(client, address, VIDEO[:1000])


def test_head_of_a_complete_upload_names_the_submission(client: Client) -> None:
    address = begun(client)
    last = send(client, address, VIDEO)
    answer = ask(client, address)
    submission = Submission.objects.get()
    assert answer["Upload-Offset"] == answer["Upload-Length"] == str(len(VIDEO))
    assert answer["FrameVote-Submission"] == str(submission.pk)
    assert last["FrameVote-Submission"] == str(submission.pk)
    assert "Upload-Expires" not in answer


@pytest.mark.parametrize("method", ["head", "patch", "delete"])
def test_an_upload_that_does_not_exist(client: Client, method: str) -> None:
    address = f"{UPLOADS}{uuid.uuid4()}/"
    headers = {**TUS, "Upload-Offset": "0"}
    answer = getattr(client, method)(address, headers=headers, content_type=PIECE)
    assert answer.status_code == 404
    assert "Upload-Offset" not in answer


def test_pieces_follow_each_other(client: Client) -> None:
    address = begun(client)
    for start, stop in ((0, 1), (1, 700), (700, 701), (701, len(VIDEO))):
        answer = send(client, address, VIDEO[start:stop], offset=start)
        assert answer.status_code == 204
        assert answer.content == b""
        assert answer["Upload-Offset"] == str(stop)
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


def test_an_empty_piece_changes_nothing(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    answer = send(client, address, b"", offset=10)
    assert (answer.status_code, answer["Upload-Offset"]) == (204, "10")


@pytest.mark.parametrize("offset", [0, 9, 11, len(VIDEO), 10**17])
def test_a_wrong_offset_is_a_conflict_and_changes_nothing(client: Client, offset: int) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    assert code_of(send(client, address, b"zzz", offset=offset)) == (409, "wrong_offset")
    assert ask(client, address)["Upload-Offset"] == "10"
    assert send(client, address, VIDEO[10:], offset=10).status_code == 204
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


@pytest.mark.parametrize("offset", [None, "", "-1", "+1", "1.0", " 1", "1_0", "0x1", "x", "٣"])
def test_an_offset_that_is_no_number(client: Client, offset: str | None) -> None:
    # Bytes above ASCII arrive as Latin-1.
    wanted = offset.encode().decode("latin-1") if offset else offset
    answer = send(client, begun(client), b"x", Upload_Offset=wanted)
    assert code_of(answer) == (400, "invalid_header")
    assert "Upload-Offset" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "kind", ["", "application/octet-stream", "video/mp4", "multipart/form-data; boundary=x"]
)
def test_another_content_type_is_refused(client: Client, kind: str) -> None:
    address = begun(client)
    answer = send(client, address, VIDEO, Content_Type=kind)
    assert code_of(answer) == (415, "unsupported_media_type")
    assert ask(client, address)["Upload-Offset"] == "0"


@pytest.mark.parametrize("kind", [PIECE.upper(), f"{PIECE}; charset=binary"])
def test_the_content_type_may_be_written_otherwise(client: Client, kind: str) -> None:
    assert send(client, begun(client), VIDEO, Content_Type=kind).status_code == 204


def test_a_piece_that_goes_past_the_end_is_refused(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    assert code_of(send(client, address, VIDEO, offset=10)) == (413, "too_large")
    assert ask(client, address)["Upload-Offset"] == "10"
    assert not Submission.objects.exists()


def test_a_complete_upload_takes_no_more(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO)
    length = len(VIDEO)
    assert code_of(send(client, address, b"x", offset=length)) == (413, "too_large")
    assert code_of(send(client, address, b"x", offset=0)) == (409, "wrong_offset")
    # The last answer may have been lost, and the client asks in its way whether all is well.
    again = send(client, address, b"", offset=length)
    assert (again.status_code, again["Upload-Offset"]) == (204, str(length))
    assert Submission.objects.count() == 1


@pytest.mark.parametrize("method", ["PATCH", "patch"])
def test_the_method_may_stand_in_a_header(client: Client, method: str) -> None:
    address = begun(client)
    headers = {**TUS, "X-HTTP-Method-Override": method, "Upload-Offset": "0"}
    sent = client.post(address, VIDEO[:10], content_type=PIECE, headers=headers)
    assert (sent.status_code, sent["Upload-Offset"]) == (204, "10")
    asked = client.get(address, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})
    assert asked["Upload-Offset"] == "10"
    gone = client.post(address, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert gone.status_code == 204
    assert not PartialUpload.objects.exists()


def test_the_method_that_is_meant_decides_about_csrf(client: Client) -> None:
    """A GET from another site must not become a DELETE."""
    browser = Client(enforce_csrf_checks=True)
    browser.get("/")
    token = browser.cookies["csrftoken"].value
    address = begun(browser, X_CSRFToken=token)
    answer = browser.get(address, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert code_of(answer) == (403, "csrf_failed")
    assert PartialUpload.objects.exists()


@pytest.mark.parametrize("method", ["", "TRACE", "FETCH"])
def test_an_unknown_method_in_the_header(client: Client, method: str) -> None:
    answer = client.post(begun(client), headers={**TUS, "X-HTTP-Method-Override": method})
    assert code_of(answer) == (405, "method_not_allowed")


def test_names_come_back_as_they_were_sent(client: Client) -> None:
    sent = encoded(filename="été.mp4", sampling="quick") + ",note, other"
    answer = ask(client, begun(client, Upload_Metadata=sent))
    assert answer["Upload-Metadata"] == sent
