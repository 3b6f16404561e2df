"""The trainer: data sets, and runs that can be killed and go on."""

import argparse
import json
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import checkpoints
from detector.domain import Label
from detector.faces import FaceFinder
from detector.preprocessing import crop_face
from detector.training import crops, evaluation, trainer
from detector.training.batches import Config
from detector.training.crops import (
    load_faces,
    read_manifest,
    split_groups,
)
from detector.training.errors import DatasetError
from detector.training.evaluation_sets import read_sets
from detector.training.margin import estimate
from tests import clips
from tests.detector.crops import SIDE, jpeg


def arguments(dataset: Path, run: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    trainer.add_arguments(parser)
    return parser.parse_args(
        [str(dataset), "--run", str(run), "--margin", "1.2", "--drop", "0.05",
         "--cut", "mixed_5b", "--image-size", "96", "--frozen-through", "mixed_5b",
         "--batch-size", "8", "--held-out", "4", "--reserved", "1", *more]
    )  # fmt: skip


def test_a_manifest_reads_folders_and_zips_alike(dataset: Path) -> None:
    rows = read_manifest(dataset)
    faces = load_faces(dataset, rows)
    assert len(faces) == 24
    assert faces[0].image().shape == (SIDE, SIDE, 3)
    assert {face.label for face in faces} == set(Label)


def test_a_manifest_tells_crops_of_one_video(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "path,label,source_video,method,video,person,frame_index,face_px,split\n"
        "a.png,FAKE,1.mp4,FaceSwap,fake/1.mp4,2,40,96,\n"
        "b.png,REAL,1.mp4,,,,,,val\n"
    )
    described, bare = read_manifest(tmp_path)
    assert (described.method, described.video, described.split) == (
        "FaceSwap",
        "fake/1.mp4",
        "train",
    )
    assert (described.person, described.frame_index, described.side) == (2, 40, 96)
    assert (bare.method, bare.video, bare.split) == ("genuine", "/b.png", "val")
    assert (bare.person, bare.frame_index, bare.side) == (1, 0, None)


def test_a_number_in_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,label,source_video,person\na.png,REAL,1,me\n")
    with pytest.raises(DatasetError, match=r"manifest\.csv:2: .*'me'"):
        read_manifest(tmp_path)


def test_more_archives_than_may_be_open_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "OPEN_ARCHIVES", 2)
    lines = ["zip,path,label,source_video"]
    for number in range(5):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr("0.jpg", jpeg(np.full((8, 8, 3), 50 * number, np.uint8)))
        lines.append(f"{number}.zip,0.jpg,REAL,{number}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    faces = load_faces(tmp_path, read_manifest(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda face: face.image(), faces * 10))
    assert [round(image.mean() / 50) for image in images] == [0, 1, 2, 3, 4] * 10
    assert len(faces[0].files._archives) == 2


def test_pictures_are_read_as_rgb(tmp_path: Path, dataset: Path) -> None:
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    (dataset / "real" / "0.jpg").write_bytes(jpeg(red))
    row = next(r for r in read_manifest(dataset) if r.path == "real/0.jpg")
    assert load_faces(dataset, [row])[0].image()[0, 0].argmax() == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("REAL", "GENUINE", 1), "unknown label 'GENUINE'"),
        (lambda text: text + text.splitlines()[1] + "\n", "stands twice"),
        (lambda text: text.replace("source_video", "source"), "source_video"),
    ],
)
def test_a_bad_manifest_is_refused_by_name(
    dataset: Path, spoil: Callable[[str], str], message: str
) -> None:
    manifest = dataset / "manifest.csv"
    manifest.write_text(spoil(manifest.read_text()))
    with pytest.raises(DatasetError, match=message):
        read_manifest(dataset)


def test_a_missing_crop_is_named(dataset: Path) -> None:
    (dataset / "real" / "4.jpg").unlink()
    with pytest.raises(DatasetError, match=r"real/4\.jpg"):
        load_faces(dataset, read_manifest(dataset))


def test_groups_never_stand_on_both_sides() -> None:
    groups = [f"{n}.mp4" for n in range(100)]
    training, held_out = split_groups(groups, 30, seed=4)
    assert len(held_out) == 30
    assert not training & held_out
    assert training | held_out == set(groups)
    assert split_groups(reversed(groups), 30, seed=4) == (training, held_out)
    assert split_groups(groups, 30, seed=5)[1] != held_out


def test_training_held_out_and_reserved_sources_share_nothing(dataset: Path) -> None:
    config = Config(dataset="faces", held_out=4, reserved=2, seed=3)
    training, held_out = trainer.load_split(dataset, config)
    trained_on = {source.group for source in training}
    measured_on = {face.group for face in held_out}
    assert len(trained_on) == 5
    assert len(measured_on) == 4
    assert not trained_on & measured_on
    assert "11.mp4" not in trained_on | measured_on


class Killed(Exception):
    """What the death of a run is in these tests."""


def weights_of(one: trainer.Trainer) -> list[np.ndarray]:
    return [np.array(weight) for weight in one.trained.get_weights()]


