"""``evaluate --compare A B``: the difference of two evaluations of the same videos, paired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.training import figure_tables, metrics, summary
from detector.training.errors import DatasetError
from detector.training.evaluation_folder import EvaluationFolder
from detector.training.outcomes import Outcome

COMPARISON = "comparison.json"
TABLE = "comparison.md"

CONDITIONS = ("sampling", "rules", "bits")
"""Settings of an evaluation that change its figures whatever the checkpoint."""


def run(one: Path, other: Path, *, out: Path | None, as_json: bool) -> int:
    """Print the comparison, and write it into ``out``. Exit status.

    Raises:
        DatasetError: see ``compare``.
    """
    found = compare(EvaluationFolder.open(one), EvaluationFolder.open(other))
    text = "\n".join(_table(found)) + "\n"
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / COMPARISON).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (out / TABLE).write_text(text, encoding="utf-8")
    if as_json:
        print_json(found)
    else:
        print(text, end="")
    return 0


def compare(one: EvaluationFolder, other: EvaluationFolder) -> dict[str, Any]:
    """For each set and level every metric of ``one`` minus that of ``other``.

    Measured on the examples that have a vote in both: ``n`` of them, ``only_one`` and
    ``only_other`` more in one of the two. ``differing`` names what else than the checkpoint
    the differences may come from.

    Raises:
        DatasetError: the two did not look at the same videos, or are not complete.
    """
    titles, others = one.titles(), other.titles()
    if titles != others:
        raise DatasetError(
            f"they measured different sets: {', '.join(titles)} and {', '.join(others)}"
        )
    found = []
    for title in titles:
        before, after = one.outcomes(title), other.outcomes(title)
        _refuse_other_videos(title, before, after)
        for level, of_level in summary.EXAMPLES.items():
            mine, theirs = of_level(before), of_level(after)
            if mine is None or theirs is None or level not in one.levels(title):
                continue
            first, second = summary.paired(mine, theirs)
            if not len(first.key):
                continue
            found.append(
                {
                    "set": title,
                    "level": level,
                    "n": len(first),
                    "only_one": len(mine) - len(first),
                    "only_other": len(theirs) - len(second),
                    "differences": {
                        name: summary.as_json(
                            metrics.difference(first.scored, second.scored, metric)
                        )
                        for name, metric in metrics.METRICS.items()
                    },
                }
            )
    return {
        "one": one.settings["checkpoint"],
        "other": other.settings["checkpoint"],
        "differing": _differing(one, other),
        "sets": found,
    }


def _differing(one: EvaluationFolder, other: EvaluationFolder) -> list[str]:
    """What both say and say differently; evaluations of earlier versions did not say all."""
    both = (one.settings, other.settings)
    said = {name: [settings.get(name) for settings in both] for name in CONDITIONS}
    said |= {
        f"files of {title}": [settings["sets"][title].get("files") for settings in both]
        for title in one.titles()
    }
    return [
        name if name not in CONDITIONS else f"{name} ({mine}, {theirs})"
        for name, (mine, theirs) in said.items()
        if None not in (mine, theirs) and mine != theirs
    ]


def print_json(document: dict[str, Any]) -> None:
    """On standard output, in pure ASCII."""
    print(json.dumps(document, allow_nan=False), flush=True)


def _refuse_other_videos(title: str, one: list[Outcome], other: list[Outcome]) -> None:
    listed = [{(o.path, o.label, o.group) for o in outcomes} for outcomes in (one, other)]
    differing = sorted({path for path, _label, _group in listed[0] ^ listed[1]})
    if differing:
        raise DatasetError(
            f"{title} does not have the same videos, labels and groups in both, or one is not "
            f"complete: {len(differing)} differ, first {differing[0]}"
        )


def _table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Checkpoint {found['one'][:12]} minus {found['other'][:12]}, on the same examples; "
        "paired, 95 % of resamplings of groups.",
        "",
    ]
    if found["differing"]:
        lines += [f"They differ in more than the checkpoint: {', '.join(found['differing'])}.", ""]
    for entry in found["sets"]:
        left_out = entry["only_one"] + entry["only_other"]
        lines += [
            f"{entry['set']}, {entry['level']} level: {entry['n']} examples"
            + (f", {left_out} more without a vote in one of the two" if left_out else ""),
            "",
            *figure_tables.table(
                ("figure", "difference"),
                [
                    (figure_tables.LABELS[name], figure_tables.figure(value, signed=True))
                    for name, value in entry["differences"].items()
                ],
            ),
            "",
        ]
    return lines[:-1]
