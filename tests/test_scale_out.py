"""The commands of docker-compose.yml, run on this machine with real Postgres and Redis.

There is a process for each container, with the command and the environment that Compose
resolves; only places differ: the addresses of the servers, ports and folders.
"""

from __future__ import annotations

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

import psycopg
import pytest

from tests import clips, compose
from tests.api_client import ApiClient
from tests.graphs import share_graphs
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(1800)]


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

    def start(self, service: str, container: str) -> subprocess.Popen[bytes]:
        """One container of a service."""
        share_graphs(self.folder / f"var-{container}")
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
        address = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return int(answer.status)
        except OSError:
            return 0


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

    migrate = stack.start("migrate", "migrate")
    try:
        assert migrate.wait(timeout=300) == 0, stack.log("migrate")
    finally:
        kill(migrate)
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

        client = ApiClient(f"http://127.0.0.1:{stack.port}", stack.environment("web", "web"))
        video = clips.one_person(tmp_path / "clip.mp4", seconds=2)
        submissions = [client.upload(video)["id"] for _ in range(4)]

        deadline = time.monotonic() + 600
        while True:
            answers = [client.submission(id) for id in submissions]
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
        assert process.wait(timeout=150) == 0
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """What has not ended by itself ends now."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait(timeout=60)
