"""Measured figures as Markdown, for reports and model cards.

An entry is what ``summary`` describes, in memory or read back from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LABELS = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "equal_error_rate": "equal error rate",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "false_positive_rate": "false-positive rate on genuine",
    "detection_rate": "detected of fake",
    "coverage": "coverage",
    "decided_error": "error where decided",
    "expected_calibration_error": "expected calibration error",
}

OVERVIEW = ("roc_auc", "accuracy", "balanced_accuracy", "false_positive_rate", "detection_rate")

EXAMPLES = {"video": "videos", "frame": "faces"}

Entry = Mapping[str, Any]


def title(entry: Entry) -> str:
    """``NAME:PART, LEVEL level``."""
    return f"{set_title(entry)}, {entry['level']} level"


def set_title(entry: Entry) -> str:
    """``NAME`` or ``NAME:PART``, as it is asked for."""
    return f"{entry['set']}:{entry['part']}" if entry["part"] else str(entry["set"])


def overview(entries: Sequence[Entry]) -> list[str]:
    """The most asked for figures, a row for each entry."""
    rows = [
        (
            title(entry),
            f"{entry['real']} + {entry['fake']}",
            *(figure(entry["figures"][name]) for name in OVERVIEW),
        )
        for entry in entries
    ]
    return table(("set", "real + fake", *(LABELS[name] for name in OVERVIEW)), rows)


def whole(entry: Entry) -> list[str]:
    """All of an entry: figures, confusion, reliability, methods, damages."""
    what = EXAMPLES[entry["level"]]
    lines = [
        f"{entry['n']} {what}, {entry['real']} real and {entry['fake']} fake, in "
        f"{entry['groups']} groups.{_without_vote(entry['without_vote'])}{_time(entry)}",
        "",
        *table(
            ("figure", "value (95 % interval)"),
            [(LABELS[name], figure(value)) for name, value in entry["figures"].items()],
        ),
        "",
        *table(
            ("votes", "voted real", "voted fake"),
            [
                (truth, *(entry["confusion"][f"{truth}_called_{said}"] for said in truths))
                for truths in [("real", "fake")]
                for truth in truths
            ],
        ),
        "",
        reliability_sentence(entry),
    ]
    if entry["by_method"]:
        lines += ["", *by_method(entry)]
    if entry["by_dataset"]:
        lines += ["", *by_dataset(entry)]
    if entry["matched"]:
        matched = entry["matched"]
        figures = matched["figures"]
        lines += [
            "",
            f"In the {matched['groups']} groups that have both genuine and fake {what} "
            f"({matched['n']} in all): ROC AUC {figure(figures['roc_auc'])}, "
            f"accuracy {figure(figures['accuracy'])}.",
        ]
    if entry["robustness"]:
        lines += ["", *robustness(entry)]
    return lines


def by_method(entry: Entry) -> list[str]:
    """Each method's fakes against all genuine examples of the set."""
    rows = [
        (method, row["n"], row["groups"], figure(row["roc_auc"]), figure(row["detection_rate"]))
        for method, row in entry["by_method"].items()
    ]
    return [
        f"Each method against all {entry['real']} genuine {EXAMPLES[entry['level']]} of the set:",
        "",
        *table(("method", "fakes", "in groups", "ROC AUC", "detected"), rows),
    ]


def by_dataset(entry: Entry) -> list[str]:
    """The data sets of a collection that have both genuine and fake examples."""
    rows = [
        (name, part["n"], part["groups"], *(figure(part["figures"][key]) for key in OVERVIEW))
        for name, part in entry["by_dataset"].items()
    ]
    return table(
        ("data set", EXAMPLES[entry["level"]], "groups", *(LABELS[key] for key in OVERVIEW)), rows
    )


def robustness(entry: Entry) -> list[str]:
    """The same set after each damage."""
    columns = ("after", EXAMPLES[entry["level"]], "ROC AUC", "change, paired", "accuracy")
    undamaged = entry["figures"]
    rows: list[tuple[object, ...]] = [
        ("nothing", entry["n"], figure(undamaged["roc_auc"]), "", figure(undamaged["accuracy"]))
    ]
    rows += [
        (
            row["damage"],
            row["n"],
            figure(row["roc_auc"]),
            figure(row["roc_auc_difference"], signed=True),
            figure(row["accuracy"]),
        )
        for row in entry["robustness"]
    ]
    return table(columns, rows)


def reliability_sentence(entry: Entry) -> str:
    """How far stated probabilities can be taken at their word."""
    bins = entry["reliability"]
    off = entry["figures"]["expected_calibration_error"]["value"]
    (low, low_share, _), (high, high_share, _) = bins[0], bins[-1]
    return (
        f"Stated probabilities are off by {off:.2f} in the mean. In the lowest of {len(bins)} bins "
        f"of equal mass it states {low:.0%} and {low_share:.0%} are fake; in the highest it "
        f"states {high:.0%} and {high_share:.0%} are."
    )


def figure(value: Mapping[str, float | None], *, signed: bool = False) -> str:
    """``0.851 (0.838 to 0.865)``, or a dash where there is none."""
    if value["value"] is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    text = format(value["value"], form)
    if value["low"] is None or value["high"] is None:
        return text
    return f"{text} ({format(value['low'], form)} to {format(value['high'], form)})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows),
    ]


def _without_vote(counted: Mapping[str, int]) -> str:
    if not counted:
        return ""
    codes = ", ".join(f"{count} {code}" for code, count in counted.items())
    return f" Without a vote and in no figure: {codes}."


def _time(entry: Entry) -> str:
    if entry["seconds"] is None:
        return ""
    seconds = entry["seconds"]
    of_crops = ", whose faces were cut before" if entry["layout"] == "face crops" else ""
    return (
        f" Seconds for each{of_crops}: {seconds['median']:g} (median), {seconds['mean']:g} (mean)."
    )
