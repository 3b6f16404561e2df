"""From predictions to the verdict: pure functions, and the only place with the rules.

1. A *face* is voted REAL if more than half of its predictions favor real; a tie is
   FAKE. A prediction favors real if ``p_real > p_fake``.
2. A face *votes* if it is large enough and belongs to a person with enough such
   faces. The *video vote* (Majority Voting Rule) is REAL if more voting faces are
   REAL than FAKE; without a voting face there is none.
3. A *person* is REAL or FAKE by the same majority over the person's faces.
4. The *verdict* is the video vote, except that one FAKE person makes the video FAKE,
   and that a stated reason makes it UNDECIDED: too little to vote with; a probability in
   the abstention band, or not on the side of the votes (``too_unsure``); or, of a video
   voted REAL, that only somebody seen briefly is FAKE. That is a short forgery, or a
   texture that passed for a face a few times, and the votes cannot tell which.

``settled`` says whether all that is known before the last frame.

Class order as everywhere: index 0 is FAKE, index 1 is REAL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.domain import Label, PersonResult, Reason, Verdict, VoteCount

RULES = 3
"""Raised whenever the same predictions may come to another verdict than before."""

_ROUNDING = 1e-9

_VERDICTS = {Label.FAKE: Verdict.FAKE, Label.REAL: Verdict.REAL}


@dataclass(frozen=True)
class Thresholds:
    """Whose vote counts, and when a verdict is withheld. A checkpoint may override them."""

    min_track_faces: int = 3
    """A person seen in fewer large enough faces is shown but does not vote."""
    min_voting_faces: int = 3
    """With fewer voting faces in the whole video the verdict is UNDECIDED."""
    min_face_px: int = 48
    """A face whose longer side is shorter is shown but does not vote: enlarged sixfold
    to a crop it holds more interpolation than picture."""
    min_deciding_share: float = 0.1
    """A person with a smaller share of the voting faces decides nothing. A FAKE one makes no
    video FAKE: one that was voted REAL is UNDECIDED. Nor is the video's probability the one of
    somebody seen so briefly, if anybody of the same verdict is seen for longer."""
    abstention_band: tuple[float, float] | None = None
    """Calibrated probabilities, ends included, that are too close to call. Only a
    calibrated checkpoint has one."""

    def __post_init__(self) -> None:
        for name in ("min_track_faces", "min_voting_faces", "min_face_px"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.min_deciding_share <= 1:
            raise ValueError(
                f"min_deciding_share must be from 0 to 1, got {self.min_deciding_share}"
            )
        if self.abstention_band is not None:
            low, high = self.abstention_band
            if not 0 <= low <= high <= 1:
                raise ValueError(
                    f"abstention_band must be 0 <= low <= high <= 1, got {low}, {high}"
                )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Thresholds:
        """As they stand in metadata, where the band is a list.

        Raises:
            TypeError, ValueError: they make no sense.
        """
        band = values.get("abstention_band")
        if band is None:
            return cls(**values)
        low, high = band
        return cls(**{**values, "abstention_band": (float(low), float(high))})


@dataclass(frozen=True)
class Ballot:
    """What one face brings to the vote."""

    person: int
    vote: Label
    probability_fake: float
    side: int
    """Longer side of the face's box in pixels."""


@dataclass(frozen=True)
class Decision:
    """What the ballots of one video come to."""

    verdict: Verdict
    vote: Label | None
    reasons: tuple[Reason, ...]
    probability_fake: float | None
    votes: VoteCount
    people: tuple[PersonResult, ...]
    counts: tuple[bool, ...]
    """For each ballot, whether it took part in the video vote."""


def frame_vote(predictions: npt.ArrayLike) -> Label:
    """The vote of one face.

    Args:
        predictions: shape (n, 2), n at least 1, columns (p_fake, p_real).
    """
    checked = _checked(predictions)
    favor_real = int(np.count_nonzero(checked[:, Label.REAL] > checked[:, Label.FAKE]))
    return Label.REAL if favor_real > len(checked) - favor_real else Label.FAKE


def face_probability(predictions: npt.ArrayLike) -> float:
    """``probability_fake`` of one face: the mean over its predictions, shape (n, 2)."""
    return float(_checked(predictions)[:, Label.FAKE].mean())


def count_votes(votes: Iterable[Label]) -> VoteCount:
    """How many are real and fake."""
    listed = list(votes)
    real = sum(vote == Label.REAL for vote in listed)
    return VoteCount(real=real, fake=len(listed) - real)


