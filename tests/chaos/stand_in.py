"""A worker whose detector is fast: ``python -m tests.chaos.stand_in --name NAME``.

It stands in for the networks alone. What it says depends on the file's bytes and on nothing
else, so that anybody can check a verdict against the file it was said of. Everything around
it, from the claim to the published rows, is the worker that serves.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any, Self

import worker.engine
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
    Verdict,
    VideoResult,
    VoteCount,
)
from detector.errors import AnalysisStopped

STEPS = 10

FACES = int(os.environ.get("FRAMEVOTE_TEST_STAND_IN_FACES", "1"))
"""The fewest faces of a video; of others there are up to four times as many."""


class StandIn:
    """``detector.Detector`` as far as the worker uses it."""

    @classmethod
    def load(cls, **_: Any) -> Self:
        return cls()

    def analyze(
        self, path: str, *, on_progress: Any, should_stop: Any, on_evidence: Any, **_: Any
    ) -> VideoResult:
        """Takes some tenths of a second, as the file's hash says."""
        digest = hashlib.sha256(Path(path).read_bytes()).digest()
        for step in range(STEPS):
            if should_stop():
                raise AnalysisStopped("the worker asked for it")
            on_progress("detect", step / STEPS)
            on_evidence(evidence(digest, step))
            time.sleep((digest[0] / 255 + 0.2) / STEPS)
        return expected(digest)


def evidence(digest: bytes, step: int) -> Evidence:
    """What is known of the file after some steps."""
    result = expected(digest)
    faces = tuple(
        ProvisionalFace(1, f.frame_index, f.time_s, f.vote, f.probability_fake, f.thumbnail)
        for f in result.faces
    )
    return Evidence(step, STEPS, result.votes, faces)


def expected(digest: bytes) -> VideoResult:
    """What is said of a file with this SHA-256: some faces, all of one vote."""
    fake = bool(digest[1] % 2)
    faces = FACES * (1 + digest[2] % 4)
    p_fake = 0.75 if fake else 0.25
    vote = Label.FAKE if fake else Label.REAL
    verdict = Verdict.FAKE if fake else Verdict.REAL
    votes = VoteCount(real=0 if fake else faces, fake=faces if fake else 0)
    return VideoResult(
        verdict=verdict,
        vote=vote,
        reasons=(),
        probability_fake=p_fake,
        votes=votes,
        people=(PersonResult(1, verdict, p_fake, votes, counts=True),),
        faces=tuple(
            FaceResult(
                person=1,
                frame_index=5 * number,
                time_s=number / 5,
                box=FaceBox(10, 20, 90, 100),
                confidence=0.99,
                predictions=(Prediction(p_fake, 1 - p_fake),),
                vote=vote,
                probability_fake=p_fake,
                counts=True,
                thumbnail=b"face %d of " % number + digest,
            )
            for number in range(faces)
        ),
        media=MediaInfo("mov,mp4", "h264", 640, 480, 2.0, 50, 25.0, 0),
        checkpoint=CheckpointId("stand-in", "1", "a" * 64),
        sampling="quick",
        sampled_frames=tuple(range(0, 5 * faces, 5)),
        seconds={"total": 0.5},
        versions={},
    )


# A spawned child of the pool imports the main module again, so this reaches it too.
if os.environ.get("FRAMEVOTE_TEST_STAND_IN") == "1":
    worker.engine.Detector = StandIn  # type: ignore[misc,assignment]

if __name__ == "__main__":
    from worker.__main__ import main

    main()
