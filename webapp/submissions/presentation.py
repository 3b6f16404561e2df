"""Analyses as the pages show them: fetched in few queries, put into words.

Templates format what stands here; views decide which of it to fetch.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from . import model_cards, provisional, queue, shown_faces, timeline, wording
from .file_types import PLAYED_BY_BROWSERS, extension
from .models import Analysis, Face, Person, SamplingLevel, State, Submission
from .provisional import Provisional

MARKS_PER_PERSON = 360
"""More would lie on top of each other, even where all faces are shown."""


@dataclass(frozen=True)
class Stage:
    """One step of the list a waiting person watches."""

    name: str
    sentence: str
    status: str
    """``done``, ``current`` or ``waiting``."""


@dataclass(frozen=True)
class Progress:
    """An analysis that is waiting or running."""

    analysis: Analysis
    stages: Sequence[Stage]
    position: int | None
    wait: str
    unserved: bool
    """Whether no living worker would take it."""
    headline: str
    retry: int
    """Which attempt this is, when it is not the first; else 0."""
    most_attempts: int
    provisional: Provisional | None

    @property
    def so_far(self) -> str:
        """The provisional votes in one sentence."""
        known = self.provisional
        if known is None:
            return ""
        return wording.votes_so_far(
            **known.votes, judged=known.judged_frames, planned=known.planned_frames
        )

    @property
    def short(self) -> str:
        """For the browser's tab."""
        return f"{self.analysis.percent}%" if self.analysis.state == State.RUNNING else "Waiting"

    @property
    def seen(self) -> str:
        """Changes whenever a screen reader should be told."""
        current = next((s.name for s in self.stages if s.status == "current"), "")
        evidence = "-votes" if self.provisional else ""
        return f"{self.analysis.state}-{current or self.position or 0}{evidence}"


@dataclass(frozen=True)
class PersonView:
    """One person with the faces and the timeline."""

    person: Person
    faces: Sequence[Face]
    """Those that are shown; see :mod:`.shown_faces`."""
    found: int
    timeline: timeline.Timeline

    @property
    def total(self) -> int:
        return self.person.votes_real + self.person.votes_fake

    @property
    def in_part(self) -> bool:
        """Whether more faces were found than are shown."""
        return len(self.faces) < self.found


@dataclass(frozen=True)
class Result:
    """A finished analysis with its evidence."""

    analysis: Analysis
    title: str
    sentence: str
    reasons: Sequence[str]
    people: Sequence[PersonView]
    voting: int
    faces: int
    planned_frames: int
    not_counting: int
    fake_share: str
    """Width of the fake part of the vote bar, as a percentage."""
    probability_x: str
    """Where the probability stands on a line of full width."""
    card: model_cards.ModelCard | None
    seconds: Sequence[tuple[str, float]]
    total_seconds: float | None


def progress(analysis: Analysis) -> Progress:
    """Where a waiting or running analysis is."""
    position = queue.position(analysis) if analysis.state == State.QUEUED else None
    wait_s = queue.estimated_wait_s(analysis) if position is not None else None
    retry = analysis.attempts if analysis.state == State.RUNNING else analysis.attempts + 1
    return Progress(
        analysis=analysis,
        stages=_stages(analysis),
        position=position,
        wait=wording.duration(wait_s) if wait_s is not None else "",
        unserved=queue.unserved(analysis),
        headline=_headline(analysis, position),
        retry=retry if retry > 1 else 0,
        most_attempts=settings.FRAMEVOTE_MAX_ATTEMPTS,
        provisional=provisional.of(analysis),
    )


