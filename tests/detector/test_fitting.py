"""One stage of training: what learns, what is kept, and how it goes on after a death."""

import json
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.training import fitting, trainer
from detector.training.history import HISTORY
from detector.training.run_data import RunData, load_data
from tests.detector.stages import (
    CONFIG,
    STAGE,
    Killed,
    batches,
    farthest,
    fit,
    saved,
    scores_by_step,
    stage_run,
    weights_of,
    with_stage,
)

KERNEL = "head/top_dense/kernel"
"""The name of one array among many in a file of weights."""


@pytest.fixture
def data(dataset: Path, tmp_path: Path) -> RunData:
    return load_data(CONFIG, tmp_path, tmp_path)


def kernel_of(one: fitting.StageRun) -> Any:
    """The variable behind ``KERNEL``."""
    return one._model.get_layer("head").get_layer("top_dense").kernel


def test_a_killed_stage_goes_on_where_it_was(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 steps, or 3 of which the last is lost, a new process's state, and 2 more: the same."""
    monkeypatch.setattr(fitting.StageRun, "save_every", 2)
    config = with_stage(average=0.5)
    killed = stage_run(config, tmp_path, data)
    at_the_start = weights_of(killed)
    real_step = killed._one_step

    def dies_at_the_fourth(images: Any, labels: Any) -> Any:
        if killed.done == 3:
            raise Killed
        return real_step(images, labels)

    monkeypatch.setattr(killed, "_one_step", dies_at_the_fourth)
    with pytest.raises(Killed):
        fit(killed, config, data, tmp_path)
    resumed = stage_run(config, tmp_path, data)
    fit(resumed, config, data, tmp_path)
    after = weights_of(resumed)
    lines = [json.loads(line) for line in (tmp_path / HISTORY).open()]
    assert [(line["step"], "selection" in line) for line in lines] == [
        (2, False),
        (4, False),
        (4, True),
    ]

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    whole = stage_run(config, undisturbed, data)
    fit(whole, config, data, undisturbed)
    assert farthest(weights_of(whole), at_the_start) > 1e-4
    assert farthest(after, weights_of(whole)) < 1e-5
    best = saved(tmp_path / "1-only" / fitting.BEST)
    best_of_whole = saved(undisturbed / "1-only" / fitting.BEST)
    assert farthest([*best.values()], [*best_of_whole.values()]) < 1e-5


def test_a_stage_begins_with_the_same_dropout_whatever_ran_before(
    data: RunData, tmp_path: Path
) -> None:
    """A run that is killed between two stages has not seen the first one's dropout."""
    config = replace(CONFIG, stages=(STAGE, replace(STAGE, name="next")))

    def seeds(one: fitting.StageRun) -> list[list[int]]:
        states = [v for v in one.trained.variables if v.path.endswith("seed_generator_state")]
        return [state.numpy().tolist() for state in states]

    first = stage_run(config, tmp_path, data)
    before = seeds(first)
    first._one_step(*batches(config, data)(0))
    assert seeds(first) != before
    after_the_first = stage_run(config, tmp_path, data, number=1)
    wanted = seeds(after_the_first)
    after_the_first._one_step(*batches(config, data, number=1)(0))
    assert seeds(stage_run(config, tmp_path, data, number=1)) == wanted
    assert len({tuple(seed) for seed in wanted}) == len(wanted) > 2
    assert seeds(stage_run(config, tmp_path, data)) == before


@pytest.mark.parametrize(
    ("said", "learning"),
    [
        ({"learns": "backbone", "frozen_through": "mixed_5b"}, {"dense"}),
        ({"learns": "head", "frozen_through": "mixed_5b"}, {"head"}),
        ({"learns": "both", "frozen_through": "mixed_5b"}, {"head", "dense"}),
        ({"learns": "both", "frozen_through": "conv2d_3"}, {"backbone", "head", "dense"}),
        ({"learns": "backbone", "frozen_through": "", "last_layers": 8}, {"backbone", "dense"}),
    ],
)
def test_a_stage_trains_what_it_says(
    data: RunData, tmp_path: Path, said: dict[str, Any], learning: set[str]
) -> None:
    config = replace(CONFIG, stages=(replace(STAGE, steps=1, **said), replace(STAGE, name="next")))
    one = stage_run(config, tmp_path, data)
    before = {variable.path: np.array(variable.numpy()) for variable in one.trained.variables}
    one._one_step(*batches(config, data)(0))
    parts = {
        id(v): part for part in ("backbone", "head") for v in one._model.get_layer(part).weights
    }
    moved = {
        parts.get(id(variable), "dense")
        for variable in one.trained.trainable_variables
        if np.abs(np.array(variable.numpy()) - before[variable.path]).max() > 0
    }
    assert moved == learning
    frozen = [v for v in one.trained.non_trainable_variables if "seed" not in v.path]
    if config.stages[0].frozen_through == "mixed_5b":
        assert all((np.array(v.numpy()) == before[v.path]).all() for v in frozen)


def test_the_rate_rises_from_the_first_step_and_falls_to_nothing_after_the_last(
    data: RunData, tmp_path: Path
) -> None:
    config = with_stage(steps=12, warmup_steps=3, learning_rate=0.4)
    one = stage_run(config, tmp_path, data)
    rates = [float(one._schedule(step)) for step in range(13)]
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert all(before > after for before, after in pairwise(rates[3:]))
    assert rates[12] == pytest.approx(0, abs=1e-7)
    short = stage_run(with_stage(steps=1, warmup_steps=100, learning_rate=0.4), tmp_path, data)
    assert float(short._schedule(0)) == pytest.approx(0.4)


def test_patience_ends_a_stage_and_the_best_weights_are_kept(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_stage(steps=20, check_every=1, patience=2)
    one = stage_run(config, tmp_path, data)
    scores = {1: 0.6, 2: 0.7, 3: 0.65, 4: 0.7, 5: 0.9}
    monkeypatch.setattr(fitting, "score", scores_by_step(one, scores))
    at_step: dict[int, np.ndarray] = {}
    real_step = one._one_step

    def step(*batch: Any) -> Any:
        figures = real_step(*batch)
        at_step[one.done] = kernel_of(one).numpy()
        return figures

    monkeypatch.setattr(one, "_one_step", step)
    fit(one, config, data, tmp_path)
    assert one.done == 4
    best, last = (
        saved(tmp_path / "1-only" / name)[KERNEL] for name in (fitting.BEST, fitting.LAST)
    )
    np.testing.assert_array_equal(best, at_step[2])
    np.testing.assert_array_equal(last, at_step[4])
    assert (best != last).any()


def test_a_stage_that_was_killed_when_its_patience_was_lost_does_not_go_on(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_stage(steps=20, check_every=1, patience=1)
    killed = stage_run(config, tmp_path, data)
    monkeypatch.setattr(fitting, "score", scores_by_step(killed, {1: 0.7, 2: 0.6}))
    dies_writing(fitting.LAST, monkeypatch)
    with pytest.raises(Killed):
        fit(killed, config, data, tmp_path)
    monkeypatch.undo()
    resumed = stage_run(config, tmp_path, data)
    fit(resumed, config, data, tmp_path)
    assert resumed.done == 2
    assert (tmp_path / "1-only" / fitting.LAST).exists()


def dies_writing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real_save = fitting.save_weights

    def save_weights(model: Any, path: Path) -> None:
        if path.name == name:
            raise Killed
        real_save(model, path)

    monkeypatch.setattr(fitting, "save_weights", save_weights)


def test_the_best_weights_are_written_by_who_comes_after_a_death(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the state of the best step and the file of its weights."""
    config = with_stage(steps=2, check_every=1, average=0.5)
    killed = stage_run(config, tmp_path, data)
    monkeypatch.setattr(fitting, "score", scores_by_step(killed, {1: 0.9}))
    dies_writing(fitting.BEST, monkeypatch)
    with pytest.raises(Killed):
        fit(killed, config, data, tmp_path)
    monkeypatch.undo()
    paths = [variable.path for variable in killed.trained.trainable_variables]
    average = killed._averages[paths.index(kernel_of(killed).path)].numpy()
    resumed = stage_run(config, tmp_path, data)
    monkeypatch.setattr(fitting, "score", scores_by_step(resumed, {2: 0.8}))
    fit(resumed, config, data, tmp_path)
    best = saved(tmp_path / "1-only" / fitting.BEST)
    np.testing.assert_array_equal(best[KERNEL], average)


def test_weights_of_steps_that_a_death_undid_are_not_the_best(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is done again need not come out the same, on a GPU."""
    config = with_stage(steps=3, check_every=1)
    killed = stage_run(config, tmp_path, data)
    monkeypatch.setattr(fitting, "score", scores_by_step(killed, {1: 0.6, 2: 0.9}))
    real_save = killed._states.save

    def dies_at_the_second(checkpoint_number: int) -> None:
        if checkpoint_number == 2:
            raise Killed
        real_save(checkpoint_number=checkpoint_number)

    monkeypatch.setattr(killed._states, "save", dies_at_the_second)
    with pytest.raises(Killed):
        fit(killed, config, data, tmp_path)
    resumed = stage_run(config, tmp_path, data)
    resumed._states.restore_or_initialize()
    at_the_first = kernel_of(resumed).numpy()
    monkeypatch.setattr(fitting, "score", scores_by_step(resumed, {2: 0.5, 3: 0.5}))
    fit(resumed, config, data, tmp_path)
    best = saved(tmp_path / "1-only" / fitting.BEST)
    np.testing.assert_array_equal(best[KERNEL], at_the_first)


def test_averaged_weights_are_what_is_scored_and_kept(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_stage(steps=3, average=0.2, learning_rate=0.05)
    one = stage_run(config, tmp_path, data)
    kernel = kernel_of(one)
    values = [np.array(kernel.numpy())]
    scored = []
    real_step = one._one_step

    def step(*batch: Any) -> Any:
        figures = real_step(*batch)
        values.append(np.array(kernel.numpy()))
        return figures

    def score(sets: Any, predict: Any) -> dict[str, float]:
        scored.append(np.array(kernel.numpy()))
        return {"score": 0.7}

    monkeypatch.setattr(one, "_one_step", step)
    monkeypatch.setattr(fitting, "score", score)
    fit(one, config, data, tmp_path)
    average = values[0]
    # At first less is kept than the setting says.
    for kept, value in zip((1 / 10, 2 / 11, 0.2), values[1:], strict=True):
        average = kept * average + (1 - kept) * value
    for name in (fitting.BEST, fitting.LAST):
        kept_weights = saved(tmp_path / "1-only" / name)[KERNEL]
        np.testing.assert_allclose(kept_weights, average, atol=1e-6)
        np.testing.assert_array_equal(scored[0], kept_weights)
    np.testing.assert_array_equal(kernel.numpy(), values[-1])
    assert np.abs(average - values[-1]).max() > 1e-5


def test_mixed_precision_computes_in_half_and_keeps_weights_whole(
    data: RunData, tmp_path: Path
) -> None:
    import keras

    for precision, dtype in [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")]:
        config = replace(CONFIG, precision=precision)
        one = stage_run(config, tmp_path, data)
        convolution = next(
            layer
            for layer in one._model.get_layer("backbone").layers
            if layer.name.startswith("conv2d")
        )
        assert convolution.compute_dtype == dtype
        assert {variable.dtype for variable in one.trained.trainable_variables} == {"float32"}
        assert {output.dtype for output in one.trained.outputs} == {"float32"}
        loss, _ = one._one_step(*batches(config, data)(0))
        assert 0.3 < loss < 1.5
        scaled = isinstance(one.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (precision == "mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


def test_a_loss_that_is_no_number_ends_the_run_with_its_step(data: RunData, tmp_path: Path) -> None:
    one = stage_run(CONFIG, tmp_path, data)
    images, labels = batches(CONFIG, data)(0)
    with pytest.raises(FloatingPointError, match="loss is nan at step 1"):
        one._one_step(images, labels * np.nan)


def test_all_workers_make_batches_at_the_same_time(data: RunData, tmp_path: Path) -> None:
    """Each of 8 waits for the other 7."""
    one = stage_run(with_stage(steps=8), tmp_path, data)
    together = threading.Barrier(8, timeout=60)

    def make(step: int) -> Any:
        together.wait()
        return step

    made: Any = one._made_ahead(make, 0, workers=8)  # type: ignore[arg-type]
    assert [*made] == [(step, step) for step in range(8)]


def test_batches_that_cannot_be_shared_equally_are_refused() -> None:
    trainer._refuse_unequal_parts(with_stage(batch_size=6), 3)
    with pytest.raises(ValueError, match=r"'only': batch_size must be a multiple of 4, .* got 6"):
        trainer._refuse_unequal_parts(with_stage(batch_size=6), 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing_changes_the_loss_as_its_definition_says(
    data: RunData, tmp_path: Path, smoothing: float
) -> None:
    """The right class has 1 - s + s/2 of the label and the other s/2."""
    import keras

    one = stage_run(with_stage(label_smoothing=smoothing), tmp_path, data)
    inputs = keras.Input((96, 96, 3))
    opinion = keras.layers.Dense(
        2,
        "softmax",
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant([1, 3]),
    )
    said = opinion(keras.layers.GlobalAveragePooling2D()(inputs))
    one.trained = keras.Model(inputs, {"steps": keras.layers.RepeatVector(8)(said)})
    one.optimizer = keras.optimizers.SGD(0.0)
    labels = np.array([[1, 0], [1, 0]], np.float32)
    loss, accuracy = one._train(np.zeros((2, 96, 96, 3), np.float32), labels)
    right, wrong = np.log(1 + np.exp([-2.0, 2.0]))  # What the two classes cost.
    smoothed = labels * (1 - smoothing) + smoothing / 2
    assert float(loss) == pytest.approx(np.mean(smoothed @ [wrong, right]), rel=1e-5)
    assert float(accuracy) == 0.0


def test_the_optimizer_is_the_one_asked_for(data: RunData, tmp_path: Path) -> None:
    import keras

    adam, adamw = (
        stage_run(with_stage(optimizer=name, weight_decay=0.3), tmp_path, data).optimizer
        for name in ("adam", "adamw")
    )
    assert type(adam) is keras.optimizers.Adam
    assert not adam.weight_decay
    assert type(adamw) is keras.optimizers.AdamW
    assert adamw.weight_decay == 0.3
