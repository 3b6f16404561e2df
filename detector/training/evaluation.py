"""How well a checkpoint tells held-out face crops apart, as it is served.

``python -m detector.training.evaluation CHECKPOINT DATASET`` measures an installed
checkpoint again, on the sources its own training run held out. Crops take the way of
``preprocessing.whole_crop`` (they are cut already), ``checkpoints.LoadedCheckpoint``
and ``voting``: the weights are those of the file, in its precision.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from detector.domain import Image, Label
from detector.preprocessing import whole_crop
from detector.training.crops import (
    LabelledFace,
    load_faces,
    read_manifest,
    split_three_ways,
)
from detector.training.errors import DatasetError
from detector.voting import face_probability, frame_vote

PredictFaces = Callable[[Sequence[Image]], npt.NDArray[np.float32]]
"""n crops, RGB ``uint8`` (300, 300, 3) ▸ (n, predictions, 2) in class order."""

RESAMPLINGS = 1000
CHUNK = 64


def measure(
    predict_faces: PredictFaces, faces: Sequence[LabelledFace], name: str, seed: int = 1
) -> dict[str, Any]:
    """ROC AUC of the probabilities and accuracy of the votes of single crops.

    The intervals are the 2.5 % to 97.5 % range of 1,000 resamplings of source videos.

    Args:
        name: of the set, written beside the figures.

    Raises:
        DatasetError: there are not crops of both classes.
    """
    fake = np.array([face.label == Label.FAKE for face in faces])
    if not 0 < fake.sum() < len(fake):
        raise DatasetError(
            f"{name}: measuring needs genuine and fake crops, "
            f"got {len(fake) - fake.sum()} and {fake.sum()}"
        )
    probabilities, voted_fake = _ask(predict_faces, faces)
    described = {
        "set": f"{name}: held-out source videos, single crops",
        "n": len(faces),
        "groups": len({face.group for face in faces}),
    }
    samples = _resampled_sources(faces, fake, seed)
    return {
        "validation_auc": _figure(
            lambda chosen: float(roc_auc_score(fake[chosen], probabilities[chosen])), samples
        )
        | described,
        "validation_accuracy": _figure(
            lambda chosen: float(np.mean(voted_fake[chosen] == fake[chosen])), samples
        )
        | described,
    }


def held_out_faces(folder: Path, training: Mapping[str, Any]) -> list[LabelledFace]:
    """The crops that a run with this ``training`` entry of its metadata did not see."""
    rows = [row for row in read_manifest(folder) if row.split == "train"]
    _, held_out = split_three_ways(
        (row.group for row in rows),
        reserved=training["reserved"],
        held_out=training["held_out"],
        seed=training["seed"],
    )
    return load_faces(folder, [row for row in rows if row.group in held_out])


def _ask(
    predict_faces: PredictFaces, faces: Sequence[LabelledFace]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Each crop's probability of fake, and whether it is voted fake."""
    answers: list[npt.NDArray[np.float32]] = []
    for start in tqdm(range(0, len(faces), CHUNK), desc="measuring", unit="batch", leave=False):
        crops = [whole_crop(face.image()) for face in faces[start : start + CHUNK]]
        answers.extend(predict_faces(crops))
    return (
        np.array([face_probability(answer) for answer in answers]),
        np.array([frame_vote(answer) == Label.FAKE for answer in answers]),
    )


def _resampled_sources(
    faces: Sequence[LabelledFace], fake: npt.NDArray[np.bool_], seed: int
) -> list[npt.NDArray[np.int64]]:
    """Positions of all crops, then of each resampling of source videos that has both classes."""
    members: dict[str, list[int]] = {}
    for position, face in enumerate(faces):
        members.setdefault(face.group, []).append(position)
    groups = [np.array(positions) for positions in members.values()]
    rng = np.random.default_rng(seed)
    samples = [np.arange(len(faces))]
    for _ in range(RESAMPLINGS):
        chosen = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if 0 < fake[chosen].sum() < len(chosen):
            samples.append(chosen)
    return samples


def _figure(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    samples: Sequence[npt.NDArray[np.int64]],
) -> dict[str, float]:
    value, *resampled = (statistic(chosen) for chosen in samples)
    low, high = np.percentile(resampled or [value], [2.5, 97.5])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m detector.training.evaluation",
        description="Measure a checkpoint on the source videos its training run held out.",
    )
    parser.add_argument("checkpoint", help="name of an installed one, or its folder")
    parser.add_argument("dataset", type=Path, help="the set it was trained on, with manifest.csv")
    parser.add_argument(
        "--write", action="store_true", help="put the figures into its metadata and card"
    )
    arguments = parser.parse_args()

    from detector import checkpoints
    from detector.errors import DetectorError
    from detector.training import model_card

    try:
        loaded = checkpoints.load(arguments.checkpoint)
        training = loaded.metadata.raw["training"]
        faces = held_out_faces(arguments.dataset, training)
        metrics = measure(loaded.predict_faces, faces, arguments.dataset.name, training["seed"])
    except (DatasetError, DetectorError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.write:
        folder = checkpoints.find(arguments.checkpoint)
        checkpoints.write_metrics(folder, metrics)
        model_card.write(folder)
    print(json.dumps(metrics, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
