"""A run whose head reads windows of frames, from drawn crops to the votes on a video."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import Detector, Sampling, checkpoints
from detector.model import named_variables
from detector.training import fitting, trainer
from tests import clips
from tests.detector.stages import saved

FILE = """
name = "frames"
deterministic = false
[data]
generated = 8
margin = 1.3
drop = 0.0
selection = 2
calibration = 1
[network]
sequence = "frames"
cut = "mixed_5b"
image_size = 96
weights = "none"
[[stage]]
name = "both"
learns = "both"
last_layers = 0
steps = 2
batch_size = 2
"""


def test_a_run_over_frames_ends_in_votes_on_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_start, first = trainer.start, {}

    def start(*given: Any) -> Any:
        model = real_start(*given)
        first.update({name: variable.numpy() for name, variable in named_variables(model)})
        return model

    monkeypatch.setattr(trainer, "start", start)
    (tmp_path / "run.toml").write_text(FILE)
    parser = argparse.ArgumentParser()
    trainer.add_arguments(parser)
    run = tmp_path / "run"
    given = ["--config", str(tmp_path / "run.toml"), "--run", str(run)]
    assert trainer.run(parser.parse_args(given)) == 0

    best = saved(run / "1-both" / fitting.BEST)
    for name in ("head/bilstm_1/forward/kernel", "head/classes/kernel"):
        assert np.abs(best[name] - first[name]).max() > 1e-4
    loaded = checkpoints.load(str(run / "checkpoint"))
    assert loaded.sequence == "frames"
    for name, variable in named_variables(loaded.model):
        np.testing.assert_allclose(variable.numpy(), best[name], rtol=1e-3, atol=1e-6)

    clip = clips.one_person(tmp_path / "clip.mp4", seconds=2.4)
    result = Detector.load(str(run / "checkpoint"), device="cpu").analyze(
        clip, Sampling.named("quick")
    )
    # A frame is in as many windows of eight, two apart, as reach it.
    assert [len(face.predictions) for face in result.faces] == [1, 1, 2, 2, 3, 3, 3, 3, 2, 2, 1, 1]
    assert result.checkpoint.sha256 == loaded.id.sha256
    assert result.vote is not None
    said = [prediction.p_fake for face in result.faces for prediction in face.predictions]
    assert 0 < min(said) < max(said) < 1
