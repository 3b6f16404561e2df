"""tus's extensions checksum, expiration and termination."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.webapp.tus_client import VIDEO, ask, begin, begun, code_of, end, pieces_on_disk, send
from webapp.submissions import partial_uploads
from webapp.submissions.models import Analysis, PartialUpload, Submission

pytestmark = pytest.mark.django_db


def amount(algorithm: str, piece: bytes) -> str:
    digest = hashlib.new(algorithm, piece).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_that_matches_its_checksum_is_kept(client: Client, algorithm: str) -> None:
    address = begun(client)
    for start, stop in ((0, 1000), (1000, len(VIDEO))):
        piece = VIDEO[start:stop]
        answer = send(
            client, address, piece, offset=start, Upload_Checksum=amount(algorithm, piece)
        )
        assert (answer.status_code, answer["Upload-Offset"]) == (204, str(stop))
    assert Submission.objects.get().sha256 == hashlib.sha256(VIDEO).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_of_a_piece_that_does_not_match_nothing_is_kept(client: Client, algorithm: str) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    wrong = amount(algorithm, b"something else")
    answer = send(client, address, VIDEO[10:], offset=10, Upload_Checksum=wrong)
    assert code_of(answer) == (460, "wrong_checksum")
    assert answer.reason_phrase == "Checksum Mismatch"
    assert ask(client, address)["Upload-Offset"] == "10"
    assert not Submission.objects.exists()
    assert send(client, address, VIDEO[10:], offset=10).status_code == 204
    with Submission.objects.get().video.open() as stored:
        assert stored.read() == VIDEO


def test_a_long_piece_is_not_kept_in_parts_before_its_checksum_is_seen(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_uploads, "READ_BYTES", 100)
    monkeypatch.setattr(partial_uploads, "COMMIT_BYTES", 200)
    address = begun(client)
    answer = send(client, address, VIDEO[:3000], Upload_Checksum=amount("sha1", b"else"))
    assert answer.status_code == 460
    assert ask(client, address)["Upload-Offset"] == "0"


@pytest.mark.parametrize("value", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "SHA1 x", "crc32 AAAAAA==", ""])
def test_a_checksum_of_another_kind_is_refused(client: Client, value: str) -> None:
    address = begun(client)
    answer = send(client, address, VIDEO, Upload_Checksum=value)
    assert code_of(answer) == (400, "unsupported_checksum")
    assert ask(client, address)["Upload-Offset"] == "0"


@pytest.mark.parametrize("value", ["sha1", "sha1 ", "sha1 not*base64", "sha1 YQ==", "sha256 YQ=="])
def test_a_checksum_that_is_malformed_is_refused(client: Client, value: str) -> None:
    address = begun(client)
    answer = send(client, address, VIDEO, Upload_Checksum=value)
    assert code_of(answer) == (400, "invalid_header")
    assert ask(client, address)["Upload-Offset"] == "0"


def test_every_answer_says_when_the_upload_expires(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_UPLOAD_HOURS = 5
    began = timezone.now() - timedelta(seconds=1)  # The header has whole seconds.
    created = begin(client)
    address = created["Location"]
    for answer in (created, send(client, address, VIDEO[:10]), ask(client, address)):
        assert answer["Upload-Expires"].endswith(" GMT")
        expires = parsedate_to_datetime(answer["Upload-Expires"])
        assert began <= expires - timedelta(hours=5) <= timezone.now()


def test_every_piece_gives_the_upload_more_time(client: Client) -> None:
    address = begun(client)
    soon = timezone.now() + timedelta(minutes=1)
    PartialUpload.objects.update(expires_at=soon)
    send(client, address, VIDEO[:10])
    assert PartialUpload.objects.get().expires_at > soon + timedelta(hours=1)


def test_an_upload_that_waited_for_too_long_is_gone(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    PartialUpload.objects.update(expires_at=timezone.now())
    assert ask(client, address).status_code == 410
    assert "Upload-Offset" not in ask(client, address)
    assert code_of(send(client, address, VIDEO[10:], offset=10)) == (410, "upload_gone")
    assert code_of(end(client, address)) == (410, "upload_gone")
    partial_uploads.remove_expired()
    assert ask(client, address).status_code == 404
    assert pieces_on_disk() == []


def test_an_upload_whose_bytes_were_lost_is_gone(client: Client) -> None:
    """After a restored backup of the rows alone, for instance."""
    address = begun(client)
    send(client, address, VIDEO[:10])
    (file,) = pieces_on_disk()
    file.write_bytes(VIDEO[:9])
    assert code_of(send(client, address, VIDEO[10:], offset=10)) == (410, "upload_gone")
    assert ask(client, address).status_code == 404
    assert pieces_on_disk() == []


def test_an_unfinished_upload_can_be_terminated(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO[:10])
    assert len(pieces_on_disk()) == 1
    answer = end(client, address)
    assert (answer.status_code, answer.content) == (204, b"")
    assert pieces_on_disk() == []
    assert not PartialUpload.objects.exists()
    assert ask(client, address).status_code == 404
    assert end(client, address).status_code == 404
    assert send(client, address, VIDEO[10:], offset=10).status_code == 404


def test_terminating_a_complete_upload_leaves_the_submission(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO)
    assert end(client, address).status_code == 204
    assert ask(client, address).status_code == 404
    assert Submission.objects.get().video.size == len(VIDEO)
    assert Analysis.objects.count() == 1


def test_an_upload_goes_with_its_submission(client: Client) -> None:
    address = begun(client)
    send(client, address, VIDEO)
    client.delete(f"/api/v1/submissions/{Submission.objects.get().pk}/")
    assert not PartialUpload.objects.exists()
    assert ask(client, address).status_code == 404
