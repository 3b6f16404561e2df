"""A run on two devices, which share every batch, as on two GPUs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detector import checkpoints
from detector.training import fitting
from detector.training.history import HISTORY
from tests.detector.stages import farthest, saved

ROOT = Path(__file__).parents[2]


def figures(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / HISTORY).read_text().splitlines()]


@pytest.mark.process
def test_two_devices_and_a_death_come_to_the_weights_of_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.detector.two_devices", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "resuming at step 2" in done.stderr
    one, two = (tmp_path / name / "1-only" for name in ("one", "two"))
    for name in (fitting.BEST, fitting.LAST):
        ours, theirs = saved(two / name), saved(one / name)
        assert ours.keys() == theirs.keys()
        assert farthest([*ours.values()], [*theirs.values()]) < 1e-5
    first = saved(tmp_path / "first.safetensors")
    assert farthest([*first.values()], [*saved(one / fitting.LAST).values()]) > 1e-4
    for ours, theirs in zip(figures(tmp_path / "two"), figures(tmp_path / "one"), strict=True):
        assert (ours["stage"], ours["step"]) == (theirs["stage"], theirs["step"])
        assert ours.get("selection") == pytest.approx(theirs.get("selection"))
        if "training" in ours:
            for name in ("loss", "accuracy", "learning_rate"):
                assert ours["training"][name] == pytest.approx(theirs["training"][name], abs=1e-5)
    assert checkpoints.load(str(tmp_path / "two" / "checkpoint")).sequence == "rows"
