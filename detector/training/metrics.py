"""The figures of an evaluation, and how sure of them one may be.

Pure functions on arrays. FAKE is the positive class: ``fake`` is true for forged
examples, ``probability`` is the probability of fake. Intervals come from resampling
groups, since videos of one group are not independent (Davison and Hinkley, "Bootstrap
Methods and their Application", 1997, on clustered data).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

BINS = 10
"""Of the expected calibration error, with equally many examples each."""

RESAMPLINGS = 1000

LEAST = float(np.finfo(np.float64).eps)
"""A likelihood of zero counts as this, so that one certain mistake is not all there is."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Scored:
    """Examples with what the detector said of them; arrays of one length n.

    Attributes:
        fake: the truth.
        probability: of fake, 0 to 1.
        voted_fake: the vote, which is always given.
        undecided: the verdict was withheld.
        called_fake: the verdict is FAKE, which one FAKE person makes it whatever the vote.
        group: what is resampled as one.
    """

    fake: Bools
    probability: Floats
    voted_fake: Bools
    undecided: Bools
    called_fake: Bools
    group: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"arrays of one length are needed, got {lengths}")
        if len(self.fake) == 0:
            raise ValueError("there is no example to measure")
        if not np.all((self.probability >= 0) & (self.probability <= 1)):
            raise ValueError("a probability is outside 0 to 1, or no number")

    def __len__(self) -> int:
        return len(self.fake)

    def take(self, positions: Positions | Bools) -> Scored:
        """Some of the examples, or some several times."""
        return Scored(
            **{field.name: getattr(self, field.name)[positions] for field in fields(self)}
        )


def roc_curve(scored: Scored) -> tuple[Floats, Floats]:
    """(share of genuine, share of forged) at or above each threshold, from none to all.

    Thresholds are the probabilities there are, falling. There must be both classes.
    """
    false_positives, true_positives = _above(scored)
    return false_positives / false_positives[-1], true_positives / true_positives[-1]


def roc_auc(scored: Scored) -> float | None:
    """The chance that a forged example has a higher probability than a genuine one."""

    def area() -> float:
        false_positives, true_positives = roc_curve(scored)
        return float(np.trapezoid(true_positives, false_positives))

    return _of_both(scored, area)


def average_precision(scored: Scored) -> float | None:
    """Mean precision over the recalls; chance is the share of forged examples."""

    def mean() -> float:
        false_positives, true_positives = _above(scored)
        precision = true_positives[1:] / (true_positives[1:] + false_positives[1:])
        return float(np.sum(precision * np.diff(true_positives)) / true_positives[-1])

    return _of_both(scored, mean)


def mean_log_loss(scored: Scored) -> float:
    """Mean negative log-likelihood in nats; 0.693 is what always saying 0.5 gets."""
    likely = np.where(scored.fake, scored.probability, 1 - scored.probability)
    return float(-np.mean(np.log(np.maximum(likely, LEAST))))


def equal_error_rate(scored: Scored) -> float | None:
    """The error where as large a share of genuine as of forged examples is mistaken."""

    def crossing() -> float:
        false_positives, true_positives = roc_curve(scored)
        gap = false_positives - (1 - true_positives)
        after = int(np.argmax(gap > 0))
        # Between two points of the curve, along the line that joins them.
        share = -gap[after - 1] / (gap[after] - gap[after - 1])
        step = false_positives[after] - false_positives[after - 1]
        return float(false_positives[after - 1] + share * step)

    return _of_both(scored, crossing)


def accuracy(scored: Scored) -> float:
    """Share of right votes."""
    return float(np.mean(scored.voted_fake == scored.fake))


def balanced_accuracy(scored: Scored) -> float | None:
    """Mean of the shares of right votes on genuine and on forged examples."""
    right = scored.voted_fake == scored.fake
    return _of_both(
        scored, lambda: float((right[scored.fake].mean() + right[~scored.fake].mean()) / 2)
    )


def false_positive_rate(scored: Scored) -> float | None:
    """Share of the genuine examples that the verdict calls fake; undecided ones are not."""
    genuine = ~scored.fake
    if not genuine.any():
        return None
    return float(np.mean(scored.called_fake[genuine]))


def detection_rate(scored: Scored) -> float | None:
    """Share of the forged examples that the verdict calls fake; undecided ones are not."""
    if not scored.fake.any():
        return None
    return float(np.mean(scored.called_fake[scored.fake]))


def coverage(scored: Scored) -> float:
    """Share of the examples with a verdict of REAL or FAKE."""
    return float(np.mean(~scored.undecided))


