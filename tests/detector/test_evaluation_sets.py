"""The sets an evaluation is asked for, and their parts."""

from pathlib import Path
from typing import Any

import pytest

from detector.training.crops import names_hash, read_manifest, split_three_ways
from detector.training.errors import DatasetError
from detector.training.evaluation_sets import EvaluationSet, read_sets
from tests.detector.evaluated import write_crops_of_videos

DATA: dict[str, Any] = {"crops": ["faces"], "selection": 4, "calibration": 2, "split_seed": 3}
TRAINING = {"data": DATA}


def groups(one: EvaluationSet) -> set[str]:
    return {item.example.group for item in one.items}


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_a_run_are_what_it_left_out(dataset: Path, seed: int) -> None:
    asked = [f"{dataset}:selection", f"{dataset}:calibration"]
    selection, calibration = map(groups, read_sets(asked, {"data": DATA | {"split_seed": seed}}))
    rows = [row for row in read_manifest(dataset) if row.split == "train"]
    split = split_three_ways((row.group for row in rows), selection=4, calibration=2, seed=seed)
    assert selection == split.selection
    assert calibration == split.calibration
    assert (len(selection), len(calibration)) == (4, 2)
    known = {"sources": {"sha256": names_hash(row.group for row in rows)}}
    assert groups(read_sets(asked, TRAINING | known)[0]) == groups(read_sets(asked, TRAINING)[0])
    assert "11.mp4" not in selection | calibration


def test_without_a_part_all_is_measured_and_with_one_its_split(dataset: Path) -> None:
    whole, validation = read_sets([str(dataset), f"{dataset}:val"], {})
    assert len(whole.items) == 24
    assert groups(validation) == {"11.mp4"}
    assert (whole.title, validation.title) == ("faces", "faces:val")


@pytest.mark.parametrize(
    ("part", "training", "message"),
    [
        ("test", TRAINING, "no part 'test'; it has train, val, selection, calibration"),
        ("test", {}, "no part 'test'; it has train, val$"),
        ("selection", {}, "no part 'selection'.* a set it does not name"),
        ("selection", {"data": DATA | {"crops": ["others"]}}, "no part 'selection'.* others"),
        ("calibration", {"data": DATA | {"calibration": 0}}, "no part 'calibration'"),
        ("selection", {"data": DATA | {"selection": 40}}, "not what was trained on"),
        ("selection", TRAINING | {"sources": {"sha256": "0"}}, "has other sources than"),
    ],
)
def test_a_part_that_is_not_there_is_refused_and_those_there_named(
    dataset: Path, part: str, training: dict[str, object], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_sets([f"{dataset}:{part}"], training)


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    folder = write_crops_of_videos(tmp_path / "a:b", {"real/1.mp4": ("1", 1)})
    [one] = read_sets([str(folder)], {})
    assert (one.name, one.part) == ("a:b", "")
    with pytest.raises(DatasetError, match=r"no folder .*elsewhere"):
        read_sets([f"{tmp_path}/elsewhere:val"], {})
    with pytest.raises(DatasetError, match=r"no folder nowhere"):
        read_sets(["nowhere"], {})


def test_crops_are_gathered_by_the_video_they_were_cut_from(tmp_path: Path) -> None:
    videos = {"real/1.mp4": ("1", 3), "fake/1.mp4": ("1", 2)}
    folder = write_crops_of_videos(tmp_path / "cut", videos)
    [one] = read_sets([str(folder)], {})
    assert one.levels == ("video", "frame")
    assert [(i.example.path, i.example.method, len(i.faces)) for i in one.items] == [
        ("real/1.mp4", "genuine", 3),
        ("fake/1.mp4", "swap", 2),
    ]


def test_single_crops_have_a_frame_level_only(dataset: Path) -> None:
    [one] = read_sets([str(dataset)], {})
    assert one.levels == ("frame",)
    assert one.of_crops


def test_crops_of_one_video_with_two_labels_are_refused(tmp_path: Path) -> None:
    folder = write_crops_of_videos(tmp_path / "cut", {"real/1.mp4": ("1", 3)})
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("REAL", "FAKE", 1))
    with pytest.raises(DatasetError, match=r"crops of real/1\.mp4 differ"):
        read_sets([str(folder)], {})


def test_a_folder_of_videos_is_read_in_its_own_layout(tmp_path: Path) -> None:
    for name in ("real/1.mp4", "fake/swap/1.mp4", "stray.mp4"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    [one] = read_sets([str(tmp_path / "clips")], {})
    assert [(i.example.path, i.example.method) for i in one.items] == [
        ("fake/swap/1.mp4", "swap"),
        ("real/1.mp4", "genuine"),
    ]
    assert one.problems == ("unlabelled: stray.mp4",)
    assert not one.of_crops
    with pytest.raises(DatasetError, match="no part 'test'; it has none"):
        read_sets([f"{tmp_path / 'clips'}:test"], {})


def test_two_sets_of_one_name_are_refused(dataset: Path) -> None:
    with pytest.raises(DatasetError, match="twice: faces:val"):
        read_sets([f"{dataset}:val", f"{dataset}:val"], {})


def test_a_fingerprint_tells_sets_apart(dataset: Path) -> None:
    def fingerprint(part: str) -> str:
        return read_sets([f"{dataset}:{part}"], TRAINING)[0].fingerprint()

    before = fingerprint("selection")
    assert before == fingerprint("selection")
    assert before != fingerprint("calibration")
    manifest = dataset / "manifest.csv"
    swapped = manifest.read_text().replace("REAL", "TMP").replace("FAKE", "REAL")
    manifest.write_text(swapped.replace("TMP", "FAKE"))
    assert before != fingerprint("selection")


def test_a_file_that_was_replaced_is_noticed(dataset: Path, tmp_path: Path) -> None:
    def files(folder: Path) -> str:
        return read_sets([str(folder)], {})[0].files()

    before = files(dataset)
    with (dataset / "part.zip").open("ab") as file:
        file.write(b"more")
    assert files(dataset) != before
    film = tmp_path / "clips/real/1.mp4"
    film.parent.mkdir(parents=True)
    film.write_text("one")
    before = files(tmp_path / "clips")
    film.write_text("another")
    assert files(tmp_path / "clips") != before


def test_what_a_checkpoint_may_have_learned_from_is_marked(dataset: Path) -> None:
    def marked(text: str, training: dict[str, Any]) -> bool:
        return read_sets([text], training)[0].trained_on

    assert marked(str(dataset), TRAINING)
    assert marked(f"{dataset}:train", TRAINING)
    assert not any(
        marked(f"{dataset}:{part}", TRAINING) for part in ("val", "selection", "calibration")
    )
    assert not marked(str(dataset), {})
    assert not marked(str(dataset), {"data": DATA | {"crops": ["others"]}})


def test_videos_that_gave_no_crop_are_named(tmp_path: Path) -> None:
    folder = write_crops_of_videos(tmp_path / "cut", {"real/1.mp4": ("1", 1)})
    assert read_sets([str(folder)], {})[0].problems == ()
    (folder / "report.csv").write_text(
        "path,status,sentence,frames,faces,seconds\n"
        "real/1.mp4,ok,,5,1,0.1\n"
        "fake/2.mp4,no_face,No face was found in any frame.,5,0,0.1\n"
        ",unlabelled,unlabelled: stray.mp4,0,0,0\n"
    )
    [one] = read_sets([str(folder)], {})
    assert one.problems == ("no_face: fake/2.mp4", "unlabelled: stray.mp4")
