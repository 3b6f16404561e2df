"""Redis and Postgres for the tests: real servers, started from what is installed.

A lane whose server is not installed is skipped with the name of the package.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("Redis is not installed; install it with: apt install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="framevote-redis-") as folder:
        command = [
            binary,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            folder,
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: _listens(port), "Redis answers")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(timeout=20)


@contextmanager
def postgres_server() -> Iterator[str]:
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("Postgres is not installed; install it with: apt install postgresql")
    # Not below pytest's own folder: the server's user could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="framevote-postgres-"))
    user: str | None = None
    if os.getuid() == 0:  # Postgres refuses to run as root.
        user = "postgres"
        shutil.chown(folder, user, user)
    data = folder / "data"
    try:
        subprocess.run(
            [
                *(str(binaries / "initdb"), "-D", str(data), "-U", "framevote", "-A", "trust"),
                # Whatever languages this machine has; and what is fleeting need not be synced.
                *("--locale=C", "-E", "UTF8", "-N"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
            group=user,
        )
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder)]
        command += ["-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, user=user, group=user
            )
        try:
            ready = [str(binaries / "pg_isready"), "-h", str(folder), "-q"]
            wait_until(
                lambda: subprocess.run(ready, check=False).returncode == 0, "Postgres answers"
            )
            yield f"postgresql://framevote@{quote(str(folder), safe='')}/postgres"
        finally:
            # SIGTERM would wait for every connection that a test left open.
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's server: it speaks like S3, keeps everything in memory, and takes any key."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), "the S3 server answers", seconds=240)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


def make_bucket(endpoint: str) -> dict[str, str]:
    """A new bucket; the options of a storage in it."""
    import boto3

    options = {"bucket_name": f"media-{uuid.uuid4().hex[:8]}", "endpoint_url": endpoint}
    keys = {"access_key": "key", "secret_key": "secret", "region_name": "us-east-1"}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=keys["region_name"],
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
    )
    client.create_bucket(Bucket=options["bucket_name"])
    return options | keys


def bucket_environment(options: dict[str, str]) -> dict[str, str]:
    """The same as settings in the environment."""
    return {
        "FRAMEVOTE_S3_BUCKET": options["bucket_name"],
        "FRAMEVOTE_S3_ENDPOINT": options["endpoint_url"],
        "FRAMEVOTE_S3_REGION": options["region_name"],
        "FRAMEVOTE_S3_ACCESS_KEY": options["access_key"],
        "FRAMEVOTE_S3_SECRET_KEY": options["secret_key"],
    }


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll until ``condition`` holds; a test that waits in vain says what for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s, but not: {what}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _postgres_binaries() -> Path | None:
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return versions[-1].parent if versions else None
