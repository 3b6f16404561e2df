"""Face crops with a manifest: read, split by source, and how they were cut."""

import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detector.domain import Label
from detector.faces import FaceFinder
from detector.preprocessing import crop_face
from detector.training import crops
from detector.training.crops import load_faces, read_manifest, split_groups, split_three_ways
from detector.training.errors import DatasetError
from detector.training.margin import estimate
from tests import clips
from tests.detector.crops import SIDE, jpeg


def test_a_manifest_reads_folders_and_zips_alike(dataset: Path) -> None:
    rows = read_manifest(dataset)
    faces = load_faces(dataset, rows)
    assert len(faces) == 24
    assert faces[0].image().shape == (SIDE, SIDE, 3)
    assert {face.label for face in faces} == set(Label)


def test_a_manifest_tells_crops_of_one_video(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "path,label,source_video,method,video,person,frame_index,face_px,split,dataset\n"
        "a.png,FAKE,1.mp4,FaceSwap,fake/1.mp4,2,40,96,,Web films\n"
        "b.png,REAL,1.mp4,,,,,,val,\n"
    )
    described, bare = read_manifest(tmp_path)
    assert (described.method, described.video, described.split) == (
        "FaceSwap",
        "fake/1.mp4",
        "train",
    )
    assert (described.dataset, bare.dataset) == ("Web films", "")
    assert (described.person, described.frame_index, described.side) == (2, 40, 96)
    assert (bare.method, bare.video, bare.split) == ("genuine", "/b.png", "val")
    assert (bare.person, bare.frame_index, bare.side) == (1, 0, None)


def test_a_crop_that_is_not_square_is_named(dataset: Path) -> None:
    face = load_faces(dataset, read_manifest(dataset))[0]
    (dataset / face.row.path).write_bytes(jpeg(np.zeros((60, 80, 3), np.uint8)))
    with pytest.raises(DatasetError, match=rf"{face.row.path}: .* square, got 80×60"):
        face.image()


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


def test_the_parts_of_a_split_share_nothing_and_leave_nothing_out() -> None:
    groups = [f"{n}.mp4" for n in range(100)]
    split = split_three_ways(groups, selection=30, calibration=20, seed=4)
    parts = [split.training, split.selection, split.calibration]
    assert [len(part) for part in parts] == [50, 30, 20]
    assert frozenset.union(*parts) == set(groups)
    with pytest.raises(ValueError, match="selection, got 0"):
        split_three_ways(groups, selection=0, calibration=20, seed=4)
    with pytest.raises(ValueError, match="90"):
        split_three_ways(groups, selection=90, calibration=20, seed=4)


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