def video_vote(votes: VoteCount) -> Label | None:
    """The Majority Voting Rule; None if nobody voted."""
    if votes.total == 0:
        return None
    return Label.REAL if votes.real > votes.fake else Label.FAKE


def calibrated(probability: float, temperature: float | None) -> float:
    """A probability with its logit divided by the temperature; None leaves it as it is.

    It stays on its side of one half, so calibration moves no vote.
    """
    if temperature is None:
        return probability
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    bounded = min(max(probability, 1e-7), 1 - 1e-7)
    return 1 / (1 + math.exp(-math.log(bounded / (1 - bounded)) / temperature))


def too_unsure(would_be_fake: bool, probability: float, band: tuple[float, float] | None) -> bool:
    """Whether FAKE or REAL is withheld for its probability: it lies in the band, or contradicts.

    The majority counts votes and the probability is a mean: a few sure votes can pull it to
    the other side of one half. Called FAKE with 0.4 would be nonsense to who reads it.

    Args:
        would_be_fake: what the verdict would be; else it would be REAL.
        probability: of fake, calibrated.
        band: ``Thresholds.abstention_band``.
    """
    if band is not None and band[0] <= probability <= band[1]:
        return True
    if would_be_fake:
        return probability < 0.5 - _ROUNDING
    return probability > 0.5 + _ROUNDING


def decide(
    ballots: Sequence[Ballot],
    thresholds: Thresholds | None = None,
    temperature: float | None = None,
) -> Decision:
    """The votes, the people and the verdict of one video.

    ``probability_fake`` of the video is that of the deciding person: of the people who
    count, whose verdict is the video's and who are not seen too briefly to decide, the one
    with the highest. Where all of them are seen briefly, they decide together.

    Args:
        ballots: one for each face.
        thresholds: the checkpoint's.
        temperature: of the checkpoint's calibration; None if it is uncalibrated.
    """
    thresholds = thresholds or Thresholds()
    numbers = sorted({ballot.person for ballot in ballots})
    eligible = {
        number
        for number in numbers
        if _large_faces(ballots, number, thresholds) >= thresholds.min_track_faces
    }
    counts = tuple(b.person in eligible and b.side >= thresholds.min_face_px for b in ballots)
    people = tuple(
        _person(
            number,
            [
                ballot
                for ballot, counted in zip(ballots, counts, strict=True)
                if ballot.person == number and (counted or number not in eligible)
            ],
            counts=number in eligible,
            temperature=temperature,
        )
        for number in numbers
    )
    votes = count_votes(b.vote for b, counted in zip(ballots, counts, strict=True) if counted)
    vote = video_vote(votes)
    deciding = _seen_enough(people, votes, thresholds)
    decided = _with_fake_person(vote, deciding)
    probability = _highest(deciding, decided)
    if probability is None:
        # Many people, each seen briefly.
        probability = _highest(people, decided)
    withheld = _why_undecided(ballots, votes, decided, probability, thresholds)
    if withheld is None and decided is Verdict.REAL and _someone_is_fake(people):
        withheld = Reason.BRIEF_PERSON_DIFFERS
    if decided is None or withheld is not None:
        verdict = Verdict.UNDECIDED
        reasons = (withheld,) if withheld is not None else ()
    else:
        verdict = decided
        reasons = (Reason.PERSON_DIFFERS,) if vote is Label.REAL and decided is Verdict.FAKE else ()
    return Decision(verdict, vote, reasons, probability, votes, people, counts)