def test_a_killed_run_goes_on_where_it_was(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights after 4 steps are those of 2 steps, a new process's state, and 2 more."""
    monkeypatch.setattr(trainer.Trainer, "save_every", 2)
    config = Config(
        dataset="faces",
        cut="mixed_5b",
        frozen_through="conv2d_3",
        image_size=96,
        batch_size=4,
        steps=4,
        held_out=4,
        reserved=1,
    )
    training, _ = trainer.load_split(dataset, config)
    killed = trainer.Trainer(config, tmp_path / "run", None)
    at_the_start = weights_of(killed)
    step, real_step = 0, killed._train_step

    def dies_at_the_fourth(images: Any, labels: Any) -> Any:
        nonlocal step
        step += 1
        if step == 4:
            raise Killed
        return real_step(images, labels)

    monkeypatch.setattr(killed, "_train_step", dies_at_the_fourth)
    with pytest.raises(Killed):
        killed.fit(training)
    resumed = trainer.Trainer(config, tmp_path / "run", None)
    assert int(resumed.step) == 2
    resumed.fit(training)
    assert int(resumed.step) == 4
    steps = [json.loads(line)["step"] for line in (tmp_path / "run/history.jsonl").open()]
    assert steps == [2, 4]

    # In memory the killed one stands after step 3: with one more it is the run without a death.
    monkeypatch.setattr(killed, "_train_step", real_step)
    killed.fit(training)
    whole = weights_of(killed)
    moved = [
        np.abs(after - before).max() for after, before in zip(whole, at_the_start, strict=True)
    ]
    assert max(moved) > 1e-4
    for ours, theirs in zip(weights_of(resumed), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_warm_start_keeps_its_residual_blocks(tmp_path: Path) -> None:
    """Only blocks that nothing is known of start as the identity."""
    known = np.full((1, 1, 128, 320), 0.5, np.float32)
    arrays: dict[str, Any] = {"block35_1_conv/kernel": known}
    np.savez(tmp_path / "warm.npz", **arrays)
    config = Config(dataset="faces", cut="block35_2_ac", image_size=96)
    one = trainer.Trainer(config, tmp_path / "run", str(tmp_path / "warm.npz"))
    backbone = one.model.get_layer("backbone")
    kernels = {
        name: layer.weights[0].numpy()
        for layer, name in backbone.canonical_names.items()
        if name.endswith("_conv") and name.startswith("block35")
    }
    np.testing.assert_array_equal(kernels["block35_1_conv"], known)
    assert not kernels["block35_2_conv"].any()


def test_mixed_precision_computes_in_half_and_keeps_weights_whole(tmp_path: Path) -> None:
    config = Config(dataset="faces", cut="mixed_5b", image_size=96, precision="mixed_bfloat16")
    import keras

    one = trainer.Trainer(config, tmp_path / "run", None)
    convolution = next(
        layer for layer in one.model.get_layer("backbone").layers if layer.name.startswith("conv2d")
    )
    assert convolution.compute_dtype == "bfloat16"
    assert {variable.dtype for variable in one.trained.trainable_variables} == {"float32"}
    assert [output.dtype for output in one.trained.outputs] == ["float32", "float32"]
    assert keras.config.dtype_policy().name == "float32"


def test_settings_that_make_no_network_leave_the_run_folder_alone(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer.run(arguments(dataset, tmp_path / "run", "--cut", "no_such_layer")) == 1
    assert "no_such_layer" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--batch-size", "7"), ("--batch-size", "0"), ("--steps", "0"), ("--held-out", "0"),
     ("--self-blended", "1.5")],
)  # fmt: skip
def test_impossible_settings_are_said_before_training(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert trainer.run(arguments(dataset, tmp_path / "run", option, value)) == 1
    assert value in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_folder_of_other_settings_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"dataset": "other"}))
    assert trainer.run(arguments(dataset, run)) == 1
    assert "other settings" in capsys.readouterr().err


def test_training_ends_in_a_checkpoint_that_loads(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer.run(arguments(dataset, tmp_path / "run", "--steps", "2")) == 0
    folder = tmp_path / "run" / "checkpoint"
    loaded = checkpoints.load(str(folder))
    assert (loaded.metadata.margin, loaded.metadata.drop) == (1.2, 0.05)
    assert re.match("[0-9a-f]{40}|unknown", loaded.metadata.raw["git_commit"])
    [entry] = loaded.metadata.raw["metrics"]
    assert (entry["set"], entry["part"], entry["level"]) == ("faces", "selection", "frame")
    assert (entry["n"], entry["groups"]) == (8, 4)
    auc = entry["figures"]["roc_auc"]
    assert 0 <= auc["low"] <= auc["value"] <= auc["high"] <= 1
    card = (folder / "MODEL_CARD.md").read_text()
    assert loaded.id.sha256 in card
    assert "Uncalibrated" in card
    assert "| augmentation | mirror 0.5, light 0.7, " in card
    assert "Not proof" in card
    printed = json.loads(capsys.readouterr().out.split("checkpoint:")[0])
    assert printed == [entry]

    [selection] = read_sets([f"{dataset}:selection"], loaded.metadata.raw["training"])
    again = evaluation.measure(
        loaded, [face for item in selection.items for face in item.faces], "faces", "selection"
    )
    assert again[0]["figures"] == entry["figures"]


@pytest.mark.parametrize(("margin", "drop"), [(0.95, 0.04), (1.4, 0.0)])
def test_the_cut_of_a_set_is_found_from_its_crops(margin: float, drop: float) -> None:
    crops = []
    for shift in range(0, 60, 15):
        frame = clips.scene((640, 360), [(0, 300 + shift, 180, 300)])
        [[face]] = FaceFinder().find([frame])
        crops.append(crop_face(frame, face.box, margin, drop))
    found = estimate(crops)
    assert found["found"] == found["crops"] == 4
    assert found["margin"] == pytest.approx(margin, rel=0.06)
    assert found["drop"] == pytest.approx(drop, abs=0.03)
