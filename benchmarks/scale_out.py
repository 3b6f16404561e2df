"""Several hosts that share nothing but their servers: ``python -m benchmarks.scale_out``.

Two "hosts" are two working folders of one machine, with no file in common: Postgres has the rows,
Redis the wake-ups, and a server that speaks like S3 the videos and pictures. The queue is filled
on the first host; the workers are divided between both; the sweeper runs on the second. The
detector is the stand-in of ``tests/chaos``, which sleeps as long as the file's hash says (0.7 s on
average), so what is measured is how work is shared out, not how fast videos are looked at.

One person has all videos but one. The other comes when they wait already.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.__main__ import about
from tests.chaos.backends import Scaled
from tests.servers import bucket_environment, make_bucket, s3_server, wait_until

WORKERS = (1, 2, 4)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_out", description=__doc__)
    parser.add_argument("--videos", type=int, default=40, help="for each worker (%(default)s)")
    options = parser.parse_args()
    print(about())
    print("| workers (first + second host) | videos | a second | times one worker | "
          "place of the other person's |")  # fmt: skip
    print("|---|---:|---:|---:|---:|")
    first = None
    with s3_server() as endpoint:
        for count in WORKERS:
            found = _measure(count, options.videos * count, endpoint)
            first = first or found["rate"]
            hosts = f"{(count + 1) // 2} + {count // 2}"
            print(f"| {hosts} | {found['videos']} | {found['rate']:.2f} | "
                  f"{found['rate'] / first:.2f} | {found['place']} |", flush=True)  # fmt: skip
    return 0


def _measure(workers: int, videos: int, endpoint: str) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="framevote-hosts-")))
        servers = stack.enter_context(Scaled())
        shared = servers.environment(folder) | bucket_environment(make_bucket(endpoint))
        hosts = [_environment(folder / name, shared) for name in ("first", "second")]
        _run(hosts[0], "manage.py", "migrate", "-v0")
        _run(hosts[0], "-m", "benchmarks.scale_out_host", "fill", str(videos))
        stack.enter_context(_running(hosts[1], "sweeper", "manage.py", "sweep"))
        for number, host in zip(range(workers), cycle(hosts), strict=False):
            name = f"worker{number}"
            stack.enter_context(_running(host, name, "-m", "tests.chaos.stand_in", "--name", name))
        wait_until(
            lambda: _run(hosts[0], "-m", "benchmarks.scale_out_host", "waiting").strip() == "0",
            "every analysis has ended",
            seconds=60 + 10 * videos,
        )
        found = json.loads(_run(hosts[1], "-m", "benchmarks.scale_out_host", "report"))
        _demand_whole(found, folder, workers, videos)
        return found


def _demand_whole(found: dict[str, Any], folder: Path, workers: int, videos: int) -> None:
    """What would make the figures worthless."""
    wanted = {"states": ["SUCCEEDED"], "attempts": [1], "wrong verdicts": 0, "missing pictures": 0,
              "videos": videos, "workers": workers}  # fmt: skip
    if wrong := {name: found[name] for name in wanted if found[name] != wanted[name]}:
        raise RuntimeError(f"not as it should be: {wrong}")
    if media := [path for path in folder.glob("*/media/**/*") if path.is_file()]:
        raise RuntimeError(f"files outside the bucket: {media}")


def _environment(folder: Path, shared: dict[str, str]) -> dict[str, str]:
    folder.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "FRAMEVOTE_ENV_FILE": os.devnull,
        "FRAMEVOTE_VAR_DIR": str(folder),
        "SECRET_KEY": "the-same-on-every-host-" + "x" * 40,
        "FRAMEVOTE_TEST_STAND_IN": "1",
        "PYTHONUNBUFFERED": "1",
        **shared,
    }


def _run(host: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=host, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _running(host: dict[str, str], name: str, *arguments: str) -> Iterator[None]:
    log = Path(host["FRAMEVOTE_VAR_DIR"]) / f"{name}-{uuid.uuid4().hex[:4]}.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=host, stdout=lines, stderr=lines
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)


if __name__ == "__main__":
    sys.exit(main())
