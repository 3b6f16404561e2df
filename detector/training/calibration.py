"""``python -m detector calibrate``: what a checkpoint's probabilities mean, and when it abstains.

On sources that were used for neither training nor selection nor testing, three values are
found:

* a **bias** of the decision, folded into the network's last layer: a network trained on
  balanced and augmented crops may lean to one side on crops as they come. It is in the weights
  before any vote; nothing turns a vote afterwards.
* a **temperature** that the probability's logit is divided by (Guo et al., "On Calibration of
  Modern Neural Networks", ICML 2017).
* an **abstention band** around one half, as wide as the stated false-positive rate asks for.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector import checkpoints, serving
from detector.domain import Label
from detector.errors import CheckpointError
from detector.preprocessing import to_network_input, whole_crop
from detector.quantization import activation_ranges
from detector.training import model_card
from detector.training.crops import LabelledFace
from detector.training.errors import DatasetError
from detector.training.evaluation_sets import EvaluationSet, read_sets
from detector.voting import calibrated, too_unsure

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONFIDENCE = 0.9
"""One-sided, with which the false-positive rate on other sources stays below the stated one."""

CHUNK = 64

LAST_BIAS = "head/classes/bias"


@dataclass(frozen=True)
class Fit:
    """``bias`` is added to the logit of fake of every prediction."""

    bias: float
    temperature: float


def fit(predictions: Floats, fake: Bools) -> Fit:
    """Bias and temperature of least log loss.

    Args:
        predictions: probability of fake, shape (n, k): k predictions of each of n faces,
            whose mean is the face's probability.
        fake: the truth, shape (n,), with both classes.
    """
    from scipy.optimize import minimize

    bounded = np.clip(predictions, 1e-6, 1 - 1e-6)
    logits = np.log(bounded / (1 - bounded))

    def loss(values: Floats) -> float:
        bias, log_temperature = values
        face = np.mean(1 / (1 + np.exp(-(logits + bias))), axis=1)
        face = np.clip(face, 1e-7, 1 - 1e-7)
        scaled = np.log(face / (1 - face)) / math.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, np.where(fake, -scaled, scaled))))

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4})
    return Fit(bias=float(found.x[0]), temperature=float(math.exp(found.x[1])))


def band(
    probability: Floats, voted_fake: Bools, fake: Bools, allowed: int, most_undecided: float
) -> tuple[float, float]:
    """The abstention band (low, high) around one half.

    What lies in it, or on the other side of one half from its vote, is undecided
    (``voting.too_unsure``). ``high`` is as small as it can be with no more than ``allowed``
    genuine examples called fake. ``low`` mirrors it, unless more than ``most_undecided`` of
    the examples would be undecided: then it is nearer to one half, or, where ``high`` alone
    leaves more of them undecided, one half.

    Args:
        probability: calibrated, of each example, shape (n,).
        voted_fake, fake: its vote and the truth, shape (n,).
        allowed: see ``most_false_positives``.
    """
    accused = np.sort(probability[~fake & voted_fake])[::-1]
    high = max(0.5, float(accused[allowed])) if len(accused) > allowed else 0.5
    low = 1 - high
    called_fake = np.sum(voted_fake & (probability > high))
    called_real = np.sort(probability[~voted_fake & (probability < 0.5)])
    # Without the hair's breadth 0.29 of 100 would be 28.
    most = math.floor(most_undecided * len(probability) + 1e-9)
    fewest = len(probability) - most - called_fake
    if np.sum(called_real < low) < fewest:
        # The band is closed: its end lies just above the last that is to be called real.
        low = float(np.nextafter(called_real[fewest - 1], 1)) if fewest <= len(called_real) else 0.5
    return low, high


def most_false_positives(examples: int, sources: int, rate: float) -> int:
    """How many of the genuine examples may be called fake for the rate to be promised.

    So many that, with a confidence of 90 %, their share among others is below ``rate``
    (Clopper and Pearson, 1934). Examples of one source stand or fall together, so they count
    as one.

    Raises:
        ValueError: not even none.
    """
    from scipy.stats import beta

    allowed = -1
    while beta.ppf(CONFIDENCE, allowed + 2, sources - allowed - 1) <= rate:
        allowed += 1
    if allowed < 0:
        raise ValueError(
            f"{sources} genuine sources are too few to promise a false-positive rate of {rate}"
        )
    return allowed * examples // sources


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector calibrate``."""
    parser.add_argument("checkpoint", help="an installed one's name, or a folder")
    parser.add_argument("dataset", help="crops, FOLDER:PART; FOLDER:calibration for the run's own")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument(
        "--false-positive-rate", type=float, default=0.05, help="default %(default)s"
    )
    parser.add_argument(
        "--most-undecided",
        type=float,
        default=0.25,
        help="share, where the rate allows it; default %(default)s",
    )


def run(options: argparse.Namespace) -> int:
    """Write the calibrated checkpoint. Exit status."""
    try:
        report = calibrate(
            options.checkpoint,
            options.dataset,
            options.out,
            options.false_positive_rate,
            options.most_undecided,
        )
    except (CheckpointError, DatasetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report, indent=2))
    return 0


