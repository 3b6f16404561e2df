"""What a worker hands over to be published, as plain data.

The worker translates the detector's result into these, so that the web process
knows every result without importing the detector.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from .models import Face, Person, VerdictChoice, VoteChoice


@dataclass(frozen=True)
class MediaFacts:
    """What the container said about the video; becomes columns of the submission."""

    container: str
    codec: str
    width: int
    height: int
    duration_s: float


@dataclass(frozen=True)
class PersonOutcome:
    """One track and the majority over its faces."""

    number: int
    verdict: VerdictChoice
    probability_fake: float
    votes_real: int
    votes_fake: int
    counts: bool


@dataclass(frozen=True)
class FaceOutcome:
    """One face; its thumbnail lies in ``Outcome.evidence_dir`` under its number."""

    number: int
    person: int
    frame_index: int
    time_s: float
    x: int
    y: int
    width: int
    height: int
    confidence: float
    predictions: tuple[tuple[float, float], ...]
    """(p_fake, p_real) for each prediction."""
    vote: VoteChoice
    probability_fake: float
    counts: bool


@dataclass(frozen=True)
class Outcome:
    """Everything an analysis says about a video."""

    verdict: VerdictChoice
    vote: VoteChoice | None
    reasons: tuple[str, ...]
    probability_fake: float | None
    votes_real: int
    votes_fake: int
    people: tuple[PersonOutcome, ...]
    faces: tuple[FaceOutcome, ...]
    media: MediaFacts
    checkpoint_name: str
    checkpoint_version: str
    checkpoint_sha256: str
    sampled_frames: tuple[int, ...]
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    evidence_dir: str
    skipped_frames: int = 0


def write_rows(analysis_id: uuid.UUID, outcome: Outcome) -> None:
    """The rows of people and faces; ``queue.publish`` calls it inside its transaction."""
    people = Person.objects.bulk_create(
        Person(
            analysis_id=analysis_id,
            number=person.number,
            verdict=person.verdict,
            probability_fake=person.probability_fake,
            votes_real=person.votes_real,
            votes_fake=person.votes_fake,
            counts=person.counts,
        )
        for person in outcome.people
    )
    person_ids = {person.number: person.pk for person in people}
    Face.objects.bulk_create(
        (
            Face(
                analysis_id=analysis_id,
                person_id=person_ids[face.person],
                number=face.number,
                frame_index=face.frame_index,
                time_s=face.time_s,
                x=face.x,
                y=face.y,
                width=face.width,
                height=face.height,
                confidence=face.confidence,
                predictions=[list(prediction) for prediction in face.predictions],
                vote=face.vote,
                probability_fake=face.probability_fake,
                counts=face.counts,
            )
            for face in outcome.faces
        ),
        batch_size=500,
    )
