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
    "auc": "ROC AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "eer": "Equal error rate",
    "ece": "Expected calibration error",
}
_STATED_ANYWAY = ("uncalibrated", "blind to methods it was not trained on", "not proof")
_SETS = ("validation", "test", "held_out")


@dataclass(frozen=True)
class Metric:
    """One measured figure with its interval and what it was measured on."""

    key: str
    label: str
    value: float
    low: float | None
    high: float | None
    measured_on: str
    count: int | None

    @property
    def is_auc(self) -> bool:
        return self.key.endswith("auc")

    @property
    def of_hundred(self) -> int:
        """The value as so many of a hundred."""
        return round(self.value * 100)


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint's metadata says, as far as it says it."""

    name: str
    version: str
    sha256: str
    created: str
    architecture: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    calibrated: bool
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Sequence[Metric]
    limits: Sequence[str]
    versions: Mapping[str, Any]
    in_use: bool
    """Whether the workers load this one."""

    @property
    def headline(self) -> Metric | None:
        """The figure to show first: an AUC if there is one."""
        aucs = [metric for metric in self.metrics if metric.is_auc]
        return next(iter(aucs or self.metrics), None)

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
            architecture=raw.get("architecture") or {},
            preprocessing=raw.get("preprocessing") or {},
            calibrated=raw.get("calibration") is not None,
            data=raw.get("data") or {},
            training=raw.get("training") or {},
            metrics=tuple(_metrics(raw.get("metrics") or {})),
            limits=tuple(str(limit) for limit in raw.get("limits") or ()),
            versions=raw.get("versions") or {},
            in_use=in_use,
        )
    except (OSError, ValueError, KeyError, TypeError):
        logger.exception("The metadata in %s cannot be read", path.parent.name)
        return None


def _metrics(raw: Mapping[str, Any]) -> list[Metric]:
    return [
        Metric(
            key=key,
            label=_label(key),
            value=float(figure["value"]),
            low=figure.get("low"),
            high=figure.get("high"),
            measured_on=str(figure.get("set", "")),
            count=figure.get("n"),
        )
        for key, figure in raw.items()
        if isinstance(figure, Mapping) and isinstance(figure.get("value"), int | float)
    ]


def _plain(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key, str(value)) for key, value in facts.items() if isinstance(value, str | int | float)
    ]


def _label(key: str) -> str:
    """``validation_auc`` ▸ ``ROC AUC (validation)``."""
    for name in _SETS:
        if key.startswith(f"{name}_"):
            rest = key.removeprefix(f"{name}_")
            return f"{_METRIC_LABELS.get(rest, rest.replace('_', ' '))} ({name.replace('_', ' ')})"
    return _METRIC_LABELS.get(key, key.replace("_", " "))
