"""The detector: a video file in, a ``VideoResult`` out.

The stages, by the names a user sees: probe ▸ sample ▸ detect ▸ track ▸ predict ▸
vote. Frames are streamed: while ``detect`` runs, a few frames are in memory, and of
each face what the result shows of it (a thumbnail, numbers) and, up to a bound, its
crop. With more faces than that, predicting begins while frames still come.
"""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata

import PIL.Image

from detector import checkpoints, people, voting
from detector.device import prepare
from detector.domain import (
    DetectedFace,
    Face,
    FaceResult,
    Image,
    MediaInfo,
    Person,
    SampledFrame,
    VideoResult,
)
from detector.faces import BATCH_FRAMES, FaceFinder
from detector.prediction import RUN_FRAMES, Predictor
from detector.preprocessing import crop_face
from detector.stages import OnProgress, ShouldStop, Stages
from detector.video import Limits, Sampling, sample

BATCH_BYTES = 64 * 1024 * 1024
"""Of frames that are in memory at a time: eight of 1080p, two of 4K, one of 8K."""

THUMBNAIL_SIDE = 160
THUMBNAIL_QUALITY = 85

LIBRARIES = ("tensorflow", "keras", "mtcnn", "numpy", "opencv-python-headless", "av", "pillow")


class Detector:
    """A trained detector, loaded once per process and used for many videos.

    Example::

        detector = Detector.load()
        result = detector.analyze("clip.mp4", Sampling.named("quick"))
        print(result.verdict, result.probability_fake)
    """

    def __init__(self, finder: FaceFinder, checkpoint: checkpoints.LoadedCheckpoint) -> None:
        self._finder = finder
        self._checkpoint = checkpoint
        self._thresholds = checkpoints.thresholds(checkpoint.metadata)
        self._temperature = checkpoints.temperature(checkpoint.metadata)

    @classmethod
    def load(cls, checkpoint: str = "default", device: str = "auto", threads: int = 0) -> Detector:
        """Load the networks. Takes many seconds.

        Args:
            checkpoint: name of an installed checkpoint, or a path to its folder.
            device: see ``device.prepare``.
            threads: TensorFlow's; 0 for all cores.

        Raises:
            CheckpointError: none of this name, or one that cannot be used.
            NoDevice: there is no such device here.
        """
        # What is missing or makes no sense is said before TensorFlow is loaded.
        about = checkpoints.read_metadata(checkpoints.find(checkpoint))
        checkpoints.thresholds(about), checkpoints.temperature(about)
        name = prepare(device, threads)
        loaded = checkpoints.load(checkpoint, device=name)
        return cls(FaceFinder(name), loaded)

    @property
    def checkpoint(self) -> checkpoints.Metadata:
        """What the loaded checkpoint says about itself."""
        return self._checkpoint.metadata

    def analyze(
        self,
        path: str | os.PathLike[str],
        sampling: Sampling | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
        limits: Limits | None = None,
    ) -> VideoResult:
        """Look at a video and vote.

        Args:
            path: the video file. Its bytes are read by a child process only.
            sampling: how many frames to look at; ``standard`` if None.
            on_progress: called with stage and fraction.
            should_stop: asked between batches and while waiting.
            limits: what the video may cost.

        Raises:
            UnusableVideo: the file cannot be analysed; the child class says why.
            AnalysisStopped: ``should_stop`` said so.
        """
        sampling = sampling or Sampling()
        if self._checkpoint.metadata.architecture["sequence"] == "frames":
            frames = sampling.frames and max(sampling.frames, RUN_FRAMES)
            sampling = replace(sampling, window_frames=RUN_FRAMES, frames=frames)
        stages = Stages(on_progress, should_stop)
        run = _Run(stages, Predictor(self._checkpoint))
        media = self._see(run, path, sampling, limits)
        with stages.enter("track"):
            linked = people.link(list(run.thumbnails), stages.stop_if_asked)
        with stages.enter("predict"):
            run.predict(complete=True)
        with stages.enter("vote"):
            decision, faces = self._vote(run, linked)
        return VideoResult(
            verdict=decision.verdict,
            vote=decision.vote,
            reasons=decision.reasons,
            probability_fake=decision.probability_fake,
            votes=decision.votes,
            people=decision.people,
            faces=faces,
            media=media,
            checkpoint=self._checkpoint.id,
            sampling=sampling.name,
            sampled_frames=tuple(sorted(run.sampled)),
            seconds=stages.seconds(),
            versions=_versions(),
        )

    def _see(
        self,
        run: _Run,
        path: str | os.PathLike[str],
        sampling: Sampling,
        limits: Limits | None,
    ) -> MediaInfo:
        """Probe, sample and detect: afterwards the run has every face."""
        stages = run.stages
        with stages.enter("probe", clock="decode"):
            stream = sample(path, sampling, limits, stages.should_stop)
        with stream:
            stages.report("sample", 0.0)
            frames = iter(stream)
            while True:
                stages.stop_if_asked()
                with stages.timed("decode"):
                    batch = _next_batch(frames)
                if not batch:
                    return stream.media
                with stages.timed("detect"):
                    self._find_faces(run, batch)
                # The next frames need the room of these.
                del batch
                if run.predictor.full:
                    with stages.timed("predict"):
                        run.predict(complete=False)
                stages.report("detect", len(run.sampled) / max(stream.expected, 1))

    def _find_faces(self, run: _Run, batch: Sequence[SampledFrame]) -> None:
        found = self._finder.find([frame.image for frame in batch])
        for frame, detected in zip(batch, found, strict=True):
            run.sampled.append(frame.index)
            for one in detected:
                self._keep(run, frame, one)

    def _keep(self, run: _Run, frame: SampledFrame, detected: DetectedFace) -> None:
        face = Face(
            frame_index=frame.index,
            time_s=frame.time_s,
            window=frame.window,
            box=detected.box,
            confidence=detected.confidence,
            appearance=people.describe(frame.image, detected.box),
        )
        about = self._checkpoint.metadata
        crop = crop_face(frame.image, detected.box, about.margin, about.drop)
        run.predictor.add(face, crop)
        run.thumbnails[face] = _thumbnail(crop)

    def _vote(
        self, run: _Run, linked: Sequence[Person]
    ) -> tuple[voting.Decision, tuple[FaceResult, ...]]:
        numbered = sorted(
            ((face, person.id) for person in linked for face in person.faces),
            key=lambda pair: (pair[0].frame_index, pair[1]),
        )
        predictions = [run.predictor.predictions(face) for face, _ in numbered]
        arrays = [[(p.p_fake, p.p_real) for p in of_face] for of_face in predictions]
        ballots = [
            voting.Ballot(
                person=person,
                vote=voting.frame_vote(array),
                probability_fake=voting.face_probability(array),
                side=face.box.side,
            )
            for (face, person), array in zip(numbered, arrays, strict=True)
        ]
        decision = voting.decide(ballots, self._thresholds, self._temperature)
        faces = tuple(
            FaceResult(
                person=ballot.person,
                frame_index=face.frame_index,
                time_s=face.time_s,
                box=face.box,
                confidence=face.confidence,
                predictions=of_face,
                vote=ballot.vote,
                probability_fake=ballot.probability_fake,
                counts=counts,
                thumbnail=run.thumbnails[face],
            )
            for (face, _), ballot, of_face, counts in zip(
                numbered, ballots, predictions, decision.counts, strict=True
            )
        )
        return decision, faces


