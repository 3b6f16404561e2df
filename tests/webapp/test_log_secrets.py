"""No secret reaches the log, whatever people and programs do, at the chattiest level."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.servers import free_port, wait_until
from tests.webapp.evidence import a_video
from webapp.accounts.models import ApiToken
from webapp.submissions import queue

PASSWORD = "correct horse battery 7"
WRONG = "a guess that was wrong 8"
NEW = "another staple for Alice 9"
DATABASE_PASSWORD = "db-p4ssword/with@signs"
REDIS_PASSWORD = "r3dis-p4ssword"
KEY = "s" * 20 + "-a-secret-key-" + "s" * 20


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that any logger says at DEBUG, before anything is hidden in it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.django_db
def test_what_people_type_and_browsers_send_is_not_logged(written: io.StringIO) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def post(address: str, **fields: Any) -> Any:
        client.get("/accounts/login/")
        fields["csrfmiddlewaretoken"] = client.cookies["csrftoken"].value
        return client.post(address, fields)

    signup = {"username": "alice", "password1": PASSWORD, "password2": PASSWORD}
    assert post("/accounts/signup/", **signup).status_code == 302
    post("/accounts/logout/")
    assert post("/accounts/login/", username="alice", password=WRONG).status_code == 200
    assert post("/accounts/login/", username="alice", password=PASSWORD).status_code == 302
    client.post("/accounts/login/", {"username": "alice", "password": WRONG})  # No CSRF token.
    passwords = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert post("/accounts/password/", **passwords).status_code == 302
    assert post("/", video=a_video(), sampling="quick").status_code == 302

    assert "POST /accounts/login/" in written.getvalue()
    hidden = {PASSWORD, WRONG, NEW, settings.SECRET_KEY, User.objects.get().password}
    hidden |= {client.cookies[name].value for name in ("sessionid", "csrftoken")}
    assert not {secret for secret in hidden if secret in written.getvalue()}


@pytest.mark.django_db
def test_tokens_are_not_logged_even_when_the_page_breaks(
    written: io.StringIO, alice: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    shown = client.post("/accounts/tokens/create/", {"name": "program"}).content.decode()
    _, secret = ApiToken.objects.issue(alice, "another")
    header = {"Authorization": f"Token {secret}"}
    unknown = {"Authorization": "Bearer fv_" + "x" * 43}
    assert client.get("/api/v1/submissions/", headers=header).status_code == 200
    assert client.get("/api/v1/submissions/", headers=unknown).status_code == 401

    def broken(*args: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(queue, "positions", broken)
    assert client.get("/api/v1/submissions/", headers=header).status_code == 500

    assert "RuntimeError: broken" in written.getvalue()
    assert "fv_" in shown
    first = shown.partition("fv_")[2][:40]
    for found in (secret, first, "x" * 43, str(client.cookies["sessionid"].value)):
        assert found not in written.getvalue()


class Process:
    """A program of FrameVote with secrets in its environment and nobody to talk to."""

    def __init__(self, var_dir: Path, *arguments: str) -> None:
        self.log_file = var_dir / "log"
        quoted = DATABASE_PASSWORD.replace("/", "%2F").replace("@", "%40")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FRAMEVOTE_")}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                env={
                    **kept,
                    "DJANGO_SETTINGS_MODULE": "webapp.settings",
                    "FRAMEVOTE_ENV_FILE": os.devnull,
                    "FRAMEVOTE_VAR_DIR": str(var_dir),
                    "FRAMEVOTE_LOG_LEVEL": "DEBUG",
                    "FRAMEVOTE_ADMIN_PASSWORD": PASSWORD,
                    "FRAMEVOTE_CHECKPOINT": "none-of-this-name",
                    "SECRET_KEY": KEY,
                    "DATABASE_URL": f"postgres://framevote:{quoted}@127.0.0.1:{free_port()}/x",
                    "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{free_port()}/0",
                    "PYTHONUNBUFFERED": "1",
                },
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def hides_everything(self) -> bool:
        return not [s for s in (DATABASE_PASSWORD, REDIS_PASSWORD, KEY, PASSWORD) if s in self.log]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(tmp_path, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.mark.process
def test_a_worker_without_broker_and_database_hides_their_passwords(
    start: Callable[..., Process],
) -> None:
    worker = start("-m", "worker", "--name", "w")
    wait_until(lambda: "Cannot connect to redis" in worker.log, "it misses the broker", 240)
    assert worker.hides_everything()


@pytest.mark.process
def test_a_sweeper_without_a_database_hides_its_password(start: Callable[..., Process]) -> None:
    sweeper = start("manage.py", "sweep")
    wait_until(lambda: "the database did not answer" in sweeper.log, "it misses it", 240)
    assert sweeper.hides_everything()


@pytest.mark.process
def test_a_web_process_without_its_parts_hides_their_passwords(
    start: Callable[..., Process],
) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    web = start("-m", "gunicorn", "webapp.wsgi:application", "--bind", address,
                "--worker-class", "gthread", "--no-control-socket")  # fmt: skip

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://{address}/readyz", timeout=60)
        except urllib.error.HTTPError as error:
            return error.code == 503
        except OSError:
            return False
        return True

    wait_until(answers, "it says that it is not ready", 240)
    wait_until(lambda: "broker is unavailable" in web.log, "and why", 60)
    assert "database is unavailable" in web.log
    assert "GET /readyz: 503" in web.log
    # Gunicorn itself writes in the same format.
    assert " INFO gunicorn.error [" in web.log
    assert web.hides_everything()
