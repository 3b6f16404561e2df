"""``python -m detector.training.contact_sheet DATASET OUT.png``: what the network sees.

Rows of pairs, a genuine crop and beside it the fake it is told apart from, as a training
step feeds them: augmented, scaled, pseudo-fakes first in the batch. It shows faces of the
data set, so its terms hold for the picture too.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import cv2
import numpy as np

from detector.domain import Image
from detector.training.batches import BatchMaker, Config
from detector.training.crops import by_source, load_faces, read_manifest
from detector.training.errors import DatasetError

COLUMNS = 8


def contact_sheet(folder: Path, config: Config, step: int = 0) -> Image:
    """The batch of a step as one picture, RGB ``uint8``, eight crops a row.

    Raises:
        DatasetError: the set cannot be read, or has no source with both classes.
    """
    rows = [row for row in read_manifest(folder) if row.split == "train"]
    # A sheet needs a few sources only; not the first ones, which are often of one film set.
    groups = sorted({row.group for row in rows})
    chosen = set(random.Random(config.seed).sample(groups, min(len(groups), config.batch_size * 4)))  # noqa: S311
    faces = load_faces(folder, [row for row in rows if row.group in chosen])
    sources = [source for source in by_source(faces) if source.real and source.fake]
    if not sources:
        raise DatasetError(f"{folder} has no source with both genuine and fake crops")
    inputs, _ = BatchMaker(config, sources)(step)
    crops = np.rint((inputs + 1) * 127.5).astype(np.uint8)
    missing = -len(crops) % COLUMNS
    crops = np.concatenate([crops, np.zeros((missing, *crops.shape[1:]), np.uint8)])
    size = config.image_size
    grid = crops.reshape(-1, COLUMNS, size, size, 3).swapaxes(1, 2)
    return np.asarray(grid.reshape(-1, COLUMNS * size, 3), dtype=np.uint8)


def main() -> int:
    defaults = Config(dataset="")
    parser = argparse.ArgumentParser(
        prog="python -m detector.training.contact_sheet",
        description="A picture of one training batch: pairs of a genuine crop and a fake.",
    )
    parser.add_argument("dataset", type=Path, help="folder with manifest.csv and crops or zips")
    parser.add_argument("out", type=Path, help="the picture to write, .png")
    parser.add_argument("--step", type=int, default=0, help="of which training step")
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--image-size", type=int, default=defaults.image_size)
    parser.add_argument("--self-blended", type=float, default=defaults.self_blended)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    options = parser.parse_args()
    try:
        config = Config(
            dataset=options.dataset.name,
            batch_size=options.batch_size,
            image_size=options.image_size,
            self_blended=options.self_blended,
            seed=options.seed,
        )
        sheet = contact_sheet(options.dataset, config, options.step)
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
