"""Outcomes ▸ figures, as they stand in ``metrics.json`` and in a checkpoint's metadata.

There is one *entry* for each set, part and level:

``set``, ``part``, ``layout``
    what was measured; ``part`` is empty for all of the set.
``level``
    ``video`` (one example a video, through the vote) or ``frame`` (one example a face that
    counts in its video's vote, or a crop).
``n``, ``real``, ``fake``, ``groups``
    examples, and how many groups they are in: the intervals come from resampling those.
``figures``
    name ▸ ``{value, low, high}`` for each of ``metrics.METRICS``; ``null`` where a figure
    has no meaning, as ROC AUC without genuine examples, or the interval of one group.
``confusion``, ``reliability``
    counts of votes by truth; ``[mean stated probability, share of fakes, examples]`` of
    each bin.
``by_method``
    method ▸ ``{n, groups, roc_auc, detection_rate}``: its n fakes, of so many groups, against
    all genuine examples of the set; without an interval if they are of one group.
``by_dataset``
    in a collection of several data sets: data set ▸ ``{n, groups, figures}`` of each that has
    both genuine and fake examples. These come from one place, which no format gives away.
``matched``
    ``{n, groups, figures}`` of the groups that have both genuine and fake examples, where
    that is not all of the set: elsewhere format or origin may give the label away.
``robustness``
    for each damage ``{damage, n, without_vote, roc_auc, accuracy, roc_auc_difference}``;
    the difference is to the undamaged set, paired. At one level only: that of the videos,
    or of the frames where there are none.
``without_vote``
    code ▸ how many videos had no vote; they are in no figure.
``seconds``
    ``{median, mean}`` of a video, or of a single crop, at the main level of a set.

In metadata each entry says, too, with which ``command``, ``date``, ``hardware`` and
``versions``.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from detector.training import metrics
from detector.training.evaluation_sets import EvaluationSet
from detector.training.metrics import Figure
from detector.training.outcomes import (
    Examples,
    Outcome,
    frame_examples,
    video_examples,
    without_vote,
)

Entry = dict[str, Any]

ALL_SETS = "all sets"

PLACES = 4

EXAMPLES = {"video": video_examples, "frame": frame_examples}


def entries(
    name: str,
    part: str,
    layout: str,
    outcomes: Sequence[Outcome],
    *,
    levels: Sequence[str],
    damaged: Mapping[str, Sequence[Outcome]] | None = None,
) -> list[Entry]:
    """The entries of one set; none where nothing got a vote.

    Args:
        levels: ``video``, ``frame`` or both, the first with the damages.
        damaged: damage ▸ outcomes of the same videos after it.
    """
    found: list[Entry] = []
    for level in levels:
        of_level = EXAMPLES[level]
        examples = of_level(outcomes)
        if examples is None:
            continue
        entry: Entry = {"set": name, "part": part, "layout": layout, "level": level}
        entry |= measured(examples)
        entry["robustness"] = [
            _after(damage, examples, of_level(after), after)
            for damage, after in (damaged or {}).items()
            if level == levels[0]
        ]
        entry["without_vote"] = {code: len(paths) for code, paths in without_vote(outcomes).items()}
        entry["seconds"] = _seconds(outcomes) if level == levels[0] else None
        found.append(entry)
    return found


def entries_of_all(sets: Sequence[tuple[EvaluationSet, Sequence[Outcome]]]) -> list[Entry]:
    """The entries of several sets together. Parts of one set may share groups."""
    found = []
    for level in EXAMPLES:
        together = [
            replace(outcome, group=f"{one.name}/{outcome.group}")
            for one, outcomes in sets
            if level in one.levels
            for outcome in outcomes
        ]
        for entry in entries(ALL_SETS, "", "", together, levels=[level]):
            found.append(entry | {"seconds": None})  # Of videos and crops together.
    return found


def measured(examples: Examples) -> Entry:
    """From ``n`` to ``matched``."""
    scored = examples.scored
    entry: Entry = {
        "n": len(scored),
        "real": int(np.sum(~scored.fake)),
        "fake": int(np.sum(scored.fake)),
        "groups": len(np.unique(scored.group)),
        "figures": _figures(examples, metrics.METRICS),
        "confusion": metrics.confusion(scored),
        "reliability": [
            [round(stated, PLACES), round(share, PLACES), count]
            for stated, share, count in metrics.reliability(scored)
        ],
        "by_method": _by_method(examples),
        "by_dataset": _by_dataset(examples),
        "matched": None,
    }
    matched = np.isin(
        scored.group, np.intersect1d(scored.group[scored.fake], scored.group[~scored.fake])
    )
    if 0 < matched.sum() < len(scored):
        entry["matched"] = _part(examples.take(matched))
    return entry


def as_json(figure: Figure) -> dict[str, float | None]:
    """``{value, low, high}``, rounded."""
    values = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {key: None if v is None else round(v, PLACES) for key, v in values.items()}


def paired(one: Examples, other: Examples) -> tuple[Examples, Examples]:
    """The examples that both have, in one order."""
    _keys, first, second = np.intersect1d(one.key, other.key, return_indices=True)
    return one.take(first), other.take(second)


def _figures(examples: Examples, chosen: Mapping[str, metrics.Metric]) -> Entry:
    found = metrics.figures(examples.scored, chosen)
    return {name: as_json(figure) for name, figure in found.items()}


def _part(examples: Examples) -> Entry:
    return {
        "n": len(examples),
        "groups": len(np.unique(examples.scored.group)),
        "figures": _figures(examples, metrics.METRICS),
    }


def _by_dataset(examples: Examples) -> Entry:
    names = np.unique(examples.dataset)
    of_each = {str(name): examples.take(examples.dataset == name) for name in names}
    return {
        name: _part(part)
        for name, part in of_each.items()
        if len(names) > 1 and 0 < part.scored.fake.sum() < len(part)
    }


def _by_method(examples: Examples) -> Entry:
    fake = examples.scored.fake
    chosen = {name: metrics.METRICS[name] for name in ("roc_auc", "detection_rate")}
    found: Entry = {}
    for method in np.unique(examples.method[fake]):
        of_method = examples.method == method
        against = examples.take(~fake | (fake & of_method))
        groups = len(np.unique(examples.scored.group[fake & of_method]))
        figures = _figures(against, chosen)
        if groups == 1:
            # Resampling one group cannot tell how another would have come out.
            figures = {name: f | {"low": None, "high": None} for name, f in figures.items()}
        found[str(method)] = {"n": int(against.scored.fake.sum()), "groups": groups} | figures
    return found


def _after(
    damage: str, before: Examples, after: Examples | None, outcomes: Sequence[Outcome]
) -> Entry:
    """One line of the robustness table."""
    entry: Entry = {
        "damage": damage,
        "n": 0,
        "without_vote": sum(outcome.vote is None for outcome in outcomes),
        "roc_auc": as_json(Figure(None, None, None)),
        "accuracy": as_json(Figure(None, None, None)),
        "roc_auc_difference": as_json(Figure(None, None, None)),
    }
    if after is None:
        return entry
    chosen = {name: metrics.METRICS[name] for name in ("roc_auc", "accuracy")}
    entry |= {"n": len(after)} | _figures(after, chosen)
    now, then = paired(after, before)
    if len(now.key):
        change = metrics.difference(now.scored, then.scored, metrics.roc_auc)
        entry["roc_auc_difference"] = as_json(change)
    return entry


def _seconds(outcomes: Sequence[Outcome]) -> dict[str, float] | None:
    taken = [outcome.seconds for outcome in outcomes if outcome.seconds is not None]
    if not taken:
        return None
    return {
        "median": round(statistics.median(taken), PLACES),
        "mean": round(statistics.fmean(taken), PLACES),
    }
