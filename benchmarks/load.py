"""Many people at once: ``python -m benchmarks.load``.

100 people browse and 20 upload videos of 20 MB, for five minutes, on 127.0.0.1; locust plays
them (``load_users.py``). The site is what ``script/server`` starts: gunicorn with two processes of
eight threads, the sweeper, and one worker, whose detector is the stand-in of ``tests/chaos``:
it sleeps 0.7 s on average and finds 24 to 96 faces, for networks are not what is measured here.
``--stack scaled`` has Postgres and Redis in place of SQLite and files.

Afterwards the queue runs empty, and every upload that was accepted must have its file as it was
sent and one analysis that came to its end. Exit status 1 if one has not, or if any request failed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import about
from tests import clips
from tests.chaos.backends import BACKENDS
from tests.chaos.stack import ROOT, Stack, wait_for

SETTINGS = {
    # Production's, but for the place of the static files.
    "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
    # Everybody comes from one address here, by which most of these people are counted.
    "FRAMEVOTE_UPLOAD_RATE": "100000/hour",
    "FRAMEVOTE_LOGIN_RATE": "100000/hour",
    "FRAMEVOTE_API_RATE": "100000/minute",
    "FRAMEVOTE_TEST_STAND_IN_FACES": "24",
}

PREPARE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
# What is left out is of pages where nobody goes here.
others = ["admin", "rest_framework", "drf_spectacular_sidecar"]
call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=others)
"""

ACTIVE = re.compile(r'^framevote_analyses{state="(?:QUEUED|RUNNING)"} (.+)$', re.MULTILINE)
"""How many wait, how many run."""

STOP_SECONDS = 120
"""For requests that are under way when time is up."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=300, help="at full load (%(default)s)")
    parser.add_argument("--browsers", type=int, default=100)
    parser.add_argument("--uploaders", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=20, help="of an upload (%(default)s)")
    parser.add_argument("--stack", choices=sorted(BACKENDS), default="embedded")
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="framevote-load-") as folder:
        found = measure(Path(folder), **options)
    print(table(found["requests"]))
    print(json.dumps(about() | found))
    return 1 if found["wrong"] else 0


def measure(
    folder: Path, *, stack: str, seconds: int, browsers: int, uploaders: int, megabytes: int
) -> dict[str, Any]:
    """Everything; ``wrong`` in what it found has a sentence for each thing that must not be."""
    clip = clips.one_person(folder / "clip.mp4", seconds=0.5)
    with BACKENDS[stack]() as servers:
        site = Stack(folder, folder / "media", servers, workers=1, real=False, settings=SETTINGS)
        site.run("-c", PREPARE)
        site.start()
        try:
            wait_for(site.answers, "the site answers", 120)
            people = {"browsers": browsers, "uploaders": uploaders}
            files = {"megabytes": megabytes, "clip": str(clip)}
            load = _play(site.url, folder, seconds, browsers + uploaders, people | files)
            ended = time.monotonic()
            patience = 120 + 5 * len(load["accepted"])
            wait_for(lambda: _has_ended(site.url), "every analysis ended", patience)
            drained = time.monotonic() - ended
        finally:
            site.stop()
        found = site.inspected(load["accepted"])
    restarts = site.starts - len(site.names)
    return {
        "stack": stack,
        "detector": "a stand-in",
        "browsers": browsers,
        "uploaders": uploaders,
        "megabytes": megabytes,
        "seconds": seconds,
        "requests": summary(load["times"], load["failures"]),
        "statuses": load["statuses"],
        "locust was short of processor": load["locust was short of processor"],
        "seconds until the queue was empty": round(drained),
        "processes started again": restarts,
        **{name: count for name, count in found.items() if name != "wrong"},
        "wrong": verdict(load, found, restarts),
    }


def verdict(load: Mapping[str, Any], found: Mapping[str, Any], restarts: int) -> list[str]:
    """A sentence for everything that must not be."""
    wrong = [
        f"{name}: {count} times {reason}"
        for name, of_name in load["failures"].items()
        for reason, count in of_name.items()
    ]
    if errors := sum(n for status, n in load["statuses"].items() if int(status) >= 500):
        wrong.append(f"{errors} answers with a status of 500 or above")
    if not load["accepted"]:
        wrong.append("nothing was uploaded")
    if restarts:
        wrong.append(f"processes were started again {restarts} times")
    if set(found["states"]) - {"SUCCEEDED"}:
        wrong.append(f"not every analysis succeeded: {found['states']}")
    return wrong + list(found["wrong"])


def summary(
    times: Mapping[str, Sequence[float]], failures: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Of each name, and of all pages together, how many and how many milliseconds."""
    found = {name: _of(times[name], failures.get(name, {})) for name in sorted(times)}
    pages = [name for name in times if name.startswith("page")]
    every = [ms for name in pages for ms in times[name]]
    failed = {name: sum(failures.get(name, {}).values()) for name in pages}
    return {**found, "all pages": _of(every, failed)} if every else found


def _of(times: Sequence[float], failures: Mapping[str, int]) -> dict[str, int]:
    return {
        "count": len(times),
        "failures": sum(failures.values()),
        "median": round(statistics.median(times)),
        "p95": round(percentile(times, 95)),
        "p99": round(percentile(times, 99)),
        "max": round(max(times)),
    }


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def table(requests: Mapping[str, Mapping[str, int]]) -> str:
    """In Markdown."""
    columns = ("count", "failures", "median", "p95", "p99", "max")
    lines = [f"| milliseconds | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    lines += [
        f"| {name} | {' | '.join(str(of_name[column]) for column in columns)} |"
        for name, of_name in requests.items()
    ]
    return "\n".join(lines)


def _has_ended(url: str) -> bool:
    """Whether nothing waits or runs, by the site's metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:  # noqa: S310
        states = ACTIVE.findall(answer.read().decode())
    return len(states) == 2 and not any(map(float, states))


def _play(
    url: str, folder: Path, seconds: int, people: int, load: Mapping[str, Any]
) -> dict[str, Any]:
    """Have locust play everybody for so long; what ``load_users.py`` wrote."""
    report = folder / "load.json"
    coming = max(1, seconds // 10)
    command = [sys.executable, "-m", "locust", "-f", "benchmarks/load_users.py"]
    command += ["--headless", "--host", url, "--only-summary", "--loglevel", "WARNING"]
    command += ["--users", str(people), "--spawn-rate", str(people / coming)]
    command += ["--run-time", f"{coming + seconds}s", "--stop-timeout", str(STOP_SECONDS)]
    command += ["--exit-code-on-error", "0"]
    environment = {**os.environ, "LOAD": json.dumps({**load, "report": str(report)})}
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=coming + seconds + STOP_SECONDS + 60,
    )
    if done.returncode or not report.exists():
        raise RuntimeError(f"locust ended with {done.returncode}: {done.stderr[-2000:]}")
    written: dict[str, Any] = json.loads(report.read_text())
    return written


if __name__ == "__main__":
    sys.exit(main())
