"""Batches: a function of data, settings and step number, in pairs.

A pair is a genuine crop and a fake, of the same source where the set has both: half of
every batch is genuine, however the classes stand in the set. A share of the fakes is
blended from the genuine crop; with a set of genuine videos only, all are. Both of a pair
get the same augmentation, so that the forgery is all that tells them apart.

A sequence head over frames reads windows of 8 crops of one person. Where a set has fewer
crops of a video, a window is what a still face gives: copies that wander a little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from detector.domain import Image, Label
from detector.preprocessing import crop_square, to_network_input, whole_crop
from detector.training.augmentation import Augmentation, augment
from detector.training.crops import LabelledFace, Source
from detector.training.errors import DatasetError
from detector.training.self_blending import self_blend

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Images (n, size, size, 3), or windows (n, 8, size, size, 3), in −1…1, and one-hot
labels (n, 2) in class order."""

WINDOW = 8

WANDER = 0.01
"""Standard deviation of a still face's steps between frames, by the crop's side."""


@dataclass(frozen=True)
class Recipe:
    """What decides a batch besides the data."""

    image_size: int
    batch_size: int
    self_blended: float
    augmentation: Augmentation
    seed: int
    windows: bool = False


class BatchMaker:
    """Batches by step number: the same (recipe, sources, step) gives the same batch.

    Raises:
        DatasetError: no source has a genuine crop, or none has a fake and none is blended.
    """

    def __init__(self, recipe: Recipe, sources: Sequence[Source]) -> None:
        self.recipe = recipe
        self.sources = [source for source in sources if source.real]
        if not self.sources:
            raise DatasetError("there is no source with genuine crops to train on")
        self._strangers = [source for source in sources if not source.real]
        self._has_fakes = any(source.fake for source in sources)
        if not self._has_fakes and recipe.self_blended == 0:
            raise DatasetError(
                "there is no fake to train on; with self_blended above 0 they are made"
            )
        self._pairs = recipe.batch_size // 2
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def __call__(self, step: int) -> Batch:
        """Images or windows and one-hot labels of one step."""
        rng = np.random.default_rng((self.recipe.seed, step))
        examples: list[list[Image]] = []
        before, after = (int(n * self._pairs * self.recipe.self_blended) for n in (step, step + 1))
        blended = after - before  # Of few pairs the share is that of many steps.
        for position, source in enumerate(self._sources_of(step)):
            fakes = source.fake or self._fakes_of_a_stranger(rng)
            if position < blended or not fakes:
                real = self._some(source.real, rng)
                seed = int(rng.integers(1 << 62))
                fake = [self_blend(crop, np.random.default_rng(seed)) for crop in real]
            else:
                # How a window moves must not tell its label.
                still = self.recipe.windows and not all(map(_moves, (source.real, fakes)))
                real, fake = (self._some(faces, rng, still) for faces in (source.real, fakes))
                if fake[0].shape != real[0].shape:
                    # A crop of another size would draw other changes.
                    real, fake = ([whole_crop(crop) for crop in crops] for crops in (real, fake))
            changes = int(rng.integers(1 << 62))
            examples += [self._augmented(crops, changes) for crops in (real, fake)]
        labels = np.eye(2, dtype=np.float32)[[Label.REAL, Label.FAKE] * self._pairs]
        images = to_network_input(
            [crop for crops in examples for crop in crops], self.recipe.image_size
        )
        if self.recipe.windows:
            images = images.reshape(len(examples), WINDOW, *images.shape[1:])
        return images, labels

    def _some(
        self, faces: Sequence[LabelledFace], rng: np.random.Generator, still: bool = False
    ) -> list[Image]:
        if self.recipe.windows:
            return window(faces, rng, still=still)
        return [faces[int(rng.integers(len(faces)))].image()]

    def _augmented(self, crops: list[Image], seed: int) -> list[Image]:
        """All crops of an example with the same draws: one camera, one codec."""
        shares = self.recipe.augmentation
        return [augment(crop, np.random.default_rng(seed), shares) for crop in crops]

    def _fakes_of_a_stranger(self, rng: np.random.Generator) -> Sequence[LabelledFace]:
        """Fakes whose genuine video is not in the set."""
        if not self._strangers:
            return ()
        return self._strangers[int(rng.integers(len(self._strangers)))].fake

    def _sources_of(self, step: int) -> list[Source]:
        """Each source once a pass, in an order of that pass's own."""
        count = len(self.sources)
        chosen = []
        for position in range(step * self._pairs, (step + 1) * self._pairs):
            epoch, place = divmod(position, count)
            chosen.append(self.sources[int(self._order(epoch)[place])])
        return chosen

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch not in self._orders:
            rng = np.random.default_rng((self.recipe.seed, epoch, 1 << 20))
            self._orders[epoch] = rng.permutation(len(self.sources))
        return self._orders[epoch]


def window(
    faces: Sequence[LabelledFace], rng: np.random.Generator, *, still: bool = False
) -> list[Image]:
    """8 crops of one person in the order of time, 300×300.

    From a video with fewer in a row, or if ``still``, one crop that wanders, as a still
    face's box does.
    """
    tracks = _tracks(faces)
    tracks = [track for track in tracks if len(track) >= WINDOW] or tracks
    track = tracks[int(rng.integers(len(tracks)))]
    if len(track) >= WINDOW and not still:
        first = int(rng.integers(len(track) - WINDOW + 1))
        return [whole_crop(face.image()) for face in track[first : first + WINDOW]]
    crop = whole_crop(track[int(rng.integers(len(track)))].image())
    side = crop.shape[0]
    moves = np.cumsum(rng.normal(0, WANDER * side, (WINDOW, 2)), axis=0)
    return [crop_square(crop, right, down, side) for right, down in moves]


def _moves(faces: Sequence[LabelledFace]) -> bool:
    """Whether there is a window of real frames among them."""
    return any(len(track) >= WINDOW for track in _tracks(faces))


def _tracks(faces: Sequence[LabelledFace]) -> list[list[LabelledFace]]:
    """The faces of each person, in the order of time, without gaps."""
    of_person = defaultdict(list)
    for face in faces:
        of_person[face.row.video, face.row.person].append(face)
    return [track for _, those in sorted(of_person.items()) for track in _without_gaps(those)]


def _without_gaps(faces: Sequence[LabelledFace]) -> list[list[LabelledFace]]:
    """Faces of one person in the order of time, parted where the video was not looked at.

    Frames are sampled in runs, and what serves reads windows within a run. A gap is longer
    than a whole window at the usual distance, so that a face which was missed makes none.
    """
    track = sorted(faces, key=lambda face: face.row.frame_index)
    distances = np.diff([face.row.frame_index for face in track])
    usual = float(np.median(distances)) if len(distances) else 0.0
    ends = [*np.flatnonzero(distances > WINDOW * usual) + 1, len(track)]
    return [track[start:end] for start, end in pairwise([0, *ends])]
