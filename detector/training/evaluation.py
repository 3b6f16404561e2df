"""How well a network tells held-out face crops apart, through the serving path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.domain import Label
from detector.preprocessing import to_network_input, whole_crop
from detector.training.datasets import LabelledFace

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""(n, size, size, 3) in −1…1 ▸ (n, predictions, 2) in class order."""


def measure(
    predict: Predict, faces: Sequence[LabelledFace], image_size: int, name: str, seed: int = 1
) -> dict[str, Any]:
    """ROC AUC and accuracy of single crops.

    The interval is the 2.5 % to 97.5 % range of 1,000 resamplings of source videos.

    Args:
        name: of the set, written beside the figures.
    """
    from sklearn.metrics import roc_auc_score

    probabilities = np.concatenate(
        [
            predict(to_network_input([whole_crop(f.image()) for f in part], image_size))[
                ..., Label.FAKE
            ].mean(axis=1)
            for part in (faces[i : i + 32] for i in range(0, len(faces), 32))
        ]
    )
    fake = np.array([face.label == Label.FAKE for face in faces])
    members: dict[str, list[int]] = {}
    for position, face in enumerate(faces):
        members.setdefault(face.group, []).append(position)
    groups = [np.array(positions) for positions in members.values()]
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(1000):
        chosen = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if 0 < fake[chosen].sum() < len(chosen):
            resampled.append(roc_auc_score(fake[chosen], probabilities[chosen]))
    low, high = np.percentile(resampled, [2.5, 97.5])
    value = roc_auc_score(fake, probabilities)
    described = {
        "set": f"{name}: held-out source videos, single crops",
        "n": len(faces),
        "groups": len(groups),
        "image_size": image_size,
    }
    return {
        "validation_auc": {
            "value": round(float(value), 4),
            "low": round(float(low), 4),
            "high": round(float(high), 4),
            **described,
        },
        "validation_accuracy": {
            "value": round(float(np.mean((probabilities > 0.5) == fake)), 4),
            **described,
        },
    }
