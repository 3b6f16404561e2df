"""``python -m detector train``: what a run begins with, refuses and leaves."""

import argparse
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints
from detector.cli import main
from detector.training import trainer
from detector.training.configuration import Network
from detector.training.errors import DatasetError
from tests.detector.stages import CONFIG


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
    assert loaded.metadata.raw["data"]["kept apart"].endswith("for calibration, never trained on")
    assert str(tmp_path) not in (folder / checkpoints.METADATA).read_text()
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    sources = loaded.metadata.raw["training"]["sources"]
    assert {key: sources[key] for key in sources if key != "sha256"} == {
        "training": 6,
        "selection": 4,
        "calibration": 1,
        "kept_from_first_weights": True,
    }
    # Done is done: the same command leaves alone what was measured since.
    checkpoints.write_metrics(folder, [{"set": "faces", "part": "", "level": "frame"}])
    measured = (folder / checkpoints.METADATA).read_text()
    assert trainer.run(arguments(tmp_path, FILE)) == 0
    assert str(folder) in capsys.readouterr().out
    assert (folder / checkpoints.METADATA).read_text() == measured

    # A run that was killed while it wrote the checkpoint has none, and writes it anew.
    (tmp_path / "run" / "curves.png").unlink()
    folder.rename(folder.with_name("checkpoint.unfinished"))
    assert trainer.run(arguments(tmp_path, FILE)) == 0
    assert "resuming" not in capsys.readouterr().err
    again = checkpoints.load(str(folder))
    assert again.id.sha256 == loaded.id.sha256
    assert again.metadata.raw["metrics"] == []
    assert (tmp_path / "run" / "curves.png").exists()


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


def test_two_processes_do_not_train_in_one_folder(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    with trainer._alone_in(tmp_path / "run"):
        assert trainer.run(arguments(tmp_path, FILE)) == 1
    assert "another process is training" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()
    with trainer._alone_in(tmp_path / "run"):
        pass


def test_a_run_whose_sources_have_changed_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The split would be another one, with sources to select by among those trained on."""
    (tmp_path / "run").mkdir()
    sources = trainer._counted(CONFIG, trainer.load_data(CONFIG, tmp_path, tmp_path))
    (tmp_path / "run" / "sources.json").write_text(json.dumps(sources))
    manifest = (dataset / "manifest.csv").read_text().splitlines(keepends=True)
    (dataset / "manifest.csv").write_text("".join(manifest[:-4]))
    assert trainer.run(arguments(tmp_path, FILE)) == 1
    assert "made with other sources: sha256, training\n" in capsys.readouterr().err


def test_a_run_begun_with_other_weights_of_the_same_name_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.npz").write_bytes(name.encode())
    (tmp_path / "run").mkdir()
    text = FILE.replace('"none"', '"one/weights.npz"')
    of_one = hashlib.sha256(b"one").hexdigest()
    beginning = {"margin": 1.2, "drop": 0.05, "first weights": of_one}
    (tmp_path / "run" / "beginning.json").write_text(json.dumps(beginning))
    assert trainer.run(arguments(tmp_path, text.replace("one/", "other/"))) == 1
    assert "made with other crops or first weights: first weights\n" in capsys.readouterr().err
    # With its own it comes as far as reading them.
    assert trainer.run(arguments(tmp_path, text)) == 1
    assert "cannot start from" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["0", "-1", "two", ""])
def test_a_number_of_workers_that_is_none_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    command = ["train", "--config", str(tmp_path / "run.toml")]
    with pytest.raises(SystemExit):
        main([*command, "--workers", said])
    assert "expected a number of 1 or more" in capsys.readouterr().err
    monkeypatch.setenv("NUM_WORKERS", said)
    if said:
        with pytest.raises(SystemExit):
            main(command)
    else:
        assert main(command) == 1
        assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"no arrays", "one array"])
def test_a_file_of_weights_that_holds_none_is_named(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "weights.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    config = replace(CONFIG, network=replace(CONFIG.network, weights="weights.npz"))
    with pytest.raises(DatasetError, match=r"cannot start from .*weights\.npz"):
        trainer.start(config, tmp_path)
