"""A site to measure: its processes, on a database and folders that are gone afterwards."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.processes import Site


@contextmanager
def site() -> Iterator[Site]:
    """Nothing of it runs yet; models can be imported inside."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.test.runner import DiscoverRunner

    from tests.processes import Site

    runner = DiscoverRunner(verbosity=0, interactive=False)
    old = runner.setup_databases()
    running = Site(settings.FRAMEVOTE_VAR_DIR, settings.FRAMEVOTE_MEDIA_DIR)
    try:
        yield running
    finally:
        running.stop_all()
        runner.teardown_databases(old)
        shutil.rmtree(settings.FRAMEVOTE_VAR_DIR)


def print_table(title: str, rows: Mapping[str, Sequence[float]]) -> None:
    """Median, least and greatest of each row."""
    print(f"{title:<52}{'median':>9}{'min':>9}{'max':>9}")
    for name, values in rows.items():
        print(f"{name:<52}{statistics.median(values):>9.3f}{min(values):>9.3f}{max(values):>9.3f}")
