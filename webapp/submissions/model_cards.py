"""The installed checkpoints as the pages show them, read from their metadata.

Plain JSON: the web process imports nothing of the detector.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

METADATA = "metadata.json"

_METRIC_LABELS = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "log_loss": "Log loss",
    "equal_error_rate": "Equal error rate",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "false_positive_rate": "Genuine called fake",
    "detection_rate": "Fakes detected",
    "coverage": "Given a verdict",
    "decided_error": "Wrong where decided",
    "expected_calibration_error": "Expected calibration error",
    "roc_auc_difference": "Change of ROC AUC",
}
_OF_A_PART = ("roc_auc", "accuracy", "false_positive_rate", "detection_rate")
_LEVELS = {"video": "videos", "frame": "faces"}
MATCHED = "groups with both genuine and fake examples"
_STATED_ANYWAY = ("uncalibrated", "blind to methods it was not trained on", "not proof")


@dataclass(frozen=True)
class Figure:
    """One measured figure with its interval; ``None`` where it has no meaning."""

    key: str
    label: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def of_hundred(self) -> int:
        """The value as so many of a hundred."""
        return round((self.value or 0.0) * 100)


@dataclass(frozen=True)
class MeasuredRow:
    """A part of a set's figures: of one method or data set, of some groups, after one damage."""

    name: str
    count: int
    figures: Sequence[Figure]
    groups: int | None = None
    """Where it is a part of the examples."""


@dataclass(frozen=True)
class MeasuredSet:
    """What was measured on one set at one level, see ``detector.training.summary``."""

    name: str
    part: str
    level: str
    count: int
    real: int
    fake: int
    groups: int
    figures: Sequence[Figure]
    by_method: Sequence[MeasuredRow]
    by_dataset: Sequence[MeasuredRow]
    matched: MeasuredRow | None
    """The groups with genuine and fake examples, where that is not all of the set: elsewhere
    origin or format may give the label away."""
    robustness: Sequence[MeasuredRow]
    command: str
    date: str

    @property
    def title(self) -> str:
        """``faces of SET, part PART``."""
        part = f", part {self.part}" if self.part else ""
        return f"{self.examples} of {self.name}{part}"

    @property
    def matched_rows(self) -> list[MeasuredRow]:
        """As a table takes it."""
        return [self.matched] if self.matched else []

    @property
    def examples(self) -> str:
        """What was counted: videos or faces."""
        return _LEVELS.get(self.level, self.level)

    @property
    def roc_auc(self) -> Figure | None:
        """If it has a value."""
        return self._figure("roc_auc")

    @property
    def genuine_called_fake(self) -> int | None:
        """How many of the ``real`` genuine examples got the verdict FAKE."""
        rate = self._figure("false_positive_rate")
        return None if rate is None or rate.value is None else round(rate.value * self.real)

    @property
    def undecided(self) -> int | None:
        """How many of all examples were left undecided."""
        coverage = self._figure("coverage")
        if coverage is None or coverage.value is None:
            return None
        return round((1 - coverage.value) * self.count)

    def _figure(self, key: str) -> Figure | None:
        found = (f for f in self.figures if f.key == key and f.value is not None)
        return next(found, None)


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint's metadata says, as far as it says it."""

    name: str
    version: str
    sha256: str
    created: str
    summary: str
    """What it can and cannot see, in one sentence."""
    architecture: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    calibrated: bool
    abstention_band: Sequence[float]
    """Low and high end of the probabilities that are too close to call; empty without one."""
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Sequence[MeasuredSet]
    limits: Sequence[str]
    versions: Mapping[str, Any]
    in_use: bool
    """Whether the workers load this one."""

    @property
    def headline(self) -> MeasuredSet | None:
        """The set whose ROC AUC is shown first: one of whole videos if there is one."""
        with_auc = [one for one in self.metrics if one.roc_auc]
        return next(iter(sorted(with_auc, key=lambda one: one.level != "video")), None)

    @property
    def further_limits(self) -> list[str]:
        """The limits that the pages do not state in their own words already."""
        return [limit for limit in self.limits if not limit.lower().startswith(_STATED_ANYWAY)]

    @property
    def description(self) -> str:
        return str(self.data.get("description", ""))

    @property
    def fact_groups(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The rest of the metadata under headings; nested values are left to the file."""
        groups = (
            ("Data", {k: v for k, v in self.data.items() if k != "description"}),
            ("Architecture", self.architecture),
            ("Preprocessing", self.preprocessing),
            ("Training", self.training),
            ("Libraries", self.versions),
        )
        return [(title, _plain(facts)) for title, facts in groups]


def installed() -> list[ModelCard]:
    """The cards of all installed checkpoints, the one in use first."""
    used = _file_in_use()
    files = {path.resolve() for path in _folder().glob(f"*/{METADATA}")}
    if used:
        files.add(used)
    cards = [_read(path, in_use=path == used) for path in sorted(files)]
    return sorted((c for c in cards if c), key=lambda card: (not card.in_use, card.name))


def find(name: str, sha256: str) -> ModelCard | None:
    """The card of exactly the weights that spoke, if they are still installed."""
    return next((c for c in installed() if c.name == name and c.sha256 == sha256), None)


def _folder() -> Path:
    return Path(settings.BASE_DIR) / "detector" / "checkpoints"


def _file_in_use() -> Path | None:
    """What ``FRAMEVOTE_CHECKPOINT`` names, an installed one or a path to a folder.

    Looked for as the detector does (``detector.checkpoints.find``).
    """
    named = settings.FRAMEVOTE_CHECKPOINT
    files = (folder / METADATA for folder in (_folder() / named, Path(named)))
    return next((path.resolve() for path in files if path.is_file()), None)


def _read(path: Path, *, in_use: bool) -> ModelCard | None:
    """The card in this file; an unreadable one is logged and left out of the page."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return ModelCard(
            name=str(raw["name"]),
            version=str(raw.get("version", "")),
            sha256=str(raw["sha256"]),
            created=str(raw.get("created", "")),
            summary=str(raw.get("summary", "")),
            architecture=raw.get("architecture") or {},
            preprocessing=raw.get("preprocessing") or {},
            calibrated=raw.get("calibration") is not None,
            abstention_band=tuple((raw.get("thresholds") or {}).get("abstention_band") or ()),
            data=raw.get("data") or {},
            training=raw.get("training") or {},
            metrics=tuple(_sets(raw.get("metrics"))),
            limits=tuple(str(limit) for limit in raw.get("limits") or ()),
            versions=raw.get("versions") or {},
            in_use=in_use,
        )
    except (OSError, ValueError, KeyError, TypeError):
        logger.exception("The metadata in %s cannot be read", path.parent.name)
        return None


