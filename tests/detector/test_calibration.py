"""What a checkpoint's probabilities mean: bias, temperature and the band of abstention."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from detector import checkpoints, serving
from detector.cli import main
from detector.domain import Label
from detector.quantization import quantized
from detector.training.calibration import band, fit, fit_temperature, most_false_positives
from detector.voting import too_unsure


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
    assert most_false_positives(45, 45, 0.05) == 0
    with pytest.raises(ValueError, match="44 genuine sources are too few"):
        most_false_positives(44, 44, 0.05)
    assert 10 < most_false_positives(500, 500, 0.05) < 25


def test_many_crops_of_one_source_promise_no_more_than_one() -> None:
    allowed = most_false_positives(100, 100, 0.05)
    assert most_false_positives(1600, 100, 0.05) == 16 * allowed
    with pytest.raises(ValueError, match="44 genuine sources are too few"):
        most_false_positives(4400, 44, 0.05)


def test_above_the_band_stand_no_more_genuine_examples_than_allowed() -> None:
    rng = np.random.default_rng(2)
    fake = np.repeat([False, True], 500)
    probability = np.clip(
        np.concatenate([rng.normal(0.3, 0.2, 500), rng.normal(0.7, 0.2, 500)]), 0, 1
    )
    voted_fake = probability >= 0.5
    low, high = band(probability, voted_fake, fake, 17, 0.5)
    accused = int(np.sum(~fake & voted_fake & (probability > high)))
    assert accused == 17
    assert low == pytest.approx(1 - high)
    narrow, same = band(probability, voted_fake, fake, 17, 0.2)
    assert same == high
    assert low < narrow <= 0.5
    undecided = np.mean((probability >= narrow) & (probability <= high))
    assert undecided <= 0.2
    assert undecided > 0.19 or narrow == 0.5


def test_who_is_voted_fake_below_one_half_is_undecided_and_accuses_nobody() -> None:
    """A vote is a majority of predictions, and may be FAKE where their mean is below one half."""
    probability = np.concatenate([np.linspace(0.51, 0.6, 10), [0.2, 0.2], np.full(88, 0.1)])
    voted_fake = np.arange(100) < 12
    fake = np.zeros(100, bool)
    low, high = band(probability, voted_fake, fake, 4, 0.5)
    assert high == pytest.approx(0.56)
    assert low == pytest.approx(0.44)
    # With the six in the band the two leave room for two more, and nobody is that close.
    assert band(probability, voted_fake, fake, 4, 0.08) == (low, high)
    too_few = band(probability, voted_fake, fake, 4, 0.07)
    assert too_few == (0.5, high)


def test_the_band_is_chosen_by_the_rule_that_serves() -> None:
    """Many ties, probabilities on the other side of the votes, and of exactly one half."""
    rng = np.random.default_rng(3)
    for most in (0.0, 0.29, 0.6, 1.0):
        for allowed in range(4):
            probability = rng.integers(0, 11, 100) / 10
            voted_fake = np.where(rng.random(100) < 0.9, probability >= 0.5, probability < 0.5)
            fake = rng.random(100) < 0.5
            chosen = band(probability, voted_fake, fake, allowed, most)
            undecided = np.array(
                [
                    too_unsure(bool(v), p, chosen)
                    for v, p in zip(voted_fake, probability, strict=True)
                ]
            )
            assert np.sum(~fake & voted_fake & ~undecided) <= allowed
            assert undecided.sum() <= round(100 * most) or chosen[0] == 0.5


def test_a_network_that_accuses_nobody_wrongly_needs_no_band() -> None:
    fake = np.repeat([False, True], 100)
    probability = np.repeat([0.1, 0.9], 100)
    assert band(probability, fake, fake, 2, 0.3) == (0.5, 0.5)


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
    ranges = (out / checkpoints.ACTIVATION_RANGES).read_bytes()
    assert b"QuantizeLinear" in quantized(serving.exported(str(out)), ranges)

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
    [(":train", "11 genuine sources are too few"), (":test", "no part 'test'")],
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
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out"))] == []


@pytest.mark.parametrize("part", ["", ":train", ":selection"])
def test_what_a_checkpoint_has_learned_cannot_calibrate_it(
    dataset: Path,
    rows_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(rows_checkpoint, trained)
    data = {"crops": ["faces"], "selection": 4, "calibration": 2, "split_seed": 3}
    checkpoints.rewrite(trained, {"training": {"data": data}})
    command = ["calibrate", str(trained), f"{dataset}{part}", "--out", str(tmp_path / "out")]
    assert main([*command, "--false-positive-rate", "0.9"]) == 1
    assert "take faces:calibration, or other crops" in capsys.readouterr().err
    # Its own part, and a split that it was not trained on, pass this by.
    for other in (":calibration", ":val"):
        command[2] = f"{dataset}{other}"
        assert main([*command, "--false-positive-rate", "0.1"]) == 1
        assert "too few to promise" in capsys.readouterr().err


def test_a_calibration_that_dies_half_way_leaves_nothing(
    dataset: Path, rows_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*given: object) -> None:
        raise KeyboardInterrupt

    said = np.random.default_rng(1).uniform(0.1, 0.9, (22, 8))
    monkeypatch.setattr("detector.training.calibration._predictions", lambda *given: said)
    monkeypatch.setattr("detector.training.calibration.fit_temperature", dies)
    command = ["calibrate", str(rows_checkpoint), f"{dataset}:train", "--out"]
    given = [*command, str(tmp_path / "new" / "out"), "--false-positive-rate", "0.5"]
    assert main(given) == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_is_there_is_not_written_over(
    dataset: Path, rows_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["calibrate", str(rows_checkpoint), str(dataset), "--out", str(tmp_path)]
    assert main(command) == 1
    assert "is there already" in capsys.readouterr().err
