"""The figures of an evaluation, on examples small enough to work out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.training import metrics
from detector.training.metrics import Figure, Scored, difference, figures, resample_groups


def scored(
    fake: Sequence[int],
    probability: Sequence[float],
    *,
    voted_fake: Sequence[int] | None = None,
    undecided: Sequence[int] | None = None,
    called_fake: Sequence[int] | None = None,
    group: Sequence[str] | None = None,
) -> Scored:
    """Votes go by the probability, all is decided and alone unless something else is said."""
    p = np.array(probability, dtype=np.float64)
    voted = p >= 0.5 if voted_fake is None else np.array(voted_fake, dtype=bool)
    withheld = np.array([0] * len(fake) if undecided is None else undecided, dtype=bool)
    called = voted if called_fake is None else np.array(called_fake, dtype=bool)
    return Scored(
        fake=np.array(fake, dtype=bool),
        probability=p,
        voted_fake=voted,
        undecided=withheld,
        called_fake=called & ~withheld,
        group=np.array([str(n) for n in range(len(fake))] if group is None else group),
    )


FOUR = scored([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])


def test_roc_auc_counts_pairs_in_the_right_order() -> None:
    assert metrics.roc_auc(FOUR) == 0.75


def test_average_precision_is_the_mean_precision_at_each_fake() -> None:
    assert metrics.average_precision(FOUR) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_log_loss_is_in_nats() -> None:
    expected = -np.log([0.9, 0.4, 0.4, 0.9]).mean()
    assert metrics.mean_log_loss(FOUR) == pytest.approx(expected)
    assert metrics.mean_log_loss(scored([1, 0], [0.5, 0.5])) == pytest.approx(np.log(2))


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    assert 10 < metrics.mean_log_loss(scored([1, 0], [0.0, 0.0])) < 50


def test_the_equal_error_rate_is_where_both_errors_meet() -> None:
    assert metrics.equal_error_rate(FOUR) == 0.5
    assert metrics.equal_error_rate(scored([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])) == 0.0
    assert metrics.equal_error_rate(scored([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2])) == 1.0
    # Lowering the threshold from 0.7 to 0.6 leaves a third of the genuine ones mistaken and
    # takes the forged ones missed from a half to none, past that third.
    assert metrics.equal_error_rate(
        scored([0, 0, 0, 1, 1], [0.1, 0.2, 0.7, 0.6, 0.9])
    ) == pytest.approx(1 / 3)
    # All alike: the curve is the diagonal from (0, 0) to (1, 1).
    assert metrics.equal_error_rate(scored([0, 1], [0.5, 0.5])) == pytest.approx(0.5)


def test_accuracies_are_those_of_the_votes_and_not_of_the_probabilities() -> None:
    votes = scored([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], voted_fake=[0, 0, 1, 0])
    assert metrics.accuracy(votes) == 0.5
    assert metrics.balanced_accuracy(votes) == pytest.approx((2 / 3 + 0) / 2)
    assert metrics.confusion(votes) == {
        "real_called_real": 2,
        "real_called_fake": 1,
        "fake_called_real": 1,
        "fake_called_fake": 0,
    }


def test_a_withheld_verdict_is_neither_an_error_nor_a_false_alarm() -> None:
    withheld = scored([0, 0, 0, 0, 1], [0.1, 0.6, 0.7, 0.8, 0.4], undecided=[0, 1, 0, 0, 1])
    assert metrics.false_positive_rate(withheld) == 0.5
    assert metrics.detection_rate(withheld) == 0.0
    assert metrics.detection_rate(FOUR) == 0.5
    assert metrics.detection_rate(scored([1, 1], [0.9, 0.8], undecided=[0, 1])) == 0.5
    assert metrics.coverage(withheld) == pytest.approx(3 / 5)
    assert metrics.decided_error(withheld) == pytest.approx(2 / 3)
    assert metrics.accuracy(withheld) == pytest.approx(1 / 5)


def test_a_video_that_one_person_made_fake_is_a_false_alarm_whatever_the_vote() -> None:
    person = scored([0, 0, 1], [0.9, 0.1, 0.9], voted_fake=[0, 0, 0], called_fake=[1, 0, 1])
    assert metrics.false_positive_rate(person) == 0.5
    assert metrics.detection_rate(person) == 1.0
    assert metrics.decided_error(person) == pytest.approx(1 / 3)


def test_what_has_no_meaning_is_none() -> None:
    forged = scored([1, 1], [0.2, 0.8], undecided=[1, 1])
    for name in ("roc_auc", "average_precision", "equal_error_rate", "balanced_accuracy",
                 "false_positive_rate", "decided_error"):  # fmt: skip
        assert metrics.METRICS[name](forged) is None, name
    assert figures(forged)["roc_auc"] == Figure(None, None, None)
    genuine = scored([0, 0], [0.2, 0.8])
    assert metrics.detection_rate(genuine) is None
    assert metrics.accuracy(forged) == 0.5


def test_calibration_error_compares_what_is_stated_with_what_comes() -> None:
    """Of 100 at 0.2 there are 20 forged, of 100 at 0.9 only 60."""
    fake = [1] * 20 + [0] * 80 + [1] * 60 + [0] * 40
    # Mixed within each level, so that every bin has its level's share.
    order = np.concatenate([np.arange(100).reshape(5, 20).T.ravel() + 100 * k for k in (0, 1)])
    mixed = scored(list(np.array(fake)[order]), [0.2] * 100 + [0.9] * 100)
    assert metrics.expected_calibration_error(mixed) == pytest.approx((0.0 + 0.3) / 2)
    bins = metrics.reliability(mixed)
    assert [count for _stated, _share, count in bins] == [20] * 10
    assert bins[0][:2] == pytest.approx((0.2, 0.2))
    assert bins[-1][:2] == pytest.approx((0.9, 0.6))


def test_few_examples_are_bins_of_their_own() -> None:
    assert [count for *_, count in metrics.reliability(FOUR)] == [1, 1, 1, 1]
    assert metrics.expected_calibration_error(FOUR) == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)


def test_groups_are_resampled_whole() -> None:
    group = np.array(["a", "b", "a", "c", "b", "a"])
    samples = resample_groups(group, seed=3, count=50)
    assert len(samples) == 50
    for positions in samples:
        names, counts = np.unique(positions, return_counts=True)
        times = dict(zip(names.tolist(), counts.tolist(), strict=True))
        for members in ([0, 2, 5], [1, 4], [3]):
            assert len({times.get(member, 0) for member in members}) == 1
    assert len({tuple(positions) for positions in samples}) > 5
    again = resample_groups(group, seed=3, count=50)
    assert all(np.array_equal(one, two) for one, two in zip(samples, again, strict=True))


def test_an_interval_is_wider_where_examples_hang_together() -> None:
    rng = np.random.default_rng(0)
    fake = np.repeat(rng.random(40) < 0.5, 10)
    probability = np.clip(np.repeat(rng.normal(0.5, 0.3, 40), 10) + 0.1 * fake, 0, 1)
    alone = scored(fake.tolist(), probability.tolist())
    together = scored(fake.tolist(), probability.tolist(), group=[str(n // 10) for n in range(400)])
    widths = []
    for each in (alone, together):
        figure = figures(each)["accuracy"]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.value is not None
        assert figure.low < figure.value < figure.high
        widths.append(figure.high - figure.low)
    assert widths[1] > 2 * widths[0]
    share = metrics.accuracy(alone)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.15)


def test_one_group_has_figures_and_no_intervals() -> None:
    alone = scored([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.6], group=["film"] * 4)
    found = figures(alone)
    assert found["accuracy"] == Figure(0.75, None, None)
    assert found["roc_auc"] == Figure(0.75, None, None)
    better = replace(alone, probability=np.array([0.1, 0.9, 0.2, 0.6]))
    assert difference(better, alone, metrics.roc_auc) == Figure(0.25, None, None)


def test_a_comparison_is_paired() -> None:
    """The better one is right where the other is and once more in each group, so no
    resampling can turn the difference."""
    fake = [0, 1] * 20
    worse = [0.1, 0.3] * 10 + [0.7, 0.9] * 10
    better = [0.1, 0.6] * 10 + [0.3, 0.9] * 10
    group = [str(n // 2) for n in range(40)]
    one, other = scored(fake, better, group=group), scored(fake, worse, group=group)
    found = difference(one, other, metrics.accuracy)
    assert [found.value, found.low, found.high] == pytest.approx([0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="same examples"):
        difference(one, FOUR, metrics.accuracy)
    forged = scored([1], [0.5])
    assert difference(forged, forged, metrics.roc_auc) == Figure(None, None, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scored([0, 1], [0.5]), "one length"),
        (lambda: scored([], []), "no example"),
        (lambda: scored([1], [1.5]), "outside 0 to 1"),
        (lambda: scored([1], [float("nan")]), "outside 0 to 1"),
    ],
)
def test_examples_that_cannot_be_measured_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1), st.booleans(), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_every_share_is_between_0_and_1(rows: list[tuple[bool, float, bool, bool]]) -> None:
    fake, probability, voted, undecided = zip(*rows, strict=True)
    one = scored(fake, probability, voted_fake=voted, undecided=undecided)
    for name, metric in metrics.METRICS.items():
        value = metric(one)
        if name != "log_loss" and value is not None:
            assert 0 <= value <= 1, name
    assert sum(metrics.confusion(one).values()) == len(rows)


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_figures_are_those_of_scikit_learn(seed: int, places: int) -> None:
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    rng = np.random.default_rng(seed)
    fake = np.array([0, 1, *rng.integers(0, 2, 30)])
    probability = np.round(rng.random(32), places)
    one = scored(fake.tolist(), probability.tolist())
    assert metrics.roc_auc(one) == pytest.approx(roc_auc_score(fake, probability))
    assert metrics.average_precision(one) == pytest.approx(
        average_precision_score(fake, probability)
    )
    assert metrics.mean_log_loss(one) == pytest.approx(log_loss(fake, probability))


@given(st.integers(0, 10_000))
def test_the_equal_error_rate_of_a_turned_detector_is_the_rest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fake = [0, 1, *rng.integers(0, 2, 20).tolist()]
    probability = np.round(rng.random(22), 2)
    straight = metrics.equal_error_rate(scored(fake, probability.tolist()))
    turned = metrics.equal_error_rate(scored(fake, (1 - probability).tolist()))
    assert straight is not None
    assert turned is not None
    assert straight + turned == pytest.approx(1.0)
