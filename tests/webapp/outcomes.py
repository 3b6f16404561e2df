"""A small result as a worker hands it over, for tests of the queue and the pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from webapp.submissions.models import VerdictChoice, VoteChoice
from webapp.submissions.outcomes import FaceOutcome, MediaFacts, Outcome, PersonOutcome
from webapp.submissions.provisional import Provisional, ProvisionalFace, picture


def an_outcome(**changes: Any) -> Outcome:
    """Two people, three faces, FAKE by two votes to one; ``changes`` replace fields."""
    return Outcome(**{**_fields(), **changes})


def a_face(number: int, person: int, vote: VoteChoice, *p_fake: float) -> FaceOutcome:
    return FaceOutcome(
        number=number,
        person=person,
        frame_index=5 * (number - 1),
        time_s=0.2 * (number - 1),
        x=10,
        y=20,
        width=90,
        height=100,
        confidence=0.99,
        predictions=tuple((p, 1 - p) for p in p_fake),
        vote=vote,
        probability_fake=sum(p_fake) / len(p_fake),
        counts=True,
    )


def a_provisional(**changes: Any) -> Provisional:
    """Of two people, two faces real and one fake, in two of eight frames."""
    known = Provisional(
        judged_frames=2,
        planned_frames=8,
        votes={"real": 2, "fake": 1},
        faces=(
            ProvisionalFace(1, 0, 0.0, VoteChoice.REAL, 0.2, picture(b"one")),
            ProvisionalFace(1, 5, 0.2, VoteChoice.REAL, 0.3, picture(b"two")),
            ProvisionalFace(2, 5, 0.2, VoteChoice.FAKE, 0.8, picture(b"three")),
        ),
    )
    return replace(known, **changes)


def _fields() -> dict[str, Any]:
    return {
        "verdict": VerdictChoice.FAKE,
        "vote": VoteChoice.FAKE,
        "reasons": (),
        "probability_fake": 0.75,
        "votes_real": 1,
        "votes_fake": 2,
        "people": (
            PersonOutcome(1, VerdictChoice.REAL, 0.1875, 1, 0, True),
            PersonOutcome(2, VerdictChoice.FAKE, 0.75, 0, 2, True),
        ),
        "faces": (
            a_face(1, 1, VoteChoice.REAL, 0.25, 0.125),
            a_face(2, 2, VoteChoice.FAKE, 0.75, 0.5),
            a_face(3, 2, VoteChoice.FAKE, 0.875),
        ),
        "media": MediaFacts("mov,mp4", "h264", 640, 360, 4.5),
        "checkpoint_name": "default",
        "checkpoint_version": "1",
        "checkpoint_sha256": "a" * 64,
        "sampled_frames": (0, 5, 10),
        "seconds": {"detect": 1.0, "total": 2.0},
        "versions": {"python": "3.11"},
        "evidence_dir": "evidence/analysis/lease",
    }
