"""The short form; by hand: ``python -m tests.chaos --seed 1``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.backends import _postgres_binaries
from tests.chaos.run import run

pytestmark = [pytest.mark.process, pytest.mark.timeout(1200)]

SUBMISSIONS = 20


@pytest.mark.parametrize("backend", ["embedded", "scaled"])
def test_nothing_is_lost_doubled_or_left_behind(backend: str, tmp_path: Path) -> None:
    if backend == "scaled" and _postgres_binaries() is None:
        pytest.skip("Postgres is not installed; install it with: apt install postgresql")
    folder = tmp_path / "site"
    folder.mkdir()
    report = run(folder, seed=7, submissions=SUBMISSIONS, workers=2, backend=backend, pause=1.0)
    print(report)
    assert report["wrong"] == []
    assert report["accepted"] == SUBMISSIONS
    assert report["states"] == {"SUCCEEDED": report["rows"]}
    assert sum(report["tricks"].values()) >= 5
