"""tuspy, a client that others wrote, against the real web server on a bad line."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader import Uploader

from tests.cutting_proxy import CuttingProxy, Piece
from tests.processes import Site
from tests.servers import wait_until
from tests.webapp.evidence import MP4
from webapp.accounts.models import ApiToken
from webapp.submissions.models import Analysis, PartialUpload, Submission

pytestmark = pytest.mark.process

KB = 1024
MakeUploader = Callable[..., Uploader]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(MP4 + random.Random(7).randbytes(1024 * KB))
    return path


@pytest.fixture
def uploader(alice: User, file: Path) -> MakeUploader:
    """``uploader(url, chunk_size=…)``: one of Alice's, with tuspy's own retries."""
    _, secret = ApiToken.objects.issue(alice, "tuspy")

    def make(url: str, /, **options: object) -> Uploader:
        client = TusClient(f"{url}/api/v1/uploads/", {"Authorization": f"Token {secret}"})
        metadata = {"filename": file.name, "sampling": "quick"}
        settings = {"retries": 400, "retry_delay": 0.05, **options}
        return client.uploader(str(file), metadata=metadata, **settings)

    return make


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def arrived(file: Path) -> bool:
    """Whether there is exactly one submission, with the file's bytes and one analysis."""
    submission = Submission.objects.get()
    return (
        submission.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        and Path(submission.video.path).read_bytes() == file.read_bytes()
        and Analysis.objects.get().sampling == "quick"
        and submission.original_name == file.name
    )


@pytest.mark.parametrize("checksum", [False, True])
def test_a_good_line(site: Site, uploader: MakeUploader, file: Path, checksum: bool) -> None:
    sent = uploader(site.start_web(), chunk_size=200 * KB, upload_checksum=checksum)
    sent.upload()
    assert arrived(file)
    last: Any = sent.request
    headers = last.response_headers
    assert headers["framevote-submission"] == str(Submission.objects.get().pk)


def test_every_piece_breaks_off_in_the_middle(
    site: Site, uploader: MakeUploader, file: Path
) -> None:
    """All progress is what the server kept of broken pieces; only crumbs pass whole."""
    url = site.start_web(processes=2)
    with CuttingProxy(port_of(url), cuts=lambda piece: piece.size > 2 * KB) as line:
        uploader(line.url, chunk_size=100 * KB).upload()
    assert arrived(file)
    assert len({piece.offset for piece in line.broken}) >= 20
    assert max(piece.size for piece in line.whole) <= 2 * KB


def test_one_long_piece_breaks_off_again_and_again(
    site: Site, uploader: MakeUploader, file: Path
) -> None:
    url = site.start_web()
    with CuttingProxy(port_of(url), cuts=lambda piece: piece.size > 2 * KB) as line:
        uploader(line.url).upload()
    assert arrived(file)
    assert line.broken[0] == Piece(0, file.stat().st_size)


def test_pieces_with_checksums_break_off_and_are_sent_again(
    site: Site, uploader: MakeUploader, file: Path
) -> None:
    """Half a piece cannot be checked, so every one comes twice, the first time in vain."""
    url = site.start_web(processes=2)
    tried = set[int]()

    def first_time(piece: Piece) -> bool:
        is_new = piece.offset not in tried
        tried.add(piece.offset)
        return is_new

    with CuttingProxy(port_of(url), cuts=first_time, reset=True) as line:
        uploader(line.url, chunk_size=100 * KB, upload_checksum=True).upload()
    assert arrived(file)
    starts = list(range(0, file.stat().st_size, 100 * KB))
    assert sorted(piece.offset for piece in line.broken) == starts
    assert {piece.offset for piece in line.whole} == set(starts)


def test_a_killed_web_process_loses_nothing_between_pieces(
    site: Site, uploader: MakeUploader, file: Path
) -> None:
    url = site.start_web()
    sent = uploader(url, chunk_size=400 * KB)
    offsets = []
    while sent.offset < file.stat().st_size:
        sent.upload_chunk()
        offsets.append(sent.offset)
        site.kill("web")
        site.start_web(port=port_of(url))
    assert offsets == [400 * KB, 800 * KB, file.stat().st_size]
    assert arrived(file)


def test_a_program_that_was_ended_goes_on_by_the_address(
    site: Site, uploader: MakeUploader, file: Path
) -> None:
    url = site.start_web()
    with CuttingProxy(port_of(url), cuts=lambda piece: True) as line:
        ended = uploader(line.url, chunk_size=600 * KB, retries=0)
        with pytest.raises((TusUploadFailed, TusCommunicationError)):
            ended.upload()
        address = str(ended.url).replace(line.url, url)
    wait_until(lambda: PartialUpload.objects.get().offset > 0, "the server kept what came")
    again = uploader(url, url=address)
    assert 0 < again.offset < 600 * KB
    again.upload()
    assert arrived(file)
