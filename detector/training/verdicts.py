"""Asks the detector about labelled videos and crops, on the way that serves.

Videos go through ``Detector.analyze``. Crops are cut already: they go through
``preprocessing.whole_crop``, the checkpoint and the rules of ``voting``.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detector import checkpoints, voting
from detector.domain import Image, Label, VideoResult
from detector.errors import InternalError, UnusableVideo
from detector.network import Network
from detector.preprocessing import CROP_SIDE, whole_crop
from detector.sampling import Sampling
from detector.training.crops import LabelledFace
from detector.training.datasets import Example
from detector.training.errors import DatasetError
from detector.training.evaluation_sets import Item
from detector.training.outcomes import FaceOutcome, Outcome
from detector.training.robustness import Damage, damaged_video

if TYPE_CHECKING:
    from detector.pipeline import Detector

Predictions = npt.NDArray[np.float32]
"""Of one face: (n, 2) in class order."""


def ask_about_video(
    detector: Detector,
    folder: Path,
    example: Example,
    sampling: Sampling,
    damage: Damage | None = None,
) -> Outcome:
    """The verdict on a video, or the code of what went wrong with it.

    ``seconds`` are those of the analysis, without the making of a damaged copy.
    """
    unjudged = Outcome(example.path, example.group, example.label, example.method, example.dataset)
    path = folder / example.path
    try:
        with damaged_video(path, damage) if damage else nullcontext(path) as shown:
            result = detector.analyze(shown, sampling)
    except UnusableVideo as error:
        return replace(unjudged, error=error.code)
    except Exception:
        # As the command line does: what nobody foresaw in one video costs no other.
        print(f"{path}:", file=sys.stderr)
        traceback.print_exc()
        return replace(unjudged, error=InternalError.code)
    about = detector.checkpoint
    rules = Rules(checkpoints.thresholds(about), checkpoints.temperature(about))
    return replace(
        unjudged,
        verdict=result.verdict,
        vote=result.vote,
        probability_fake=result.probability_fake,
        votes_real=result.votes.real,
        votes_fake=result.votes.fake,
        reasons=tuple(reason.value for reason in result.reasons),
        seconds=result.seconds["total"],
        faces=_faces_of(result, rules),
    )


@dataclass(frozen=True)
class Rules:
    """The checkpoint's own: whose vote counts, and what its probabilities mean."""

    thresholds: voting.Thresholds
    temperature: float | None

    def decide(self, ballots: Sequence[voting.Ballot]) -> voting.Decision:
        """The verdict on a video."""
        return voting.decide(ballots, self.thresholds, self.temperature)

    def with_band(self, band: tuple[float, float] | None) -> Rules:
        """The same with another abstention band, or with none."""
        return replace(self, thresholds=replace(self.thresholds, abstention_band=band))

    def for_single_faces(self) -> Rules:
        """A crop without its video is judged though it is one, of whatever size."""
        alone = replace(self.thresholds, min_track_faces=1, min_voting_faces=1, min_face_px=1)
        return replace(self, thresholds=alone)

    def face(
        self,
        ballot: voting.Ballot,
        counts: bool,
        *,
        frame_index: int,
        path: str = "",
    ) -> FaceOutcome:
        """A face on its own: the calibrated probability, and whether it is withheld."""
        probability = voting.calibrated(ballot.probability_fake, self.temperature)
        band = self.thresholds.abstention_band
        return FaceOutcome(
            person=ballot.person,
            frame_index=frame_index,
            side=ballot.side,
            vote=ballot.vote,
            probability_fake=probability,
            undecided=voting.too_unsure(ballot.vote is Label.FAKE, probability, band),
            counts=counts,
            path=path,
        )


def ask_about_crops(
    checkpoint: Network,
    items: Sequence[Item],
    *,
    single: bool,
    damage: Damage | None = None,
) -> list[Outcome]:
    """The verdicts on videos of which a set has the crops.

    Args:
        single: the crops are judged alone, see ``Rules.for_single_faces``.

    Raises:
        DatasetError: a crop is not a square picture, or the checkpoint reads frames.
    """
    if checkpoint.sequence != "rows":
        raise DatasetError(
            f"{checkpoint.id.name} reads windows of neighboring frames, and stored crops are "
            "none: evaluate it on videos"
        )
    about = checkpoint.metadata
    rules = Rules(checkpoints.thresholds(about), checkpoints.temperature(about))
    if single:
        rules = rules.for_single_faces()
    began = time.perf_counter()
    crops = [_crop(face, damage) for item in items for face in item.faces]
    answers = iter(checkpoint.predict_faces([crop for crop, _side in crops]))
    sides = iter([side for _crop, side in crops])
    outcomes = [_decided(item, rules, [(next(answers), next(sides)) for _ in item.faces])
                for item in items]  # fmt: skip
    seconds = (time.perf_counter() - began) / len(items)
    return [replace(outcome, seconds=round(seconds, 4)) for outcome in outcomes]


def _crop(face: LabelledFace, damage: Damage | None) -> tuple[Image, int]:
    """The crop as the checkpoint takes it, and how large it was stored."""
    stored = face.image()
    shown = damage.crop(stored) if damage else stored
    return shown if shown.shape[0] == CROP_SIDE else whole_crop(shown), stored.shape[0]


def _decided(item: Item, rules: Rules, asked: Sequence[tuple[Predictions, int]]) -> Outcome:
    ballots = [
        voting.Ballot(
            person=face.row.person,
            vote=voting.frame_vote(predictions),
            probability_fake=voting.face_probability(predictions),
            side=face.row.side or stored,
        )
        for face, (predictions, stored) in zip(item.faces, asked, strict=True)
    ]
    decision = rules.decide(ballots)
    example = item.example
    return Outcome(
        path=example.path,
        group=example.group,
        label=example.label,
        method=example.method,
        dataset=example.dataset,
        verdict=decision.verdict,
        vote=decision.vote,
        probability_fake=decision.probability_fake,
        votes_real=decision.votes.real,
        votes_fake=decision.votes.fake,
        reasons=tuple(reason.value for reason in decision.reasons),
        faces=tuple(
            rules.face(ballot, counts, frame_index=face.row.frame_index, path=face.row.path)
            for face, ballot, counts in zip(item.faces, ballots, decision.counts, strict=True)
        ),
    )


def _faces_of(result: VideoResult, rules: Rules) -> tuple[FaceOutcome, ...]:
    return tuple(
        rules.face(
            voting.Ballot(face.person, face.vote, face.probability_fake, face.box.side),
            face.counts,
            frame_index=face.frame_index,
        )
        for face in result.faces
    )
