"""A whole FrameVote in processes of its own: pages, a worker, the sweeper.

Playwright's synchronous API and Django's database layer do not share a process,
so browser tests and screenshots look at a site that runs elsewhere, as people do.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.servers import free_port, wait_until

TOP = Path(__file__).resolve().parents[2]
ADMIN = "admin"

PREPARE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", interactive=False, verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
call_command("ensure_admin")
"""


class RunningSite:
    """Everything ``script/server`` starts, on a free port and in a folder of its own."""

    def __init__(self, var_dir: Path, **settings: str) -> None:
        self.var_dir = var_dir
        self.url = f"http://127.0.0.1:{free_port()}"
        self.admin_password = secrets.token_urlsafe(12)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FRAMEVOTE_")},
            "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(var_dir),
            "FRAMEVOTE_ADMIN_USERNAME": ADMIN,
            "FRAMEVOTE_ADMIN_PASSWORD": self.admin_password,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        for name in ("DATABASE_URL", "REDIS_URL", "DEBUG", "ALLOWED_HOSTS"):
            self.environment.pop(name, None)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> RunningSite:
        try:
            self._run("-c", PREPARE)
            self._start("sweeper", "manage.py", "sweep")
            self._start("web", "-m", "gunicorn", "webapp.wsgi:application",
                        "--worker-class", "gthread", "--no-control-socket",
                        "--bind", self.url.removeprefix("http://"))  # fmt: skip
            wait_until(self._answers, "the pages are served", seconds=240)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def start_worker(self) -> None:
        """Start the worker; until then uploads wait."""
        self._start("worker", "-m", "worker", "--name", "worker1")

    def pid(self, name: str) -> int:
        """The process id of one of the processes."""
        return self._processes[name].pid

    def run(self, script: str) -> str:
        """Run Python with the site's settings to its end; what it printed."""
        return self._run("-c", script)

    def log(self, name: str) -> str:
        """What one of the processes has written."""
        return (self.var_dir / f"{name}.log").read_text(errors="replace")

    def _answers(self) -> bool:
        if self._processes["web"].poll() is not None:
            raise AssertionError(f"the web server ended:\n{self.log('web')}")
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=TOP,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout

    def _start(self, name: str, *arguments: str) -> None:
        with (self.var_dir / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment,
                cwd=TOP,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _stop(self) -> None:
        """SIGTERM to each, then SIGKILL to what is left of it, children included."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(timeout=10)
