"""What the detector said of labelled videos and crops, as kept on disk and as measured.

An ``Outcome`` is that of one video, with its faces. It goes to a line of JSON and back
without loss; ``video_examples`` and ``frame_examples`` make of many of them the arrays
that ``metrics`` measures.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from detector.domain import Label, Verdict
from detector.training.metrics import Bools, Scored


@dataclass(frozen=True)
class FaceOutcome:
    """One face: found in a video, or a crop of a set of crops (then ``path`` is its own).

    ``probability_fake`` is calibrated with the checkpoint's temperature; ``undecided`` says
    that this is too unsure (``voting.too_unsure``); ``counts`` that the vote is part of the
    video's.
    """

    person: int
    frame_index: int
    side: int
    vote: Label
    probability_fake: float
    undecided: bool
    counts: bool
    path: str = ""

    @property
    def verdict(self) -> Verdict:
        """Of the face by itself."""
        return Verdict.UNDECIDED if self.undecided else Verdict(self.vote.name)


@dataclass(frozen=True)
class Outcome:
    """One video, or a crop that counts as one.

    Without a voting face ``vote`` and ``probability_fake`` are ``None``; if the video could
    not be analysed, ``verdict`` is as well and ``error`` has the code.
    """

    path: str
    group: str
    label: Label
    method: str
    dataset: str = ""
    verdict: Verdict | None = None
    vote: Label | None = None
    probability_fake: float | None = None
    votes_real: int = 0
    votes_fake: int = 0
    reasons: tuple[str, ...] = ()
    error: str = ""
    seconds: float | None = None
    faces: tuple[FaceOutcome, ...] = ()

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Outcome:
        """The reverse of ``to_json``."""
        raw = json.loads(line)
        faces = [FaceOutcome(**face | {"vote": Label(face["vote"])}) for face in raw["faces"]]
        return cls(
            **raw
            | {
                "label": Label(raw["label"]),
                "verdict": None if raw["verdict"] is None else Verdict(raw["verdict"]),
                "vote": None if raw["vote"] is None else Label(raw["vote"]),
                "reasons": tuple(raw["reasons"]),
                "faces": tuple(faces),
            }
        )


Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Examples:
    """What is measured: ``scored`` with each example's method, data set and key, by which
    two evaluations find each other's examples."""

    scored: Scored
    method: Names
    dataset: Names
    key: Names

    def __len__(self) -> int:
        return len(self.scored)

    def take(self, chosen: Bools | npt.NDArray[np.intp]) -> Examples:
        """Some of them."""
        return Examples(
            self.scored.take(chosen), self.method[chosen], self.dataset[chosen], self.key[chosen]
        )


def video_examples(outcomes: Iterable[Outcome]) -> Examples | None:
    """Videos with a vote, undecided ones too; ``None`` if there is none."""
    rows = [
        (o.label, o.probability_fake, o.vote, o.verdict, o.group, o.method, o.dataset, o.path)
        for o in outcomes
        if o.vote is not None
    ]  # fmt: skip
    return _examples(rows)


def frame_examples(outcomes: Iterable[Outcome]) -> Examples | None:
    """Faces that count in the vote of a video; ``None`` if there is none."""
    rows = [
        (o.label, face.probability_fake, face.vote, face.verdict, o.group, o.method,
         o.dataset, f"{o.path} {face.path} {face.frame_index} {face.person}")
        for o in outcomes
        for face in o.faces
        if face.counts
    ]  # fmt: skip
    return _examples(rows)


def without_vote(outcomes: Iterable[Outcome]) -> dict[str, list[str]]:
    """Paths of the videos that gave no vote, by code of the error or the reason."""
    found = defaultdict(list)
    for outcome in outcomes:
        if outcome.vote is None:
            found[outcome.error or "+".join(outcome.reasons)].append(outcome.path)
    return dict(sorted(found.items()))


def _examples(rows: Sequence[tuple[object, ...]]) -> Examples | None:
    if not rows:
        return None
    label, probability, vote, verdict, group, method, dataset, key = zip(*rows, strict=True)
    scored = Scored(
        fake=np.array([each == Label.FAKE for each in label]),
        probability=np.array(probability, dtype=np.float64),
        voted_fake=np.array([each == Label.FAKE for each in vote]),
        undecided=np.array([each is Verdict.UNDECIDED for each in verdict]),
        called_fake=np.array([each is Verdict.FAKE for each in verdict]),
        group=np.array(group, dtype=np.str_),
    )
    names = [np.array(each, dtype=np.str_) for each in (method, dataset, key)]
    return Examples(scored, *names)
