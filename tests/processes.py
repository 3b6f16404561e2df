"""Real processes of FrameVote for tests: workers, the web, the sweeper, short commands.

They share the test's database and media, and have a folder for broker and logs
of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from django.conf import settings
from django.db import connection

from tests.servers import free_port, wait_until
from webapp.submissions.models import Submission

ENQUEUE = """
import sys, django
django.setup()
from webapp.submissions import queue
from webapp.submissions.models import Submission
print(queue.enqueue(Submission.objects.get(pk=sys.argv[1]), sampling=sys.argv[2]).pk)
"""


ANNOUNCE = """
import sys
from worker.celery import app
for _ in range(int(sys.argv[2])):
    app.send_task("worker.tasks.analyze", args=[sys.argv[1]])
"""


class Site:
    """One installation; ``env`` may be changed before its processes are started."""

    def __init__(self, var_dir: Path, media_dir: Path) -> None:
        self.var_dir = var_dir
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(var_dir),
            "FRAMEVOTE_MEDIA_DIR": str(media_dir),
            "DATABASE_URL": _url_of_test_database(),
            "SECRET_KEY": settings.SECRET_KEY,
            "FRAMEVOTE_SAMPLING": "quick",
            # Short, but longer than a busy machine keeps a heartbeat waiting.
            "FRAMEVOTE_LEASE_SECONDS": "20",
            "FRAMEVOTE_HEARTBEAT_SECONDS": "1",
            "FRAMEVOTE_SWEEP_SECONDS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_worker(
        self, name: str = "worker1", module: str = "worker"
    ) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it takes messages."""
        worker = self._start(name, "-m", module, "--name", name)
        wait_until(
            lambda: f"{name}@" in self.log(name) and " ready." in self.log(name),
            f"{name} is ready",
            seconds=300,
        )
        return worker

    def start_web(self, processes: int = 1, config: str = "", port: int = 0) -> str:
        """Start the web server as ``script/server`` does and wait until it answers; its address."""
        self.env["DJANGO_SETTINGS_MODULE"] = "tests.e2e.settings"
        address = f"127.0.0.1:{port or free_port()}"
        configured = ["--config", config] if config else []
        self._start("web", "-m", "gunicorn", "webapp.wsgi:application", "--bind", address,
                    "--workers", str(processes), "--worker-class", "gthread",
                    "--no-control-socket", *configured)  # fmt: skip
        wait_until(lambda: _answers(f"http://{address}/healthz"), "the web answers", seconds=240)
        return f"http://{address}"

    def start_sweeper(self) -> subprocess.Popen[bytes]:
        return self._start("sweeper", "manage.py", "sweep")

    def enqueue(self, submission: Submission, sampling: str = "quick") -> str:
        """Put an analysis into the queue, as the web process does; its id."""
        return self.run("-c", ENQUEUE, str(submission.pk), sampling).strip()

    def kill(self, name: str) -> None:
        """SIGKILL, children included, and wait for the end."""
        _kill_group(self.processes[name].pid)
        self.processes[name].wait(timeout=60)

    def announce(self, analysis_id: str, times: int = 1) -> None:
        """Send wake-ups for an analysis, wanted or not."""
        self.run("-c", ANNOUNCE, analysis_id, str(times))

    def run(self, *arguments: str) -> str:
        """Run Python to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.env,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, name: str) -> str:
        return (self.var_dir / f"{name}.log").read_text(errors="replace")

    def print_logs(self) -> None:
        """For the report of a test that failed; pytest swallows it otherwise."""
        for name in self.processes:
            print(f"--- {name}\n{self.log(name)}")

    def stop_all(self) -> None:
        """SIGTERM first, then SIGKILL for what is left, children included."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                pass
            _kill_group(process.pid)
            process.wait(timeout=60)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.var_dir / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.env,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        return process


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _url_of_test_database() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    host = str(database["HOST"]).replace("/", "%2F")
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{host}{port}/{database['NAME']}"