def result(analysis: Analysis, submission: Submission, everything: bool = False) -> Result:
    """The evidence of a finished analysis in four queries, however many faces there are.

    ``everything`` shows every face; else a long video's are shown in part.
    """
    faces = shown_faces.faces_by_person(analysis, everything)
    found = sum(len(of_person.moments) for of_person in faces.values())
    fake, real = analysis.votes_fake, analysis.votes_real
    seconds = {str(k): float(v) for k, v in analysis.seconds.items()}
    total = seconds.pop("total", None)
    return Result(
        analysis=analysis,
        title=wording.VERDICT_TITLES[analysis.verdict],
        sentence=wording.verdict_sentence(analysis.verdict, fake, real),
        reasons=[wording.reason_sentence(code) for code in reason_codes(analysis)],
        people=[
            _person_view(person, faces.get(person.pk, shown_faces.PersonFaces()), submission)
            for person in analysis.people.order_by("number")
        ],
        voting=fake + real,
        faces=found,
        planned_frames=len(analysis.sampled_frames) + analysis.skipped_frames,
        not_counting=analysis.faces.filter(counts=False).count(),
        fake_share=f"{100 * fake / (fake + real):.2f}%" if fake + real else "0%",
        probability_x=f"{2 + 96 * (analysis.probability_fake or 0):.2f}%",
        card=model_cards.find(analysis.checkpoint_name, analysis.checkpoint_sha256),
        seconds=list(seconds.items()),
        total_seconds=total,
    )


def reason_codes(analysis: Analysis) -> list[str]:
    """The codes of the reasons, however they were written down."""
    return [r["code"] if isinstance(r, dict) else str(r) for r in analysis.reasons]


def playable(submission: Submission) -> bool:
    """Whether it is worth offering the file to the browser's own player."""
    if submission.files_removed_at is not None:
        return False
    return extension(submission.original_name) in PLAYED_BY_BROWSERS


def limits() -> dict[str, Any]:
    """What the upload page says before a file is chosen."""
    return {
        "max_mb": settings.FRAMEVOTE_MAX_UPLOAD_MB,
        "max_minutes": settings.FRAMEVOTE_MAX_MINUTES,
        "max_files": settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD,
        "retention_days": settings.FRAMEVOTE_RETENTION_DAYS,
    }


def sampling_levels() -> list[tuple[str, str, str]]:
    """Value, name and what it means, from labels such as ``quick (32 frames)``."""
    levels = []
    for value, label in SamplingLevel.choices:
        name, _, meaning = str(label).partition(" (")
        levels.append((value, name.capitalize(), meaning.removesuffix(")")))
    return levels


def select(analyses: Iterable[Analysis], wanted: uuid.UUID | None) -> Analysis | None:
    """The analysis asked for, else the newest."""
    ordered = sorted(analyses, key=lambda a: (a.created_at, str(a.pk)))
    if wanted is None:
        return ordered[-1] if ordered else None
    return next((a for a in ordered if a.pk == wanted), None)


def _person_view(
    person: Person, faces: shown_faces.PersonFaces, submission: Submission
) -> PersonView:
    marked = shown_faces.evenly(faces.shown, MARKS_PER_PERSON)
    return PersonView(
        person=person,
        faces=faces.shown,
        found=len(faces.moments),
        timeline=timeline.build(marked, faces.moments, submission.duration_s),
    )


def _stages(analysis: Analysis) -> list[Stage]:
    names = list(wording.STAGES)
    key = wording.stage_key(analysis.stage)
    current = names.index(key) if key in names else -1
    if analysis.state == State.RUNNING and current < 0:
        current = 0
    if analysis.state == State.QUEUED:
        current = -1
    return [
        Stage(
            name=wording.STAGES[name][0],
            sentence=wording.STAGES[name][1],
            status="done" if i < current else "current" if i == current else "waiting",
        )
        for i, name in enumerate(names)
    ]


def _headline(analysis: Analysis, position: int | None) -> str:
    if analysis.state == State.RUNNING:
        return f"Being analyzed: {analysis.percent}%"
    if position == 1:
        return "Waiting: next in the queue"
    if position:
        return f"Waiting: number {position} in the queue"
    return "Waiting in the queue"
