"""While a video is looked at: the evidence so far, and whether the rest can change anything."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import PIL.Image

from detector import people, voting
from detector.domain import Evidence, Face, Label, ProvisionalFace
from detector.prediction import Predictor
from detector.stages import Stages

OnEvidence = Callable[[Evidence], None]

MOST_SHOWN = 64
"""Faces of a snapshot: every one of the standard level, where one person is in the picture."""
PICTURE_SIDE = 64
PICTURE_QUALITY = 60
EVERY_S = 1.0
SHARE = 0.02
"""Of the time, which snapshots may take: where linking many faces takes long, they are fewer."""
LOOKS = 16
"""How often at most it is asked whether the verdict is settled; that links all faces."""


class Watch:
    """Follows the faces of one video from found to judged.

    Args:
        predictor: that judges them.
        thumbnails: a JPEG of each face that was added.
        stages: asked whether to go on.
        tell: given a snapshot as soon as there is one, and then at most once a second.
    """

    def __init__(
        self,
        predictor: Predictor,
        thumbnails: Mapping[Face, bytes],
        thresholds: voting.Thresholds,
        temperature: float | None,
        stages: Stages,
        tell: OnEvidence | None = None,
    ) -> None:
        self._predictor = predictor
        self._thumbnails = thumbnails
        self._thresholds = thresholds
        self._temperature = temperature
        self._stages = stages
        self._tell = tell
        self._due = 0.0
        self._look_at = 0
        self.settled = False
        self._found: list[Face] = []
        self._faces_in: Counter[int] = Counter()
        self._judged: dict[Face, tuple[Label, float]] = {}
        self._pictures: dict[Face, bytes] = {}

    def add(self, face: Face) -> None:
        """Take note of a face that the predictor was given."""
        self._found.append(face)
        self._faces_in[face.frame_index] += 1

    def tell(self, looked_at: int, planned: int) -> None:
        """Hand over a snapshot, if one is due and there is something in it.

        Args:
            looked_at: frames whose faces were added, those without a face included.
            planned: frames in all.
        """
        now, began = time.monotonic(), time.thread_time()
        if self._tell is None or now < self._due:
            return
        judged_frames = self._judge(looked_at)
        large = [f for f in self._judged if f.box.side >= self._thresholds.min_face_px]
        if large:
            self._tell(self._snapshot(large, judged_frames, planned))
            self._due = now + max(EVERY_S, (time.thread_time() - began) / SHARE)

    def settle(self, looked_at: int, planned: int) -> bool:
        """Whether ``judged_frames`` of those that were looked at settle verdict and vote. Then
        ``judged_faces`` are all faces in them, and nothing more is to be judged."""
        judged_frames = self._judge(looked_at)
        left = planned - judged_frames
        fake = sum(vote is Label.FAKE for vote, _ in self._judged.values())
        if not left or fake < left or judged_frames < self._look_at:
            return False
        self._look_at = judged_frames + max(1, planned // LOOKS)
        ballots = [
            voting.Ballot(person.id, *self._judged[face], face.box.side)
            for person in people.link(self.judged_faces(), self._stages.stop_if_asked)
            for face in person.faces
        ]
        self.settled = voting.settled(
            ballots,
            left,
            fullest=max(self._faces_in.values()),
            thresholds=self._thresholds,
            temperature=self._temperature,
        )
        return self.settled

    def judged_frames(self, looked_at: Iterable[int]) -> list[int]:
        """Those of the frames in which no face waits for its vote, when that was last asked."""
        waiting = {face.frame_index for face in self._found}
        return [index for index in looked_at if index not in waiting]

    def judged_faces(self) -> list[Face]:
        """The faces in such frames."""
        waiting = {face.frame_index for face in self._found}
        return [face for face in self._judged if face.frame_index not in waiting]

    def _judge(self, looked_at: int) -> int:
        """Note the votes that are complete; in how many frames no vote is missing."""
        self._predictor.collect()
        unfinished = self._predictor.unfinished()
        for face in self._found:
            if face not in unfinished:
                predictions = [(p.p_fake, p.p_real) for p in self._predictor.predictions(face)]
                vote = voting.frame_vote(predictions)
                self._judged[face] = vote, voting.face_probability(predictions)
        self._found = [face for face in self._found if face in unfinished]
        return looked_at - len({face.frame_index for face in self._found})

    def _snapshot(self, large: list[Face], judged_frames: int, planned: int) -> Evidence:
        linked = people.link(_evenly(large), self._stages.stop_if_asked)
        return Evidence(
            judged_frames,
            planned,
            voting.count_votes(self._judged[face][0] for face in large),
            tuple(
                ProvisionalFace(
                    person, face.frame_index, face.time_s, *self._judged[face], self._picture(face)
                )
                for face, person in people.numbered(linked)
            ),
        )

    def _picture(self, face: Face) -> bytes:
        if face not in self._pictures:
            self._pictures[face] = _small(self._thumbnails[face])
        return self._pictures[face]


def _evenly(faces: list[Face]) -> list[Face]:
    """All, or those of every second, fourth, eighth … frame: what is shown stays or goes, so
    that pictures neither jump from one snapshot to the next nor are made again."""
    frames = {index: n for n, index in enumerate(dict.fromkeys(f.frame_index for f in faces))}
    step = 1
    while len(faces) > MOST_SHOWN and step <= len(frames):
        step *= 2
        faces = [face for face in faces if frames[face.frame_index] % step == 0]
    return faces[:MOST_SHOWN]


def _small(thumbnail: bytes) -> bytes:
    picture = PIL.Image.open(io.BytesIO(thumbnail))
    content = io.BytesIO()
    small = picture.resize((PICTURE_SIDE, PICTURE_SIDE), PIL.Image.Resampling.BOX)
    small.save(content, "WEBP", quality=PICTURE_QUALITY)
    return content.getvalue()