@dataclass
class _Run:
    """One video on its way through the stages."""

    stages: Stages
    predictor: Predictor
    thumbnails: dict[Face, bytes] = field(default_factory=dict)
    sampled: list[int] = field(default_factory=list)

    def predict(self, *, complete: bool) -> None:
        """Predict the faces that wait, asking between batches whether to go on."""
        made = 0

        def step(count: int, total: int) -> None:
            nonlocal made
            made += count
            self.stages.stop_if_asked()
            if complete:
                self.stages.report("predict", made / total)

        self.predictor.predict(step, complete=complete)


def _next_batch(frames: Iterator[SampledFrame]) -> list[SampledFrame]:
    """As many frames as the face finder takes at once, fewer if they are very large."""
    batch: list[SampledFrame] = []
    for frame in frames:
        batch.append(frame)
        full = len(batch) == BATCH_FRAMES
        if full or sum(one.image.nbytes for one in batch) + frame.image.nbytes > BATCH_BYTES:
            break
    return batch


def _thumbnail(crop: Image) -> bytes:
    picture = PIL.Image.fromarray(crop).resize(
        (THUMBNAIL_SIDE, THUMBNAIL_SIDE), PIL.Image.Resampling.BOX
    )
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=THUMBNAIL_QUALITY)
    return content.getvalue()


def _versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # OpenCV comes in packages of several names.
    return installed
