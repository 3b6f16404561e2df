"""``MODEL_CARD.md``, generated from a checkpoint's ``metadata.json`` and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector import checkpoints
from detector.training import figure_tables, sight

CARD = "MODEL_CARD.md"

INTENDED_USE = (
    "For people who examine a video and can weigh this figure against other evidence: where it "
    "came from, who it shows, what is known of its making.",
    "Not for deciding alone: neither to accuse, to remove or to publish, nor as proof in court, "
    "nor without a person in between. Not for identifying anybody. Not for single pictures, drawn "
    "faces or sound.",
)

UNCALIBRATED = (
    "- Uncalibrated: the probability is the network's own figure; nobody has checked how often it "
    "is right at 0.7 or at 0.9."
)


def write(folder: Path) -> Path:
    """Write the card beside the metadata of the checkpoint in ``folder``.

    Its first sentence goes into the metadata too (``summary``), for the pages.
    """
    metadata = checkpoints.read_metadata(folder)
    raw = checkpoints.update(folder, {"summary": sight.sentence(metadata.raw["metrics"])})
    path = folder / CARD
    path.write_text(render(raw), encoding="utf-8")
    return path


def render(raw: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    architecture = raw["architecture"]
    lines = [
        f"# {raw['name']}, version {raw['version']}",
        "",
        raw["summary"],
        "",
        "Generated from `metadata.json`; do not edit.",
        "",
        "## What it is",
        "",
        f"InceptionResNetV2 cut at `{architecture['backbone_cut']}`, read by a BiLSTM as "
        f"{architecture['sequence']}, {architecture['image_size']} pixels wide input. "
        f"Made on {raw['created']}; commit of the code: {raw['git_commit']}. "
        f"SHA-256 of the weights: `{raw['sha256']}`.",
        "",
        _cut(raw["preprocessing"]),
        "",
        "## Data",
        "",
        *(f"- {key}: {value}" for key, value in raw["data"].items()),
        "",
        "## Measured",
        "",
        *_measured(raw["metrics"]),
        "",
        "## Intended use",
        "",
        *(f"- {use}" for use in INTENDED_USE),
        "",
        "## Limits",
        "",
        *([UNCALIBRATED] if raw["calibration"] is None else []),
        *(f"- {limit}" for limit in raw["limits"]),
        "",
        "## Training",
        "",
        "| setting | value |",
        "|---|---|",
        *_rows(raw["training"]),
        "",
        *_calibration(raw["calibration"]),
        "## Thresholds of the vote",
        "",
        "| threshold | value |",
        "|---|---|",
        *_rows({key: value for key, value in raw["thresholds"].items() if value is not None}),
        "",
        "## Made with",
        "",
        "| library | version |",
        "|---|---|",
        *_rows(raw["versions"]),
        "",
    ]
    return "\n".join(lines)


def _measured(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stands in ``metrics``, see ``detector.training.summary``."""
    if not entries:
        return ["Nothing yet; `python -m detector evaluate` does."]
    lines = [
        *figure_tables.overview(entries),
        "",
        "Measured with the weights of the file, on the way that serves. Intervals are the middle "
        "95 % of 1,000 resamplings of groups: a genuine video and the fakes made from it.",
    ]
    for entry in entries:
        hardware = entry["hardware"]
        lines += [
            "",
            f"### {figure_tables.title(entry)}",
            "",
            *figure_tables.whole(entry),
            "",
            f"`{entry['command']}`, {entry['date']}, on {hardware['cores']} cores of "
            f"{hardware['processor']}{', in 8 bits' if entry.get('bits') == 8 else ''}.",
        ]
    return lines


def _calibration(calibration: Mapping[str, Any] | None) -> list[str]:
    if calibration is None:
        return []
    return ["## Calibration", "", "| value | |", "|---|---|", *_rows(calibration), ""]


def _cut(preprocessing: Mapping[str, Any]) -> str:
    return (
        f"Faces are cut as squares {preprocessing['margin']:g} times the longer side of MTCNN's "
        f"box, their middle {preprocessing['drop']:g} of the square's side below the box's."
    )


def _rows(values: Mapping[str, Any]) -> list[str]:
    return [f"| {key} | {_cell(value)} |" for key, value in values.items()]


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)
