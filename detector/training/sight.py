"""What a checkpoint can and cannot see, in one sentence made from its measured figures.

It stands first in the model card and on the models page, so it promises no more than the
figures do: a method counts as seen when the whole interval of its ROC AUC is above guessing
and its fakes are of enough groups for an interval to mean anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detector.training.figure_tables import set_title

UNMEASURED = "Nothing was measured yet, so nobody knows which forgeries it sees."

GUESSING = 0.5

ENOUGH_GROUPS = 3
"""Fewer all come out above guessing by chance too often: two of them one time in four."""

Entry = Mapping[str, Any]


def sentence(entries: Sequence[Entry]) -> str:
    """Which methods it tells from genuine examples, by the main one of these entries, and
    which sets of single faces.

    Args:
        entries: as ``summary`` describes them.
    """
    entry = main_entry(entries)
    if entry is None:
        return UNMEASURED
    rows = entry["by_method"]
    seen = [name for name, row in rows.items() if _is_seen(row["roc_auc"], row["groups"])]
    unseen = [name for name in rows if name not in seen]
    known = [_forgeries(seen, rows)] if seen else []
    faces = _of_single_faces(entries) if entry["level"] == "video" else []
    known += [f"of single faces those of {_listed(faces)}"] if faces else []
    found = f"Measured on {set_title(entry)}, it sees {' and '.join(known) or 'no forgeries'}"
    if not unseen:
        return f"{found}; about other forgeries nothing is known."
    return (
        f"{found}; it cannot be relied on to see {_forgeries(unseen, rows)}, where the figures "
        "are no better than guessing or too few to tell, and about others nothing is known."
    )


def main_entry(entries: Sequence[Entry]) -> Entry | None:
    """The one that says most about methods: of whole videos, with the most methods."""
    of_fakes = [entry for entry in entries if entry["by_method"]]
    return max(
        of_fakes,
        key=lambda entry: (entry["level"] == "video", len(entry["by_method"])),
        default=None,
    )


def _is_seen(roc_auc: Mapping[str, Any], groups: int) -> bool:
    return (roc_auc["low"] or 0) > GUESSING and groups >= ENOUGH_GROUPS


def _of_single_faces(entries: Sequence[Entry]) -> list[str]:
    """The sets without videos that are seen; not those by which the weights were chosen."""
    videos = {one["set"] for one in entries if one["level"] == "video"}
    return [
        f"{set_title(one)} (ROC AUC {one['figures']['roc_auc']['value']:.2f})"
        for one in entries
        if one["set"] not in videos
        and one["part"] != "selection"
        and _is_seen(one["figures"]["roc_auc"], one["groups"])
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _forgeries(methods: Sequence[str], rows: Mapping[str, Any]) -> str:
    """``those by A (0.81) and B (0.79)``, the best first, with their ROC AUC."""
    best_first = sorted(methods, key=lambda name: -(rows[name]["roc_auc"]["value"] or 0))
    named = [f"{_named(name)} ({_value(rows[name])})" for name in best_first]
    return f"forgeries by {_listed(named)}"


def _named(method: str) -> str:
    return "methods that its labels do not name" if method == "unknown" else method


def _value(row: Mapping[str, Any]) -> str:
    value = row["roc_auc"]["value"]
    return "no ROC AUC" if value is None else f"ROC AUC {value:.2f}"
