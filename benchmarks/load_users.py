"""The people of ``benchmarks.load``, which starts locust with this file.

Browsers walk over the pages as a real one does: they fetch what a page refers to once, ask again
for what they must not keep (``If-None-Match``), and poll while something runs. Each has a small
video of its own, and every fifth an account. Uploaders send large videos one after the other,
half of them by the form as it is without JavaScript, half in pieces as the page's script does.

``LOAD`` in the environment says how many and how large. At the end all that was measured is
written as JSON.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import os
import re
import secrets
import struct
import time
import uuid
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from locust import FastHttpUser, between, events, task
from locust.env import Environment
from locust.runners import STATE_STOPPING

from tests.tus import PIECE, TUS, UPLOADS, encoded

LOAD: dict[str, Any] = json.loads(os.environ["LOAD"])
"""``browsers``, ``uploaders``, ``megabytes``; paths of the ``clip`` and the ``report``."""

MB = 1024 * 1024
SMALL_BYTES = 1 * MB
PIECE_BYTES = 8 * MB
MOST_POLLS = 3
"""Then a browser goes to another page."""

REFERENCE = re.compile(r'(?:src|href)="(/static/[^"]+|/analyses/[^"]+\.jpg)"')
PLAYER = re.compile(r'<video [^>]*src="([^"]+)"')
POLLER = re.compile(r'hx-get="([^"]+)" hx-trigger="every (\d)s"')

times: defaultdict[str, list[float]] = defaultdict(list)
"""Milliseconds of each request, by its name."""
failures: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""How often which reason, by the request's name."""
statuses: Counter[int] = Counter()
accepted: dict[str, str] = {}
"""SHA-256 of what was sent, by the submission's id."""


class Videos:
    """Videos of one size, each with a hash of its own: a clip, and a box that players skip."""

    def __init__(self, size: int) -> None:
        clip = Path(LOAD["clip"]).read_bytes()
        box = size - len(clip)
        self._start = clip + struct.pack(">I4s", box, b"free") + bytes(box - 8 - 16)
        self._digest = hashlib.sha256(self._start)

    def another(self) -> tuple[bytes, str]:
        """A video, and its SHA-256."""
        mark = os.urandom(16)
        digest = self._digest.copy()
        digest.update(mark)
        return self._start + mark, digest.hexdigest()


small = Videos(SMALL_BYTES)
large = Videos(LOAD["megabytes"] * MB)
numbers = itertools.count()


