"""What becomes a submission, and what is refused without leaving anything behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.evidence import MP4, a_video, stored_files
from webapp.submissions import queue, uploads
from webapp.submissions.models import Analysis, State, Submission
from webapp.submissions.uploads import UploadRejected, clean_name, receive

pytestmark = pytest.mark.django_db

STARTS = {
    "mp4": b"\x00\x00\x00\x20ftypisom",
    "mov": b"\x00\x00\x00\x14moov....",
    "old_mov": b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat",
    "free": b"\x00\x00\x00\x08free....",
    "skip": b"\x00\x00\x00\x08skip....",
    "matroska": b"\x1a\x45\xdf\xa3\x01\x00",
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST",
    "program_stream": b"\x00\x00\x01\xba\x44",
    "elementary_stream": b"\x00\x00\x01\xb3\x44",
    "transport_stream": (b"\x47" + bytes(187)) * 3,
    "m2ts": (bytes(4) + b"\x47" + bytes(187)) * 3,
    "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
    "ogg": b"OggS\x00\x02",
    "flv": b"FLV\x01\x05",
}
NO_VIDEOS = {
    "text": b"Dear diary, today I made a video.\n" * 20,
    "hls_playlist": b"#EXTM3U\n#EXTINF:10,\nhttp://example.org/secret.ts\n",
    "concat_playlist": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "zip": b"PK\x03\x04" + bytes(400),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(400),
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "html": b"<html><script>alert(1)</script>",
    "one_sync_byte": b"\x47" + bytes(400),
    "elf": b"\x7fELF" + bytes(400),
}


@pytest.fixture
def take(alice: User) -> Callable[..., Submission]:
    def take(uploaded: SimpleUploadedFile, **fields: Any) -> Submission:
        return receive(uploaded, **{"owner": alice, "visitor": None, **fields})

    return take


Take = Callable[..., Submission]


def test_a_video_is_stored_hashed_and_enqueued(take: Take, alice: User) -> None:
    submission = take(a_video("My holiday.MP4"), sampling="quick")

    submission.refresh_from_db()
    assert submission.owner == alice
    assert submission.original_name == "My holiday.MP4"
    assert submission.size_bytes == len(MP4)
    assert submission.sha256 == hashlib.sha256(MP4).hexdigest()
    assert submission.video.name == f"submissions/{submission.pk}/video.mp4"
    with submission.video.open() as stored:
        assert stored.read() == MP4
    analysis = submission.analyses.get()
    assert (analysis.state, analysis.sampling) == (State.QUEUED, "quick")


def test_sampling_defaults_to_the_sites(take: Take, settings: Any) -> None:
    settings.FRAMEVOTE_SAMPLING = "thorough"
    assert take(a_video()).analyses.get().sampling == "thorough"


def test_a_large_upload_in_a_temporary_file_is_copied_whole(take: Take) -> None:
    content = MP4 + b"x" * 3_000_000
    submission = take(a_video(content=content))
    assert submission.sha256 == hashlib.sha256(content).hexdigest()
    assert submission.video.size == len(content)


@pytest.mark.parametrize("kind", STARTS)
def test_every_known_container_is_taken(take: Take, kind: str) -> None:
    assert take(a_video(content=STARTS[kind] + bytes(100))).pk


@pytest.mark.parametrize("extension", uploads.ALLOWED_EXTENSIONS)
def test_every_named_extension_is_taken(take: Take, extension: str) -> None:
    assert str(take(a_video(f"clip{extension}")).video.name).endswith(f"video{extension}")


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_what_only_is_called_a_video_is_refused(take: Take, kind: str) -> None:
    assert _refusal(take, a_video(content=NO_VIDEOS[kind])) == "not_a_video"


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4.exe", "clip", ".mp4", "mp4", "clip.txt"])
def test_a_name_of_another_kind_is_refused(take: Take, name: str) -> None:
    assert _refusal(take, a_video(name)) == "not_a_video"


def test_an_empty_file_is_refused(take: Take) -> None:
    assert _refusal(take, a_video(content=b"")) == "empty_file"


def test_a_file_above_the_limit_is_refused(take: Take, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    assert _refusal(take, a_video(content=MP4 + bytes(1024 * 1024))) == "too_large"


def test_a_file_that_lies_about_its_size_is_refused(take: Take, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_UPLOAD_MB = 1
    liar = a_video(content=MP4 + bytes(1024 * 1024))
    liar.size = 10
    assert _refusal(take, liar) == "too_large"


def test_a_sampling_level_that_does_not_exist_is_refused(take: Take) -> None:
    assert _refusal(take, a_video(), sampling="psychic") == "unknown_sampling"


def test_a_failure_while_enqueueing_leaves_no_file_and_no_row(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored_files()

    def broken(*args: Any, **kwargs: Any) -> Analysis:
        raise RuntimeError("the database went away")

    monkeypatch.setattr(queue, "enqueue", broken)
    with pytest.raises(RuntimeError):
        take(a_video())
    assert stored_files() == before
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("../../etc/passwd.mp4", "passwd.mp4"),
        ("C:\\Users\\me\\clip.mp4", "clip.mp4"),
        ("two\nlines\x00\x1b[31m.mp4", "two lines [31m.mp4"),
        ("gp\u202e4pm.mp4", "gp4pm.mp4"),
        ("<script>.mp4", "<script>.mp4"),
        ("  spaces   between .mp4  ", "spaces between .mp4"),
        ("été 🎬.mp4", "été 🎬.mp4"),
        ("", "unnamed"),
    ],
)
def test_a_name_is_fit_to_be_shown(raw: str, shown: str) -> None:
    assert clean_name(raw) == shown


def test_a_long_name_keeps_its_extension() -> None:
    shown = clean_name("n" * 400 + ".webm")
    assert len(shown) == 255
    assert shown.endswith("n.webm")


def test_the_uploaders_name_is_never_a_path(take: Take) -> None:
    submission = take(a_video("..\\..\\evil/../x.mp4"))
    assert submission.video.name == f"submissions/{submission.pk}/video.mp4"


def _refusal(take: Take, uploaded: SimpleUploadedFile, **fields: Any) -> str:
    """The code of the refusal, after checking that nothing was left."""
    before = stored_files()
    with pytest.raises(UploadRejected) as refusal:
        take(uploaded, **fields)
    assert stored_files() == before
    assert not Submission.objects.exists()
    assert refusal.value.sentence.endswith(".")
    return refusal.value.code
