"""``docs/examples/tiny.toml`` by command: three stages, and a death half-way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints

ROOT = Path(__file__).parents[2]


def command(run: Path) -> list[str]:
    config = ROOT / "docs" / "examples" / "tiny.toml"
    return [sys.executable, "-m", "detector", "train", "--config", str(config), "--run", str(run)]


def finish(run: Path) -> None:
    done = subprocess.run(command(run), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def history_of(run: Path) -> list[dict[str, Any]]:
    """With the seconds left out, which no two runs share."""
    path = run / "history.jsonl"
    text = path.read_text() if path.exists() else ""
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    for line in lines:
        line.get("training", {}).pop("seconds_per_step", None)
    return lines


@pytest.mark.process
def test_the_tiny_run_goes_through_its_stages_and_a_death_changes_nothing(tmp_path: Path) -> None:
    finish(tmp_path / "whole")
    lines = history_of(tmp_path / "whole")
    assert list(dict.fromkeys(line["stage"] for line in lines)) == [
        "backbone",
        "head",
        "last-layers",
    ]
    final = [line["selection"] for line in lines if "selection" in line][-1]
    assert final["as_they_are"] > 0.9
    for number, name in enumerate(("backbone", "head", "last-layers"), start=1):
        folder = tmp_path / "whole" / f"{number}-{name}"
        assert {"best.safetensors", "last.safetensors"} <= {path.name for path in folder.iterdir()}

    run = tmp_path / "killed"
    with subprocess.Popen(command(run), cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 600
        # Killed between two looks of the second stage.
        while not any(line["stage"] == "head" and line["step"] >= 10 for line in history_of(run)):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert not (run / "checkpoint").exists()
    finish(run)
    assert history_of(run) == lines
    ours, theirs = (
        checkpoints.load(str(tmp_path / name / "checkpoint")) for name in ("killed", "whole")
    )
    assert ours.id == theirs.id
    for one, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
