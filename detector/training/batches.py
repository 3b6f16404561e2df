"""What a training run is, and its batches: a function of configuration and step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detector.domain import Label
from detector.preprocessing import to_network_input
from detector.training.augmentation import Augmentation, augment
from detector.training.crops import Source
from detector.training.self_blending import self_blend

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Images (n, size, size, 3) in −1…1 and one-hot labels (n, 2) in class order."""


PRECISIONS = ("float32", "mixed_bfloat16")
"""Keras's policies: the mixed one computes in 16 bits and keeps the weights in 32."""


@dataclass(frozen=True)
class Config:
    """What defines a run; a resumed run must have the same."""

    dataset: str
    cut: str = "block35_10_ac"
    image_size: int = 160
    warm_start: str = ""
    frozen_through: str = "mixed_5b"
    steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    self_blended: float = 0.25
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: str = "float32"
    held_out: int = 1000
    reserved: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 2 or self.batch_size % 2:
            raise ValueError(f"batch_size must be even, for its pairs, got {self.batch_size}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not 0 <= self.self_blended <= 1:
            raise ValueError(f"self_blended is a share, 0 to 1, got {self.self_blended}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")


class BatchMaker:
    """Batches by step number: the same (config, sources, step) gives the same batch."""

    def __init__(self, config: Config, sources: list[Source]) -> None:
        self.config = config
        self.sources = sources
        pairs = config.batch_size // 2
        self.blended_pairs = round(pairs * config.self_blended)
        self.per_step = pairs

    def __call__(self, step: int) -> Batch:
        """Images and one-hot labels of one step."""
        rng = np.random.default_rng((self.config.seed, step))
        crops = []
        labels = []
        for position, index in enumerate(self._sources_of(step)):
            source = self.sources[index]
            real = source.real[int(rng.integers(len(source.real)))].image()
            if position < self.blended_pairs:
                fake = self_blend(real, rng)
            else:
                fake = source.fake[int(rng.integers(len(source.fake)))].image()
            changes = int(rng.integers(1 << 62))
            crops += [
                augment(crop, np.random.default_rng(changes), self.config.augmentation)
                for crop in (real, fake)
            ]
            labels += [Label.REAL, Label.FAKE]
        images = to_network_input(crops, self.config.image_size)
        return images, np.eye(2, dtype=np.float32)[labels]

    def _sources_of(self, step: int) -> list[int]:
        """Each source once a pass, in an order of that pass's own."""
        count = len(self.sources)
        chosen = []
        for position in range(step * self.per_step, (step + 1) * self.per_step):
            epoch, place = divmod(position, count)
            chosen.append(int(_order(self.config.seed, epoch, count)[place]))
        return chosen


_orders: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}


def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    key = (seed, epoch, count)
    if key not in _orders:
        _orders[key] = np.random.default_rng((seed, epoch, 1 << 20)).permutation(count)
    return _orders[key]
