"""From what the detector says to rows and files: its result, and the evidence before it."""

from __future__ import annotations

from django.core.files.base import ContentFile

from detector.domain import Evidence, FaceResult, PersonResult, VideoResult
from webapp.submissions import provisional, queue, storage
from webapp.submissions.models import VerdictChoice, VoteChoice, media_storage
from webapp.submissions.outcomes import FaceOutcome, MediaFacts, Outcome, PersonOutcome


def publish(lease: queue.Lease, result: VideoResult) -> bool:
    """Write the thumbnails, then make files and rows visible at once.

    False when the lease was lost: no row was written and the files are gone again.
    """
    folder = storage.evidence_dir(lease.analysis_id, lease.token)
    outcome = outcome_of(result, folder)
    try:
        files = media_storage()
        for number, face in enumerate(result.faces, start=1):
            files.save(storage.thumbnail_name(folder, number), ContentFile(face.thumbnail))
    except BaseException:
        storage.remove_folder(folder)
        raise
    # An exception from here on may come after the commit (a time limit, a second
    # SIGTERM), so it removes nothing: the sweeper finds the files if no row does.
    published = queue.publish(lease, outcome)
    if not published:
        storage.remove_folder(folder)
    return published


def outcome_of(result: VideoResult, folder: str) -> Outcome:
    """The result in the words of the database."""
    return Outcome(
        verdict=VerdictChoice(result.verdict.value),
        vote=None if result.vote is None else VoteChoice(result.vote.name),
        reasons=tuple(reason.value for reason in result.reasons),
        probability_fake=result.probability_fake,
        votes_real=result.votes.real,
        votes_fake=result.votes.fake,
        people=tuple(_person(person) for person in result.people),
        faces=tuple(_face(number, face) for number, face in enumerate(result.faces, start=1)),
        media=MediaFacts(
            container=result.media.container,
            codec=result.media.codec,
            width=result.media.width,
            height=result.media.height,
            duration_s=result.media.duration_s,
        ),
        checkpoint_name=result.checkpoint.name,
        checkpoint_version=result.checkpoint.version,
        checkpoint_sha256=result.checkpoint.sha256,
        sampled_frames=result.sampled_frames,
        seconds=result.seconds,
        versions=result.versions,
        evidence_dir=folder,
        skipped_frames=result.skipped_frames,
    )


def provisional_of(evidence: Evidence) -> provisional.Provisional:
    """Evidence of a running analysis in the words of the database."""
    return provisional.Provisional(
        judged_frames=evidence.judged_frames,
        planned_frames=evidence.planned_frames,
        votes={"real": evidence.votes.real, "fake": evidence.votes.fake},
        faces=tuple(
            provisional.ProvisionalFace(
                person=face.person,
                frame_index=face.frame_index,
                time_s=face.time_s,
                vote=VoteChoice(face.vote.name),
                probability_fake=face.probability_fake,
                picture=provisional.picture(face.picture),
            )
            for face in evidence.faces
        ),
    )


def _person(person: PersonResult) -> PersonOutcome:
    return PersonOutcome(
        number=person.id,
        verdict=VerdictChoice(person.verdict.value),
        probability_fake=person.probability_fake,
        votes_real=person.votes.real,
        votes_fake=person.votes.fake,
        counts=person.counts,
    )


def _face(number: int, face: FaceResult) -> FaceOutcome:
    return FaceOutcome(
        number=number,
        person=face.person,
        frame_index=face.frame_index,
        time_s=face.time_s,
        x=face.box.x,
        y=face.box.y,
        width=face.box.width,
        height=face.box.height,
        confidence=face.confidence,
        predictions=tuple((p.p_fake, p.p_real) for p in face.predictions),
        vote=VoteChoice(face.vote.name),
        probability_fake=face.probability_fake,
        counts=face.counts,
    )
