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


def test_if_range_with_this_files_tag_or_date_gets_the_part(
    client: Client, video: Submission
) -> None:
    whole = client.get(_address(video))
    for condition in (whole["ETag"], whole["Last-Modified"]):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        answer = client.get(_address(video), headers=headers)
        assert answer.status_code == 206
        assert answer.getvalue() == MP4[:10]


@pytest.mark.parametrize(
    "condition",
    [
        '"another"',
        'W/"{sha}"',
        "{sha}",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "yesterday",
        "",
    ],
)
@pytest.mark.parametrize("asked", ["bytes=0-9", f"bytes={SIZE}-"])
def test_if_range_with_anything_else_gets_the_whole_file(
    client: Client, video: Submission, condition: str, asked: str
) -> None:
    headers = {"Range": asked, "If-Range": condition.format(sha=video.sha256)}
    answer = client.get(_address(video), headers=headers)
    assert answer.status_code == 200
    assert answer.getvalue() == MP4


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-None-Match": 'W/"{sha}", "x"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": "{date}"}, 200),
        ({"If-Modified-Since": "{date}"}, 304),
        ({"If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200),
        ({"If-Match": '"{sha}"'}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Unmodified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 412),
        ({"If-None-Match": '"{sha}"', "Range": "bytes=0-9"}, 304),
    ],
)
def test_conditions_are_kept(
    client: Client, video: Submission, condition: dict[str, str], status: int
) -> None:
    date = client.get(_address(video))["Last-Modified"]
    headers = {name: text.format(sha=video.sha256, date=date) for name, text in condition.items()}
    answer = client.get(_address(video), headers=headers)
    assert answer.status_code == status
    assert (answer.getvalue() == MP4) == (status == 200)
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "private, no-cache"


def test_head_tells_the_length_and_sends_nothing(client: Client, video: Submission) -> None:
    answer = client.head(_address(video), headers={"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(SIZE)
    assert answer["Accept-Ranges"] == "bytes"
    assert answer.content == b""


def test_other_methods_are_refused(client: Client, video: Submission) -> None:
    assert client.post(_address(video)).status_code == 405


@pytest.mark.parametrize("kind", ["video", "face"])
def test_nothing_in_the_file_can_run_or_be_shown_elsewhere(
    client: Client, video: Submission, kind: str
) -> None:
    address = _address(video) if kind == "video" else f"/analyses/{finish(video).pk}/faces/1.jpg"
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=99999999-"}):
        answer = client.get(address, headers=headers)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("name", ["clip.avi", "clip.flv", "clip.ts", "clip.wmv", "clip.MPG"])
def test_what_no_browser_plays_is_only_saved(client: Client, alice: User, name: str) -> None:
    client.force_login(alice)
    answer = client.get(_address(receive(a_video(name), owner=alice, visitor=None)))
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'


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
