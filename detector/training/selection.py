"""Which weights are best: the selection sets, of sources that are not trained on.

Two sets count equally. ``as_they_are`` has the genuine and fake crops of the sources, and
tells how well known forgeries are found. ``blended`` has their genuine crops,
recompressed and otherwise damaged, against self-blended images of them that were damaged
the same way: forgeries that no generator made, on which a network that learned one
generator's traces is at chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from detector.domain import Label
from detector.training.augmentation import NO_AUGMENTATION
from detector.training.batches import BatchMaker, Recipe
from detector.training.crops import Source

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""A batch of network inputs ▸ probability of fake for each."""

DAMAGED = replace(NO_AUGMENTATION, downscale=0.3, blur=0.1, noise=0.1, jpeg=0.3, h264=0.5)
"""What happens to the genuine crops of the blended set and to what is made of them."""

SEED = 20_261_125
"""Of the damages: the same for every run, so that runs can be compared. They change with
``augment``, and scores before such a change are of other sets."""

BATCH_SIZE = 32


@dataclass(frozen=True)
class SelectionSet:
    """Network inputs as bytes, (n, size, size, 3) or (n, 8, size, size, 3), and labels."""

    name: str
    images: npt.NDArray[np.uint8]
    fake: npt.NDArray[np.bool_]

    def auc(self, predict: Predict) -> float:
        """ROC AUC of the probabilities."""
        said = [
            predict(self.images[start : start + BATCH_SIZE].astype(np.float32) / 127.5 - 1)
            for start in range(0, len(self.images), BATCH_SIZE)
        ]
        return float(roc_auc_score(self.fake, np.concatenate(said)))


def selection_sets(
    sources: Sequence[Source], image_size: int, *, windows: bool
) -> list[SelectionSet]:
    """The sets of these sources; without fakes among them only the blended one."""
    recipe = Recipe(
        image_size=image_size,
        batch_size=BATCH_SIZE,
        self_blended=0.0,
        augmentation=NO_AUGMENTATION,
        seed=SEED,
        windows=windows,
    )
    genuine = [source for source in sources if source.real]
    paired = [source for source in genuine if source.fake]
    sets = [_set("as_they_are", recipe, paired)] if paired else []
    blended = replace(recipe, self_blended=1.0, augmentation=DAMAGED)
    return [*sets, _set("blended", blended, genuine)]


def score(sets: Sequence[SelectionSet], predict: Predict) -> dict[str, float]:
    """AUC of each set by its name, and as ``score`` their mean."""
    values = {one.name: one.auc(predict) for one in sets}
    return values | {"score": float(np.mean([*values.values()]))}


def _set(name: str, recipe: Recipe, sources: Sequence[Source]) -> SelectionSet:
    """Each source once: a pair of its own for each."""
    single = replace(recipe, batch_size=2)
    make = BatchMaker(single, sources)
    images, labels = [], []
    for step in range(len(sources)):
        pair, truth = make(step)
        images.append(np.rint((pair + 1) * 127.5).astype(np.uint8))
        labels.append(truth[:, Label.FAKE] > 0.5)
    return SelectionSet(name, np.concatenate(images), np.concatenate(labels))
