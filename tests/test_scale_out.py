"""The commands of docker-compose.yml, run on this machine with real Postgres and Redis.

There is a process for each container, with the command and the environment that Compose
resolves; only places differ: the addresses of the servers, ports and folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import clips, compose
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

ISSUE_TOKEN = """
import django
django.setup()
from django.contrib.auth.models import User
from webapp.accounts.models import ApiToken
print(ApiToken.objects.issue(User.objects.get(username="admin"), "test")[1])
"""


class Stack:
    """What ``docker compose up`` would run, as plain processes."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.places = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        self.services = compose.resolve(
            FRAMEVOTE_SAMPLING="quick",
            FRAMEVOTE_THREADS="1",
            FRAMEVOTE_ADMIN_PASSWORD="a-password-from-outside",
        )["services"]
        (folder / "volume").mkdir()
        self.token = ""

    def start(self, service: str, container: str) -> subprocess.Popen[bytes]:
        """One container of a service."""
        with (self.folder / f"{container}.log").open("wb") as log:
            return subprocess.Popen(
                self.command(service),
                env=self.environment(service, container),
                cwd=compose.ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def command(self, service: str) -> list[str]:
        words = [str(word) for word in self.services[service]["command"]]
        if service == "worker":
            # Containers have host names of their own; processes of one machine need names.
            words[-1] += f"-{uuid.uuid4().hex[:6]}"
        return [word.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}") for word in words]

    def environment(self, service: str, container: str) -> dict[str, str]:
        given = {k: str(v or "") for k, v in self.services[service]["environment"].items()}
        assert set(self.places) <= set(given)
        # As in the image: its programs first, its folders, and nothing from outside.
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(self.folder / f"var-{container}"),
            "FRAMEVOTE_MEDIA_DIR": str(self.folder / "volume"),
            "PYTHONUNBUFFERED": "1",
            **given,
            **self.places,
        }

    def log(self, container: str) -> str:
        return (self.folder / f"{container}.log").read_text(errors="replace")

    def is_ready(self, worker: str) -> bool:
        return " ready." in self.log(worker)

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except OSError:
            return 0

    def api(self, path: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {"Authorization": f"Token {self.token}"} | (
            {"Content-Type": kind} if body else {}
        )
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def upload(self, video: Path) -> Any:
        boundary = uuid.uuid4().hex
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="video"; '
            f'filename="{video.name}"\r\nContent-Type: video/mp4\r\n\r\n'
        ).encode() + video.read_bytes()
        body += f"\r\n--{boundary}--\r\n".encode()
        return self.api("/api/v1/submissions/", body, f"multipart/form-data; boundary={boundary}")


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """An empty database on the real Postgres."""
    name = f"scale_out_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_two_workers_of_the_compose_file_share_the_work(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    stack = Stack(tmp_path, database_url, redis_url)

    migrated = stack.start("migrate", "migrate").wait(timeout=180)
    assert migrated == 0, stack.log("migrate")
    assert "Created the staff account 'admin' with the given password." in stack.log("migrate")

    with ExitStack() as running:

        def up(service: str, container: str) -> None:
            running.callback(end, stack.start(service, container))

        up("web", "web")
        up("sweeper", "sweeper")
        up("worker", "worker-1")
        up("worker", "worker-2")
        wait_until(lambda: stack.status("/readyz") == 200, "web is ready", seconds=240)
        for worker in ("worker-1", "worker-2"):
            wait_until(partial(stack.is_ready, worker), f"{worker} is ready", 240)

        stack.token = subprocess.run(
            [sys.executable, "-c", ISSUE_TOKEN],
            env=stack.environment("web", "web"),
            cwd=compose.ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        video = clips.one_person(tmp_path / "clip.mp4", seconds=2)
        submissions = [stack.upload(video)["id"] for _ in range(4)]

        deadline = time.monotonic() + 600
        while True:
            answers = [stack.api(f"/api/v1/submissions/{id}/") for id in submissions]
            if all(answer["state"] in {"SUCCEEDED", "FAILED"} for answer in answers):
                break
            assert time.monotonic() < deadline, [answer["state"] for answer in answers]
            time.sleep(1)

    assert [answer["state"] for answer in answers] == ["SUCCEEDED"] * 4
    assert len({answer["verdict"] for answer in answers}) == 1
    with psycopg.connect(database_url) as database:
        rows = database.execute("SELECT worker, attempts FROM submissions_analysis").fetchall()
    assert [attempts for _, attempts in rows] == [1] * 4
    assert len({worker for worker, _ in rows}) == 2


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop as Compose does, and demand a clean end."""
    process.terminate()
    try:
        assert process.wait(timeout=60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait(timeout=10)
