"""FrameVote as processes that may die at any moment, and are started again at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.backends import Backend
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]

UNFINISHED = """
import django
django.setup()
from webapp.submissions.models import ACTIVE_STATES, Analysis
print(Analysis.objects.filter(state__in=ACTIVE_STATES).count())
"""


class Stack:
    """Web, workers and sweeper of one site, with these settings.

    What died is started again, as supervisor does.
    """

    def __init__(
        self,
        folder: Path,
        media: Path,
        backend: Backend,
        workers: int,
        real: bool,
        settings: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.media = media
        self.backend = backend
        self.real = real
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts = 0
        worker = "worker" if real else "tests.chaos.stand_in"
        self._commands = {
            "web": self._gunicorn(),
            "sweeper": ["manage.py", "sweep"],
            **{f"worker{n}": ["-m", worker, "--name", f"worker{n}"] for n in range(1, workers + 1)},
        }
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(folder),
            "FRAMEVOTE_MEDIA_DIR": str(media),
            "FRAMEVOTE_TEST_STAND_IN": "0" if real else "1",
            "PYTHONUNBUFFERED": "1",
            **backend.environment(folder),
            **settings,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._frozen: set[str] = set()
        self._guard = threading.RLock()
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def names(self) -> list[str]:
        return list(self._commands)

    @property
    def workers(self) -> list[str]:
        return [name for name in self._commands if name.startswith("worker")]

    def start(self) -> None:
        for name in self._commands:
            self._start(name)
        self._watcher.start()

    def stop(self) -> None:
        self._ending.set()
        self._watcher.join()
        for name in list(self._frozen):
            self.thaw(name)
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._processes.items():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill(name)
                process.wait()

    def kill(self, name: str) -> None:
        """SIGKILL to a program and its children, so that it can tidy up nothing."""
        for process in self.family(name):
            _send(process, signal.SIGKILL)

    def kill_children(self, name: str) -> None:
        for process in self.family(name)[1:]:
            _send(process, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM to its main process, as a supervisor stops it."""
        _send(self.family(name)[0], signal.SIGTERM)

    def freeze(self, name: str) -> None:
        with self._guard:
            self._frozen.add(name)
            for process in self.family(name):
                _send(process, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        with self._guard:
            for process in self.family(name):
                _send(process, signal.SIGCONT)
            self._frozen.discard(name)

    def family(self, name: str) -> list[psutil.Process]:
        """The main process of a program, then its children."""
        try:
            main = psutil.Process(self._processes[name].pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return [psutil.Process()][:0]

    def run(self, *arguments: str) -> str:
        """Python to its end, in the site's environment; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
        return done.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def all_ended(self) -> bool:
        """Whether nothing waits or runs any more."""
        try:
            return self.run("-c", UNFINISHED).strip() == "0"
        except RuntimeError:
            return False  # The monkey has the database.

    def inspected(self, accepted: Mapping[str, str]) -> dict[str, Any]:
        """What ``inspection.inspect`` says of these: SHA-256 by id. Everything must have ended."""
        wanted = self.folder / "accepted.json"
        wanted.write_text(json.dumps(accepted))
        kind = "real" if self.real else "stand-in"
        found = json.loads(self.run("-m", "tests.chaos.inspection", str(wanted), kind))
        assert isinstance(found, dict)
        return found

    def _gunicorn(self) -> list[str]:
        """As ``script/supervisord.conf`` starts it."""
        return [
            *("-m", "gunicorn", "webapp.wsgi:application", "--bind", f"127.0.0.1:{self.port}"),
            *("--workers", "2", "--worker-class", "gthread"),
            *("--timeout", "60", "--graceful-timeout", "10", "--keep-alive", "5"),
            "--no-control-socket",
        ]

    def _watch(self) -> None:
        while not self._ending.wait(0.2):
            with self._guard:
                for name, process in list(self._processes.items()):
                    if process.poll() is not None:
                        _end_group(process.pid)
                        self._start(name)

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *self._commands[name]],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1


class SmallDisk:
    """A file system of its own for the media folder, which can be filled.

    Without the right to mount one (root), the media lie on the disk of all, and ``fill`` does
    nothing and says so.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        self.is_own = (
            shutil.which("mount") is not None
            and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
        self._ballast = folder / "ballast"

    def fill(self) -> bool:
        """Write until nothing more fits; whether there was a disk to fill."""
        if not self.is_own:
            return False
        # Unbuffered: closing must not write once more to a full disk.
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 65536):
                pass
        return True

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_own:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s, but not: {what}")
        time.sleep(0.2)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


def _end_group(leader: int) -> None:
    """What a dead main process left behind, as supervisor's killasgroup does."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass
