"""Labelled videos in the layouts that people have; the videos here are empty files."""

import json
import shutil
from pathlib import Path

import pytest

from detector.domain import Label
from detector.training import datasets
from detector.training.datasets import Dataset, read_dataset
from detector.training.errors import DatasetError

REAL, FAKE = Label.REAL, Label.FAKE


def tree(folder: Path, *names: str) -> Path:
    """Files whose content is their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def examples(dataset: Dataset) -> dict[str, tuple[Label, str, str, str]]:
    return {e.path: (e.label, e.group, e.method, e.split) for e in dataset.examples}


@pytest.fixture
def dfdc(tmp_path: Path) -> Path:
    tree(tmp_path, "part_0/a.mp4", "part_0/b.mp4", "part_1/c.mp4", "part_1/d.mp4")
    parts = {
        "part_0": {
            "a.mp4": {"label": "REAL", "split": "train"},
            "b.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
        },
        "part_1": {
            "c.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
            "d.mp4": {"label": "REAL", "split": "train", "original": None},
        },
    }
    for name, described in parts.items():
        (tmp_path / name / "metadata.json").write_text(json.dumps(described))
    return tmp_path


def test_dfdc_fakes_belong_to_their_original_across_parts(dfdc: Path) -> None:
    found = read_dataset(dfdc)
    assert found.layout == "DFDC"
    assert found.problems == ()
    assert examples(found) == {
        "part_0/a.mp4": (REAL, "a.mp4", "genuine", "train"),
        "part_0/b.mp4": (FAKE, "a.mp4", "DFDC", "train"),
        "part_1/c.mp4": (FAKE, "a.mp4", "DFDC", "train"),
        "part_1/d.mp4": (REAL, "d.mp4", "genuine", "train"),
    }


def test_one_part_of_dfdc_is_a_data_set_too(dfdc: Path) -> None:
    found = read_dataset(dfdc / "part_0")
    assert [example.path for example in found.examples] == ["a.mp4", "b.mp4"]


def test_dfdc_names_what_is_missing_doubled_and_unlabelled(dfdc: Path) -> None:
    (dfdc / "part_0/b.mp4").unlink()
    tree(dfdc, "part_1/e.mp4", "part_1/f.mp4", "part_1/a.mp4")
    metadata = dfdc / "part_1/metadata.json"
    described = json.loads(metadata.read_text())
    described["a.mp4"] = {"label": "REAL"}
    described["f.mp4"] = {"label": "MAYBE"}
    metadata.write_text(json.dumps(described))
    found = read_dataset(dfdc)
    assert found.problems == (
        "doubled: part_1/a.mp4, already in part_0/a.mp4",
        "missing: part_0/b.mp4",
        "unlabelled: part_1/e.mp4",
        "unlabelled: part_1/f.mp4",
    )
    assert set(examples(found)) == {"part_0/a.mp4", "part_1/c.mp4", "part_1/d.mp4"}


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_metadata_that_is_none_is_named(dfdc: Path, text: str) -> None:
    (dfdc / "part_1/metadata.json").write_text(text)
    with pytest.raises(DatasetError, match=r"part_1/metadata\.json"):
        read_dataset(dfdc)


REALS = "original_sequences/youtube/c23/videos"


def manipulated(method: str, name: str, compression: str = "c23") -> str:
    return f"manipulated_sequences/{method}/{compression}/videos/{name}.mp4"


@pytest.fixture
def faceforensics(tmp_path: Path) -> Path:
    tree(
        tmp_path,
        *(f"{REALS}/{number}.mp4" for number in ("000", "001", "002", "003")),
        *(manipulated("Deepfakes", name) for name in ("000_003", "003_000", "001_002", "002_001")),
    )
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/train.json").write_text('[["000", "003"]]')
    (tmp_path / "splits/test.json").write_text('[["001", "002"]]')
    return tmp_path


def test_faceforensics_keeps_both_videos_of_a_fake_together(faceforensics: Path) -> None:
    found = read_dataset(faceforensics)
    assert found.layout == "FaceForensics++"
    assert found.problems == ()
    assert examples(found) == {
        f"{REALS}/000.mp4": (REAL, "000", "genuine", "train"),
        f"{REALS}/001.mp4": (REAL, "001", "genuine", "test"),
        f"{REALS}/002.mp4": (REAL, "001", "genuine", "test"),
        f"{REALS}/003.mp4": (REAL, "000", "genuine", "train"),
        manipulated("Deepfakes", "000_003"): (FAKE, "000", "Deepfakes", "train"),
        manipulated("Deepfakes", "003_000"): (FAKE, "000", "Deepfakes", "train"),
        manipulated("Deepfakes", "001_002"): (FAKE, "001", "Deepfakes", "test"),
        manipulated("Deepfakes", "002_001"): (FAKE, "001", "Deepfakes", "test"),
    }


def test_faceforensics_names_what_its_splits_leave_out_and_what_is_missing(
    faceforensics: Path,
) -> None:
    tree(faceforensics, f"{REALS}/500.mp4")
    (faceforensics / REALS / "002.mp4").unlink()
    (faceforensics / manipulated("Deepfakes", "003_000")).unlink()
    assert read_dataset(faceforensics).problems == (
        f"missing: {manipulated('Deepfakes', '003_000')}",
        f"missing: {REALS}/002.mp4",
        f"unlabelled: {REALS}/500.mp4 stands in no split file",
    )


def test_faceforensics_asks_which_of_several_compressions(faceforensics: Path) -> None:
    tree(faceforensics, manipulated("Deepfakes", "000_003", "c40"))
    with pytest.raises(DatasetError, match="several compressions; name one of c23, c40"):
        read_dataset(faceforensics)
    with pytest.raises(DatasetError, match="no compression 'raw'; name one of c23, c40"):
        read_dataset(faceforensics, compression="raw")
    assert len(read_dataset(faceforensics, compression="c23").examples) == 8
    weak = read_dataset(faceforensics, compression="c40")
    assert manipulated("Deepfakes", "000_003", "c40") in examples(weak)
    assert len(weak.examples) == 1
    assert len(weak.problems) == 3


def groups(folder: Path, compression: str) -> dict[str, str]:
    found = read_dataset(folder, compression=compression)
    return {Path(example.path).stem: example.group for example in found.examples}


def test_a_video_of_faceforensics_has_one_group_at_every_compression(faceforensics: Path) -> None:
    """A fake that is not there at one of them must not part its two videos."""
    reals = [f"original_sequences/youtube/c40/videos/{name}.mp4" for name in ("000", "003")]
    tree(faceforensics, *reals)
    strong = groups(faceforensics, "c23")
    assert groups(faceforensics, "c40") == {"000": "000", "003": "000"}
    shutil.rmtree(faceforensics / "splits")
    assert groups(faceforensics, "c40") == {"000": "000", "003": "000"}
    assert groups(faceforensics, "c23") == strong


def test_official_pairs_group_videos_whose_fakes_are_not_there(faceforensics: Path) -> None:
    shutil.rmtree(faceforensics / "manipulated_sequences")
    assert groups(faceforensics, "c23") == {"000": "000", "001": "001", "002": "001", "003": "000"}


def test_the_actors_of_deepfakedetection_are_groups_of_their_own(faceforensics: Path) -> None:
    actor = "original_sequences/actors/c23/videos/01__talking.mp4"
    fake = manipulated("DeepFakeDetection", "01_02__talking__AB12")
    tree(faceforensics, actor, fake)
    found = examples(read_dataset(faceforensics))
    assert found[actor] == (REAL, "actor-01", "genuine", "")
    assert found[fake] == (FAKE, "actor-01", "DeepFakeDetection", "")


@pytest.mark.parametrize("text", ['{"000": "003"}', '["000", "003"]', '[["000", "001", "003"]]'])
def test_a_split_file_of_another_kind_is_named(faceforensics: Path, text: str) -> None:
    (faceforensics / "splits/train.json").write_text(text)
    with pytest.raises(DatasetError, match=r"splits/train\.json"):
        read_dataset(faceforensics)


@pytest.fixture
def celeb_df(tmp_path: Path) -> Path:
    tree(
        tmp_path,
        "Celeb-real/id0_0000.mp4",
        "Celeb-real/id1_0000.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        "YouTube-real/00170.mp4",
    )
    (tmp_path / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
    )
    return tmp_path


def test_celeb_df_groups_by_the_person_and_knows_its_test_list(celeb_df: Path) -> None:
    found = read_dataset(celeb_df)
    assert found.layout == "Celeb-DF v2"
    assert found.problems == ()
    assert examples(found) == {
        "Celeb-real/id0_0000.mp4": (REAL, "id0", "genuine", "train"),
        "Celeb-real/id1_0000.mp4": (REAL, "id1", "genuine", "train"),
        "Celeb-synthesis/id0_id1_0000.mp4": (FAKE, "id0", "Celeb-DF", "test"),
        "YouTube-real/00170.mp4": (REAL, "youtube-00170", "genuine", "test"),
    }


def test_celeb_df_names_what_disagrees_with_its_list(celeb_df: Path) -> None:
    with (celeb_df / "List_of_testing_videos.txt").open("a") as listing:
        listing.write("1 Celeb-real/id9_0000.mp4\n0 Celeb-real/id1_0000.mp4\n")
        listing.write("1 YouTube-real/00170.mp4\n")
    found = read_dataset(celeb_df)
    assert found.problems == (
        "doubled: YouTube-real/00170.mp4 in List_of_testing_videos.txt",
        "missing: Celeb-real/id9_0000.mp4",
        "unlabelled: Celeb-real/id1_0000.mp4 has another label in List_of_testing_videos.txt",
    )
    assert "Celeb-real/id1_0000.mp4" not in examples(found)


def test_a_line_of_the_test_list_that_is_none_is_named(celeb_df: Path) -> None:
    (celeb_df / "List_of_testing_videos.txt").write_text("1 a.mp4\nYouTube-real/00170.mp4\n")
    with pytest.raises(DatasetError, match=r"testing_videos\.txt:2"):
        read_dataset(celeb_df)


def test_plain_folders_take_methods_from_folders_inside_fake(tmp_path: Path) -> None:
    tree(tmp_path, "real/a.mp4", "real/more/b.MOV", "fake/a.mp4", "fake/FaceSwap/c.webm")
    found = read_dataset(tmp_path)
    assert found.problems == ()
    assert examples(found) == {
        "real/a.mp4": (REAL, "a", "genuine", ""),
        "real/more/b.MOV": (REAL, "b", "genuine", ""),
        "fake/a.mp4": (FAKE, "a", "unknown", ""),
        "fake/FaceSwap/c.webm": (FAKE, "c", "FaceSwap", ""),
    }


def test_plain_folders_of_one_label_are_enough_for_the_reader(tmp_path: Path) -> None:
    assert len(read_dataset(tree(tmp_path, "real/a.mp4")).examples) == 1


def test_plain_folders_leave_out_the_same_video_twice(tmp_path: Path) -> None:
    tree(tmp_path, "real/a.mp4", "real/b.mp4", "real/c.mp4", "fake/d.mp4", "e.mp4")
    same = (tmp_path / "real/a.mp4").read_bytes()
    (tmp_path / "real/b.mp4").write_bytes(same)
    contested = (tmp_path / "real/c.mp4").read_bytes()
    (tmp_path / "fake/d.mp4").write_bytes(contested)
    tree(tmp_path, "fake/f.mp4")
    found = read_dataset(tmp_path)
    assert found.problems == (
        "doubled: real/b.mp4 is also real/a.mp4",
        "unlabelled: e.mp4",
        "unlabelled: fake/d.mp4 is also real/c.mp4, under another label",
    )
    assert set(examples(found)) == {"real/a.mp4", "fake/f.mp4"}


def manifest(folder: Path, *lines: str) -> Path:
    (folder / "manifest.csv").write_text("path,label,group,method\n" + "\n".join(lines) + "\n")
    return folder


def test_a_manifest_says_label_group_and_method(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    manifest(tmp_path, "a.mp4,REAL,one,original", "b.mp4,FAKE,one,VASA-1", "c.mp4,FAKE,,")
    found = read_dataset(tmp_path)
    assert found.problems == ()
    assert examples(found) == {
        "a.mp4": (REAL, "one", "genuine", ""),
        "b.mp4": (FAKE, "one", "VASA-1", ""),
        "c.mp4": (FAKE, "c.mp4", "unknown", ""),
    }


def test_a_manifest_may_say_which_data_set_a_video_is_of(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "manifest.csv").write_text(
        "path,label,group,split,dataset\na.mp4,REAL,one,val,Web films\nb.mp4,FAKE,one,,\n"
    )
    genuine, fake = read_dataset(tmp_path).examples
    assert (genuine.dataset, genuine.split) == ("Web films", "val")
    assert (fake.dataset, fake.split) == ("", "")


def test_a_manifest_is_checked_against_the_folder(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    manifest(tmp_path, "a.mp4,REAL,a,", "a.mp4,REAL,a,", "b.mp4,real,b,", "d.mp4,FAKE,d,")
    found = read_dataset(tmp_path)
    assert found.problems == (
        "doubled: a.mp4",
        "missing: d.mp4",
        "unlabelled: b.mp4",
        "unlabelled: c.mp4",
    )


def test_a_manifest_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label\n")
    with pytest.raises(DatasetError, match="group"):
        read_dataset(tmp_path)


def test_a_folder_of_no_layout_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4")
    with pytest.raises(DatasetError, match=r"metadata\.json .* Celeb-synthesis"):
        read_dataset(tmp_path)


def test_a_set_without_a_usable_video_is_refused_with_a_reason(tmp_path: Path) -> None:
    manifest(tmp_path, "gone.mp4,REAL,a,")
    with pytest.raises(DatasetError, match=r"no usable video: missing: gone\.mp4"):
        read_dataset(tmp_path)


def test_the_command_counts_and_complains(
    dfdc: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(dfdc, "part_1/e.mp4")
    monkeypatch.setattr("sys.argv", ["datasets", str(dfdc)])
    assert datasets.main() == 0
    printed = capsys.readouterr()
    assert "DFDC: 4 videos in 2 groups" in printed.out
    assert printed.err == "unlabelled: part_1/e.mp4\n"
    monkeypatch.setattr("sys.argv", ["datasets", str(dfdc / "nowhere")])
    assert datasets.main() == 1
    assert "no data set of a known layout" in capsys.readouterr().err


def test_examples_of_a_group_never_differ_in_their_split(faceforensics: Path) -> None:
    splits: dict[str, set[str]] = {}
    for example in read_dataset(faceforensics).examples:
        splits.setdefault(example.group, set()).add(example.split)
    assert all(len(found) == 1 for found in splits.values())