def settled(
    ballots: Sequence[Ballot],
    left: int,
    fullest: int,
    thresholds: Thresholds | None = None,
    temperature: float | None = None,
) -> bool:
    """Whether the frames that are left can change neither verdict nor video vote: both are FAKE.

    REAL and UNDECIDED are never settled: whoever appears in the last frames may be a FAKE
    person, and one makes the video FAKE or UNDECIDED. FAKE is settled by one person who has as
    many FAKE votes as there are REAL ones of anybody, together with those that may still come,
    and whose probability stays sure whatever comes. Then it is a tie at least, even if all whom
    the REAL votes are of turn out to be this person, and in every frame that is left the person
    is REAL. Nobody else alone can then have more faces, so if the person is seen too briefly to
    decide, everybody is, and they decide together.

    Whoever is in those frames may have any vote, probability and size. Two things are taken
    for granted: that none of them holds more faces than ``fullest``, else a crowd in the last
    one could outvote everything, and that faces of one person stay together when more faces
    are linked.

    Args:
        ballots: one for each face that was judged.
        left: frames with faces that are not judged or not yet found.
        fullest: faces in the frame that has the most of them so far.
        thresholds: the checkpoint's.
        temperature: of the checkpoint's calibration.
    """
    thresholds = thresholds or Thresholds()
    decision = decide(ballots, thresholds, temperature)
    if decision.verdict is not Verdict.FAKE:
        return False
    # Who does not count yet may count with more faces.
    large = [ballot for ballot in ballots if ballot.side >= thresholds.min_face_px]
    most_real = count_votes(b.vote for b in large).real + fullest * left
    for person in decision.people:
        if person.counts and person.votes.fake >= most_real:
            # The deciding person's probability is the highest, so not below this one's.
            known = sum(b.probability_fake for b in large if b.person == person.id)
            lowest = calibrated(known / (len(large) + left), temperature)
            band = thresholds.abstention_band
            if lowest >= 0.5 and (band is None or lowest > band[1] + _ROUNDING):
                return True
    return False


def _checked(predictions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(predictions, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] != len(Label):
        raise ValueError(f"predictions must have shape (n >= 1, 2), got {array.shape}")
    if not np.isfinite(array).all():
        # A broken number must never pass for a vote.
        raise ValueError("predictions must be finite numbers")
    return array


def _large_faces(ballots: Sequence[Ballot], person: int, thresholds: Thresholds) -> int:
    return sum(b.person == person and b.side >= thresholds.min_face_px for b in ballots)


def _person(
    number: int, ballots: Sequence[Ballot], *, counts: bool, temperature: float | None
) -> PersonResult:
    """The majority over one person's faces: the voting ones, or all if none of them votes."""
    votes = count_votes(ballot.vote for ballot in ballots)
    mean = sum(ballot.probability_fake for ballot in ballots) / len(ballots)
    return PersonResult(
        id=number,
        verdict=Verdict.REAL if video_vote(votes) is Label.REAL else Verdict.FAKE,
        probability_fake=calibrated(mean, temperature),
        votes=votes,
        counts=counts,
    )


def _seen_enough(
    people: Sequence[PersonResult], votes: VoteCount, thresholds: Thresholds
) -> list[PersonResult]:
    """Those with so many faces that they can decide, if they count."""
    least = thresholds.min_deciding_share * votes.total
    return [person for person in people if person.votes.total >= least]


def _highest(people: Sequence[PersonResult], verdict: Verdict | None) -> float | None:
    """The highest probability of those with this verdict who count; None if there are none."""
    found = (p.probability_fake for p in people if p.counts and p.verdict == verdict)
    return max(found, default=None)


def _with_fake_person(vote: Label | None, people: Sequence[PersonResult]) -> Verdict | None:
    """The video vote, unless one of these people is FAKE."""
    if vote is None:
        return None
    return Verdict.FAKE if _someone_is_fake(people) else _VERDICTS[vote]


def _someone_is_fake(people: Sequence[PersonResult]) -> bool:
    return any(person.counts and person.verdict is Verdict.FAKE for person in people)


def _why_undecided(
    ballots: Sequence[Ballot],
    votes: VoteCount,
    decided: Verdict | None,
    probability: float | None,
    thresholds: Thresholds,
) -> Reason | None:
    if not ballots:
        return Reason.NO_FACE
    if votes.total < max(1, thresholds.min_voting_faces):
        return (
            Reason.FACES_TOO_SMALL
            if _size_is_the_obstacle(ballots, thresholds)
            else Reason.TOO_FEW_FACES
        )
    if decided is None or probability is None:
        return None
    unsure = too_unsure(decided is Verdict.FAKE, probability, thresholds.abstention_band)
    return Reason.LOW_CONFIDENCE if unsure else None


def _size_is_the_obstacle(ballots: Sequence[Ballot], thresholds: Thresholds) -> bool:
    """Whether there would be enough voting faces if all were large."""
    sizes = [
        sum(ballot.person == number for ballot in ballots)
        for number in {ballot.person for ballot in ballots}
    ]
    would_vote = sum(size for size in sizes if size >= thresholds.min_track_faces)
    return would_vote >= thresholds.min_voting_faces
