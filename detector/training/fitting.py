"""One stage of a run: steps, looks at the selection sets, and a state to go on from.

A stage has a folder: ``state/`` (weights, optimizer, averages, step and the seeds of
dropout), ``best.safetensors`` and ``last.safetensors`` (the network's arrays). Each
step's batch depends on the seed and the step's number alone, so a stage that was killed
goes on from its last state as if nothing had happened.

With several GPUs each gets a part of every batch (``tf.distribute.MirroredStrategy``).
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from detector.domain import Label
from detector.training.batches import WINDOW, Batch, BatchMaker
from detector.training.configuration import Config, Stage
from detector.training.history import History
from detector.training.selection import SelectionSet, score
from detector.training.weights import save_weights

if TYPE_CHECKING:
    import keras

BEST = "best.safetensors"
LAST = "last.safetensors"

AUXILIARY_DROPOUT = 0.3

AHEAD = 4
"""Batches that are ready before they are needed, beside those that are being made."""


class StageRun:
    """Trains the run's model through one stage."""

    save_every = 200
    """Steps between saved states and lines of the history."""

    def __init__(
        self, config: Config, number: int, model: keras.Model, folder: Path, sources: int
    ) -> None:
        """
        Args:
            number: of the stage, from 0.
            model: of ``model.build_model``, with the weights to start from; its own
                weights are trained.
            folder: of the stage.
            sources: how many are in a pass, see ``Stage.epochs``.
        """
        import keras
        import tensorflow as tf

        self.stage: Stage = config.stages[number]
        self.steps = self.stage.steps_over(sources)
        self.folder = folder
        self._model = model
        self._reads_windows = (
            config.network.sequence == "frames" and self.stage.learns != "backbone"
        )
        self._strategy = tf.distribute.get_strategy()
        # For the stage's own layers, whichever stages ran before in this process.
        keras.utils.set_random_seed(config.seed + number)
        self._freeze()
        self.trained = self._with_losses(config)
        warmup = min(self.stage.warmup_steps, self.steps // 2)
        self._schedule = keras.optimizers.schedules.CosineDecay(
            # From 0 the first step would be none.
            self.stage.learning_rate / (warmup + 1),
            self.steps - warmup,
            warmup_target=self.stage.learning_rate,
            warmup_steps=warmup,
        )
        self.optimizer = self._optimizer(config.precision)
        self.optimizer.build(self.trained.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64)
        self._averages = [
            tf.Variable(variable.value, trainable=False)
            for variable in (self.trained.trainable_variables if self.stage.average else [])
        ]
        state = tf.train.Checkpoint(
            model=self.trained,
            optimizer=self.optimizer,
            step=self.step,
            # Keras leaves these out of a model's own state.
            seeds=self._new_seeds(config.seed, number),
            averages=self._averages,
        )
        self._states = tf.train.CheckpointManager(state, str(folder / "state"), max_to_keep=2)
        self._train = tf.function(self._on_replicas, reduce_retracing=True, autograph=False)
        self._ask = tf.function(self._predict, reduce_retracing=True, autograph=False)

    def fit(
        self, batches: BatchMaker, sets: Sequence[SelectionSet], history: History, workers: int
    ) -> None:
        """Train to the end, or until patience is lost; the files say the rest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._states.restore_or_initialize():
            print(f"{self.stage.name}: resuming at step {self.done}", file=sys.stderr)
        history.rewind(self.stage.name, self.done)
        self._keep_the_best(history)
        if not self._patience_is_lost(history):
            self._train_on(batches, sets, history, workers)
        with self._averaged_weights():
            save_weights(self._model, self.folder / LAST)

    @property
    def done(self) -> int:
        """How many steps of the stage are done."""
        return int(self.step.numpy())

    def predict(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probability of fake of each image or window, as the stage's loss sees it."""
        return np.asarray(self._ask(images))

    def _train_on(
        self, batches: BatchMaker, sets: Sequence[SelectionSet], history: History, workers: int
    ) -> None:
        """The steps that are still to be done."""
        first = self.done
        recent: list[tuple[float, float]] = []
        began = time.monotonic()
        with tqdm(total=self.steps, initial=first, desc=self.stage.name, unit="step") as bar:
            for step, (images, labels) in self._made_ahead(batches, first, workers):
                recent.append(self._one_step(images, labels))
                bar.update()
                done = step + 1
                look = done == self.steps or (
                    self.stage.check_every and done % self.stage.check_every == 0
                )
                if look or done % self.save_every == 0:
                    loss, accuracy = np.mean(recent, axis=0)
                    seconds = time.monotonic() - began
                    history.trained(
                        self.stage.name,
                        done,
                        loss=float(loss),
                        accuracy=float(accuracy),
                        learning_rate=float(self._schedule(step)),
                        seconds_per_step=seconds / len(recent),
                    )
                    recent.clear()
                    bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}")
                    if look:
                        self._look(done, sets, history)
                    self._states.save(checkpoint_number=done)
                    # Not before the state: a run that is killed between the two goes on
                    # from an earlier one, and on a GPU never comes to these weights again.
                    self._keep_the_best(history)
                    began = time.monotonic()
                if look and self._patience_is_lost(history):
                    break

    def _made_ahead(
        self, batches: BatchMaker, first: int, workers: int
    ) -> Iterator[tuple[int, Batch]]:
        lead = AHEAD + workers
        with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for step in range(first, self.steps + lead):
                    if step < self.steps:
                        ahead.append(pool.submit(batches, step))
                    if step >= first + lead:
                        yield step - lead, ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _one_step(
        self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
    ) -> tuple[float, float]:
        """Train on one batch; (loss, accuracy)."""
        replicas = self._strategy.num_replicas_in_sync
        parts = [np.array_split(array, replicas) for array in (images, labels)]
        pieces = [
            self._strategy.experimental_distribute_values_from_function(
                lambda context, part=part: part[context.replica_id_in_sync_group]
            )
            for part in parts
        ]
        loss, accuracy = self._train(*pieces)
        self.step.assign_add(1)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{self.stage.name}: the loss is {float(loss)} at step {self.done}; "
                "a smaller learning_rate may help"
            )
        return float(loss), float(accuracy)

    def _on_replicas(self, images: Any, labels: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        of_replicas = self._strategy.run(self._step, args=(images, labels))
        if self.stage.average:
            # An average of few steps would still be most of all what the weights began as.
            done = tf.cast(self.step, tf.float32)
            kept = tf.minimum(self.stage.average, (1.0 + done) / (10.0 + done))
            variables = self.trained.trainable_variables
            for average, variable in zip(self._averages, variables, strict=True):
                average.assign(kept * average + (1 - kept) * variable.value)
        loss, accuracy = (
            self._strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
            for value in of_replicas
        )
        return loss, accuracy

    def _step(self, images: Any, labels: Any) -> tuple[Any, Any]:
        import keras
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = self.trained(images, training=True)
            losses = []
            for said in outputs.values():
                # Every row, or frame, of a face has the face's label.
                flat = tf.reshape(said, (-1, len(Label)))
                each = tf.repeat(labels, tf.shape(flat)[0] // tf.shape(labels)[0], axis=0)
                losses.append(
                    tf.reduce_mean(
                        keras.losses.categorical_crossentropy(
                            each, flat, label_smoothing=self.stage.label_smoothing
                        )
                    )
                )
            loss = tf.add_n(losses) / self._strategy.num_replicas_in_sync
            loss = self.optimizer.scale_loss(loss)
        variables = self.trained.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        right = tf.equal(self._fake_of(outputs) > 0.5, labels[:, Label.FAKE] > 0.5)
        return tf.add_n(losses) / len(losses), tf.reduce_mean(tf.cast(right, tf.float32))

    def _predict(self, images: Any) -> Any:
        return self._fake_of(self.trained(images, training=False))

    def _fake_of(self, outputs: dict[str, Any]) -> Any:
        """Mean probability of fake over a face's predictions; the head's, if it learns."""
        import tensorflow as tf

        said = outputs["steps"] if "steps" in outputs else outputs["auxiliary"][:, None]
        return tf.reduce_mean(said[:, :, Label.FAKE], axis=1)

    def _new_seeds(self, seed: int, number: int) -> list[Any]:
        """The states of the dropout, as if no stage before had used them."""
        rng = np.random.default_rng((seed, number))
        states = [v for v in self.trained.variables if v.path.endswith("seed_generator_state")]
        for state in states:
            state.assign(rng.integers(1 << 31, size=2))
        return [state.value for state in states]

    def _freeze(self) -> None:
        from detector.model import freeze_all_but_last, freeze_through

        backbone = self._model.get_layer("backbone")
        if self.stage.last_layers is not None:
            freeze_all_but_last(backbone, self.stage.last_layers)
        else:
            freeze_through(backbone, self.stage.frozen_through or None)

    def _with_losses(self, config: Config) -> keras.Model:
        """The model with what the stage's loss is of: ``steps``, ``auxiliary`` or both."""
        import keras

        backbone, head = self._model.get_layer("backbone"), self._model.get_layer("head")
        side = (config.network.image_size, config.network.image_size, 3)
        inputs = keras.Input((WINDOW, *side) if self._reads_windows else side)
        images = keras.ops.reshape(inputs, (-1, *side)) if self._reads_windows else inputs
        maps = backbone(images)
        outputs = {}
        if self.stage.learns != "backbone":
            shape = (-1, WINDOW, *maps.shape[1:])
            outputs["steps"] = head(keras.ops.reshape(maps, shape) if self._reads_windows else maps)
        if self.stage.learns != "head":
            pooled = keras.layers.GlobalAveragePooling2D()(maps)
            pooled = keras.layers.Dropout(AUXILIARY_DROPOUT)(pooled)
            # float32 under mixed precision too: a softmax in half precision saturates.
            classes = keras.layers.Dense(len(Label), activation="softmax", dtype="float32")
            outputs["auxiliary"] = classes(pooled)
        return keras.Model(inputs, outputs)

    def _optimizer(self, precision: str) -> keras.optimizers.Optimizer:
        import keras

        if self.stage.optimizer == "adam":
            optimizer = keras.optimizers.Adam(self._schedule)
        else:
            optimizer = keras.optimizers.AdamW(self._schedule, weight_decay=self.stage.weight_decay)
        if precision == "mixed_float16":
            return keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """With the averages in the model's place, if the stage keeps any."""
        variables = self.trained.trainable_variables if self.stage.average else []
        trained = [np.array(variable.numpy()) for variable in variables]
        for variable, average in zip(variables, self._averages, strict=True):
            variable.assign(average.value())
        try:
            yield
        finally:
            for variable, value in zip(variables, trained, strict=True):
                variable.assign(value)

    def _look(self, step: int, sets: Sequence[SelectionSet], history: History) -> None:
        """Score the (averaged) weights on the selection sets."""
        with self._averaged_weights():
            scores = score(sets, self.predict)
        history.looked(self.stage.name, step, scores)
        print(f"{self.stage.name} {step}: {json.dumps(scores)}", file=sys.stderr)

    def _keep_the_best(self, history: History) -> None:
        """Write the (averaged) weights to ``BEST`` if no look's were better than these."""
        if history.best_step(self.stage.name) == self.done:
            with self._averaged_weights():
                save_weights(self._model, self.folder / BEST)

    def _patience_is_lost(self, history: History) -> bool:
        since = history.looks_since_best(self.stage.name)
        return 0 < self.stage.patience <= since