def _sets(raw: object) -> list[MeasuredSet]:
    """Nothing of a shape that is not known."""
    return [
        MeasuredSet(
            name=str(entry["set"]),
            part=str(entry["part"]),
            level=str(entry["level"]),
            count=int(entry["n"]),
            real=int(entry["real"]),
            fake=int(entry["fake"]),
            groups=int(entry["groups"]),
            figures=_figures(entry["figures"]),
            by_method=[
                MeasuredRow(method, int(row["n"]), _figures(row), int(row["groups"]))
                for method, row in entry["by_method"].items()
            ],
            by_dataset=[
                _part(dataset, row) for dataset, row in (entry.get("by_dataset") or {}).items()
            ],
            matched=_part(MATCHED, entry["matched"]) if entry.get("matched") else None,
            robustness=[
                MeasuredRow(str(row["damage"]), int(row["n"]), _figures(row))
                for row in entry["robustness"]
            ],
            command=str(entry.get("command", "")),
            date=str(entry.get("date", "")),
        )
        for entry in (raw if isinstance(raw, list) else ())
    ]


def _part(name: str, raw: Mapping[str, Any]) -> MeasuredRow:
    chosen = {key: raw["figures"][key] for key in _OF_A_PART if key in raw["figures"]}
    return MeasuredRow(name, int(raw["n"]), _figures(chosen), int(raw["groups"]))


def _figures(raw: Mapping[str, Any]) -> list[Figure]:
    """Those of ``name ▸ {value, low, high}``; other entries are none."""
    return [
        Figure(
            key=key,
            label=_METRIC_LABELS.get(key, key.replace("_", " ")),
            value=figure["value"],
            low=figure["low"],
            high=figure["high"],
        )
        for key, figure in raw.items()
        if isinstance(figure, Mapping)
    ]


def _plain(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key, str(value)) for key, value in facts.items() if isinstance(value, str | int | float)
    ]