class Person(FastHttpUser):
    """Somebody with a browser of their own: cookies, and a cache."""

    abstract = True
    wait_time = between(1, 5)
    # Sent again, as browsers do, what met a connection that the server was just closing.
    max_retries = 1

    def on_start(self) -> None:
        self.fetched: set[str] = set()
        self.etags: dict[str, str] = {}

    def ask(
        self,
        method: str,
        path: str,
        name: str,
        wanted: int = 200,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Any:
        """One request; any other status than the one wanted is a failure."""
        with self.client.request(
            method,
            path,
            name=name,
            data=body,  # type: ignore[arg-type] # It takes bytes too.
            headers=headers,
            allow_redirects=False,
            catch_response=True,
        ) as answer:
            if answer.status_code == wanted:
                answer.success()
            elif answer.status_code:
                answer.failure(f"status {answer.status_code}, not {wanted}")
        return answer

    def see(self, path: str, name: str, headers: dict[str, str] | None = None) -> str:
        """A page, or a part of one, with what it refers to and was not fetched before."""
        text = self.ask("GET", path, name, headers=headers).text or ""
        for address in REFERENCE.findall(text):
            if address not in self.fetched:
                self.fetched.add(address)
                is_static = address.startswith("/static/")
                self.ask("GET", address, "static file" if is_static else "picture of a face")
        if player := PLAYER.search(text):
            self.load_video(player[1])
        return text

    def load_video(self, path: str) -> None:
        if etag := self.etags.get(path):
            self.ask("GET", path, "video, again", 304, {"If-None-Match": etag})
        else:
            answer = self.ask("GET", path, "video", 206, {"Range": "bytes=0-"})
            self.etags[path] = (answer.headers or {}).get("ETag", "")

    def see_and_poll(self, path: str, name: str, polls_name: str) -> None:
        """A page that asks by itself how things are."""
        text = self.see(path, name)
        for _ in range(MOST_POLLS):
            poller = POLLER.search(text)
            if poller is None or self.environment.runner.state == STATE_STOPPING:
                return
            time.sleep(int(poller[2]))
            text = self.see(html.unescape(poller[1]), polls_name, {"HX-Request": "true"})

    def csrf_token(self) -> str:
        return next(c.value or "" for c in self.client.cookiejar if c.name == "csrftoken")

    def send_form(self, videos: Videos) -> str:
        """Upload as browsers without JavaScript do; the submission's address."""
        self.see("/", "page: upload")
        video, digest = videos.another()
        size = "large" if videos is large else "small"
        boundary = uuid.uuid4().hex
        part = f"--{boundary}\r\nContent-Disposition: form-data; "
        head = (
            f'{part}name="csrfmiddlewaretoken"\r\n\r\n{self.csrf_token()}\r\n'
            f'{part}name="sampling"\r\n\r\nstandard\r\n'
            f'{part}name="video"; filename="{size}.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        )
        body = b"".join([head.encode(), video, f"\r\n--{boundary}--\r\n".encode()])
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = self.ask("POST", "/", f"upload by form, {size}", 302, kind, body)
        address = urlsplit(answer.headers["Location"]).path
        accepted[address.split("/")[2]] = digest
        return address

    def send_pieces(self, videos: Videos) -> str:
        """Upload as the page's script does; the submission's address."""
        self.see("/", "page: upload")
        video, digest = videos.another()
        shared = {**TUS, "X-CSRFToken": self.csrf_token()}
        about = {"Upload-Length": str(len(video)), "Upload-Metadata": encoded(filename="large.mp4")}
        begun = self.ask("POST", UPLOADS, "upload in pieces, begin", 201, {**shared, **about})
        path = urlsplit(begun.headers["Location"]).path
        for start in range(0, len(video), PIECE_BYTES):
            piece = video[start : start + PIECE_BYTES]
            which = "last piece" if start + len(piece) == len(video) else "piece"
            about = {"Upload-Offset": str(start), "Content-Type": PIECE}
            answer = self.ask(
                "PATCH", path, f"upload in pieces, {which}", 204, {**shared, **about}, piece
            )
        submission = answer.headers["FrameVote-Submission"]
        accepted[submission] = digest
        return f"/submissions/{submission}/"


class Browser(Person):
    """Looks around."""

    fixed_count = LOAD["browsers"]

    def on_start(self) -> None:
        super().on_start()
        number = next(numbers)
        self.has_account = number % 5 == 0
        if self.has_account:
            self.sign_up(f"person-{number}")
        self.mine = self.send_form(small)

    def sign_up(self, name: str) -> None:
        path = "/accounts/signup/"
        self.see(path, "page: sign up")
        password = secrets.token_urlsafe(24)
        body = f"csrfmiddlewaretoken={self.csrf_token()}&username={name}"
        body += f"&password1={password}&password2={password}"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self.ask("POST", path, "sign up", 302, kind, body.encode())

    @task(4)
    def look_at_result(self) -> None:
        self.see_and_poll(self.mine, "page: result", "poll: result")

    @task(3)
    def look_at_list(self) -> None:
        self.see_and_poll("/submissions/", "page: list", "poll: list")

    @task
    def look_at_upload_page(self) -> None:
        self.see("/", "page: upload")

    @task
    def look_at_models(self) -> None:
        self.see("/models/", "page: models")

    @task
    def look_at_account(self) -> None:
        path = "/accounts/" if self.has_account else "/accounts/login/"
        self.see(path, "page: account or log in")


class FormUploader(Person):
    """Uploads by the form, and looks at each page that follows."""

    fixed_count = (LOAD["uploaders"] + 1) // 2

    @task
    def upload(self) -> None:
        self.see(self.send_form(large), "page: result")


class PiecesUploader(Person):
    """The same with JavaScript."""

    fixed_count = LOAD["uploaders"] // 2

    @task
    def upload(self) -> None:
        self.see(self.send_pieces(large), "page: result")


@events.request.add_listener
def keep(
    name: str, response_time: float, response: Any, exception: Exception | None, **_: Any
) -> None:
    times[name].append(response_time)
    statuses[response.status_code] += 1
    if exception is not None:
        failures[name][str(exception)] += 1


@events.user_error.add_listener
def keep_error(exception: Exception, **_: Any) -> None:
    """Of this file, mostly after a failed request."""
    failures["the load itself"][f"{type(exception).__name__}: {exception}"] += 1


@events.quitting.add_listener
def write_report(environment: Environment, **_: Any) -> None:
    report = {
        "times": times,
        "failures": failures,
        "statuses": statuses,
        "accepted": accepted,
        "locust was short of processor": bool(
            environment.runner and environment.runner.cpu_warning_emitted
        ),
    }
    Path(LOAD["report"]).write_text(json.dumps(report))
