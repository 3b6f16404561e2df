"""Database and broker of a site under fire, which can be lost and come back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis

from tests.servers import _postgres_binaries, free_port, wait_until


class Backend(ABC):
    """Entered before the site starts, left after it ended."""

    name: str

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def environment(self, folder: Path) -> dict[str, str]:
        """Settings of the site that name this database and broker."""

    @abstractmethod
    def lose_messages(self) -> None:
        """Everything that is in the broker goes; the broker stays."""

    def kill_broker(self) -> None:
        """SIGKILL, and a new one at the same place, without messages."""
        raise NotImplementedError

    def restart_database(self) -> None:
        """Every connection is cut at once; a moment later it answers again."""
        raise NotImplementedError


class Embedded(Backend):
    """SQLite and files. There is no process to kill."""

    name = "embedded"

    def environment(self, folder: Path) -> dict[str, str]:
        self._messages = folder / "broker" / "messages"
        return {}

    def lose_messages(self) -> None:
        for file in self._messages.glob("*"):
            file.unlink(missing_ok=True)


class Scaled(Backend):
    """Postgres and Redis, started from what this machine has."""

    name = "scaled"

    def __enter__(self) -> Self:
        binaries = _postgres_binaries()
        if binaries is None or shutil.which("redis-server") is None:
            raise RuntimeError("needs Postgres and Redis: apt install postgresql redis-server")
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="framevote-chaos-"))
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        data = ["-D", str(self._folder / "data")]
        self._as_owner("initdb", *data, "-U", "framevote", "-A", "trust", "-E", "UTF8", "-N")
        self._redis_port = free_port()
        self._start_database()
        self._start_broker()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server, number in ((self._database, signal.SIGQUIT), (self._broker, signal.SIGKILL)):
            server.send_signal(number)
            server.wait(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)

    def environment(self, folder: Path) -> dict[str, str]:
        place = quote(str(self._folder), safe="")
        return {
            "DATABASE_URL": f"postgresql://framevote@{place}/postgres",
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
        }

    def lose_messages(self) -> None:
        redis.Redis(port=self._redis_port).flushall()

    def kill_broker(self) -> None:
        self._broker.kill()
        self._broker.wait()
        self._start_broker()

    def restart_database(self) -> None:
        # "Immediate shutdown": connections are cut, and the next start recovers from the log.
        self._database.send_signal(signal.SIGQUIT)
        self._database.wait(timeout=60)
        self._start_database()

    def _start_database(self) -> None:
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        command += ["-k", str(self._folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        self._database = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self._folder,
        )
        ready = [str(self._binaries / "pg_isready"), "-h", str(self._folder), "-q"]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "Postgres answers")

    def _start_broker(self) -> None:
        command = ["redis-server", "--port", str(self._redis_port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._folder)]
        self._broker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self._redis_port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, "Redis answers")

    def _as_owner(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / program), *arguments],
            check=True,
            capture_output=True,
            user=self._user,
            cwd=self._folder,
        )


BACKENDS: dict[str, type[Backend]] = {kind.name: kind for kind in (Embedded, Scaled)}
