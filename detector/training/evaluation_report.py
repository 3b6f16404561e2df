"""An evaluation's folder for people and programs: report, plots, tables of every example.

``metrics.json`` has every figure, ``videos.csv`` and ``frames.csv`` what they are made
from, ``report.md`` the same for reading, with the plots beside it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.training import figure_tables, plots, summary
from detector.training.evaluation_folder import UNDAMAGED
from detector.training.evaluation_sets import EvaluationSet
from detector.training.outcomes import Outcome, without_vote

METRICS = "metrics.json"
REPORT = "report.md"
VIDEOS = "videos.csv"
FRAMES = "frames.csv"

VIDEO_COLUMNS = (
    "set", "part", "damage", "path", "group", "label", "method", "verdict", "vote",
    "probability_fake", "votes_real", "votes_fake", "reasons", "error", "seconds",
)  # fmt: skip
FRAME_COLUMNS = (
    "set", "part", "damage", "video", "path", "group", "label", "method", "person",
    "frame_index", "face_px", "counts", "vote", "undecided", "probability_fake",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """One set with what was said of it; ``damaged`` by name of the damage."""

    set: EvaluationSet
    outcomes: Sequence[Outcome]
    damaged: dict[str, Sequence[Outcome]]

    def entries(self) -> list[summary.Entry]:
        one = self.set
        return summary.entries(
            one.name,
            one.part,
            one.layout,
            self.outcomes,
            levels=one.levels,
            damaged=self.damaged,
        )


def write(folder: Path, evaluated: Sequence[Evaluated], about: dict[str, Any]) -> dict[str, Any]:
    """Write all files; returns what stands in ``metrics.json``.

    Args:
        about: what was run, with which checkpoint, when and where; goes in as it is.
    """
    sets = [entry for one in evaluated for entry in one.entries()]
    document = about | {
        "sets": sets,
        "all_sets": summary.entries_of_all([(one.set, one.outcomes) for one in evaluated])
        if len(evaluated) > 1
        else [],
        "without_vote": {one.set.title: without_vote(one.outcomes) for one in evaluated},
        "unusable": {one.set.title: list(one.set.problems) for one in evaluated},
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / METRICS).write_text(text, encoding="utf-8")
    _write_csv(folder / VIDEOS, VIDEO_COLUMNS, _video_rows(evaluated))
    _write_csv(folder / FRAMES, FRAME_COLUMNS, _frame_rows(evaluated))
    drawn = {one.set.title: _plots(folder, one) for one in evaluated}
    (folder / REPORT).write_text(_report(document, drawn), encoding="utf-8")
    return document


def _plots(folder: Path, one: Evaluated) -> dict[str, list[Path]]:
    """By level; those of a second level have it in their names."""
    drawn = {}
    for level in one.set.levels:
        examples = summary.EXAMPLES[level](one.outcomes)
        if examples is not None:
            suffix = "" if level == one.set.levels[0] else f"-{level}s"
            drawn[level] = plots.draw_all(
                folder, one.set.title + suffix, f"{one.set.title}, {level} level", examples.scored
            )
    return drawn


def _report(document: dict[str, Any], drawn: dict[str, dict[str, list[Path]]]) -> str:
    checkpoint = document["checkpoint"]
    hardware = ", ".join(f"{value}" for value in document["hardware"].values())
    lines = [
        f"# Evaluation of {checkpoint['name']}, version {checkpoint['version']}",
        "",
        f"{document['date']}, `{document['command']}`. SHA-256 of the weights "
        f"`{checkpoint['sha256']}`. On {hardware}.",
        "",
        "Probabilities are those the checkpoint states, calibrated if it is. Intervals are the "
        "middle 95 % of 1,000 resamplings of groups: a genuine video and the fakes made from "
        "it. Accuracy and the tables of votes are of the votes, whether or not a verdict was "
        "withheld; the false-positive rate, what is detected, coverage and the error where decided "
        "are of the verdicts, and an undecided example is not called fake.",
        "",
        *figure_tables.overview([*document["sets"], *document["all_sets"]]),
    ]
    for entry in [*document["sets"], *document["all_sets"]]:
        lines += ["", f"## {figure_tables.title(entry)}", "", *figure_tables.whole(entry)]
        pictures = drawn.get(figure_tables.set_title(entry), {}).get(entry["level"], [])
        if pictures:
            lines += ["", " ".join(f"![{path.stem}]({path.name})" for path in pictures)]
    for heading, listed in (
        ("Videos without a vote", _flat(document["without_vote"])),
        ("In the folders, but of no use", _flat({"": document["unusable"]})),
    ):
        if listed:
            lines += ["", f"## {heading}", "", *listed]
    return "\n".join(lines) + "\n"


def _flat(by_set: dict[str, dict[str, list[str]]]) -> list[str]:
    return [
        f"- {': '.join(filter(None, (title, code, what)))}"
        for title, by_code in by_set.items()
        for code, listed in by_code.items()
        for what in listed
    ]


def _video_rows(evaluated: Sequence[Evaluated]) -> Iterator[Sequence[object]]:
    for one, damage, outcome in _each(evaluated):
        if one.single:
            continue
        vote = None if outcome.vote is None else outcome.vote.name
        yield (
            one.name, one.part, damage, outcome.path, outcome.group, outcome.label.name,
            outcome.method, outcome.verdict, vote, outcome.probability_fake,
            outcome.votes_real, outcome.votes_fake, "+".join(outcome.reasons), outcome.error,
            outcome.seconds,
        )  # fmt: skip


def _frame_rows(evaluated: Sequence[Evaluated]) -> Iterator[Sequence[object]]:
    for one, damage, outcome in _each(evaluated):
        for face in outcome.faces:
            yield (
                one.name, one.part, damage, outcome.path, face.path, outcome.group,
                outcome.label.name, outcome.method, face.person, face.frame_index, face.side,
                int(face.counts), face.vote.name, int(face.undecided), face.probability_fake,
            )  # fmt: skip


def _each(evaluated: Sequence[Evaluated]) -> Iterator[tuple[EvaluationSet, str, Outcome]]:
    for one in evaluated:
        for damage, outcomes in {UNDAMAGED: one.outcomes, **one.damaged}.items():
            for outcome in outcomes:
                yield one.set, damage, outcome


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
