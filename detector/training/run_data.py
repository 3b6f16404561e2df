"""The data of a run: which sources are trained on, and which are kept apart.

Sources are split by name, over all the sets of a run together: a genuine video that stands in
two of them, at two compression levels say, is on one side of the split. They are paired
within their sets: a video of another set that has the same name is no source of its fakes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detector.training import generated
from detector.training.configuration import Config, check_cut
from detector.training.crop_folder import SETTINGS
from detector.training.crops import (
    FaceRow,
    LabelledFace,
    Source,
    Split,
    by_source,
    load_faces,
    names_hash,
    read_manifest,
    split_three_ways,
)
from detector.training.errors import DatasetError


@dataclass(frozen=True)
class RunData:
    """What ``load_data`` found.

    Attributes:
        training, selection: sources, of which none stands in both.
        margin, drop: how their crops were cut, see ``preprocessing.crop_face``.
        names: ``crops.names_hash`` of all sources, those for calibration too. Which source
            is in which part depends on it.
        split: the same in names, as they are without the name of their set.
    """

    training: tuple[Source, ...]
    selection: tuple[Source, ...]
    margin: float
    drop: float
    names: str
    split: Split


def load_data(config: Config, beside: Path, folder: Path) -> RunData:
    """The sources to train on and to select by. Those for calibration are not even looked at.

    Args:
        beside: where relative paths of the configuration begin.
        folder: of the run, for crops that are drawn.

    Raises:
        DatasetError: a set cannot be read, it is not known how its crops were cut, or a
            part has no genuine ones.
        ValueError: there are fewer sources than are to be kept apart.
    """
    data = config.data
    if data.generated:
        sets = [generated.write_generated(folder / "generated", data.generated, data.split_seed)]
    else:
        sets = [beside / path for path in data.crops]
    rows = {one: _rows_to_train_on(one) for one in sets}
    margin, drop = _cut_of(config, sets)
    names = {row.group for some in rows.values() for row in some}
    split = split_three_ways(
        names, selection=data.selection, calibration=data.calibration, seed=data.split_seed
    )

    def sources(part: frozenset[str], purpose: str) -> tuple[Source, ...]:
        faces: list[LabelledFace] = []
        for one in sets:
            chosen = [row for row in rows[one] if row.group in part]
            if len(sets) > 1:
                chosen = [replace(row, group=f"{one.name}/{row.group}") for row in chosen]
            faces += load_faces(one, chosen)
        found = tuple(by_source(faces))
        if not any(source.real for source in found):
            raise DatasetError(f"of the sources to {purpose}, none has genuine crops")
        return found

    return RunData(
        training=sources(split.training, "train on"),
        selection=sources(split.selection, "select by"),
        margin=margin,
        drop=drop,
        names=names_hash(names),
        split=split,
    )


def _rows_to_train_on(folder: Path) -> list[FaceRow]:
    return [row for row in read_manifest(folder) if row.split == "train"]


def _cut_of(config: Config, folders: Sequence[Path]) -> tuple[float, float]:
    """(margin, drop), as the configuration and the settings beside the crops say."""
    said: set[tuple[float, float]] = set()
    if config.data.margin is not None and config.data.drop is not None:
        said.add((config.data.margin, config.data.drop))
    said |= {_settings_cut(path) for one in folders if (path := one / SETTINGS).is_file()}
    if len(said) != 1:
        raise DatasetError(
            "data.margin and data.drop must say how the crops were cut, got "
            f"{sorted(said) or 'neither'}; see detector.training.margin"
        )
    return said.pop()


def _settings_cut(path: Path) -> tuple[float, float]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        margin, drop = float(found["margin"]), float(found["drop"])
        check_cut(margin, drop)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: {type(error).__name__}: {error}") from error
    return margin, drop
