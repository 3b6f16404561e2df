"""A small result as the detector returns it, for tests of the worker."""

from __future__ import annotations

from detector.domain import (
    CheckpointId,
    Evidence,
    FaceBox,
    FaceResult,
    Label,
    MediaInfo,
    PersonResult,
    Prediction,
    ProvisionalFace,
    Reason,
    Verdict,
    VideoResult,
    VoteCount,
)


def a_result() -> VideoResult:
    """Two people, two faces; one of them is FAKE, and so is the video."""
    return VideoResult(
        verdict=Verdict.FAKE,
        vote=Label.REAL,
        reasons=(Reason.PERSON_DIFFERS,),
        probability_fake=0.75,
        votes=VoteCount(real=2, fake=1),
        people=(
            PersonResult(1, Verdict.REAL, 0.25, VoteCount(2, 0), counts=True),
            PersonResult(2, Verdict.FAKE, 0.75, VoteCount(0, 1), counts=True),
        ),
        faces=(_face(1, Label.REAL, 0.25), _face(2, Label.FAKE, 0.75)),
        media=MediaInfo("mov,mp4", "h264", 640, 480, 2.0, 50, 25.0, 0),
        checkpoint=CheckpointId("default", "1", "a" * 64),
        sampling="quick",
        sampled_frames=(0, 5),
        seconds={"total": 1.0},
        versions={"python": "3.11"},
    )


def some_evidence(judged_frames: int = 3) -> Evidence:
    """Two faces, while the video is still looked at."""
    return Evidence(
        judged_frames=judged_frames,
        planned_frames=8,
        votes=VoteCount(real=3, fake=1),
        faces=(
            ProvisionalFace(1, 0, 0.0, Label.REAL, 0.25, b"webp of person 1"),
            ProvisionalFace(2, 5, 0.2, Label.FAKE, 0.75, b"webp of person 2"),
        ),
    )


def _face(person: int, vote: Label, p_fake: float) -> FaceResult:
    return FaceResult(
        person=person,
        frame_index=5,
        time_s=0.2,
        box=FaceBox(10, 20, 90, 100),
        confidence=0.99,
        predictions=(Prediction(p_fake, 1 - p_fake),),
        vote=vote,
        probability_fake=p_fake,
        counts=True,
        thumbnail=b"jpeg of person %d" % person,
    )
