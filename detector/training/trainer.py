"""``python -m detector train``: from labelled face crops to a checkpoint.

One run is a folder: ``config.json``, ``history.jsonl``, ``state/`` (everything a
resumed run needs: weights, optimizer, step and the seeds of dropout) and, at the
end, ``checkpoint/``. Each step's batch depends on the seed and the step's number
alone, so a run that was killed goes on where its last saved state stands and sees
the batches it would have seen.

Each batch is three parts genuine and fake crops of the same source videos to one
part genuine crops and pseudo-fakes blended from them (``--self-blended``). The
loss is categorical cross-entropy on every prediction of the head, plus that of an
auxiliary classifier on the backbone's averaged map, which is thrown away
afterwards: through two BiLSTMs alone a fresh backbone hears little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from detector import checkpoints
from detector.training import model_card
from detector.training.batches import PRECISIONS, BatchMaker, Config
from detector.training.crops import (
    LabelledFace,
    Source,
    by_source,
    load_faces,
    read_manifest,
    split_three_ways,
)
from detector.training.errors import DatasetError
from detector.training.evaluation import measure
from detector.training.summary import Entry

CONFIG = "config.json"

LIMITS = (
    "Uncalibrated: the probability is the network's own figure; nobody has checked how "
    "often it is right at 0.7 or at 0.9.",
    "Blind to methods it was not trained on: a forgery made another way may look genuine "
    "to it, and a genuine video of an unusual kind may look forged.",
    "Not proof: a verdict is one piece of evidence for a person to weigh, whichever way it falls.",
)
"""What holds for every checkpoint this trainer writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector train``."""
    defaults = Config(dataset="")
    parser.add_argument("dataset", type=Path, help="folder with manifest.csv and crops or zips")
    parser.add_argument(
        "--run",
        dest="run_folder",  # `run` is the command itself, see detector.cli
        type=Path,
        required=True,
        help="folder of this run; resumed if there",
    )
    parser.add_argument("--name", default="default", help="name written into the checkpoint")
    parser.add_argument("--version", default="1", help="version written into the checkpoint")
    parser.add_argument(
        "--margin", type=float, required=True, help="of the crops' cut: see training.margin"
    )
    parser.add_argument(
        "--drop", type=float, default=0.0, help="of the crops' cut: see training.margin"
    )
    parser.add_argument("--data-licence", default="not stated", help="terms of the data")
    parser.add_argument("--warm-start", default="", help=".npz arrays for the backbone")
    parser.add_argument(
        "--warm-start-source",
        default="not stated",
        help="where those arrays come from, for the card",
    )
    parser.add_argument("--cut", default=defaults.cut, help="backbone layer to cut at")
    parser.add_argument("--frozen-through", default=defaults.frozen_through)
    parser.add_argument("--image-size", type=int, default=defaults.image_size)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--self-blended", type=float, default=defaults.self_blended)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=defaults.precision,
        help="mixed_bfloat16 is faster on processors that compute in it (avx512_bf16), with "
        "TF_ENABLE_ONEDNN_OPTS=1",
    )
    parser.add_argument(
        "--held-out", type=int, default=defaults.held_out, help="source videos to measure on"
    )
    parser.add_argument(
        "--reserved", type=int, default=defaults.reserved, help="source videos left untouched"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)


def run(arguments: argparse.Namespace) -> int:
    """Train, measure on held-out sources, write the checkpoint. Exit status."""
    try:
        metrics, folder = _train_and_measure(arguments)
    except (DatasetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(metrics, indent=2))
    print(f"checkpoint: {folder}")
    return 0


def _train_and_measure(arguments: argparse.Namespace) -> tuple[list[Entry], Path]:
    config = Config(
        dataset=arguments.dataset.name,
        cut=arguments.cut,
        image_size=arguments.image_size,
        warm_start=Path(arguments.warm_start).name if arguments.warm_start else "",
        frozen_through=arguments.frozen_through,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        self_blended=arguments.self_blended,
        precision=arguments.precision,
        held_out=arguments.held_out,
        reserved=arguments.reserved,
        seed=arguments.seed,
    )
    training, held_out = load_split(arguments.dataset, config)
    trainer = Trainer(config, arguments.run_folder, arguments.warm_start or None)
    trainer.fit(training)
    folder = trainer.export(
        arguments.run_folder / "checkpoint",
        arguments.name,
        arguments.version,
        margin=arguments.margin,
        drop=arguments.drop,
        data={
            "training set": f"{arguments.dataset.name}: {len(training)} source videos, each "
            "with genuine crops and fakes made from it",
            "held out": f"{config.held_out} source videos to measure on, never trained on and "
            f"not used to choose weights; {config.reserved} more left untouched",
            "pseudo-fakes": f"{config.self_blended:.0%} of the fakes seen in training are "
            "self-blended images of genuine crops",
            "licence of the data": arguments.data_licence,
            "first values of the early layers": arguments.warm_start_source
            if arguments.warm_start
            else "random",
        },
    )
    # What was written is measured, in the precision of the file, and not what is in memory.
    metrics = measure(checkpoints.load(str(folder)), held_out, config.dataset, "selection")
    checkpoints.write_metrics(folder, metrics)
    model_card.write(folder)
    return metrics, folder


def load_split(folder: Path, config: Config) -> tuple[list[Source], list[LabelledFace]]:
    """(sources to train on, faces to measure on). Reserved sources are in neither."""
    rows = [row for row in read_manifest(folder) if row.split == "train"]
    training, held_out = split_three_ways(
        (row.group for row in rows),
        reserved=config.reserved,
        held_out=config.held_out,
        seed=config.seed,
    )
    faces = load_faces(folder, [row for row in rows if row.group in training])
    sources = [source for source in by_source(faces) if source.real and source.fake]
    if not sources:
        raise DatasetError(f"{folder} has no source with both genuine and fake crops to train on")
    return sources, load_faces(folder, [row for row in rows if row.group in held_out])


class Trainer:
    """One run over its folder: model, optimizer and step, saved and resumed."""

    save_every = 100
    """Steps between saved states."""

    def __init__(self, config: Config, folder: Path, warm_start: str | None) -> None:
        import keras
        import tensorflow as tf

        from detector.model import (
            build_model,
            freeze_through,
            load_backbone_arrays,
            quiet_residuals,
        )

        self.config = config
        self.folder = folder
        self._refuse_other_settings()
        keras.utils.set_random_seed(config.seed)
        usual = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config.precision)
        try:
            self.model = build_model("rows", config.cut, config.image_size)
        finally:
            keras.config.set_dtype_policy(usual)
        backbone = self.model.get_layer("backbone")
        quiet_residuals(backbone)
        if warm_start:  # After the zeroing: trained residual blocks stay as they are.
            with np.load(warm_start, allow_pickle=False) as arrays:
                load_backbone_arrays(backbone, dict(arrays))
        freeze_through(backbone, config.frozen_through or None)
        head = self.model.get_layer("head")
        inputs = keras.Input((config.image_size, config.image_size, 3))
        feature_map = backbone(inputs)
        pooled = keras.layers.GlobalAveragePooling2D()(feature_map)
        pooled = keras.layers.Dropout(0.3)(pooled)
        auxiliary = keras.layers.Dense(2, activation="softmax", dtype="float32")(pooled)
        self.trained = keras.Model(inputs, [head(feature_map), auxiliary])
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            config.steps,
            warmup_target=config.learning_rate,
            warmup_steps=min(100, max(1, config.steps // 10)),
        )
        self.optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
        self.optimizer.build(self.trained.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64)
        # Keras leaves the seeds of dropout out of a model's own state.
        seeds = [v.value for v in self.trained.variables if v.path.endswith("seed_generator_state")]
        state = tf.train.Checkpoint(
            model=self.trained, optimizer=self.optimizer, step=self.step, seeds=seeds
        )
        self.states = tf.train.CheckpointManager(state, str(folder / "state"), max_to_keep=2)
        if self.states.restore_or_initialize():
            print(f"resuming at step {int(self.step)}", file=sys.stderr)
        # Only now: settings that build no network must not claim the folder.
        self._remember_settings()
        self._train_step = tf.function(self._step, reduce_retracing=True, autograph=False)

    def fit(self, sources: list[Source]) -> None:
        """Train up to ``config.steps``; history goes to ``history.jsonl``."""
        batches = BatchMaker(self.config, sources)
        first = int(self.step)
        recent: list[tuple[float, float]] = []
        with (
            ThreadPoolExecutor(1, thread_name_prefix="batches") as pool,
            (self.folder / "history.jsonl").open("a", encoding="utf-8") as history,
            tqdm(total=self.config.steps, initial=first, unit="step") as bar,
        ):
            ahead = [
                pool.submit(batches, step)
                for step in range(first, min(first + 4, self.config.steps))
            ]
            for step in range(first, self.config.steps):
                images, labels = ahead.pop(0).result()
                if step + 4 < self.config.steps:
                    ahead.append(pool.submit(batches, step + 4))
                loss, accuracy = self._train_step(images, labels)
                self.step.assign_add(1)
                recent.append((float(loss), float(accuracy)))
                bar.update()
                if (step + 1) % self.save_every == 0 or step + 1 == self.config.steps:
                    mean_loss, mean_accuracy = np.mean(recent, axis=0)
                    recent.clear()
                    bar.set_postfix(loss=f"{mean_loss:.3f}", accuracy=f"{mean_accuracy:.3f}")
                    line = {"step": step + 1, "loss": mean_loss, "accuracy": mean_accuracy}
                    history.write(json.dumps(line) + "\n")
                    history.flush()
                    self.states.save(checkpoint_number=step + 1)

    def export(
        self,
        folder: Path,
        name: str,
        version: str,
        *,
        margin: float,
        drop: float,
        data: dict[str, str],
    ) -> Path:
        """Write the checkpoint of the current weights; returns its folder."""
        training = asdict(self.config) | {"optimizer": "AdamW, cosine decay"}
        checkpoints.save(
            self.model,
            folder,
            name=name,
            version=version,
            architecture={
                "sequence": "rows",
                "backbone_cut": self.config.cut,
                "image_size": self.config.image_size,
            },
            margin=margin,
            drop=drop,
            data=data,
            training=training,
            limits=LIMITS,
            created=datetime.now(UTC).date().isoformat(),
            git_commit=_git_commit(),
            versions={
                name: installed_version(name)
                for name in ("tensorflow", "keras", "numpy", "opencv-python-headless")
            },
        )
        return folder

    def _step(self, images: Any, labels: Any) -> tuple[Any, Any]:
        import keras
        import tensorflow as tf

        with tf.GradientTape() as tape:
            steps, auxiliary = self.trained(images, training=True)
            each = tf.repeat(labels[:, None, :], tf.shape(steps)[1], axis=1)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(each, steps))
            loss += tf.reduce_mean(keras.losses.categorical_crossentropy(labels, auxiliary))
        variables = self.trained.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        said = tf.argmax(tf.reduce_mean(steps, axis=1), axis=-1)
        right = tf.cast(tf.equal(said, tf.argmax(labels, axis=-1)), tf.float32)
        return loss / 2, tf.reduce_mean(right)

    def _refuse_other_settings(self) -> None:
        path = self.folder / CONFIG
        if not path.exists():
            return
        wanted, found = asdict(self.config), json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(k for k in wanted.keys() | found if found.get(k) != wanted.get(k))
        if differing:
            raise ValueError(f"{path} was made with other settings: {', '.join(differing)}")

    def _remember_settings(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=2) + "\n"
        (self.folder / CONFIG).write_text(text, encoding="utf-8")


def _git_commit() -> str:
    """The commit of this code, with a note if files differ from it; "unknown" outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with uncommitted changes" if changed else commit
