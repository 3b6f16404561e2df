"""Which sources a run trains on, and which it keeps apart."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from detector.training.crops import Source, read_manifest, split_three_ways
from detector.training.errors import DatasetError
from detector.training.run_data import load_data
from tests.detector.crops import write_dataset
from tests.detector.stages import CONFIG

DATA = replace(CONFIG.data, calibration=3)
SEVERAL = replace(CONFIG, data=DATA)


def groups(sources: Sequence[Source]) -> set[str]:
    return {source.group for source in sources}


def test_no_source_is_in_two_parts_and_those_for_calibration_are_not_looked_at(
    dataset: Path, tmp_path: Path
) -> None:
    rows = [row for row in read_manifest(dataset) if row.split == "train"]
    split = split_three_ways(
        (row.group for row in rows), selection=4, calibration=3, seed=DATA.split_seed
    )
    unzipped = [row for row in rows if not row.archive]
    for row in unzipped:
        if row.group in split.calibration:
            (dataset / row.path).unlink()
    found = load_data(SEVERAL, tmp_path, tmp_path)
    assert groups(found.training) == split.training
    assert groups(found.selection) == split.selection
    assert not groups(found.training) & groups(found.selection)
    assert not (groups(found.training) | groups(found.selection)) & split.calibration
    for source in (*found.training, *found.selection):
        assert {face.group for face in source.real + source.fake} == {source.group}
        assert {face.row.split for face in source.real + source.fake} == {"train"}
    # The other parts' crops are looked at.
    missing = next(row for row in unzipped if row.group in split.selection)
    (dataset / missing.path).unlink()
    with pytest.raises(DatasetError, match=missing.path):
        load_data(SEVERAL, tmp_path, tmp_path)


def test_some_source_for_calibration_is_a_file_of_its_own(dataset: Path) -> None:
    """What the test above needs to notice anything."""
    rows = [row for row in read_manifest(dataset) if row.split == "train"]
    split = split_three_ways(
        (row.group for row in rows), selection=4, calibration=3, seed=DATA.split_seed
    )
    for part in (split.calibration, split.selection):
        assert any(row.group in part for row in rows if not row.archive)


def test_other_seeds_of_the_run_keep_the_same_sources_apart(dataset: Path, tmp_path: Path) -> None:
    one = load_data(SEVERAL, tmp_path, tmp_path)
    other = load_data(replace(SEVERAL, seed=99), tmp_path, tmp_path)
    assert groups(one.selection) == groups(other.selection)
    split = replace(SEVERAL, data=replace(DATA, split_seed=2))
    assert groups(load_data(split, tmp_path, tmp_path).selection) != groups(one.selection)


def test_a_source_that_stands_in_two_sets_is_on_one_side_and_paired_within_each(
    dataset: Path, tmp_path: Path
) -> None:
    """Such as one video at two compression levels."""
    write_dataset(tmp_path / "other")
    config = replace(SEVERAL, data=replace(DATA, crops=("faces", "other")))
    found = load_data(config, tmp_path, tmp_path)
    names = {part: {g.split("/")[1] for g in groups(getattr(found, part))}
             for part in ("training", "selection")}  # fmt: skip
    assert not names["training"] & names["selection"]
    assert {part: len(some) for part, some in names.items()} == {"training": 4, "selection": 4}
    assert len(found.training) == len(found.selection) == 8
    for source in (*found.training, *found.selection):
        folders = {face.files._folder.name for face in source.real + source.fake}
        assert folders == {source.group.split("/")[0]}


def test_the_hash_of_the_names_changes_with_the_sources_alone(
    dataset: Path, tmp_path: Path
) -> None:
    before = load_data(SEVERAL, tmp_path, tmp_path).names
    assert load_data(replace(SEVERAL, seed=5), tmp_path, tmp_path).names == before
    lines = (dataset / "manifest.csv").read_text().splitlines(keepends=True)
    (dataset / "manifest.csv").write_text("".join([lines[0], *reversed(lines[1:])]))
    assert load_data(SEVERAL, tmp_path, tmp_path).names == before
    kept = [line for line in lines if ",3.mp4," not in line]
    (dataset / "manifest.csv").write_text("".join(kept))
    assert load_data(SEVERAL, tmp_path, tmp_path).names != before


def test_a_part_without_genuine_crops_is_refused(dataset: Path, tmp_path: Path) -> None:
    lines = (dataset / "manifest.csv").read_text().splitlines(keepends=True)
    chosen = groups(load_data(SEVERAL, tmp_path, tmp_path).selection)
    kept = [
        line
        for line in lines
        if ",REAL," not in line or not any(f",{group}," in line for group in chosen)
    ]
    (dataset / "manifest.csv").write_text("".join(kept))
    with pytest.raises(DatasetError, match="to select by, none has genuine crops"):
        load_data(SEVERAL, tmp_path, tmp_path)


def test_how_preprocessed_crops_were_cut_is_read_beside_them(dataset: Path, tmp_path: Path) -> None:
    (dataset / "settings.json").write_text(json.dumps({"margin": 1.3, "drop": 0.1}))
    unsaid = replace(CONFIG, data=replace(CONFIG.data, margin=None, drop=None))
    found = load_data(unsaid, tmp_path, tmp_path)
    assert (found.margin, found.drop) == (1.3, 0.1)
    with pytest.raises(DatasetError, match="how the crops were cut"):
        load_data(CONFIG, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"margin": 1.3}', '{"margin": 0, "drop": 0}', '{"margin": 1, "drop": null}']
)
def test_settings_beside_the_crops_that_make_no_sense_are_named(
    dataset: Path, tmp_path: Path, text: str
) -> None:
    (dataset / "settings.json").write_text(text)
    with pytest.raises(DatasetError, match=r"settings\.json"):
        load_data(CONFIG, tmp_path, tmp_path)
