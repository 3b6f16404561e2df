"""Sends a large file in pieces to a real web server and watches the server's memory.

    .venv/bin/python -m tests.large_upload --megabytes 2048

The file is made up while it is sent. With ``--piece 8`` each piece has 8 MB, as those of the
upload page; without it all of the file is one piece.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.api_client import ApiClient
from tests.e2e.running_site import RunningSite
from tests.tus import PIECE, TUS, UPLOADS, encoded

MB = 1024 * 1024
_START = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
_NOISE = hashlib.shake_256(b"large upload").digest(MB)


@dataclass(frozen=True)
class Sent:
    """What was sent, and what became of it."""

    submission: str
    sha256: str
    seconds: float
    last_piece_seconds: float


class MadeUp:
    """A file of so many bytes that begins as a video does; as large as it needs be, on no disk."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.at = 0
        self.digest = hashlib.sha256()

    def read(self, most: int) -> bytes:
        most = min(most, self.size - self.at)
        block = _START[self.at : self.at + most]
        if not block:
            start = self.at % MB
            block = _NOISE[start : start + most]
        self.at += len(block)
        self.digest.update(block)
        return block


class Part:
    """The next bytes of a file, for a request's body."""

    def __init__(self, file: MadeUp, size: int) -> None:
        self.file = file
        self.left = size

    def read(self, most: int = MB) -> bytes:
        block = self.file.read(min(most, self.left))
        self.left -= len(block)
        return block


def send(url: str, token: str, size: int, piece: int) -> Sent:
    """Upload a made-up file of so many bytes in pieces of so many."""
    headers = {**TUS, "Authorization": f"Token {token}"}
    connection = HTTPConnection(urlsplit(url).netloc, timeout=600, blocksize=MB)

    def ask(method: str, path: str, status: int, body: Part | None, **more: str) -> dict[str, str]:
        connection.request(method, path, body, {**headers, **more})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == status, (answer.status, said)
        return {name.lower(): value for name, value in answer.getheaders()}

    began = time.monotonic()
    wanted = {"Upload-Length": str(size), "Upload-Metadata": encoded(filename="large.mp4")}
    path = urlsplit(ask("POST", UPLOADS, 201, None, **wanted)["location"]).path
    file = MadeUp(size)
    answer: dict[str, str] = {}
    piece_began = began
    while file.at < size:
        piece_began = time.monotonic()
        part = Part(file, min(piece, size - file.at))
        about = {"Content-Type": PIECE, "Content-Length": str(part.left)}
        answer = ask("PATCH", path, 204, part, **about, **{"Upload-Offset": str(file.at)})
    connection.close()
    ended = time.monotonic()
    return Sent(
        answer["framevote-submission"], file.digest.hexdigest(), ended - began, ended - piece_began
    )


@contextmanager
def watched_memory(pid: int) -> Iterator[dict[int, int]]:
    """The most resident memory, in bytes, of the process and each of its children."""
    most: dict[int, int] = {}
    done = threading.Event()

    def watch() -> None:
        family = psutil.Process(pid)
        while not done.wait(0.02):
            for process in (family, *family.children(recursive=True)):
                try:
                    resident = process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                most[process.pid] = max(most.get(process.pid, 0), resident)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--piece", type=int, default=0, help="megabytes of a piece; 0: all")
    wanted = parser.parse_args()
    size = wanted.megabytes * MB
    limit = str(wanted.megabytes)
    with (
        tempfile.TemporaryDirectory(prefix="framevote-large-") as folder,
        RunningSite(Path(folder), FRAMEVOTE_MAX_UPLOAD_MB=limit) as site,
    ):
        client = ApiClient(site.url, site.environment)
        with watched_memory(site.pid("web")) as most:
            sent = send(site.url, client.token, size, wanted.piece * MB or size)
        stored = client.submission(sent.submission)
        assert (stored["sha256"], stored["size_bytes"]) == (sent.sha256, size)
    print(
        f"{wanted.megabytes} MB in {sent.seconds:.1f} s ({size / MB / sent.seconds:.0f} MB/s), "
        f"the last piece in {sent.last_piece_seconds:.1f} s; "
        f"the largest web process had {max(most.values()) / MB:.0f} MB"
    )


if __name__ == "__main__":
    main()
