"""What a checkpoint's metadata changes in an analysis: reading, thresholds, calibration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detector import Detector, Reason, Sampling, Verdict
from detector.checkpoints import METADATA
from detector.errors import BadCheckpoint
from tests import clips

QUICK = Sampling.named("quick")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.one_person(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1)


def edited(checkpoint: Path, folder: Path, **changes: Any) -> str:
    shutil.copytree(checkpoint, folder)
    content = json.loads((folder / METADATA).read_text()) | changes
    (folder / METADATA).write_text(json.dumps(content))
    return str(folder)


def test_a_checkpoint_that_reads_frames_predicts_a_face_once_for_each_window(
    frames_checkpoint: Path, tmp_path: Path
) -> None:
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=2.4)
    result = Detector.load(str(frames_checkpoint)).analyze(clip, QUICK)
    assert len(result.sampled_frames) == 12
    assert [len(face.predictions) for face in result.faces] == [1, 1, 2, 2, 3, 3, 3, 3, 2, 2, 1, 1]
    assert result.vote is not None


def test_a_track_shorter_than_a_window_is_predicted_too(
    frames_checkpoint: Path, tmp_path: Path
) -> None:
    frames = (clips.scene((320, 240), [(0, 160, 120, 210)] if i < 5 else []) for i in range(12))
    clip = clips.write(tmp_path / "clip.mp4", frames)
    result = Detector.load(str(frames_checkpoint)).analyze(clip, QUICK)
    assert len(result.faces) == 5
    assert [len(face.predictions) for face in result.faces] == [1] * 5


def test_thresholds_of_the_checkpoint_decide_who_votes(
    rows_checkpoint: Path, clip: Path, tmp_path: Path
) -> None:
    strict = edited(rows_checkpoint, tmp_path / "strict", thresholds={"min_track_faces": 100})
    result = Detector.load(strict).analyze(clip, QUICK)
    assert result.reasons == (Reason.TOO_FEW_FACES,)
    assert not any(face.counts for face in result.faces)


def test_calibration_moves_probabilities_and_may_withhold_the_verdict(
    rows_checkpoint: Path, clip: Path, tmp_path: Path, detector: Detector
) -> None:
    plain = detector.analyze(clip, QUICK)
    cautious = edited(
        rows_checkpoint,
        tmp_path / "cautious",
        calibration={"temperature": 3.0},
        thresholds={"abstention_band": [0.0, 0.5]},
    )
    result = Detector.load(cautious).analyze(clip, QUICK)
    assert plain.probability_fake is not None
    assert result.probability_fake is not None
    assert plain.probability_fake < result.probability_fake < 0.5
    assert (result.verdict, result.reasons) == (Verdict.UNDECIDED, (Reason.LOW_CONFIDENCE,))
    assert (result.vote, result.votes) == (plain.vote, plain.votes)
    assert [face.probability_fake for face in result.faces] == pytest.approx(
        [face.probability_fake for face in plain.faces]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": {"min_faces": 3}},
        {"thresholds": {"min_track_faces": 0}},
        {"thresholds": {"abstention_band": [0.4, 0.6]}},
        {"calibration": {"temperature": -1}},
        {"calibration": {}},
    ],
    ids=["unknown threshold", "no threshold", "band without calibration", "negative", "empty"],
)
def test_metadata_that_makes_no_sense_is_refused(
    rows_checkpoint: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(BadCheckpoint):
        Detector.load(edited(rows_checkpoint, tmp_path / "broken", **changes))