def decided_error(scored: Scored) -> float | None:
    """Share of wrong verdicts among those of REAL or FAKE."""
    decided = ~scored.undecided
    if not decided.any():
        return None
    return float(np.mean((scored.called_fake != scored.fake)[decided]))


def expected_calibration_error(scored: Scored) -> float:
    """Mean distance of stated probability and share of fakes, over bins of equal mass.

    With fewer examples than bins each is a bin of its own. (Nixon et al., "Measuring
    Calibration in Deep Learning", 2019, on adaptive bins.)
    """
    return float(
        sum(abs(stated - share) * count for stated, share, count in reliability(scored))
        / len(scored)
    )


def reliability(scored: Scored) -> list[tuple[float, float, int]]:
    """(mean stated probability, share of fakes, examples) of each bin, lowest first."""
    order = np.argsort(scored.probability, kind="stable")
    return [
        (float(scored.probability[part].mean()), float(scored.fake[part].mean()), len(part))
        for part in np.array_split(order, min(BINS, len(scored)))
    ]


def confusion(scored: Scored) -> dict[str, int]:
    """Counts of votes by truth."""
    return {
        "real_called_real": int(np.sum(~scored.fake & ~scored.voted_fake)),
        "real_called_fake": int(np.sum(~scored.fake & scored.voted_fake)),
        "fake_called_real": int(np.sum(scored.fake & ~scored.voted_fake)),
        "fake_called_fake": int(np.sum(scored.fake & scored.voted_fake)),
    }


Metric = Callable[[Scored], float | None]

METRICS: dict[str, Metric] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": mean_log_loss,
    "equal_error_rate": equal_error_rate,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "false_positive_rate": false_positive_rate,
    "detection_rate": detection_rate,
    "coverage": coverage,
    "decided_error": decided_error,
    "expected_calibration_error": expected_calibration_error,
}


@dataclass(frozen=True)
class Figure:
    """A value and the range of 95 % of its resamplings; ``None`` where it has no meaning."""

    value: float | None
    low: float | None
    high: float | None


def figures(
    scored: Scored, metrics: Mapping[str, Metric] = METRICS, seed: int = 1
) -> dict[str, Figure]:
    """Each of the metrics with its interval."""
    resampled = [scored.take(positions) for positions in resample_groups(scored.group, seed)]
    return {
        name: _figure(metric(scored), [metric(sample) for sample in resampled])
        for name, metric in metrics.items()
    }


def difference(one: Scored, other: Scored, metric: Metric, seed: int = 1) -> Figure:
    """``metric`` of one minus that of the other, on the same examples in the same order.

    The bootstrap is paired: each resampling is measured with both.

    Raises:
        ValueError: the examples differ.
    """
    if not (np.array_equal(one.fake, other.fake) and np.array_equal(one.group, other.group)):
        raise ValueError("a comparison needs the same examples in the same order")

    def minus(positions: Positions | slice) -> float | None:
        values = [metric(scored.take(np.arange(len(one))[positions])) for scored in (one, other)]
        return None if None in values else float(values[0]) - float(values[1])  # type: ignore[arg-type]

    samples = resample_groups(one.group, seed)
    return _figure(minus(slice(None)), [minus(positions) for positions in samples])


def resample_groups(
    group: npt.NDArray[np.str_], seed: int, count: int = RESAMPLINGS
) -> list[Positions]:
    """Positions of the examples of as many groups as there are, drawn with replacement.

    None of a single group, which cannot tell how another would have come out.
    """
    names, inverse = np.unique(group, return_inverse=True)
    if len(names) == 1:
        return []
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(members), size=(count, len(members)))
    return [np.concatenate([members[index] for index in row]) for row in drawn]


def _figure(value: float | None, resampled: Sequence[float | None]) -> Figure:
    known = [each for each in resampled if each is not None]
    if value is None or not known:
        return Figure(value, None, None)
    low, high = np.percentile(known, [2.5, 97.5])
    return Figure(value, float(low), float(high))


def _above(scored: Scored) -> tuple[Floats, Floats]:
    """Counts of (genuine, forged) examples at or above each threshold, from none to all."""
    order = np.argsort(-scored.probability, kind="stable")
    probability, fake = scored.probability[order], scored.fake[order]
    last_of_level = np.append(np.flatnonzero(np.diff(probability)), len(probability) - 1)
    forged = np.cumsum(fake, dtype=np.float64)[last_of_level]
    genuine = last_of_level + 1 - forged
    return np.concatenate([[0.0], genuine]), np.concatenate([[0.0], forged])


def _of_both(scored: Scored, value: Callable[[], float]) -> float | None:
    """``None`` unless there are examples of both classes."""
    return value() if 0 < scored.fake.sum() < len(scored) else None
