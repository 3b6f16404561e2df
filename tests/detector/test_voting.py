"""The voting rules, restated by brute force and checked on arbitrary predictions."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.domain import Label, Reason, Verdict, VoteCount
from detector.voting import (
    Ballot,
    Thresholds,
    calibrated,
    count_votes,
    decide,
    face_probability,
    frame_vote,
    video_vote,
)

probabilities = st.floats(0, 1, width=32)
softmaxes = st.lists(probabilities.map(lambda p: (1 - p, p)), min_size=1, max_size=12)
labels = st.sampled_from(list(Label))
ballots = st.lists(
    st.builds(
        Ballot,
        person=st.integers(1, 4),
        vote=labels,
        probability_fake=st.floats(0, 1),
        side=st.integers(30, 60),
    ),
    max_size=25,
)
bands = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: (min(ends), max(ends)))
thresholds = st.builds(
    Thresholds,
    min_track_faces=st.integers(1, 4),
    min_voting_faces=st.integers(1, 8),
    min_face_px=st.integers(35, 45),
    min_deciding_share=st.floats(0, 1),
    abstention_band=st.none() | bands,
)


def test_a_face_whose_predictions_mostly_favor_real_is_voted_real() -> None:
    assert frame_vote([(0.1, 0.9), (0.4, 0.6), (0.9, 0.1)]) is Label.REAL


def test_a_tie_between_predictions_is_fake() -> None:
    assert frame_vote([(0.1, 0.9), (0.9, 0.1)]) is Label.FAKE


def test_a_prediction_of_one_half_does_not_favor_real() -> None:
    assert frame_vote([(0.5, 0.5)]) is Label.FAKE


def test_the_first_column_is_fake() -> None:
    assert frame_vote([(0.9, 0.1)]) is Label.FAKE
    assert face_probability([(0.9, 0.1), (0.7, 0.3)]) == pytest.approx(0.8)


@given(softmaxes)
def test_a_face_is_real_exactly_if_more_than_half_of_its_predictions_favor_real(
    predictions: list[tuple[float, float]],
) -> None:
    for_real = 0
    against = 0
    for p_fake, p_real in predictions:
        if p_real > p_fake:
            for_real += 1
        else:
            against += 1
    assert (frame_vote(predictions) is Label.REAL) == (for_real > against)


@given(softmaxes, st.randoms())
def test_the_order_of_a_faces_predictions_does_not_matter(
    predictions: list[tuple[float, float]], random: random.Random
) -> None:
    shuffled = list(predictions)
    random.shuffle(shuffled)
    assert frame_vote(shuffled) is frame_vote(predictions)


@pytest.mark.parametrize(
    "broken", [[], [0.5, 0.5], [(0.1, 0.2, 0.7)], [(math.nan, 0.5)], [(math.inf, 0.0)]]
)
def test_broken_predictions_are_an_error_and_never_a_vote(broken: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="predictions must"):
        frame_vote(broken)
    with pytest.raises(ValueError, match="predictions must"):
        face_probability(broken)


@given(st.lists(labels))
def test_the_video_vote_is_real_exactly_if_more_faces_are_real_than_fake(
    votes: list[Label],
) -> None:
    outcome = video_vote(count_votes(votes))
    if not votes:
        assert outcome is None
    elif len([v for v in votes if v == Label.REAL]) > len([v for v in votes if v == Label.FAKE]):
        assert outcome is Label.REAL
    else:
        assert outcome is Label.FAKE


def test_votes_that_come_as_numbers_count_the_same() -> None:
    assert count_votes(np.array([1, 0, 1])) == VoteCount(real=2, fake=1)


@given(st.floats(0, 1), st.floats(0.05, 20))
def test_calibration_never_crosses_one_half(probability: float, temperature: float | None) -> None:
    result = calibrated(probability, temperature)
    assert 0 <= result <= 1
    if probability > 0.5:
        assert result >= 0.5
    if probability < 0.5:
        assert result <= 0.5


def test_a_temperature_above_one_makes_a_probability_less_sure() -> None:
    assert 0.5 < calibrated(0.9, 2.0) < 0.9
    assert calibrated(0.9, None) == 0.9


@given(ballots, thresholds, st.none() | st.floats(0.2, 5))
def test_the_decision_agrees_with_a_brute_force_restatement(
    given_ballots: list[Ballot], limits: Thresholds, temperature: float | None
) -> None:
    decision = decide(given_ballots, limits, temperature)

    people = sorted({b.person for b in given_ballots})
    large = {
        n: [b for b in given_ballots if b.person == n and b.side >= limits.min_face_px]
        for n in people
    }
    voters = {n: faces for n, faces in large.items() if len(faces) >= limits.min_track_faces}
    voting = [b for faces in voters.values() for b in faces]
    real = len([b for b in voting if b.vote is Label.REAL])
    fake = len(voting) - real
    assert decision.votes == VoteCount(real=real, fake=fake)
    assert list(decision.counts) == [any(b is v for v in voting) for b in given_ballots]
    assert decision.vote is (None if not voting else Label.REAL if real > fake else Label.FAKE)

    assert [p.id for p in decision.people] == people
    for person in decision.people:
        faces = voters.get(person.id) or [b for b in given_ballots if b.person == person.id]
        real_faces = len([b for b in faces if b.vote is Label.REAL])
        assert person.counts == (person.id in voters)
        assert person.votes == VoteCount(real=real_faces, fake=len(faces) - real_faces)
        assert person.verdict == ("REAL" if real_faces * 2 > len(faces) else "FAKE")
        mean = float(np.mean([b.probability_fake for b in faces]))
        assert person.probability_fake == pytest.approx(calibrated(mean, temperature))

    fake_people = [p for p in decision.people if p.counts and p.verdict is Verdict.FAKE]
    least = limits.min_deciding_share * len(voting)
    someone_fake = any(len(voters[p.id]) >= least for p in fake_people)
    leaning = "FAKE" if someone_fake or decision.vote is Label.FAKE else "REAL"
    of_it = [p for p in decision.people if p.counts and p.verdict == leaning]
    deciding = [p for p in of_it if len(voters[p.id]) >= least] or of_it
    highest = max((p.probability_fake for p in deciding), default=None)
    assert decision.probability_fake == (highest if voting else None)

    if not given_ballots:
        expected = Reason.NO_FACE
    elif len(voting) < limits.min_voting_faces:
        tracks = [[b for b in given_ballots if b.person == n] for n in people]
        if_large = sum(len(t) for t in tracks if len(t) >= limits.min_track_faces)
        enough = if_large >= limits.min_voting_faces
        expected = Reason.FACES_TOO_SMALL if enough else Reason.TOO_FEW_FACES
    elif highest is not None and (
        (
            limits.abstention_band is not None
            and limits.abstention_band[0] <= highest <= limits.abstention_band[1]
        )
        or (leaning == "FAKE" and highest < 0.5 - 1e-9)
        or (leaning == "REAL" and highest > 0.5 + 1e-9)
    ):
        expected = Reason.LOW_CONFIDENCE
    elif leaning == "REAL" and fake_people:
        expected = Reason.BRIEF_PERSON_DIFFERS
    else:
        expected = None
    if expected is not None:
        assert decision.verdict is Verdict.UNDECIDED
        assert decision.reasons == (expected,)
    else:
        assert decision.verdict == leaning
        differs = decision.vote is Label.REAL and leaning == "FAKE"
        assert decision.reasons == ((Reason.PERSON_DIFFERS,) if differs else ())


@given(ballots)
def test_whoever_votes_the_video_has_a_deciding_person(given_ballots: list[Ballot]) -> None:
    decision = decide(given_ballots)
    assert (decision.probability_fake is None) == (decision.vote is None)


@given(ballots, thresholds, st.floats(0.2, 5))
def test_calibration_moves_no_vote(
    given_ballots: list[Ballot], limits: Thresholds, temperature: float | None
) -> None:
    plain = decide(given_ballots, limits)
    with_temperature = decide(given_ballots, limits, temperature)
    assert with_temperature.vote is plain.vote
    assert with_temperature.votes == plain.votes
    assert with_temperature.counts == plain.counts
    for before, after in zip(plain.people, with_temperature.people, strict=True):
        assert (after.verdict, after.votes) == (before.verdict, before.votes)
    if Verdict.UNDECIDED not in (plain.verdict, with_temperature.verdict):
        assert with_temperature.verdict is plain.verdict


def faces(person: int, real: int, fake: int, side: int = 100) -> list[Ballot]:
    return [Ballot(person, Label.REAL, 0.2, side)] * real + [
        Ballot(person, Label.FAKE, 0.8, side)
    ] * fake


def test_one_fake_person_makes_a_video_fake_that_was_voted_real() -> None:
    decision = decide(faces(1, real=9, fake=1) + faces(2, real=1, fake=4))
    assert decision.vote is Label.REAL
    assert decision.verdict is Verdict.FAKE
    assert decision.reasons == (Reason.PERSON_DIFFERS,)
    assert decision.probability_fake == pytest.approx((0.2 + 4 * 0.8) / 5)


@pytest.mark.parametrize(("others", "verdict"), [(36, Verdict.FAKE), (37, Verdict.UNDECIDED)])
def test_a_fake_person_with_less_than_a_tenth_of_the_faces_makes_a_video_undecided(
    others: int, verdict: Verdict
) -> None:
    decision = decide(faces(1, real=others, fake=0) + faces(2, real=0, fake=4))
    assert decision.vote is Label.REAL
    assert decision.verdict is verdict
    differs = verdict is Verdict.FAKE
    assert decision.reasons == (
        (Reason.PERSON_DIFFERS,) if differs else (Reason.BRIEF_PERSON_DIFFERS,)
    )
    assert decision.probability_fake == pytest.approx(0.8 if differs else 0.2)
    assert decision.counts == (True,) * (others + 4)


def test_one_fake_person_who_is_seen_enough_decides_beside_another_who_is_not() -> None:
    decision = decide(
        faces(1, real=40, fake=0) + faces(2, real=0, fake=3) + faces(3, real=0, fake=10)
    )
    assert decision.reasons == (Reason.PERSON_DIFFERS,)


def test_a_video_voted_fake_is_fake_however_briefly_each_is_seen() -> None:
    crowd = [ballot for person in range(2, 14) for ballot in faces(person, real=0, fake=3)]
    decision = decide(faces(1, real=10, fake=0) + crowd)
    assert decision.verdict is Verdict.FAKE
    assert decision.probability_fake == pytest.approx(0.8)


def test_who_is_seen_briefly_lends_no_certainty_to_a_close_vote() -> None:
    close = faces(1, real=30, fake=32)
    decision = decide(close + faces(2, real=0, fake=3), Thresholds(abstention_band=(0.4, 0.7)))
    assert decision.vote is Label.FAKE
    assert decision.people[1].probability_fake == pytest.approx(0.8)
    assert decision.probability_fake == pytest.approx((30 * 0.2 + 32 * 0.8) / 62)
    assert (decision.verdict, decision.reasons) == (Verdict.UNDECIDED, (Reason.LOW_CONFIDENCE,))


def test_a_fake_person_seen_in_too_few_faces_changes_nothing() -> None:
    decision = decide(faces(1, real=9, fake=1) + faces(2, real=0, fake=2))
    assert decision.verdict is Verdict.REAL
    assert decision.votes == VoteCount(real=9, fake=1)
    assert decision.people[1].verdict is Verdict.FAKE
    assert not decision.people[1].counts


def test_a_single_face_is_too_few() -> None:
    decision = decide(faces(1, real=1, fake=0))
    assert (decision.verdict, decision.vote) == (Verdict.UNDECIDED, None)
    assert decision.reasons == (Reason.TOO_FEW_FACES,)
    assert decision.probability_fake is None


def test_many_small_faces_are_too_small() -> None:
    decision = decide(faces(1, real=20, fake=0, side=20))
    assert decision.vote is None
    assert decision.reasons == (Reason.FACES_TOO_SMALL,)


def test_without_a_face_there_is_no_vote() -> None:
    decision = decide([])
    assert (decision.verdict, decision.vote) == (Verdict.UNDECIDED, None)
    assert decision.reasons == (Reason.NO_FACE,)


def test_inside_the_abstention_band_the_vote_stays_visible() -> None:
    decision = decide(faces(1, real=6, fake=5), Thresholds(abstention_band=(0.4, 0.6)))
    assert decision.verdict is Verdict.UNDECIDED
    assert decision.reasons == (Reason.LOW_CONFIDENCE,)
    assert decision.vote is Label.REAL
    assert decision.probability_fake is not None


@pytest.mark.parametrize("band", [None, (0.45, 0.55)])
@pytest.mark.parametrize(("vote", "sure"), [(Label.FAKE, 0.1), (Label.REAL, 0.9)])
def test_a_probability_on_the_other_side_of_the_votes_leaves_a_video_undecided(
    vote: Label, sure: float, band: tuple[float, float] | None
) -> None:
    """Most faces are voted one way by a little, and the few others are very sure."""
    other = Label.REAL if vote is Label.FAKE else Label.FAKE
    ballots = [Ballot(1, vote, 0.5, 100)] * 5 + [Ballot(1, other, sure, 100)] * 4
    decision = decide(ballots, Thresholds(abstention_band=band))
    assert (decision.verdict, decision.reasons) == (Verdict.UNDECIDED, (Reason.LOW_CONFIDENCE,))
    assert decision.vote is vote


def test_a_tie_of_equally_sure_faces_is_fake_at_one_half() -> None:
    decision = decide(faces(1, real=3, fake=3))
    assert decision.verdict is Verdict.FAKE
    assert decision.probability_fake == pytest.approx(0.5)


@pytest.mark.parametrize("band", [(0.2, 0.3), (0.1, 0.2)])
def test_the_ends_of_the_abstention_band_belong_to_it(band: tuple[float, float]) -> None:
    same = [Ballot(1, Label.REAL, 0.2, 100)] * 4
    assert decide(same, Thresholds(abstention_band=band)).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    "wrong", [{"min_track_faces": 0}, {"min_face_px": -1}, {"abstention_band": (0.6, 0.4)}]
)
def test_thresholds_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Thresholds(**wrong)
