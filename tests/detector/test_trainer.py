"""The trainer: stages over one model, that can be killed and go on."""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints
from detector.training import fitting, history, trainer
from detector.training.batches import BatchMaker
from detector.training.configuration import Config, Data, Network, Stage
from detector.training.crops import Source
from detector.training.errors import DatasetError
from detector.training.selection import selection_sets

STAGE = Stage("only", "both", frozen_through="conv2d_3", steps=4, batch_size=4, warmup_steps=1)

CONFIG = Config(
    name="small",
    data=Data(crops=("faces",), margin=1.2, drop=0.05, selection=4, calibration=1),
    network=Network(cut="mixed_5b", image_size=96, weights="none"),
    stages=(STAGE,),
    deterministic=False,
)


def with_stage(**settings: Any) -> Config:
    return replace(CONFIG, stages=(replace(STAGE, **settings),))


def stage_run(
    config: Config, folder: Path, sources: list[Source], *, compiled: bool = False
) -> fitting.StageRun:
    """Few steps are quicker than the compiling of one."""
    model = trainer.start(config, Path())
    one = fitting.StageRun(config, 0, model, folder / "1-only", len(sources))
    if not compiled:
        one._train, one._ask = one._on_replicas, one._predict
    return one


def fit(one: fitting.StageRun, config: Config, data: tuple[Any, ...], folder: Path) -> None:
    sources, selecting, _ = data
    sets = selection_sets(selecting, config.network.image_size, windows=False)
    batches = BatchMaker(trainer.recipe_of(config, 0), sources)
    one.fit(batches, sets, history.History.of(folder), workers=1)


def weights_of(one: fitting.StageRun) -> list[np.ndarray]:
    return [np.array(weight) for weight in one.trained.get_weights()]


class Killed(Exception):
    """What the death of a run is in these tests."""


def test_a_killed_stage_goes_on_where_it_was(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 steps, or 3 of which the last is lost, a new process's state, and 2 more: the same."""
    monkeypatch.setattr(fitting.StageRun, "save_every", 2)
    config = with_stage(average=0.5)
    data = trainer.load_data(config, tmp_path, tmp_path)
    killed = stage_run(config, tmp_path, data[0], compiled=True)
    at_the_start = weights_of(killed)
    real_step = killed._one_step

    def dies_at_the_fourth(images: Any, labels: Any) -> Any:
        if int(killed.step) == 3:
            raise Killed
        return real_step(images, labels)

    monkeypatch.setattr(killed, "_one_step", dies_at_the_fourth)
    with pytest.raises(Killed):
        fit(killed, config, data, tmp_path)
    resumed = stage_run(config, tmp_path, data[0], compiled=True)
    fit(resumed, config, data, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").open()]
    assert [(line["step"], "selection" in line) for line in lines] == [
        (2, False),
        (4, False),
        (4, True),
    ]

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    whole = stage_run(config, undisturbed, data[0], compiled=True)
    fit(whole, config, data, undisturbed)
    moved = [
        np.abs(after - before).max()
        for after, before in zip(weights_of(whole), at_the_start, strict=True)
    ]
    assert max(moved) > 1e-4
    for ours, theirs in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    best = fitting_arrays(tmp_path / "1-only" / fitting.BEST)
    best_of_whole = fitting_arrays(undisturbed / "1-only" / fitting.BEST)
    for key, value in best.items():
        np.testing.assert_allclose(value, best_of_whole[key], atol=1e-5)


def fitting_arrays(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return dict(load(path.read_bytes()))


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
    dataset: Path, tmp_path: Path, said: dict[str, Any], learning: set[str]
) -> None:
    config = replace(
        CONFIG,
        stages=(replace(STAGE, steps=1, **said), replace(STAGE, name="next")),
    )
    data = trainer.load_data(config, tmp_path, tmp_path)
    one = stage_run(config, tmp_path, data[0])
    before = {variable.path: np.array(variable.numpy()) for variable in one.trained.variables}
    images, labels = BatchMaker(trainer.recipe_of(config, 0), data[0])(0)
    one._one_step(images, labels)
    one._one_step(images, labels)
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


def test_patience_ends_a_stage_and_the_best_weights_are_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.6, 0.7, 0.65, 0.7, 0.9])
    monkeypatch.setattr(fitting, "score", lambda sets, predict: {"score": next(scores)})
    config = with_stage(steps=20, check_every=2, patience=2)
    data = trainer.load_data(config, tmp_path, tmp_path)
    one = stage_run(config, tmp_path, data[0])
    at_best: list[dict[str, np.ndarray]] = []
    real_look = one._look

    def look(step: int, *rest: Any) -> None:
        real_look(step, *rest)
        if step == 4:
            at_best.append(fitting_arrays(tmp_path / "1-only" / fitting.BEST))

    monkeypatch.setattr(one, "_look", look)
    fit(one, config, data, tmp_path)
    assert int(one.step) == 8
    best = fitting_arrays(tmp_path / "1-only" / fitting.BEST)
    last = fitting_arrays(tmp_path / "1-only" / fitting.LAST)
    assert all((best[key] == at_best[0][key]).all() for key in best)
    assert any((best[key] != last[key]).any() for key in best)


