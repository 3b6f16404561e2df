"""``python -m detector.training.contact_sheet``: what the network sees in training.

One batch of a stage, made as the trainer makes it, as a picture: a genuine crop and its
fake side by side, eight crops in a row; of windows, one in a row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image
from detector.training.batches import BatchMaker
from detector.training.configuration import Config
from detector.training.errors import DatasetError
from detector.training.run_data import load_data
from detector.training.trainer import configuration_of, recipe_of

COLUMNS = 8


def contact_sheet(config: Config, beside: Path, stage: str, step: int) -> Image:
    """The batch of one step, RGB ``uint8``: rows of eight crops of the network's size.

    Args:
        beside: where relative paths of the configuration begin.
        stage: its name.

    Raises:
        DatasetError: the set cannot be read, or has nothing to make a batch of.
        ValueError: no such stage.
    """
    names = [one.name for one in config.stages]
    if stage not in names:
        raise ValueError(f"no stage {stage!r}; there are {', '.join(names)}")
    with tempfile.TemporaryDirectory() as drawn:
        sources = load_data(config, beside, Path(drawn)).training
        inputs, _ = BatchMaker(recipe_of(config, names.index(stage)), sources)(step)
    size = config.network.image_size
    crops = np.rint((inputs.reshape(-1, size, size, 3) + 1) * 127.5).astype(np.uint8)
    missing = -len(crops) % COLUMNS
    crops = np.concatenate([crops, np.zeros((missing, *crops.shape[1:]), np.uint8)])
    grid = crops.reshape(-1, COLUMNS, size, size, 3).swapaxes(1, 2)
    return np.asarray(grid.reshape(-1, COLUMNS * size, 3), dtype=np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m detector.training.contact_sheet",
        description="A picture of one training batch: pairs of a genuine crop and a fake.",
    )
    parser.add_argument("config", type=Path, help="TOML, as detector train takes it")
    parser.add_argument("out", type=Path, help="the picture to write, .png")
    parser.add_argument("--crops", nargs="+", type=Path, help="in place of data.crops")
    parser.add_argument("--stage", help="default: the first")
    parser.add_argument("--step", type=int, default=0, help="of which training step")
    options = parser.parse_args()
    try:
        config = configuration_of(options.config, options.crops)
        stage = options.stage or config.stages[0].name
        sheet = contact_sheet(config, options.config.parent, stage, options.step)
        written = cv2.imwrite(str(options.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except (DatasetError, ValueError, cv2.error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not written:
        print(f"error: could not write {options.out}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
