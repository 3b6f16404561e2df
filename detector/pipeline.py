"""The detector: a video file in, a ``VideoResult`` out.

The stages, by the names a user sees: probe ▸ sample ▸ detect ▸ track ▸ predict ▸
vote. Frames are streamed, and the stages overlap: while a child decodes, a pool of as many
threads as there are cores looks for faces and predicts those that were found. A few windows
of frames are in memory, and of each face what the result shows of it (a thumbnail, numbers)
and, up to a bound, its crop.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from detector import checkpoints, people, serving, voting
from detector.device import choose, cores
from detector.domain import Face, FaceResult, Image, Person, VideoResult
from detector.evidence import OnEvidence, Watch
from detector.extraction import Cut, FaceExtraction
from detector.faces import FaceFinder
from detector.network import Metadata, Network
from detector.prediction import Predictor, sampling_for
from detector.stages import OnProgress, ShouldStop, Stages
from detector.versions import versions
from detector.video import Limits, Sampling

THUMBNAIL_SIDE = 160
THUMBNAIL_QUALITY = 85


class Detector:
    """A trained detector, loaded once per process and used for many videos.

    Example::

        detector = Detector.load()
        result = detector.analyze("clip.mp4", Sampling.named("quick"))
        print(result.verdict, result.probability_fake)
    """

    def __init__(self, finder: FaceFinder, network: Network, threads: int = 0) -> None:
        self._finder = finder
        self._network = network
        self._thresholds = checkpoints.thresholds(network.metadata)
        self._temperature = checkpoints.temperature(network.metadata)
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="detector")

    @classmethod
    def load(
        cls,
        checkpoint: str = "default",
        device: str = "auto",
        threads: int = 0,
        cache: Path | None = None,
        bits: int = 32,
    ) -> Detector:
        """Load the networks: a second, and many when a checkpoint is used for the first time.

        Args:
            checkpoint: name of an installed checkpoint, or a path to its folder.
            device: see ``device.choose``.
            threads: that compute; 0 for one on each core.
            cache, bits: see ``serving.load``.

        Raises:
            CheckpointError: none of this name, or one that cannot be used.
            NoDevice: there is no such device here.
            ValueError: ``threads`` is negative.
        """
        # What is missing or makes no sense is said before TensorFlow is loaded.
        about = checkpoints.read_metadata(checkpoints.find(checkpoint))
        checkpoints.thresholds(about), checkpoints.temperature(about)
        name = choose(device, threads)
        return cls(FaceFinder(), serving.load(checkpoint, name, cache, bits), threads)

    @property
    def checkpoint(self) -> Metadata:
        """What the loaded checkpoint says about itself."""
        return self._network.metadata

    def analyze(
        self,
        path: str | os.PathLike[str],
        sampling: Sampling | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
        limits: Limits | None = None,
        on_evidence: OnEvidence | None = None,
        early_stop: bool = False,
    ) -> VideoResult:
        """Look at a video and vote.

        Args:
            path: the video file. Its bytes are read by a child process only.
            sampling: how many frames to look at; ``standard`` if None.
            on_progress: called with stage and fraction.
            should_stop: asked between batches and while waiting.
            limits: what the video may cost.
            on_evidence: given votes and faces so far, at most once a second.
            early_stop: look at no more frames when those that are not judged cannot change
                verdict or vote; see ``voting.settled``. How many frames that takes depends on
                which faces are judged first, so it need not be the same the next time.

        Raises:
            UnusableVideo: the file cannot be analysed; the child class says why.
            AnalysisStopped: ``should_stop`` said so.
        """
        sampling = sampling_for(self._network.metadata, sampling or Sampling())
        stages = Stages(on_progress, should_stop)
        run = self._run(stages, on_evidence, early_stop)
        try:
            extraction = self._see(run, path, sampling, limits)
            with stages.enter("track"):
                linked = people.link(run.faces(), stages.stop_if_asked)
            run.predict_the_rest(extraction)
        except BaseException:
            run.predictor.cancel()
            raise
        with stages.enter("vote"):
            sampled = sorted(extraction.sampled)
            if run.watch.settled:
                sampled = run.watch.judged_frames(sampled)
                linked = people.link(run.faces(), stages.stop_if_asked)
            decision, faces = self._vote(run, linked)
        return VideoResult(
            verdict=decision.verdict,
            vote=decision.vote,
            reasons=decision.reasons,
            probability_fake=decision.probability_fake,
            votes=decision.votes,
            people=decision.people,
            faces=faces,
            media=extraction.media,
            checkpoint=self._network.id,
            sampling=sampling.name,
            sampled_frames=tuple(sampled),
            seconds=stages.seconds(),
            versions=versions()
            | {"network": f"{self._network.bits} bits", "rules": str(voting.RULES)},
            skipped_frames=run.planned - len(sampled) if run.watch.settled else 0,
        )

    def _run(self, stages: Stages, on_evidence: OnEvidence | None, early_stop: bool) -> _Run:
        thumbnails: dict[Face, bytes] = {}
        predictor = Predictor(self._network, self._pool, stages=stages)
        watch = Watch(
            predictor, thumbnails, self._thresholds, self._temperature, stages, on_evidence
        )
        return _Run(stages, predictor, watch, thumbnails, early_stop)

    def _see(
        self,
        run: _Run,
        path: str | os.PathLike[str],
        sampling: Sampling,
        limits: Limits | None,
    ) -> FaceExtraction:
        """Probe, sample and detect: afterwards the run has every face, unless it is settled."""
        stages, about = run.stages, self._network.metadata
        cut = Cut(about.margin, about.drop)
        with FaceExtraction(
            path, self._finder, cut, sampling, stages, limits, self._pool, self._threads
        ) as extraction:
            for faces in extraction:
                for face, crop in faces:
                    run.predictor.add(face, crop)
                    run.thumbnails[face] = _thumbnail(crop)
                    run.watch.add(face)
                run.watch.tell(len(extraction.sampled), extraction.expected)
                # A damaged file may come to more frames than were expected, never to more
                # than this: the budget, or of a very short file two windows.
                most = max(extraction.expected, sampling.frames or 2 * sampling.window_frames)
                if run.settle(len(extraction.sampled), extraction.expected, most):
                    break
        return extraction

    def _vote(
        self, run: _Run, linked: Sequence[Person]
    ) -> tuple[voting.Decision, tuple[FaceResult, ...]]:
        numbered = people.numbered(linked)
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
    watch: Watch
    thumbnails: dict[Face, bytes]
    early_stop: bool
    planned: int = 0

    def faces(self) -> list[Face]:
        """All that were found, or those that have settled the verdict."""
        return self.watch.judged_faces() if self.watch.settled else list(self.thumbnails)

    def settle(self, looked_at: int, planned: int, most: int) -> bool:
        """Whether no more has to be judged of the frames that were looked at and those that are
        left, ``most`` in all."""
        if not self.early_stop or not self.watch.settle(looked_at, most):
            return False
        self.planned = planned
        self.predictor.cancel()
        return True

    def predict_the_rest(self, extraction: FaceExtraction) -> None:
        """Wait for all predictions, asking between them whether to go on."""
        self.stages.stop_if_asked()
        self.stages.report("predict", 0.0)
        looked_at = len(extraction.sampled)

        def step(made: int, total: int) -> None:
            self.stages.stop_if_asked()
            self.stages.report("predict", made / total)
            self.watch.tell(looked_at, extraction.expected)
            self.settle(looked_at, looked_at, looked_at)

        if not self.watch.settled:
            self.predictor.finish(step)


def _thumbnail(crop: Image) -> bytes:
    picture = PIL.Image.fromarray(crop).resize(
        (THUMBNAIL_SIDE, THUMBNAIL_SIDE), PIL.Image.Resampling.BOX
    )
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=THUMBNAIL_QUALITY)
    return content.getvalue()
