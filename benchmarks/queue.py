"""What the queue costs: ``python -m benchmarks.queue``.

- Claims a second: 1, 2 and 4 processes claim and publish until nothing waits, on SQLite and,
  where it is installed, on Postgres.
- What one claim, one position and one more analysis cost while 10,000 others wait, most of them
  one person's.
- How long an analysis waits though a worker is free (from the row of a finished upload to its
  claim), and what passes between the detector's result and the published one; with a real
  worker and its network, on a short drawn clip.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.site import print_table, site

ANALYSES = 400
OWNERS = 10
DEEP = 10_000
PROCESSES = (1, 2, 4)
ROUNDS = 5
CLIPS = 10


def main(arguments: list[str]) -> int:
    """Print both tables. Exit status."""
    match arguments:
        case ["fill"]:
            return _fill()
        case ["work", signal]:
            return _work(signal)
        case ["deep"]:
            return _deep()
        case ["overhead"]:
            return _overhead()
    print(f"Claims with a published result a second, {ROUNDS} rounds of {ANALYSES}")
    print(f"{'database':<12}{'processes':>10}{'median':>9}{'min':>9}{'max':>9}")
    for name, server in {"SQLite": _sqlite, "Postgres": _postgres}.items():
        with server() as url:
            if url is None:
                print(f"{name:<12} is not installed")
                continue
            environment = _environment(url)
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "-v0"], env=environment, check=True
            )
            for count in PROCESSES:
                rates = sorted(_rate(count, environment) for _ in range(ROUNDS))
                middle = statistics.median(rates)
                print(f"{name:<12}{count:>10}{middle:>9.0f}{rates[0]:>9.0f}{rates[-1]:>9.0f}")
            if _run("deep", env=environment).wait():
                raise RuntimeError("the deep queue could not be measured")
    return _run("overhead", env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}).wait()


def _rate(count: int, environment: dict[str, str]) -> float:
    """Published analyses a second of so many processes."""
    if _run("fill", env=environment).wait():
        raise RuntimeError("the queue could not be filled")
    with tempfile.TemporaryDirectory() as folder:
        signal = Path(folder) / "go"
        workers = [_run("work", str(signal), env=environment) for _ in range(count)]
        while len(list(Path(folder).glob("*.ready"))) < count:
            time.sleep(0.01)
        began = time.perf_counter()
        signal.touch()
        statuses = [worker.wait() for worker in workers]
        if any(statuses):
            raise RuntimeError("a worker failed")
        return ANALYSES / (time.perf_counter() - began)


def _fill() -> int:
    import django

    django.setup()
    from webapp.submissions import queue
    from webapp.submissions.models import Submission

    Submission.objects.all().delete()
    for number in range(ANALYSES):
        submission = Submission.objects.create(
            original_name="clip.mp4", video="x.mp4", size_bytes=1, sha256="0" * 64,
            visitor=uuid.UUID(int=number % OWNERS),
        )  # fmt: skip
        queue.enqueue(submission)
    return 0


def _deep() -> int:
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    from webapp.submissions import queue
    from webapp.submissions.models import Analysis, Submission

    Submission.objects.all().delete()
    many, others = uuid.uuid4(), [uuid.uuid4() for _ in range(100)]

    def submission(visitor: uuid.UUID) -> Submission:
        return Submission(original_name="clip.mp4", size_bytes=1, sha256="0" * 64, visitor=visitor)

    rows = Submission.objects.bulk_create(submission(many) for _ in range(DEEP))
    queue.enqueue(rows[0])
    share = Analysis.objects.get().share or ""
    Analysis.objects.bulk_create(
        Analysis(submission=row, sampling=settings.FRAMEVOTE_SAMPLING, share=share, turn=2 * turn)
        for turn, row in enumerate(rows[1:], start=1)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    took: dict[str, list[float]] = {"enqueue": [], "position": [], "claim": []}

    def timed(what: str, act: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        done = act()
        took[what].append(1000 * (time.perf_counter() - began))
        return done

    last = Analysis.objects.order_by("-turn")[0]
    for visitor in others:
        row = submission(visitor)
        row.save()
        timed("enqueue", partial(queue.enqueue, row))
        timed("position", partial(queue.position, last))
        timed("claim", partial(queue.claim_next, worker="benchmark"))
    print(f"{connection.vendor}: ms while {DEEP} wait, median and max: " + ", ".join(
        f"{what} {statistics.median(ms):.1f} {max(ms):.1f}" for what, ms in took.items()
    ))  # fmt: skip
    return 0


def _work(signal: str) -> int:
    import django

    django.setup()
    from django.db import connection

    from tests.webapp.outcomes import an_outcome
    from webapp.submissions import queue

    connection.ensure_connection()
    Path(f"{signal}.{os.getpid()}.ready").touch()
    while not Path(signal).exists():
        time.sleep(0.001)
    while lease := queue.claim_next(worker="benchmark"):
        if not queue.publish(lease, an_outcome()):
            return 1
    return 0


def _overhead() -> int:
    waited, after = [], []
    with site() as measured:
        from django.core.files.uploadedfile import SimpleUploadedFile

        from tests import clips
        from tests.servers import wait_until
        from webapp.submissions.models import Analysis, State
        from webapp.submissions.uploads import receive

        measured.start_worker()
        clip = clips.one_person(measured.var_dir / "clip.mp4", seconds=1)
        for number in range(CLIPS + 1):
            upload = SimpleUploadedFile("clip.mp4", clip.read_bytes())
            submission = receive(upload, owner=None, visitor=None, sampling="quick")
            succeeded = Analysis.objects.filter(submission=submission, state=State.SUCCEEDED)
            wait_until(succeeded.exists, "the analysis is done", seconds=300)
            done = succeeded.get()
            if (
                number and done.started_at and done.finished_at
            ):  # The first waits until the network is loaded.
                waited.append((done.started_at - done.created_at).total_seconds())
                whole = (done.finished_at - done.started_at).total_seconds()
                after.append(whole - done.seconds["total"])
    rows = {
        "from the upload's row to its claim, s": waited,
        "of the claim's time, not in the detector, s": after,
    }
    print(f"\nOne worker, files as broker, SQLite, {CLIPS} clips")
    print_table(f"{CLIPS} times", rows)
    return 0


def _run(*arguments: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.queue", *arguments], env=env)


def _environment(url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "FRAMEVOTE_ENV_FILE": os.devnull,
        "DATABASE_URL": url,
    }


@contextmanager
def _sqlite() -> Iterator[str | None]:
    with _folder() as folder:
        yield f"sqlite:///{folder}/queue.sqlite3"


@contextmanager
def _postgres() -> Iterator[str | None]:
    from tests import servers

    if servers._postgres_binaries() is None:
        yield None
        return
    with _folder(), servers.postgres_server() as url:
        yield url


@contextmanager
def _folder() -> Iterator[str]:
    """A place of its own for the broker's files and the key."""
    with tempfile.TemporaryDirectory(prefix="framevote-benchmark-") as folder:
        os.environ["FRAMEVOTE_VAR_DIR"] = folder
        yield folder
        del os.environ["FRAMEVOTE_VAR_DIR"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
