"""Outcomes, sets and networks by heart, for what evaluates."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from detector.checkpoints import LoadedCheckpoint, Metadata
from detector.domain import CheckpointId, Label, Verdict
from detector.training.outcomes import FaceOutcome, Outcome
from tests.detector.crops import jpeg, picture


def outcome(
    path: str,
    probability: float | None,
    *,
    group: str | None = None,
    method: str | None = None,
    undecided: bool = False,
    faces: Sequence[float] | None = None,
    error: str = "",
    reasons: tuple[str, ...] = (),
) -> Outcome:
    """Of a video whose path begins with ``real`` or ``fake``; the votes go by the probability,
    and unless something else is said there is one face, as suspicious as the video."""
    label = Label.FAKE if path.startswith("fake") else Label.REAL
    if faces is None:
        faces = [] if probability is None else [probability]
    vote = None if probability is None else _vote(probability)
    verdict = None if vote is None else Verdict(vote.name)
    return Outcome(
        path=path,
        group=group or path,
        label=label,
        method=method or ("genuine" if label == Label.REAL else "swap"),
        verdict=Verdict.UNDECIDED if undecided or (reasons and vote is None) else verdict,
        vote=vote,
        probability_fake=probability,
        votes_real=sum(_vote(p) == Label.REAL for p in faces),
        votes_fake=sum(_vote(p) == Label.FAKE for p in faces),
        reasons=reasons,
        error=error,
        seconds=None if error else 2.0,
        faces=tuple(
            FaceOutcome(1, 5 * n, 90, _vote(p), p, undecided, True) for n, p in enumerate(faces)
        ),
    )


def _vote(probability: float) -> Label:
    return Label.FAKE if probability >= 0.5 else Label.REAL


class Network:
    """Gives the crops it is shown the next answers of a list, the same in all eight steps."""

    sequence = "rows"
    device = "CPU:0"

    def __init__(self, answers: Iterable[float], **metadata: Any) -> None:
        self._answers = iter(answers)
        self.shown: list[np.ndarray] = []
        about: dict[str, Any] = {
            "name": "by-heart",
            "version": "1",
            "sha256": "c" * 64,
            "architecture": {"sequence": "rows", "image_size": 96},
            "margin": 1.3,
            "drop": 0.0,
            "thresholds": {},
            "calibration": None,
            "raw": {},
        }
        self.metadata = Metadata(**about | metadata)

    @property
    def id(self) -> CheckpointId:
        return self.metadata.id

    def predict_faces(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        self.shown += crops
        fake = np.array([[next(self._answers)] * 8 for _ in crops])
        return np.stack([fake, 1 - fake], axis=-1).astype(np.float32)


def network(answers: Iterable[float], **metadata: Any) -> LoadedCheckpoint:
    return cast(LoadedCheckpoint, Network(answers, **metadata))


def write_crops_of_videos(
    folder: Path,
    videos: dict[str, tuple[str, int]],
    *,
    side: Callable[[int], int] = lambda _: 90,
) -> Path:
    """As ``detector preprocess`` leaves them: path of a video ▸ (source, how many crops).

    ``side`` is that of the face in crop number n of its video.
    """
    folder.mkdir()
    rows = []
    for video, (source, count) in videos.items():
        for number in range(count):
            path = f"{video.replace('/', '-')}-{number}.jpg"
            (folder / path).write_bytes(jpeg(picture(number)))
            rows.append(
                {
                    "path": path,
                    "label": "FAKE" if video.startswith("fake") else "REAL",
                    "source_video": source,
                    "split": "test",
                    "method": "swap",
                    "video": video,
                    "person": 1,
                    "frame_index": 5 * number,
                    "face_px": side(number),
                }
            )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder
