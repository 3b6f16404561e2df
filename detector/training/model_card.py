"""``MODEL_CARD.md``, generated from a checkpoint's ``metadata.json`` and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.checkpoints import METADATA

CARD = "MODEL_CARD.md"


def write(folder: Path) -> Path:
    """Write the card beside the metadata of the checkpoint in ``folder``."""
    raw = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    path = folder / CARD
    path.write_text(render(raw), encoding="utf-8")
    return path


def render(raw: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    architecture = raw["architecture"]
    lines = [
        f"# {raw['name']}, version {raw['version']}",
        "",
        "Generated from `metadata.json`; do not edit.",
        "",
        "## What it is",
        "",
        f"InceptionResNetV2 cut at `{architecture['backbone_cut']}`, read by a BiLSTM as "
        f"{architecture['sequence']}, {architecture['image_size']} pixels wide input. "
        f"Made on {raw['created']}. SHA-256 of the weights: `{raw['sha256']}`.",
        "",
        "## Data",
        "",
        *(f"- {key}: {value}" for key, value in raw["data"].items()),
        "",
        "## Measured",
        "",
        "| figure | value | 95 % interval | on | crops | source videos |",
        "|---|---|---|---|---|---|",
        *(_row(name, metric) for name, metric in raw["metrics"].items()),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in raw["limits"]),
        "",
        "## Training",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in raw["training"].items()),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, metric: Mapping[str, Any]) -> str:
    interval = f"{metric['low']:.3f} to {metric['high']:.3f}" if "low" in metric else "not computed"
    return (
        f"| {name.replace('_', ' ')} | {metric['value']:.3f} | {interval} "
        f"| {metric['set']} | {metric['n']} | {metric['groups']} |"
    )
