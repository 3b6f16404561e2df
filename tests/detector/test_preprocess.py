"""``python -m detector preprocess``: what it cuts, and what it writes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import Detector, Sampling, checkpoints
from detector.cli import main
from detector.domain import Face, Image, Label
from detector.faces import FaceFinder
from detector.prediction import Predictor
from detector.training.crops import FaceRow, load_faces, read_manifest
from tests import clips
from tests.detector.conftest import Preprocess


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- as served ----------------------------------------------------------------------------


@pytest.mark.parametrize("reading", ["rows_checkpoint", "frames_checkpoint"])
def test_the_crops_are_bit_for_bit_those_the_network_is_given(
    reading: str,
    request: pytest.FixtureRequest,
    finder: FaceFinder,
    videos: Path,
    tmp_path: Path,
    preprocess: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = dropped(request.getfixturevalue(reading), tmp_path / reading)
    folder = tmp_path / "videos"
    (folder / "real").mkdir(parents=True)
    for name in ("real/1.mp4", "real/turned.mp4", "fake/odd.webm"):
        os.link(videos / name, folder / "real" / Path(name).name)
    # Too long for the budget: the windows of both readings are unlike.
    clips.hard_cut(folder / "real" / "long.mp4", seconds=7)
    assert preprocess(folder, tmp_path / "out", "--checkpoint", checkpoint, "--workers", 2) == 0
    rows = read_manifest(tmp_path / "out")
    cut = dict(zip(rows, load_faces(tmp_path / "out", rows), strict=True))

    given: dict[Face, Image] = {}
    plain_add = Predictor.add

    def add(self: Predictor, face: Face, crop: Image) -> None:
        given[face] = crop
        plain_add(self, face, crop)

    monkeypatch.setattr(Predictor, "add", add)
    detector = Detector(finder, checkpoints.load(str(checkpoint)))
    for path in sorted(folder.glob("real/*")):
        given.clear()
        result = detector.analyze(path, Sampling.named("quick"))
        person = {(face.frame_index, face.box): face.person for face in result.faces}
        served = [(face, given[face]) for face in sorted(given, key=lambda face: face.frame_index)]
        stored = [row for row in rows if row.video == f"real/{path.name}"]
        assert len(stored) == len(served) == len(result.faces) > 0
        for (face, crop), row in zip(served, stored, strict=True):
            assert (row.frame_index, row.side) == (face.frame_index, face.box.side)
            assert row.person == person[face.frame_index, face.box]
            np.testing.assert_array_equal(cut[row].image(), crop)


def dropped(checkpoint: Path, copy: Path) -> Path:
    """The checkpoint, served with a drop."""
    shutil.copytree(checkpoint, copy)
    metadata = json.loads((copy / checkpoints.METADATA).read_text())
    metadata["preprocessing"]["drop"] = 0.1
    (copy / checkpoints.METADATA).write_text(json.dumps(metadata))
    return copy


# --- what is written ----------------------------------------------------------------------


def test_the_manifest_says_of_each_crop_where_it_is_from(
    preprocess: Preprocess, videos: Path, tmp_path: Path
) -> None:
    assert preprocess(videos, tmp_path / "out") == 2  # One file is no video.
    rows = read_manifest(tmp_path / "out")
    faces = load_faces(tmp_path / "out", rows)
    assert {face.image().shape for face in faces} == {(300, 300, 3)}
    by_video = {row.video: row for row in rows}
    assert set(by_video) == {
        "fake/FaceSwap/1.mp4",
        "fake/odd.webm",
        "real/1.mp4",
        "real/turned.mp4",
    }
    first = next(row for row in rows if row.video == "fake/odd.webm")
    assert replace(first, side=None) == FaceRow(
        path="000000-1.png",
        archive="crops/fake/odd.webm.zip",
        label=Label.FAKE,
        group="odd",
        split="train",
        method="unknown",
        dataset="",
        video="fake/odd.webm",
        person=1,
        frame_index=0,
        side=None,
    )
    fake = by_video["fake/FaceSwap/1.mp4"]
    assert (fake.label, fake.method, fake.group) == (Label.FAKE, "FaceSwap", "1")
    assert (by_video["real/1.mp4"].label, by_video["real/1.mp4"].group) == (Label.REAL, "1")
    assert {row.person for row in rows if row.video == "real/1.mp4"} == {1, 2}
    assert [(row.video, row.frame_index) for row in rows] == sorted(
        (row.video, row.frame_index) for row in rows
    )
    for line in table(tmp_path / "out" / "manifest.csv"):
        assert float(line["time_s"]) == pytest.approx(int(line["frame_index"]) / 25, abs=0.05)
        assert 0.9 <= float(line["confidence"]) <= 1
        assert 80 < int(line["face_px"]) < 300


def test_the_report_has_a_line_for_each_video(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert preprocess(videos, tmp_path / "out") == 2
    captured = capsys.readouterr()
    assert "real/words.mp4: not_a_video: This file is not a video" in captured.err
    assert "6/6" in captured.err  # The progress bar.
    assert captured.out.startswith("1 no_face, 1 not_a_video, 4 ok; ")
    lines = {line["path"]: line for line in table(tmp_path / "out" / "report.csv")}
    statuses = {path: line["status"] for path, line in lines.items()}
    assert statuses == {
        "fake/FaceSwap/1.mp4": "ok",
        "fake/odd.webm": "ok",
        "real/1.mp4": "ok",
        "real/empty.mp4": "no_face",
        "real/turned.mp4": "ok",
        "real/words.mp4": "not_a_video",
    }
    assert list(lines) == sorted(lines)
    assert (lines["real/1.mp4"]["frames"], lines["real/1.mp4"]["faces"]) == ("8", "16")
    assert float(lines["real/1.mp4"]["seconds"]) > 0
    assert (lines["real/empty.mp4"]["frames"], lines["real/empty.mp4"]["faces"]) == ("8", "0")
    assert lines["real/words.mp4"]["sentence"].startswith("This file is not a video")


def test_the_order_of_work_and_the_number_of_workers_change_nothing(
    preprocess: Preprocess, videos: Path, tmp_path: Path
) -> None:
    contents = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        assert preprocess(videos, out, "--workers", workers) == 2
        rows = read_manifest(out)
        images = [face.image() for face in load_faces(out, rows)]
        contents.append(((out / "manifest.csv").read_bytes(), np.stack(images)))
    assert contents[0][0] == contents[1][0]
    np.testing.assert_array_equal(contents[0][1], contents[1][1])


def test_what_is_wrong_with_the_data_set_is_in_the_report(
    preprocess: Preprocess, videos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dfdc"
    folder.mkdir()
    os.link(videos / "real" / "turned.mp4", folder / "a.mp4")
    os.link(videos / "fake" / "FaceSwap" / "1.mp4", folder / "b.mp4")
    os.link(videos / "real" / "1.mp4", folder / "nobody-knows.mp4")
    (folder / "metadata.json").write_text(
        '{"a.mp4": {"label": "REAL", "split": "train"},'
        ' "b.mp4": {"label": "FAKE", "split": "test", "original": "a.mp4"},'
        ' "c.mp4": {"label": "REAL", "split": "train"}}'
    )
    assert preprocess(folder, tmp_path / "out") == 0
    assert {(row.video, row.group) for row in read_manifest(tmp_path / "out")} == {
        ("a.mp4", "a.mp4"),
        ("b.mp4", "a.mp4"),
    }
    lines = table(tmp_path / "out" / "report.csv")
    assert [line["sentence"] for line in lines if not line["path"]] == [
        "missing: c.mp4",
        "unlabelled: nobody-knows.mp4",
    ]
    assert [line["status"] for line in lines] == ["ok", "ok", "missing", "unlabelled"]

    assert preprocess(folder, tmp_path / "test", "--split", "test") == 0
    assert {row.video for row in read_manifest(tmp_path / "test")} == {"b.mp4"}


def test_a_number_of_frames_overrides_the_budget(preprocess: Preprocess, tmp_path: Path) -> None:
    (tmp_path / "videos" / "real").mkdir(parents=True)
    clips.one_person(tmp_path / "videos" / "real" / "1.mp4", seconds=5)
    assert preprocess(tmp_path / "videos", tmp_path / "out", "--frames", 8) == 0
    assert [line["frames"] for line in table(tmp_path / "out" / "report.csv")] == ["8"]


# --- what is refused ----------------------------------------------------------------------


def test_where_there_is_no_face_there_is_an_error(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "videos" / "real").mkdir(parents=True)
    for name in ("empty.mp4", "words.mp4"):
        os.link(videos / "real" / name, tmp_path / "videos" / "real" / name)
    assert preprocess(tmp_path / "videos", tmp_path / "out") == 1
    assert "error: no face in any video" in capsys.readouterr().err
    assert len(table(tmp_path / "out" / "report.csv")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "test"], "no video is of split 'test'; there are: none"),
        (["--drop", "0.1", "--checkpoint", "default"], "--drop goes with --margin"),
        (["--checkpoint", "no-such"], "no checkpoint 'no-such'"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    preprocess: Preprocess, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], message: str,
) -> None:  # fmt: skip
    assert preprocess(videos, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--workers", "0"],
        ["--frames", "7"],
        ["--margin", "0"],
        ["--margin", "1.3", "--drop", "1"],
        ["--margin", "1.3", "--checkpoint", "somewhere"],
    ],
)
def test_an_impossible_option_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["preprocess", str(tmp_path), str(tmp_path / "out"), *options])
    assert leaving.value.code == 1
    assert f"argument {options[-2]}:" in capsys.readouterr().err


def test_a_video_outside_of_the_data_set_is_refused(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    os.link(videos / "real" / "1.mp4", tmp_path / "1.mp4")
    (folder / "manifest.csv").write_text("path,label,group\n../1.mp4,REAL,1\n")
    assert preprocess(folder, tmp_path / "out") == 1
    assert "../1.mp4 lies outside" in capsys.readouterr().err
    assert not (tmp_path / "out" / "1.mp4.zip").exists()
