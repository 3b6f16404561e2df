"""Byte ranges of videos and thumbnails, as RFC 9110 section 14 asks for them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.evidence import JPEG, MP4, a_video, finish
from webapp.submissions.models import Submission
from webapp.submissions.uploads import receive

SIZE = len(MP4)


@pytest.fixture
def video(client: Client, alice: User) -> Submission:
    client.force_login(alice)
    return receive(a_video("Ferien – “1”.mp4"), owner=alice, visitor=None)


def test_the_whole_file_comes_with_the_offer_of_ranges(client: Client, video: Submission) -> None:
    answer = client.get(_address(video))
    assert answer.status_code == 200
    assert answer.getvalue() == MP4
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Length"] == str(SIZE)
    assert answer["Content-Type"] == "video/mp4"
    assert answer["ETag"] == f'"{video.sha256}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "private" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith("inline;")
    assert "filename*=utf-8''Ferien%20%E2%80%93%20" in answer["Content-Disposition"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        (f"bytes=-{SIZE * 3}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=10-{SIZE * 9}", 10, SIZE - 1),
        ("Bytes=5-6", 5, 6),
    ],
)
def test_a_range_is_answered_with_that_part(
    client: Client, video: Submission, asked: str, first: int, last: int
) -> None:
    answer = client.get(_address(video), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer["Content-Length"] == str(last - first + 1)
    assert answer.getvalue() == MP4[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_a_range_outside_of_the_file_is_416(client: Client, video: Submission, asked: str) -> None:
    answer = client.get(_address(video), headers={"Range": asked})
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{SIZE}"
    assert answer.content == b""


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=9-3",
        "bytes=-",
        "bytes=a-b",
        "lines=0-1",
        "bytes 0-1",
        "bytes=1--2",
        pytest.param(f"bytes={'9' * 5000}-", id="endless first"),
        pytest.param(f"bytes=-{'9' * 5000}", id="endless suffix"),
    ],
)
def test_what_is_not_one_range_gets_the_whole_file(
    client: Client, video: Submission, asked: str
) -> None:
    answer = client.get(_address(video), headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.getvalue() == MP4


def test_if_range_with_this_files_tag_gets_the_part(client: Client, video: Submission) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": f'"{video.sha256}"'}
    assert client.get(_address(video), headers=headers).status_code == 206


@pytest.mark.parametrize("tag", ['"another"', "Wed, 21 Oct 2015 07:28:00 GMT", 'W/"{sha}"'])
def test_if_range_with_anything_else_gets_the_whole_file(
    client: Client, video: Submission, tag: str
) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": tag.format(sha=video.sha256)}
    answer = client.get(_address(video), headers=headers)
    assert answer.status_code == 200
    assert answer.getvalue() == MP4


def test_a_known_file_is_not_sent_again(client: Client, video: Submission) -> None:
    answer = client.get(_address(video), headers={"If-None-Match": f'W/"{video.sha256}", "x"'})
    assert answer.status_code == 304
    assert answer.content == b""


def test_head_tells_the_length_and_sends_nothing(client: Client, video: Submission) -> None:
    answer = client.head(_address(video), headers={"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(SIZE)
    assert answer["Accept-Ranges"] == "bytes"
    assert answer.content == b""


def test_other_methods_are_refused(client: Client, video: Submission) -> None:
    assert client.post(_address(video)).status_code == 405


def test_a_download_is_saved_under_its_own_name(client: Client, video: Submission) -> None:
    answer = client.get(_address(video) + "?download")
    assert answer["Content-Disposition"].startswith("attachment;")


def test_a_name_cannot_break_out_of_the_header(client: Client, alice: User) -> None:
    client.force_login(alice)
    submission = receive(a_video('a"b;c.mp4'), owner=alice, visitor=None)
    assert client.get(_address(submission))["Content-Disposition"] == (
        'inline; filename="a\\"b;c.mp4"'
    )


def test_the_type_follows_the_extension(client: Client, alice: User) -> None:
    client.force_login(alice)
    submission = receive(a_video("clip.WebM"), owner=alice, visitor=None)
    assert client.get(_address(submission))["Content-Type"] == "video/webm"


def test_a_large_file_is_streamed_in_parts(client: Client, alice: User) -> None:
    client.force_login(alice)
    content = MP4 + bytes(range(256)) * 4096
    submission = receive(a_video(content=content), owner=alice, visitor=None)
    answer: Any = client.get(_address(submission), headers={"Range": "bytes=1000-"})
    assert answer.streaming
    parts = list(answer.streaming_content)
    assert len(parts) > 1
    assert b"".join(parts) == content[1000:]


def test_a_file_that_is_gone_is_404(client: Client, video: Submission) -> None:
    video.video.storage.delete(str(video.video.name))
    assert client.get(_address(video)).status_code == 404


def test_a_thumbnail_may_be_kept_for_long_but_only_by_this_browser(
    client: Client, video: Submission
) -> None:
    analysis = finish(video)
    answer = client.get(f"/analyses/{analysis.pk}/faces/2.jpg")
    assert answer.getvalue() == JPEG
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_face_that_does_not_exist_is_404(client: Client, video: Submission) -> None:
    analysis = finish(video)
    assert client.get(f"/analyses/{analysis.pk}/faces/99.jpg").status_code == 404


def _address(submission: Submission) -> str:
    return f"/submissions/{submission.pk}/video/"
