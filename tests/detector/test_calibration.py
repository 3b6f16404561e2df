"""What a checkpoint's probabilities mean: bias, temperature and the band of abstention."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from detector import checkpoints
from detector.cli import main
from detector.domain import Label
from detector.training.calibration import band, fit, fit_temperature, most_false_positives


def logistic(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def overconfident(bias: float, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of a network that says its true logit times the temperature, less a bias."""
    rng = np.random.default_rng(1)
    true_logit = rng.normal(0, 1.5, 40_000)
    fake = rng.random(40_000) < logistic(true_logit)
    return np.repeat(logistic(true_logit * temperature - bias)[:, None], 8, axis=1), fake


@pytest.mark.parametrize(("bias", "temperature"), [(0.0, 1.0), (0.8, 2.5), (-0.5, 0.6)])
def test_bias_and_temperature_are_found_again(bias: float, temperature: float) -> None:
    predictions, fake = overconfident(bias, temperature)
    found = fit(predictions, fake)
    assert found.bias == pytest.approx(bias, abs=0.15)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    unbiased = logistic(np.log(predictions / (1 - predictions)) + bias)
    assert fit_temperature(unbiased, fake) == pytest.approx(temperature, rel=0.1)


def test_few_false_positives_are_allowed_where_examples_are_few() -> None:
    # One-sided at 90 %: none among 45, since 0.95 ** 45 < 0.1.
    assert most_false_positives(45, 0.05) == 0
    with pytest.raises(ValueError, match="44 genuine examples are too few"):
        most_false_positives(44, 0.05)
    assert 10 < most_false_positives(500, 0.05) < 25


def test_above_the_band_stand_no_more_genuine_examples_than_allowed() -> None:
    rng = np.random.default_rng(2)
    fake = np.repeat([False, True], 500)
    probability = np.clip(
        np.concatenate([rng.normal(0.3, 0.2, 500), rng.normal(0.7, 0.2, 500)]), 0, 1
    )
    voted_fake = probability >= 0.5
    low, high = band(probability, voted_fake, fake, 0.05, 0.5)
    accused = int(np.sum(~fake & voted_fake & (probability > high)))
    assert accused == most_false_positives(500, 0.05)
    assert low == pytest.approx(1 - high)
    narrow, same = band(probability, voted_fake, fake, 0.05, 0.2)
    assert same == high
    assert low < narrow <= 0.5
    undecided = np.mean((probability >= narrow) & (probability <= high))
    assert undecided <= 0.2
    assert undecided > 0.19 or narrow == 0.5


def test_a_network_that_accuses_nobody_wrongly_needs_no_band() -> None:
    fake = np.repeat([False, True], 100)
    probability = np.repeat([0.1, 0.9], 100)
    assert band(probability, fake, fake, 0.05, 0.3) == (0.5, 0.5)


def test_a_calibrated_checkpoint_keeps_its_votes_after_the_bias(
    dataset: Path, rows_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibrated"
    command = ["calibrate", str(rows_checkpoint), f"{dataset}:train", "--out", str(out)]
    assert main([*command, "--false-positive-rate", "0.5", "--most-undecided", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    metadata = checkpoints.read_metadata(out)
    assert metadata.calibration is not None
    assert metadata.calibration["temperature"] == report["temperature"] > 0
    assert (metadata.calibration["n"], metadata.calibration["groups"]) == (22, 11)
    assert metadata.thresholds["abstention_band"] == report["abstention_band"]
    assert metadata.sha256 != checkpoints.read_metadata(rows_checkpoint).sha256
    card = (out / "MODEL_CARD.md").read_text()
    assert "## Calibration" in card
    assert "Uncalibrated" not in card

    crops = [np.full((300, 300, 3), value, np.uint8) for value in (30, 120, 220)]
    before, after = (
        checkpoints.load(str(folder)).predict_faces(crops) for folder in (rows_checkpoint, out)
    )
    logits = [np.log(p[..., Label.FAKE] / p[..., Label.REAL]) for p in (before, after)]
    np.testing.assert_allclose(logits[1] - logits[0], report["bias"], atol=2e-3)


def test_figures_of_the_uncalibrated_checkpoint_do_not_stay(
    rows_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(rows_checkpoint, folder)
    checkpoints.write_metrics(folder, [{"set": "faces", "part": "", "level": "frame"}])
    checkpoints.rewrite(folder, {"calibration": {"temperature": 1.5}})
    assert checkpoints.read_metadata(folder).raw["metrics"] == []
    assert checkpoints.load(str(folder)).metadata.calibration == {"temperature": 1.5}


@pytest.mark.parametrize(
    ("part", "message"),
    [(":train", "11 genuine examples are too few"), (":test", "no part 'test'")],
)
def test_what_cannot_be_calibrated_is_said_and_nothing_is_left(
    dataset: Path,
    rows_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
    message: str,
) -> None:
    out = tmp_path / "out"
    command = ["calibrate", str(rows_checkpoint), f"{dataset}{part}", "--out", str(out)]
    assert main(command) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_there_is_not_written_over(
    dataset: Path, rows_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["calibrate", str(rows_checkpoint), str(dataset), "--out", str(tmp_path)]
    assert main(command) == 1
    assert "is there already" in capsys.readouterr().err