def calibrate(
    name: str, dataset: str, out: Path, rate: float, most_undecided: float
) -> dict[str, Any]:
    """Measure, write a checkpoint with the bias folded in, and measure that again.

    Returns:
        What stands in the new checkpoint's metadata as its calibration.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be used.
        DatasetError: the crops cannot be read, lack a class, or were trained on.
        ValueError: ``out`` is there already, or too few examples for the rate.
    """
    source = checkpoints.find(name)
    if out.exists():
        raise ValueError(f"{out} is there already")
    training = checkpoints.read_metadata(source).raw["training"]
    [crops] = read_sets([dataset], training)
    _refuse_what_it_has_seen(crops)
    faces, fake = _faces(crops)
    genuine = [face.group for face in faces if face.label == Label.REAL]
    allowed = most_false_positives(len(genuine), len(set(genuine)), rate)
    before = _predictions(checkpoints.load(str(source)), faces)
    found = fit(before, fake)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as unfinished:
        written = Path(unfinished) / out.name
        shutil.copytree(source, written)
        fold_bias(written, found.bias)
        # The written file is what is measured: its arrays are rounded.
        after = _predictions(checkpoints.load(str(written)), faces)
        temperature = fit_temperature(after, fake)
        probability = np.array([calibrated(p, temperature) for p in after.mean(axis=1)])
        voted_fake = np.sum(after >= 0.5, axis=1) * 2 >= after.shape[1]
        low, high = band(probability, voted_fake, fake, allowed, most_undecided)
        undecided = np.array(
            [
                too_unsure(bool(v), p, (low, high))
                for v, p in zip(voted_fake, probability, strict=True)
            ]
        )
        report = {
            "temperature": temperature,
            "bias": found.bias,
            "set": crops.title,
            "n": len(fake),
            "groups": len({face.group for face in faces}),
            "false_positive_rate": rate,
            "genuine": len(genuine),
            "genuine_called_fake": int(np.sum(~fake & voted_fake & ~undecided)),
            "undecided": float(np.mean(undecided)),
            "date": datetime.now(UTC).date().isoformat(),
        }
        thresholds = checkpoints.read_metadata(written).raw["thresholds"]
        changes = {
            "calibration": report,
            "thresholds": thresholds | {"abstention_band": [low, high]},
        }
        checkpoints.rewrite(written, changes)
        _measure_activations(written, faces)
        model_card.write(written)
        written.rename(out)
    return report | {"abstention_band": [low, high]}


def fold_bias(folder: Path, bias: float) -> None:
    """Add ``bias`` to the logit of fake in the last layer of a saved checkpoint."""
    from safetensors.numpy import load_file

    last = load_file(folder / checkpoints.WEIGHTS)[LAST_BIAS]
    # Half to each side: a softmax sees the difference only.
    last[Label.FAKE] += bias / 2
    last[Label.REAL] -= bias / 2
    checkpoints.rewrite(folder, {}, {LAST_BIAS: last})


def fit_temperature(predictions: Floats, fake: Bools) -> float:
    """The temperature of least log loss, with no bias; arguments as ``fit``."""
    from scipy.optimize import minimize_scalar

    face = np.clip(predictions.mean(axis=1), 1e-7, 1 - 1e-7)
    logits = np.log(face / (1 - face))

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, np.where(fake, -scaled, scaled))))

    return float(math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _refuse_what_it_has_seen(crops: EvaluationSet) -> None:
    """Probabilities are too sure, and bands too narrow, on what a network has learned."""
    if crops.trained_on or crops.part == "selection":
        raise DatasetError(
            f"{crops.title} has sources that this checkpoint was trained on or chosen by; "
            f"take {crops.name}:calibration, or other crops"
        )


def _faces(crops: EvaluationSet) -> tuple[list[LabelledFace], Bools]:
    if not crops.of_crops:
        raise DatasetError(f"{crops.title} is no folder of crops; detector preprocess makes one")
    faces = [face for item in crops.items for face in item.faces]
    fake = np.array([face.label == Label.FAKE for face in faces])
    if not 0 < fake.sum() < len(fake):
        raise DatasetError(
            f"{crops.title}: calibrating needs genuine and fake crops, "
            f"got {len(fake) - fake.sum()} and {fake.sum()}"
        )
    return faces, fake


def _measure_activations(folder: Path, faces: list[LabelledFace]) -> None:
    """What a checkpoint that reads rows needs to be served in 8 bits."""
    about = checkpoints.read_metadata(folder)
    if about.architecture["sequence"] != "rows":
        return
    size = int(about.architecture["image_size"])
    batches = (
        to_network_input([whole_crop(face.image()) for face in faces[start : start + CHUNK]], size)
        for start in range(0, len(faces), CHUNK)
    )
    ranges = activation_ranges(serving.exported(str(folder)), batches)
    (folder / checkpoints.ACTIVATION_RANGES).write_bytes(ranges)


def _predictions(checkpoint: checkpoints.LoadedCheckpoint, faces: list[LabelledFace]) -> Floats:
    """Probability of fake, (n, 16)."""
    answers = [
        checkpoint.predict_faces(
            [whole_crop(face.image()) for face in faces[start : start + CHUNK]]
        )
        for start in range(0, len(faces), CHUNK)
    ]
    return np.concatenate(answers)[:, :, Label.FAKE].astype(np.float64)