def test_averaged_weights_are_what_is_scored_and_kept(dataset: Path, tmp_path: Path) -> None:
    config = with_stage(average=0.9)
    data = trainer.load_data(config, tmp_path, tmp_path)
    one = stage_run(config, tmp_path, data[0])
    fit(one, config, data, tmp_path)
    kept = fitting_arrays(tmp_path / "1-only" / fitting.LAST)
    kernel = one._model.get_layer("head").get_layer("top_dense").kernel
    position = [v.path for v in one.trained.trainable_variables].index(kernel.path)
    average = one._averages[position].numpy()
    np.testing.assert_array_equal(kept["head/top_dense/kernel"], average)
    assert np.abs(average - kernel.numpy()).max() > 1e-5


def test_mixed_precision_computes_in_half_and_keeps_weights_whole(
    dataset: Path, tmp_path: Path
) -> None:
    import keras

    for precision, dtype in [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")]:
        config = replace(CONFIG, precision=precision)
        data = trainer.load_data(config, tmp_path, tmp_path)
        one = stage_run(config, tmp_path, data[0])
        convolution = next(
            layer
            for layer in one._model.get_layer("backbone").layers
            if layer.name.startswith("conv2d")
        )
        assert convolution.compute_dtype == dtype
        assert {variable.dtype for variable in one.trained.trainable_variables} == {"float32"}
        assert {output.dtype for output in one.trained.outputs} == {"float32"}
        loss, _ = one._one_step(*BatchMaker(trainer.recipe_of(config, 0), data[0])(0))
        assert 0.3 < loss < 1.5
        scaled = isinstance(one.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (precision == "mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


def test_a_loss_that_is_no_number_ends_the_run_with_its_step(dataset: Path, tmp_path: Path) -> None:
    data = trainer.load_data(CONFIG, tmp_path, tmp_path)
    one = stage_run(CONFIG, tmp_path, data[0])
    images, labels = BatchMaker(trainer.recipe_of(CONFIG, 0), data[0])(0)
    with pytest.raises(FloatingPointError, match="loss is nan at step 1"):
        one._one_step(images, labels * np.nan)


def arguments(tmp_path: Path, config: str, *more: str) -> argparse.Namespace:
    (tmp_path / "run.toml").write_text(config)
    parser = argparse.ArgumentParser()
    trainer.add_arguments(parser)
    return parser.parse_args(
        ["--config", str(tmp_path / "run.toml"), "--run", str(tmp_path / "run"), *more]
    )


FILE = """
name = "small"
deterministic = false
[data]
crops = ["faces"]
margin = 1.2
drop = 0.05
selection = 4
calibration = 1
[network]
cut = "mixed_5b"
image_size = 96
weights = "none"
[[stage]]
name = "only"
learns = "both"
frozen_through = "mixed_5b"
steps = 2
batch_size = 4
"""


def test_a_run_ends_in_a_checkpoint_that_loads(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer.run(arguments(tmp_path, FILE)) == 0
    folder = tmp_path / "run" / "checkpoint"
    assert str(folder) in capsys.readouterr().out
    loaded = checkpoints.load(str(folder))
    assert (loaded.metadata.margin, loaded.metadata.drop) == (1.2, 0.05)
    assert re.match("[0-9a-f]{40}|unknown", loaded.metadata.raw["git_commit"])
    best = loaded.metadata.raw["training"]["best"]["only"]
    assert best["step"] == 2
    assert set(best["selection"]) == {"as_they_are", "blended", "score"}
    card = (folder / "MODEL_CARD.md").read_text()
    assert loaded.id.sha256 in card
    assert "Uncalibrated" in card
    assert "Not proof" in card
    assert str(tmp_path) not in (folder / checkpoints.METADATA).read_text()
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    written = (folder / checkpoints.WEIGHTS).stat().st_mtime_ns
    # Done is done: the same command trains nothing again.
    assert trainer.run(arguments(tmp_path, FILE)) == 0
    assert "resuming" not in capsys.readouterr().err
    assert (folder / checkpoints.WEIGHTS).stat().st_mtime_ns > written
    assert checkpoints.load(str(folder)).id.sha256 == loaded.id.sha256


def test_a_run_may_begin_with_a_checkpoint_of_another_size_or_sequence(
    dataset: Path, tmp_path: Path, rows_checkpoint: Path
) -> None:
    theirs = checkpoints.load(str(rows_checkpoint)).model
    network = Network(cut="mixed_5b", image_size=128, weights=str(rows_checkpoint))
    larger = trainer.start(replace(CONFIG, network=network), Path())
    for ours, other in zip(larger.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, other)
    frames = trainer.start(
        replace(CONFIG, network=replace(network, sequence="frames", image_size=96)), Path()
    )
    for name in ("backbone", "head"):
        pairs = zip(
            frames.get_layer(name).get_weights(), theirs.get_layer(name).get_weights(), strict=True
        )
        same = [ours.shape == other.shape and (ours == other).all() for ours, other in pairs]
        assert all(same) if name == "backbone" else not all(same)
    deeper = replace(network, cut="block35_1_ac")
    with pytest.raises(DatasetError, match=r"has no backbone/.* of this network"):
        trainer.start(replace(CONFIG, network=deeper), Path())


def test_a_warm_start_keeps_its_residual_blocks(tmp_path: Path) -> None:
    """Only blocks that nothing is known of start as the identity."""
    known = np.full((1, 1, 128, 320), 0.5, np.float32)
    arrays: dict[str, Any] = {"block35_1_conv/kernel": known}
    np.savez(tmp_path / "warm.npz", **arrays)
    network = Network(cut="block35_2_ac", image_size=96, weights="warm.npz")
    model = trainer.start(replace(CONFIG, network=network), tmp_path)
    backbone = model.get_layer("backbone")
    kernels = {
        name: layer.weights[0].numpy()
        for layer, name in backbone.canonical_names.items()
        if name.endswith("_conv") and name.startswith("block35")
    }
    np.testing.assert_array_equal(kernels["block35_1_conv"], known)
    assert not kernels["block35_2_conv"].any()


def test_imagenet_weights_that_cannot_be_had_are_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def unreachable(*arguments: Any, **more: Any) -> None:
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(
        keras.src.applications.inception_resnet_v2.file_utils, "get_file", unreachable
    )
    config = replace(CONFIG, network=replace(CONFIG.network, weights="imagenet"))
    with pytest.raises(DatasetError, match=r"no route to host.*--weights none.*--weights FILE"):
        trainer.start(config, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('cut = "mixed_5b"', 'cut = "no_such_layer"', "no_such_layer"),
        ('weights = "none"', 'weights = "nowhere.npz"', "nowhere.npz"),
        ("margin = 1.2\ndrop = 0.05", "", "must say how the crops were cut, got neither"),
        ("margin = 1.2\n", "", "given together, or neither"),
        ("selection = 4", "selection = 40", "40"),
        ('crops = ["faces"]', 'crops = ["elsewhere"]', "no manifest.csv"),
    ],
)
def test_a_run_that_cannot_begin_says_why_and_claims_no_folder(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    message: str,
) -> None:
    assert old in FILE
    assert trainer.run(arguments(tmp_path, FILE.replace(old, new))) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_folder_of_other_settings_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"name": "other"}))
    assert trainer.run(arguments(tmp_path, FILE)) == 1
    assert re.search("other settings: .*name", capsys.readouterr().err)


def test_how_preprocessed_crops_were_cut_is_read_beside_them(dataset: Path, tmp_path: Path) -> None:
    (dataset / "settings.json").write_text(json.dumps({"margin": 1.3, "drop": 0.1}))
    unsaid = replace(CONFIG, data=replace(CONFIG.data, margin=None, drop=None))
    assert trainer.load_data(unsaid, tmp_path, tmp_path)[2] == (1.3, 0.1)
    with pytest.raises(DatasetError, match="how the crops were cut"):
        trainer.load_data(CONFIG, tmp_path, tmp_path)


def test_sources_of_two_sets_are_never_one(dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    dataset.rename(other)
    from tests.detector.crops import write_dataset

    write_dataset(tmp_path / "faces")
    config = replace(CONFIG, data=replace(CONFIG.data, crops=("faces", "other")))
    training, selecting, _ = trainer.load_data(config, tmp_path, tmp_path)
    assert len(training) + len(selecting) == 22 - 1
    assert {source.group.split("/")[0] for source in training} == {"faces", "other"}
    assert not {s.group for s in training} & {s.group for s in selecting}
