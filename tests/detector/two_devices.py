"""A program: a run on one device, and the same one on two, killed and resumed.

    python -m tests.detector.two_devices FOLDER

Two logical processors stand for two GPUs. TensorFlow divides its devices once in a process,
so this needs one of its own. ``FOLDER`` then holds the runs ``one`` and ``two``, and the
weights that both begin with.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from detector.training import fitting, trainer
from detector.training.configuration import Config, Data, Network, Stage
from detector.training.weights import save_weights

CONFIG = Config(
    name="shared",
    data=Data(generated=8, margin=1.2, drop=0.0, selection=2, calibration=1),
    network=Network(cut="mixed_5b", image_size=96, weights="none"),
    # Nothing that depends on who else is in a batch: neither statistics nor dropout.
    stages=(
        Stage("only", "head", last_layers=0, steps=4, batch_size=4, average=0.5, check_every=2),
    ),
)


class Killed(Exception):
    """What the death of a run is here."""


def main(folder: Path) -> None:
    import tensorflow as tf

    from detector import model

    [processor] = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, halves)
    without_dropout = functools.partial(model.build_model, dropout=0.0, lstm_dropout=0.0)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    real_start, real_step = trainer.start, fitting.StageRun._one_step

    def start(config: Config, beside: Path) -> Any:
        begun = real_start(config, beside)
        save_weights(begun, folder / "first.safetensors")
        return begun

    def dies_at_the_fourth(self: fitting.StageRun, *batch: Any) -> Any:
        if self.done == 3:
            raise Killed
        return real_step(self, *batch)

    with (
        patch.object(model, "build_model", without_dropout),
        patch.object(trainer, "start", start),
    ):
        trainer.train(CONFIG, folder, folder / "one")
        with patch.object(trainer, "_strategy", lambda: both):
            try:
                with patch.object(fitting.StageRun, "_one_step", dies_at_the_fourth):
                    trainer.train(CONFIG, folder, folder / "two")
            except Killed:
                trainer.train(CONFIG, folder, folder / "two")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
