"""The load test in small; what it is for: ``python -m benchmarks.load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import load


def of_a_good_run() -> dict[str, Any]:
    """Arguments of ``load.verdict``."""
    return {
        "load": {"failures": {}, "statuses": {"200": 9, "304": 1}, "accepted": {"id": "hash"}},
        "found": {"states": {"SUCCEEDED": 1}, "wrong": []},
        "restarts": 0,
    }


def test_a_good_run_has_nothing_wrong() -> None:
    assert load.verdict(**of_a_good_run()) == []


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("load", {"statuses": {"200": 9, "503": 2}}, "2 answers with a status of 500"),
        ("load", {"failures": {"page": {"timed out": 3}}}, "page: 3 times timed out"),
        ("load", {"accepted": {}}, "nothing was uploaded"),
        ("found", {"wrong": ["id: accepted, but there is no row"]}, "there is no row"),
        ("found", {"states": {"SUCCEEDED": 1, "FAILED": 1}}, "not every analysis succeeded"),
    ],
)
def test_a_bad_run_is_told_from_a_good_one(part: str, change: dict[str, Any], said: str) -> None:
    run = of_a_good_run()
    run[part].update(change)
    (sentence,) = load.verdict(**run)
    assert said in sentence


def test_processes_that_died_are_noticed() -> None:
    assert load.verdict(**{**of_a_good_run(), "restarts": 1})


def test_a_percentile_is_a_time_that_was_measured() -> None:
    times = [float(n) for n in range(1, 101)]
    assert (load.percentile(times, 95), load.percentile(times, 99)) == (95, 99)
    assert load.percentile([7.0], 95) == 7


@pytest.mark.process
def test_a_few_people_lose_nothing(tmp_path: Path) -> None:
    report = load.measure(
        tmp_path, stack="embedded", seconds=2, browsers=3, uploaders=2, megabytes=1
    )
    assert report["wrong"] == []
    assert report["accepted"] == report["states"]["SUCCEEDED"] >= 5
    requests = report["requests"]
    names = {"page: result", "upload by form, large", "upload in pieces, last piece", "all pages"}
    assert names <= set(requests)
    assert "| all pages |" in load.table(requests)
