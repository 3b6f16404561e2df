"""What only a real web server shows: kills, silent lines, two requests at once."""

from __future__ import annotations

import fcntl
import hashlib
import random
import socket
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User

from tests.processes import Site
from tests.servers import wait_until
from tests.tus import PIECE, TUS, UPLOADS, encoded
from tests.webapp.evidence import MP4
from tests.webapp.tus_client import pieces_on_disk
from webapp.accounts.models import ApiToken
from webapp.submissions.api_uploads import STALL_SECONDS
from webapp.submissions.models import PartialUpload, Submission
from webapp.submissions.partial_uploads import COMMIT_BYTES

pytestmark = pytest.mark.process

MB = 1024 * 1024


class Program:
    """Sends one request on each connection, and not always to its end."""

    def __init__(self, user: User, url: str) -> None:
        self.address = urlsplit(url).netloc
        _, secret = ApiToken.objects.issue(user, "live")
        self.headers = {**TUS, "Authorization": f"Token {secret}"}

    def begin(self, length: int) -> str:
        """The path of a new upload."""
        headers = {"Upload-Length": str(length), "Upload-Metadata": encoded(filename="a.mp4")}
        answer = self.ask("POST", UPLOADS, b"", **headers)
        assert answer.status == 201
        return urlsplit(answer.headers["Location"]).path

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> HTTPResponse:
        connection = HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, {**self.headers, **headers})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def offset(self, path: str) -> int:
        return int(self.ask("HEAD", path).headers["Upload-Offset"])

    def send(self, path: str, piece: bytes, offset: int) -> int:
        """The status of a PATCH."""
        headers = {"Content-Type": PIECE, "Upload-Offset": str(offset)}
        return self.ask("PATCH", path, piece, **headers).status

    def send_chunked(self, path: str, blocks: list[bytes]) -> HTTPResponse:
        """A PATCH from the start without an announced length."""
        connection = HTTPConnection(self.address, timeout=60)
        headers = {"Content-Type": PIECE, "Upload-Offset": "0", **self.headers}
        connection.request("PATCH", path, iter(blocks), headers, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def start_sending(self, path: str, part: bytes, announced: int) -> socket.socket:
        """A PATCH from the start of which only a part is sent; the connection stays open."""
        host, _, port = self.address.partition(":")
        line = socket.create_connection((host, int(port)), timeout=60)
        headers = {
            **self.headers,
            "Host": self.address,
            "Content-Type": PIECE,
            "Upload-Offset": "0",
            "Content-Length": str(announced),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line.sendall(f"PATCH {path} HTTP/1.1\r\n{head}\r\n".encode() + part)
        return line


def file_grows_to(size: int) -> None:
    wait_until(
        lambda: [f.stat().st_size for f in pieces_on_disk()] == [size], f"{size} bytes are written"
    )


@pytest.fixture
def video() -> bytes:
    return MP4 + random.Random(3).randbytes(3 * COMMIT_BYTES)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for line in opened:
        line.close()


def arrived(video: bytes) -> bool:
    submission = Submission.objects.get()
    return Path(submission.video.path).read_bytes() == video and (
        submission.sha256 == hashlib.sha256(video).hexdigest()
    )


def test_a_kill_in_the_middle_of_a_long_piece_costs_little_of_it(
    site: Site, alice: User, video: bytes, sockets: list[socket.socket]
) -> None:
    url = site.start_web()
    program = Program(alice, url)
    path = program.begin(len(video))
    sent = 2 * COMMIT_BYTES + 3 * MB
    sockets.append(program.start_sending(path, video[:sent], len(video)))
    file_grows_to(sent)

    site.kill("web")
    site.start_web(port=int(url.rpartition(":")[2]))

    offset = program.offset(path)
    assert sent - COMMIT_BYTES <= offset < sent
    # The lock went with the process that held it.
    assert program.send(path, video[offset:], offset) == 204
    assert arrived(video)


def test_of_two_requests_at_once_one_is_refused(
    site: Site, alice: User, video: bytes, sockets: list[socket.socket]
) -> None:
    program = Program(alice, site.start_web(processes=2))
    path = program.begin(len(video))
    first = program.start_sending(path, video[:MB], len(video))
    sockets.append(first)
    file_grows_to(MB)
    # Often enough that both processes are asked.
    statuses = {program.send(path, b"x" * 1000, 0) for _ in range(8)}
    assert statuses == {423}
    assert program.ask("DELETE", path).status == 423
    first.sendall(video[MB:])
    assert first.recv(12) == b"HTTP/1.1 204"
    assert arrived(video)


def test_a_lock_of_another_process_is_respected(site: Site, alice: User, video: bytes) -> None:
    program = Program(alice, site.start_web())
    path = program.begin(len(video))
    assert program.send(path, video[:1000], 0) == 204
    (file,) = pieces_on_disk()
    with file.open("ab") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        assert program.send(path, video[1000:2000], 1000) == 423
    assert program.send(path, video[1000:], 1000) == 204


def test_a_line_that_went_silent_is_given_up_and_what_came_is_kept(
    site: Site, alice: User, video: bytes, sockets: list[socket.socket]
) -> None:
    """The other end has vanished without a word, as phones do in tunnels."""
    program = Program(alice, site.start_web(config="python:tests.impatient_web"))
    path = program.begin(len(video))
    sockets.append(program.start_sending(path, video[:MB], len(video)))
    wait_until(lambda: program.offset(path) == MB, "what came is kept")
    wait_until(lambda: program.send(path, video[MB:], MB) == 204, "the lock is free again")
    assert arrived(video)


def test_a_piece_without_an_announced_length(site: Site, alice: User, video: bytes) -> None:
    program = Program(alice, site.start_web())
    path = program.begin(len(video))
    answer = program.send_chunked(path, [video[:MB], video[MB : 2 * MB]])
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(2 * MB))
    too_long = program.begin(2 * MB)
    answer = program.send_chunked(too_long, [video[:MB], video[MB : 2 * MB + 1]])
    assert answer.status == 413
    assert program.offset(too_long) == 0
    just_right = program.begin(2 * MB)
    answer = program.send_chunked(just_right, [video[:MB], video[MB : 2 * MB]])
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(2 * MB))
    assert arrived(video[: 2 * MB])
    assert PartialUpload.objects.open().count() == 2


def test_slow_uploads_leave_room_for_others(
    site: Site, alice: User, video: bytes, sockets: list[socket.socket]
) -> None:
    """A process serves who comes after a dozen people whose lines stand still."""
    url = site.start_web()
    program = Program(alice, url)
    for path in [program.begin(len(video)) for _ in range(12)]:
        sockets.append(program.start_sending(path, video[:MB], len(video)))
    # Before the first of those lines is given up.
    address = f"{url}/healthz"
    with urllib.request.urlopen(address, timeout=STALL_SECONDS - 5) as answer:  # noqa: S310
        assert answer.status == 200


def test_a_refused_piece_is_answered_before_it_was_sent(
    site: Site, alice: User, video: bytes, sockets: list[socket.socket]
) -> None:
    program = Program(alice, site.start_web())
    path = program.begin(1000)
    line = program.start_sending(path, b"", len(video))
    sockets.append(line)
    assert line.recv(12) == b"HTTP/1.1 413"
