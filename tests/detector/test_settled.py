"""When no frame that is left can change the verdict: held against every way of going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from detector.domain import Label, Verdict
from detector.voting import Ballot, Decision, Thresholds, decide, settled

Frame = tuple[Ballot, ...]
"""The faces of one frame: never two of one person."""


@dataclass(frozen=True)
class Film:
    """What was judged of a video so far."""

    seen: tuple[Frame, ...]
    half_seen: tuple[Frame, ...]
    """Frames where faces were judged and others are not yet."""
    unseen: int
    thresholds: Thresholds
    temperature: float | None

    @property
    def ballots(self) -> list[Ballot]:
        return [ballot for frame in (*self.seen, *self.half_seen) for ballot in frame]

    @property
    def fullest(self) -> int:
        return max(map(len, (*self.seen, *self.half_seen)), default=0)

    def is_settled(self) -> bool:
        left = len(self.half_seen) + self.unseen
        return settled(
            self.ballots,
            left=left,
            fullest=self.fullest,
            thresholds=self.thresholds,
            temperature=self.temperature,
        )

    def decide(self, ballots: Sequence[Ballot]) -> Decision:
        return decide(ballots, self.thresholds, self.temperature)


def a_film(random: Random) -> Film:
    """Mostly of one person who mostly votes FAKE, or hardly any would be settled."""
    seen = []
    for _ in range(random.randint(0, 12)):
        faces = _some_faces(random, {2, 3, 4}, random.choice([0, 0, 1, 2]), random.choice(REALS))
        if random.random() < 0.9:
            label = Label.REAL if random.random() < 0.1 else Label.FAKE
            faces = [*faces, Ballot(1, label, _probability(random), 200)]
        seen.append(tuple(faces))
    half = random.randint(0, min(1, len(seen)))
    band = (random.choice([0.0, 0.2, 0.4]), random.choice([0.45, 0.5, 0.6]))
    return Film(
        seen=tuple(seen[half:]),
        half_seen=tuple(seen[:half]),
        unseen=random.randint(0, 10),
        thresholds=Thresholds(
            min_track_faces=random.randint(1, 4),
            min_voting_faces=random.randint(1, 6),
            min_deciding_share=random.choice([0.0, 0.1, 0.6]),
            abstention_band=random.choice([None, band]),
        ),
        temperature=random.choice([None, 0.5, 1.0, 3.0]),
    )


def whole(film: Film, random: Random) -> list[Ballot]:
    """All ballots after one way of going on, with no fuller frame than before; it may turn out
    that several people are one."""
    frames = [*film.seen, *film.half_seen]
    people = list(range(1, 10))
    random.shuffle(people)
    same = {person: person for person in people}
    for one, other in pairwise(people[: random.randint(0, 4)]):
        together = [{same[b.person] for b in frame} for frame in frames]
        if not any({same[one], same[other]} <= frame for frame in together):
            joined = same[other]
            same = {p: same[one] if now == joined else now for p, now in same.items()}
    ballots = [replace(b, person=same[b.person]) for b in film.ballots]
    real = random.choice(REALS)
    for frame in (*film.half_seen, *[()] * film.unseen):
        there = {same[ballot.person] for ballot in frame}
        free = set(same.values()) - there
        ballots += _some_faces(random, free, random.randint(0, film.fullest - len(frame)), real)
    return ballots


REALS = (0.5, 0.9, 1.0)
"""How often a face votes REAL."""


def _some_faces(random: Random, people: set[int], count: int, real: float) -> list[Ballot]:
    return [
        Ballot(
            person,
            Label.REAL if random.random() < real else Label.FAKE,
            _probability(random),
            random.choice([20, 200, 200]),
        )
        for person in random.sample(sorted(people), min(count, len(people)))
    ]


def _probability(random: Random) -> float:
    return random.choice([0.0, 0.3, 0.5, 0.9, 1.0, random.random()])


randomly = given(st.randoms(use_true_random=True))
thoroughly = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
WAYS = 40


@thoroughly
@randomly
def test_nothing_in_the_frames_that_are_left_changes_a_settled_verdict_or_vote(
    random: Random,
) -> None:
    film = a_film(random)
    assume(film.is_settled())
    for ballots in [film.ballots, *(whole(film, random) for _ in range(WAYS))]:
        decision = film.decide(ballots)
        assert (decision.verdict, decision.vote) == (Verdict.FAKE, Label.FAKE)


@thoroughly
@randomly
def test_a_video_is_called_real_or_undecided_only_when_all_of_it_was_looked_at(
    random: Random,
) -> None:
    film = a_film(random)
    assume(film.decide(film.ballots).verdict is not Verdict.FAKE)
    assert not film.is_settled()


def faces(person: int, fake: int, real: int = 0, p_fake: float = 1.0) -> Sequence[Ballot]:
    return [Ballot(person, Label.FAKE, p_fake, 100)] * fake + [
        Ballot(person, Label.REAL, 1 - p_fake, 100)
    ] * real


def test_half_of_all_frames_settle_it_and_one_less_does_not() -> None:
    assert settled(faces(1, fake=32), left=32, fullest=1)
    assert not settled(faces(1, fake=31), left=32, fullest=1)


def test_every_real_vote_takes_one_more() -> None:
    assert settled(faces(1, fake=32, real=2), left=30, fullest=1)
    assert not settled(faces(1, fake=31, real=2), left=30, fullest=1)


def test_two_people_do_not_settle_it_together() -> None:
    """They may yet turn out to be one, who in every frame that is left is real."""
    both = [*faces(1, fake=20), *faces(2, fake=20)]
    assert not settled(both, left=1, fullest=1)
    assert settled(faces(1, fake=40), left=1, fullest=1)


def test_a_second_person_in_every_frame_keeps_the_vote_open() -> None:
    both = [*faces(1, fake=32), *faces(2, fake=0, real=32)]
    assert not settled(both, left=1, fullest=2)
    assert settled(faces(1, fake=32), left=16, fullest=2)
    assert not settled(faces(1, fake=32), left=17, fullest=2)


def test_real_faces_that_do_not_count_yet_may_count_in_the_end() -> None:
    glimpses = [*faces(2, fake=0, real=2), *faces(3, fake=0, real=2)]
    assert settled([*faces(1, fake=40), *glimpses], left=36, fullest=1)
    assert not settled([*faces(1, fake=40), *glimpses], left=37, fullest=1)


def test_small_faces_settle_nothing_and_unsettle_nothing() -> None:
    small = [Ballot(2, label, 0.9, 20) for label in Label] * 30
    assert not settled(small, left=4, fullest=1)
    assert settled([*faces(1, fake=10), *small], left=5, fullest=2)


@pytest.mark.parametrize(("p_fake", "expected"), [(0.9, True), (0.7, False)])
def test_the_probability_must_stay_above_the_band_too(p_fake: float, expected: bool) -> None:
    """48 of 64 faces, and then 16 of probability 0: 0.675 and 0.525."""
    band = Thresholds(abstention_band=(0.4, 0.6))
    ballots = faces(1, fake=48, p_fake=p_fake)
    assert decide(ballots, band).verdict is Verdict.FAKE
    assert settled(ballots, left=16, fullest=1, thresholds=band) is expected
    assert settled(ballots, left=16, fullest=1)


@pytest.mark.parametrize(("p_fake", "expected"), [(0.8, True), (0.6, False)])
def test_the_probability_must_stay_on_the_side_of_the_votes(p_fake: float, expected: bool) -> None:
    """48 of 64 faces, and then 16 of probability 0: 0.6 and 0.45."""
    ballots = faces(1, fake=48, p_fake=p_fake)
    assert decide(ballots).verdict is Verdict.FAKE
    assert settled(ballots, left=16, fullest=1) is expected


def test_too_few_faces_settle_nothing() -> None:
    four = faces(1, fake=4)
    assert settled(four, left=1, fullest=1)
    assert not settled(four, left=1, fullest=1, thresholds=Thresholds(min_track_faces=5))
    assert not settled(four, left=1, fullest=1, thresholds=Thresholds(min_voting_faces=5))
    assert not settled([], left=0, fullest=0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.6, 1.0])
def test_a_settled_verdict_stands_though_the_person_may_come_to_be_seen_too_briefly(
    share: float,
) -> None:
    """10 of 15 faces now, and 10 of 25 if two others are in all five frames that are left."""
    limits = Thresholds(min_deciding_share=share)
    now = [*faces(1, fake=10), *faces(2, fake=3), *faces(3, fake=2)]
    assert settled(now, left=5, fullest=2, thresholds=limits)
    later = [*now, *faces(2, fake=0, real=5), *faces(3, fake=0, real=5)]
    for ballots in (now, later):
        decision = decide(ballots, limits)
        assert (decision.verdict, decision.vote) == (Verdict.FAKE, Label.FAKE)
