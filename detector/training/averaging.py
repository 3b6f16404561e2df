"""``python -m detector.training.averaging``: one checkpoint whose weights are the mean of several.

Runs that went on from the same weights often lie in one basin, where the mean of their weights
generalises better than each of them, for the cost of none (Wortsman et al., "Model soups", ICML
2022). Whether it does is to be measured, and the result is to be calibrated like a new one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector import checkpoints
from detector.checkpoint_files import read_arrays
from detector.errors import BadCheckpoint, CheckpointError
from detector.network import Metadata
from detector.training import model_card
from detector.training.trainer import LIMITS


def average(names: Sequence[str], out: Path) -> None:
    """Write the mean, uncalibrated and not measured. What is said of its training is the first's.

    Args:
        names: of installed checkpoints, or paths to folders.
        out: folder of the new one.

    Raises:
        CheckpointError: one cannot be found or read, or they are not of one kind: another
            network, other crops, or other sources kept apart, some of which the mean would
            then have seen.
        ValueError: fewer than two, or ``out`` is there already.
    """
    if len(names) < 2:
        raise ValueError("a mean needs at least two checkpoints")
    if out.exists():
        raise ValueError(f"{out} is there already")
    folders = [checkpoints.find(name) for name in names]
    metadata = [checkpoints.read_metadata(folder) for folder in folders]
    arrays = [
        read_arrays(folder / checkpoints.WEIGHTS, about.sha256)
        for folder, about in zip(folders, metadata, strict=True)
    ]
    kinds = [
        (_kind(about), {key: value.shape for key, value in values.items()})
        for about, values in zip(metadata, arrays, strict=True)
    ]
    for name, kind in zip(names, kinds, strict=True):
        if kind != kinds[0]:
            raise BadCheckpoint(
                f"{name} is not of the kind of {names[0]}: another network, other crops, or other "
                "sources kept apart"
            )
    means = {
        key: np.mean([each[key].astype(np.float64) for each in arrays], axis=0).astype(value.dtype)
        for key, value in arrays[0].items()
    }
    changes = {
        "version": "mean of " + " and ".join(about.version for about in metadata),
        "created": datetime.now(UTC).date().isoformat(),
        "limits": list(LIMITS),
        "calibration": None,
        "thresholds": metadata[0].raw["thresholds"] | {"abstention_band": None},
        "training": metadata[0].raw["training"]
        | {"mean of": [f"{one.name} {one.version}, {one.sha256}" for one in metadata]},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as unfinished:
        written = Path(unfinished) / out.name
        written.mkdir()
        for file in (checkpoints.WEIGHTS, checkpoints.METADATA):
            shutil.copy(folders[0] / file, written)
        checkpoints.rewrite(written, changes, means)
        model_card.write(written)
        written.rename(out)


def _kind(about: Metadata) -> tuple[Any, ...]:
    training = about.raw["training"]
    data = training.get("data", {})
    return (
        dict(about.architecture),
        about.raw["preprocessing"],
        training.get("sources"),
        data.get("split_seed"),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="two or more")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    options = parser.parse_args()
    try:
        average(options.checkpoints, options.out)
    except (CheckpointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
