"""tus's creation extension: lengths, names, limits, and metadata that means harm."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tus import UPLOADS, encoded
from tests.webapp.evidence import MP4
from tests.webapp.tus_client import VIDEO, begin, begun, code_of, end, pieces_on_disk, send
from webapp.submissions import tus
from webapp.submissions.models import PartialUpload, Submission
from webapp.submissions.uploads import UploadRejected

pytestmark = pytest.mark.django_db


def test_an_upload_is_created_with_an_address_of_its_own(client: Client) -> None:
    answer = begin(client, 12345, "My holiday.MP4")
    upload = PartialUpload.objects.get()
    assert answer.status_code == 201
    assert answer.content == b""
    assert answer["Location"] == f"http://testserver{UPLOADS}{upload.pk}/"
    assert (upload.original_name, upload.length, upload.offset) == ("My holiday.MP4", 12345, 0)
    assert upload.submission is None


@pytest.mark.parametrize(
    "length", [None, "", "-1", "+1", "1.5", "1e3", "0x10", "12 ", "1" * 19, "many", "1,2"]
)
def test_a_length_that_is_no_number(client: Client, length: str | None) -> None:
    answer = begin(client, Upload_Length=length)
    assert code_of(answer) == (400, "invalid_header")
    assert "Upload-Length" in answer.json()["error"]["message"]
    assert not PartialUpload.objects.exists()


@pytest.mark.parametrize("header", ["Upload_Defer_Length", "Upload_Concat"])
def test_what_belongs_to_other_extensions_is_refused(client: Client, header: str) -> None:
    answer = begin(client, len(VIDEO), "clip.mp4", **{header: "1"})
    assert code_of(answer) == (400, "unsupported_extension")
    assert not PartialUpload.objects.exists()


def test_the_largest_size_is_the_forms(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    most = 1024 * 1024
    assert begin(client, most).status_code == 201
    assert code_of(begin(client, most + 1)) == (413, "too_large")
    assert code_of(begin(client, 10**17)) == (413, "too_large")
    assert PartialUpload.objects.count() == 1


def test_an_empty_file_is_refused_at_once(client: Client) -> None:
    assert code_of(begin(client, 0)) == (400, "empty_file")


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4.exe", "clip", ".mp4", ""])
def test_a_name_that_is_no_videos_is_refused_at_once(client: Client, name: str) -> None:
    assert code_of(begin(client, name=name)) == (400, "not_a_video")
    assert not PartialUpload.objects.exists()


def test_without_a_name_it_is_no_video(client: Client) -> None:
    assert code_of(begin(client, Upload_Metadata=None)) == (400, "not_a_video")


def test_an_unknown_sampling_is_refused_at_once(client: Client) -> None:
    wish = encoded(filename="a.mp4", sampling="psychic")
    assert code_of(begin(client, Upload_Metadata=wish)) == (400, "unknown_sampling")


@pytest.mark.parametrize(("wish", "level"), [("thorough", "thorough"), ("", "quick")])
def test_the_sampling_is_the_analysiss(
    client: Client, settings: Any, wish: str, level: str
) -> None:
    settings.FRAMEVOTE_SAMPLING = "quick"
    metadata = encoded(filename="a.mp4", sampling=wish)
    send(client, begun(client, Upload_Metadata=metadata), VIDEO)
    assert Submission.objects.get().analyses.get().sampling == level


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("../../etc/passwd.mp4", "passwd.mp4"),
        ("C:\\Users\\me\\clip.mp4", "clip.mp4"),
        ("two\nlines\x00\x1b[31m.mp4", "two lines [31m.mp4"),
        ("\r\nSet-Cookie: sessionid=x.mp4", "Set-Cookie: sessionid=x.mp4"),
        ("gp\u202e4pm.mp4", "gp4pm.mp4"),
        ("<script>.mp4", "<script>.mp4"),
        ("été 🎬.mp4", "été 🎬.mp4"),
        ("n" * 400 + ".webm", "n" * 250 + ".webm"),
    ],
)
def test_a_hostile_name_is_only_shown(client: Client, raw: str, shown: str) -> None:
    send(client, begun(client, name=raw), VIDEO)
    submission = Submission.objects.get()
    assert submission.original_name == shown
    suffix = shown[shown.rindex(".") :]
    assert submission.video.name == f"submissions/{submission.pk}/video{suffix}"


@pytest.mark.parametrize(
    "metadata",
    [
        "filename not*base64",
        "filename YQ",  # Without its padding.
        "filename YQ== YQ==",
        "filename  YQ==",
        "filename YQ==,",
        ",",
        f"{encoded(filename='a.mp4')},filename YQ==",
        "filename\tYQ==",
        "filename YQ==\x7f",
        "file\xffname YQ==",
        f"filename {base64.b64encode(bytes([0xFF, 0xFE])).decode()}",
        f"{encoded(filename='a.mp4')},note {'A' * 4096}",
    ],
)
def test_metadata_that_is_malformed_is_refused(client: Client, metadata: str) -> None:
    answer = begin(client, Upload_Metadata=metadata)
    assert code_of(answer) == (400, "invalid_header")
    assert "Upload-Metadata" in answer.json()["error"]["message"]
    assert not PartialUpload.objects.exists()


@given(st.text(max_size=200))
@settings(max_examples=300)
def test_metadata_is_understood_or_refused_whatever_it_is(raw: str) -> None:
    try:
        pairs = tus.metadata({"Upload-Metadata": raw})
    except UploadRejected as error:
        refusal = error.code
    else:
        refusal = "invalid_header"
        assert all(key and " " not in key and "," not in key for key in pairs)
        assert raw.isprintable()
    assert refusal == "invalid_header"


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.binary(), max_size=5))
def test_metadata_is_decoded_as_it_was_encoded(pairs: dict[str, bytes]) -> None:
    raw = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in pairs.items())
    if len(raw) <= tus.MAX_METADATA:
        assert tus.metadata({"Upload-Metadata": raw}) == pairs


def test_a_person_has_so_many_unfinished_uploads_and_no_more(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_OPEN_UPLOADS = 2
    first, second = begun(client), begun(client)
    assert code_of(begin(client)) == (429, "too_many_open_uploads")
    assert PartialUpload.objects.count() == 2
    other = Client()
    begun(other)
    send(client, first, VIDEO)  # A complete one does not count.
    begun(client)
    assert begin(client).status_code == 429
    end(client, second)
    begun(client)


def test_an_upload_in_pieces_counts_as_one_upload_of_the_rate(
    client: Client, settings: Any
) -> None:
    settings.FRAMEVOTE_UPLOAD_RATE = "1/hour"
    assert begin(client).status_code == 201
    refused = begin(client)
    assert code_of(refused) == (429, "too_many_uploads")
    assert int(refused["Retry-After"]) > 3000


def test_the_body_of_a_creation_is_not_taken_for_a_piece(client: Client) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "4000"}
    headers["Upload-Metadata"] = encoded(filename="a.mp4")
    answer = client.post(UPLOADS, MP4, content_type=tus.CONTENT_TYPE, headers=headers)
    assert answer.status_code == 201
    assert "Upload-Offset" not in answer
    assert PartialUpload.objects.get().offset == 0
    assert pieces_on_disk() == []
