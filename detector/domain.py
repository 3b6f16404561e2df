"""The words of the detector as plain, immutable data.

Class order is fixed everywhere: index 0 is FAKE, index 1 is REAL. Images are
RGB ``uint8`` arrays of shape (height, width, 3). Boxes are in pixels of the
upright frame, that is after the container's rotation has been applied.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""


class Label(enum.IntEnum):
    """The two classes; the value is the index in every probability vector."""

    FAKE = 0
    REAL = 1


class Verdict(enum.StrEnum):
    """What is said about a person or a video."""

    REAL = "REAL"
    FAKE = "FAKE"
    UNDECIDED = "UNDECIDED"


class Reason(enum.StrEnum):
    """Why a verdict is not simply the video vote. Sentences: ``REASON_SENTENCES``."""

    PERSON_DIFFERS = "person_differs"
    BRIEF_PERSON_DIFFERS = "brief_person_differs"
    NO_FACE = "no_face"
    TOO_FEW_FACES = "too_few_faces"
    FACES_TOO_SMALL = "faces_too_small"
    LOW_CONFIDENCE = "low_confidence"


REASON_SENTENCES: Mapping[Reason, str] = {
    Reason.PERSON_DIFFERS: (
        "Most faces were voted real, but one person's faces were voted fake, "
        "and one fake person makes the video fake."
    ),
    Reason.BRIEF_PERSON_DIFFERS: (
        "Most faces were voted real, but those of somebody who is seen only briefly were voted "
        "fake: a short forgery, or something that is no face."
    ),
    Reason.NO_FACE: "No face was found in the frames that were looked at.",
    Reason.TOO_FEW_FACES: "Too few faces were found for a vote that means something.",
    Reason.FACES_TOO_SMALL: "The faces are too small in the picture to be judged.",
    Reason.LOW_CONFIDENCE: (
        "The model is too unsure about this video to call it real or fake: its probability is "
        "too close to call, or does not agree with the votes."
    ),
}


@dataclass(frozen=True)
class FaceBox:
    """An axis-aligned box in upright pixels, inside the frame."""

    x: int
    y: int
    width: int
    height: int

    @property
    def side(self) -> int:
        """The longer side, the measure of a face's size."""
        return max(self.width, self.height)

    def as_list(self) -> list[int]:
        """``[x, y, w, h]``."""
        return [self.x, self.y, self.width, self.height]


@dataclass(frozen=True)
class MediaInfo:
    """Facts of a video file as its container states them (so they may lie)."""

    container: str
    codec: str
    width: int
    """Upright pixels."""
    height: int
    """Upright pixels."""
    duration_s: float
    frame_count: int
    fps: float
    rotation: int
    """Clockwise degrees that were applied to make frames upright: 0, 90, 180, 270."""


@dataclass(frozen=True)
class SampledFrame:
    """One decoded frame the detector looks at."""

    index: int
    """Position in the order in which frames are shown, from 0."""
    time_s: float
    """When it is shown, by the container's clock and from the beginning of that: where a
    player has to be put to see it. Pictures may begin later than the sound."""
    window: int
    """Which run of neighbouring sampled frames it belongs to, from 0."""
    image: Image = field(repr=False, compare=False)


@dataclass(frozen=True)
class DetectedFace:
    """One face in one frame, as the face finder returned it, box clamped to the frame."""

    box: FaceBox
    confidence: float
    landmarks: tuple[tuple[int, int], ...] = ()
    """Left eye, right eye, nose, mouth left, mouth right: (x, y) in upright pixels."""


@dataclass(frozen=True)
class Face:
    """What is kept of a detected face; its frame is gone, and its crop once it is predicted."""

    frame_index: int
    time_s: float
    window: int
    box: FaceBox
    confidence: float
    appearance: npt.NDArray[np.float32] = field(repr=False, compare=False)
    """From ``people.describe``."""


@dataclass(frozen=True)
class Person:
    """The faces of one track, in order of time."""

    id: int
    """From 1, in order of first appearance."""
    faces: tuple[Face, ...]


@dataclass(frozen=True)
class Prediction:
    """One softmax output for one face."""

    p_fake: float
    p_real: float


@dataclass(frozen=True)
class VoteCount:
    """How many voting faces were voted real and fake."""

    real: int
    fake: int

    @property
    def total(self) -> int:
        return self.real + self.fake


@dataclass(frozen=True)
class FaceResult:
    """One face with its own vote."""

    person: int
    frame_index: int
    time_s: float
    box: FaceBox
    confidence: float
    predictions: tuple[Prediction, ...]
    vote: Label
    probability_fake: float
    counts: bool
    """Whether the vote takes part in the video vote: the face is large enough, and its
    person has enough such faces."""
    thumbnail: bytes = field(repr=False, compare=False)
    """JPEG of the face's crop."""


@dataclass(frozen=True)
class PersonResult:
    """One person with the majority over that person's faces."""

    id: int
    verdict: Verdict
    probability_fake: float
    votes: VoteCount
    """Over the person's faces that count, or over all of them if none does."""
    counts: bool


@dataclass(frozen=True)
class CheckpointId:
    """Which weights spoke."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class VideoResult:
    """Everything the detector says about one video."""

    verdict: Verdict
    vote: Label | None
    """The Majority Voting Rule over voting faces; None without a voting face."""
    reasons: tuple[Reason, ...]
    probability_fake: float | None
    """Of the deciding person; None without a voting face."""
    votes: VoteCount
    people: tuple[PersonResult, ...]
    faces: tuple[FaceResult, ...]
    """In order of (frame_index, person)."""
    media: MediaInfo
    checkpoint: CheckpointId
    sampling: str
    sampled_frames: tuple[int, ...]
    """Indices of the frames that were looked at, with or without a face."""
    seconds: Mapping[str, float]
    """Seconds per stage (decode, detect, track, predict, vote) and ``total``."""
    versions: Mapping[str, str]
    """Libraries that took part, by name."""
    skipped_frames: int = 0
    """Planned, and left out because they could not change the verdict any more."""


@dataclass(frozen=True)
class ProvisionalFace:
    """A face that was judged while others still are; number of person and vote may change."""

    person: int
    frame_index: int
    time_s: float
    vote: Label
    probability_fake: float
    picture: bytes = field(repr=False, compare=False)
    """Very small, WebP."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a video that is still looked at. It is no verdict, and may change."""

    judged_frames: int
    """Looked at, every face in them judged."""
    planned_frames: int
    votes: VoteCount
    """Of all faces so far that are large enough to vote, whether or not they will."""
    faces: tuple[ProvisionalFace, ...]
    """Of these, all or those of some frames, evenly apart."""
