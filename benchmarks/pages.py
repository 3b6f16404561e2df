"""Server time and queries of the pages: ``python -m benchmarks.pages``.

A database of its own is filled with 10,000 submissions of one person, one of them with an
analysis of 200 faces; then each page is asked for by Django's own client, without a network.
``FRAMEVOTE_TEST_DATABASE_URL`` names another database than SQLite; its tables are made anew.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.test.runner import DiscoverRunner  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from webapp.submissions.models import (  # noqa: E402
    Analysis,
    Face,
    Person,
    State,
    Submission,
    VerdictChoice,
    VoteChoice,
)

SUBMISSIONS = 10_000
FACES = 200
PEOPLE = 4
REQUESTS = 30


def main() -> int:
    """Print a table; exit status 1 if a page could not be had."""
    with _database(), override_settings(WHITENOISE_AUTOREFRESH=False):
        admin = User.objects.create_superuser("owner", "", "owner")
        shown = _fill(admin)
        client = Client()
        client.force_login(admin)
        print(f"{connection.vendor}, {SUBMISSIONS} submissions, {FACES} faces, {REQUESTS} requests")
        print(f"{'page':<44}{'queries':>8}{'median ms':>11}{'min':>8}{'max':>8}")
        for name, address in _pages(shown):
            queries, seconds = _measure(client, address)
            ms = [1000 * s for s in seconds]
            print(
                f"{name:<44}{queries:>8}{statistics.median(ms):>11.1f}{min(ms):>8.1f}{max(ms):>8.1f}"
            )
    return 0


def _pages(shown: Submission) -> list[tuple[str, str]]:
    detail = shown.get_absolute_url()
    last = SUBMISSIONS // 20
    return [
        (f"result of {FACES} faces", detail),
        ("the same in the API", f"/api/v1/submissions/{shown.pk}/"),
        ("list, first page", "/submissions/"),
        ("list, last page", f"/submissions/?page={last}"),
        ("list, searched for a name", "/submissions/?q=clip-77"),
        ("list in the API", "/api/v1/submissions/"),
        ("admin, list of submissions", "/admin/submissions/submission/"),
        ("admin, list of analyses", "/admin/submissions/analysis/"),
        ("upload", "/"),
        ("models", "/models/"),
    ]


def _measure(client: Client, address: str) -> tuple[int, list[float]]:
    """(queries of one request, seconds of each of the timed ones)."""
    for _ in range(2):
        response = client.get(address)
        if response.status_code != 200:
            raise RuntimeError(f"{address} answered {response.status_code}")
    with CaptureQueriesContext(connection) as asked:
        client.get(address)
        queries = len(asked)
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        client.get(address)
        seconds.append(time.perf_counter() - began)
    return queries, seconds


def _fill(owner: User) -> Submission:
    """As many finished submissions; returns the one with many faces."""
    drawn = random.Random(1)  # noqa: S311 # not for secrets
    submissions = Submission.objects.bulk_create(
        [
            Submission(
                owner=owner,
                original_name=f"clip-{number}.mp4",
                video=f"submissions/{number}/video.mp4",
                size_bytes=1_000_000,
                sha256=uuid.uuid4().hex * 2,
                duration_s=10,
            )
            for number in range(SUBMISSIONS)
        ],
        batch_size=500,
    )
    now = timezone.now()
    analyses = Analysis.objects.bulk_create(
        [
            Analysis(
                submission=submission,
                state=State.SUCCEEDED,
                started_at=now,
                finished_at=now + timedelta(seconds=9),
                verdict=drawn.choice((VerdictChoice.REAL, VerdictChoice.FAKE)),
                vote=VoteChoice.FAKE,
                probability_fake=drawn.random(),
                votes_real=FACES // 2,
                votes_fake=FACES // 2,
                checkpoint_name="default",
                checkpoint_version="1",
                checkpoint_sha256="a" * 64,
                sampled_frames=list(range(0, 5 * FACES, 5)),
                evidence_dir=f"evidence/{number}",
            )
            for number, submission in enumerate(submissions)
        ],
        batch_size=500,
    )
    _add_faces(analyses[-1], drawn)
    return submissions[-1]


def _add_faces(analysis: Analysis, drawn: random.Random) -> None:
    people = Person.objects.bulk_create(
        Person(
            analysis=analysis,
            number=number + 1,
            verdict=VerdictChoice.FAKE,
            probability_fake=0.5,
            votes_real=FACES // PEOPLE // 2,
            votes_fake=FACES // PEOPLE // 2,
            counts=True,
        )
        for number in range(PEOPLE)
    )
    faces = []
    for number in range(FACES):
        fake = [drawn.random() for _ in range(8)]
        faces.append(
            Face(
                analysis=analysis,
                person=people[number % PEOPLE],
                number=number + 1,
                frame_index=5 * number,
                time_s=number / 5,
                x=10,
                y=10,
                width=100,
                height=100,
                confidence=0.99,
                predictions=[[p, 1 - p] for p in fake],
                vote=VoteChoice.FAKE if statistics.fmean(fake) >= 0.5 else VoteChoice.REAL,
                probability_fake=statistics.fmean(fake),
                counts=True,
            )
        )
    Face.objects.bulk_create(faces)


@contextmanager
def _database() -> Iterator[None]:
    """A test database with the tables of today, gone afterwards."""
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment(debug=False)
    old = runner.setup_databases()
    try:
        yield
    finally:
        runner.teardown_databases(old)
        runner.teardown_test_environment()
        shutil.rmtree(settings.FRAMEVOTE_VAR_DIR)


if __name__ == "__main__":
    sys.exit(main())
