"""``python -m detector crossfit``: does the abstention band hold on other videos?

A checkpoint's band is chosen on crops of one collection. On videos of others it may keep what
it promises or not, and a band that is chosen on the very videos it is measured on always looks
good. So it is chosen on the groups of all folds but one and measured on that one, in turn; what
comes of it is set beside the checkpoint's own, on the same videos of an evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector import voting
from detector.domain import Label, Verdict
from detector.training import figure_tables, metrics, summary
from detector.training.calibration import band, most_false_positives
from detector.training.comparison import print_json
from detector.training.errors import DatasetError
from detector.training.evaluation_folder import EvaluationFolder
from detector.training.outcomes import Outcome, video_examples
from detector.training.verdicts import Rules

FIGURES = ("false_positive_rate", "detection_rate", "coverage", "decided_error")


@dataclass(frozen=True)
class CrossFitted:
    """``outcomes`` are the videos with the verdicts that the bands of the other folds give."""

    bands: Sequence[tuple[float, float]]
    outcomes: Sequence[Outcome]


def cross_fitted(
    outcomes: Sequence[Outcome],
    rules: Rules,
    *,
    rate: float,
    most_undecided: float,
    folds: int = 5,
    seed: int = 1,
) -> CrossFitted:
    """The same videos, each decided with a band that was chosen without its group.

    Args:
        outcomes: of videos; those without a vote are left out.
        rules: the checkpoint's; their band is not used.
        rate, most_undecided: as for ``calibrate``, the share among the videos that are not
            undecided for another reason than the band.

    Raises:
        ValueError: fewer groups than folds, or too few genuine ones for the rate.
    """
    videos = [outcome for outcome in outcomes if outcome.vote is not None]
    fold = _folds(np.array([video.group for video in videos]), folds, seed)
    free = [decided(video, rules.with_band(None)) for video in videos]
    bands: list[tuple[float, float]] = []
    measured: list[Outcome] = []
    for number in range(folds):
        others = [video for video, own in zip(free, fold, strict=True) if own != number]
        chosen = _band(others, rate, most_undecided)
        bands.append(chosen)
        measured += [
            decided(video, rules.with_band(chosen))
            for video, own in zip(videos, fold, strict=True)
            if own == number
        ]
    return CrossFitted(bands, measured)


def decided(video: Outcome, rules: Rules) -> Outcome:
    """The video with the verdict that these rules give it; its faces and votes stay."""
    # Calibrated probabilities are kept; dividing by the temperature's inverse undoes that.
    undo = None if rules.temperature is None else 1 / rules.temperature
    decision = rules.decide(
        [
            voting.Ballot(
                person=face.person,
                vote=face.vote,
                probability_fake=voting.calibrated(face.probability_fake, undo),
                side=face.side,
            )
            for face in video.faces
        ]
    )
    return replace(
        video,
        verdict=decision.verdict,
        probability_fake=decision.probability_fake,
        reasons=tuple(reason.value for reason in decision.reasons),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector crossfit``."""
    parser.add_argument("evaluation", type=Path, help="folder that evaluate --out made")
    parser.add_argument("--set", help="of the evaluation; may be left out if it has one")
    parser.add_argument(
        "--false-positive-rate",
        type=float,
        default=0.1,
        help="of the bands that are chosen; default %(default)s, for which 22 genuine groups do",
    )
    parser.add_argument(
        "--most-undecided", type=float, default=0.3, help="share; default %(default)s"
    )
    parser.add_argument("--folds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Print the comparison. Exit status."""
    try:
        found = compare(
            EvaluationFolder.open(options.evaluation),
            options.set,
            rate=options.false_positive_rate,
            most_undecided=options.most_undecided,
            folds=options.folds,
        )
    except (DatasetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print_json(found)
    else:
        print("\n".join(_table(found)))
    return 0


def compare(
    folder: EvaluationFolder,
    title: str | None,
    *,
    rate: float,
    most_undecided: float,
    folds: int,
) -> dict[str, Any]:
    """The figures with the checkpoint's band, and with cross-fitted ones.

    Raises:
        DatasetError: there is no such set, or which is meant is not said.
        ValueError: see ``cross_fitted``.
    """
    videos = [one for one in folder.titles() if "video" in folder.levels(one)]
    if title is None and len(videos) == 1:
        [title] = videos
    if title not in videos:
        raise DatasetError(f"give --set, one of videos: {', '.join(videos) or 'there is none'}")
    rules = _rules_of(folder.settings)
    outcomes = [outcome for outcome in folder.outcomes(title) if outcome.vote is not None]
    found = cross_fitted(outcomes, rules, rate=rate, most_undecided=most_undecided, folds=folds)
    return {
        "set": title,
        "videos": len(outcomes),
        "genuine": sum(o.label is Label.REAL for o in outcomes),
        "groups": len({o.group for o in outcomes}),
        "checkpoint_band": rules.thresholds.abstention_band,
        "checkpoint": _figures([decided(outcome, rules) for outcome in outcomes]),
        "bands": [list(one) for one in found.bands],
        "cross_fitted": _figures(found.outcomes),
    }


def _rules_of(settings: Mapping[str, Any]) -> Rules:
    """Those of the checkpoint that an evaluation asked."""
    thresholds = voting.Thresholds.from_json(settings.get("thresholds") or {})
    return Rules(thresholds, (settings.get("calibration") or {}).get("temperature"))


def _folds(groups: npt.NDArray[np.str_], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """The fold of each video: all of a group have the same, and each fold as many groups."""
    names, position = np.unique(groups, return_inverse=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"{len(names)} groups of videos cannot be parted into {folds} folds")
    return np.asarray(np.random.default_rng(seed).permutation(len(names))[position] % folds)


def _band(videos: Sequence[Outcome], rate: float, most_undecided: float) -> tuple[float, float]:
    """Of videos that were decided without one."""
    genuine = [video.group for video in videos if video.label is Label.REAL]
    allowed = most_false_positives(len(genuine), len(set(genuine)), rate)
    called = [video for video in videos if video.verdict is not Verdict.UNDECIDED]
    return band(
        np.array([video.probability_fake for video in called], dtype=np.float64),
        np.array([video.verdict is Verdict.FAKE for video in called], dtype=np.bool_),
        np.array([video.label is Label.FAKE for video in called], dtype=np.bool_),
        allowed,
        most_undecided,
    )


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    examples = video_examples(outcomes)
    if examples is None:
        return {}
    chosen = {name: metrics.METRICS[name] for name in FIGURES}
    found = metrics.figures(examples.scored, chosen)
    return {name: summary.as_json(figure) for name, figure in found.items()}


def _table(found: dict[str, Any]) -> list[str]:
    own = found["checkpoint_band"]
    bands = ", ".join(f"{low:.2f} to {high:.2f}" for low, high in found["bands"])
    return [
        f"{found['set']}: {found['videos']} videos, {found['genuine']} genuine, "
        f"{found['groups']} groups; 95 % of resamplings of groups.",
        f"The checkpoint's band: {f'{own[0]:.2f} to {own[1]:.2f}' if own else 'none'}. "
        f"Chosen on all folds but one: {bands}.",
        "",
        *figure_tables.table(
            ("figure", "the checkpoint's band", "bands of the other folds"),
            [
                (
                    figure_tables.LABELS[name],
                    figure_tables.figure(found["checkpoint"][name]),
                    figure_tables.figure(found["cross_fitted"][name]),
                )
                for name in FIGURES
            ],
        ),
    ]
