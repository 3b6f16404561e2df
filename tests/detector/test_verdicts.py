"""What the detector says of labelled crops and videos, and how that is kept."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from detector import Detector
from detector.checkpoints import LoadedCheckpoint
from detector.domain import Label, Verdict
from detector.sampling import Sampling
from detector.training.datasets import Example
from detector.training.errors import DatasetError
from detector.training.evaluation_sets import read_sets
from detector.training.outcomes import Outcome
from detector.training.robustness import DAMAGES, Damage, unchanged
from detector.training.verdicts import ask_about_crops, ask_about_video
from tests import clips
from tests.detector.evaluated import Network, network, write_crops_of_videos

QUICK = Sampling.named("quick")
CALIBRATED = {"calibration": {"temperature": 2.0}, "thresholds": {"abstention_band": [0.4, 0.6]}}


def asked(folder: Path, answers: list[float], **metadata: object) -> list[Outcome]:
    [one] = read_sets([str(folder)], {})
    return ask_about_crops(network(answers, **metadata), one.items, single=one.single)


def test_a_single_crop_is_judged_alone_and_at_any_size(tmp_path: Path) -> None:
    videos = {"real/1.mp4": ("1", 1), "fake/1.mp4": ("1", 1)}
    folder = write_crops_of_videos(tmp_path / "cut", videos, side=lambda _: 20)
    real, fake = asked(folder, [0.3, 0.9])
    assert (real.verdict, real.vote, real.reasons) == (Verdict.REAL, Label.REAL, ())
    assert (fake.verdict, fake.vote) == (Verdict.FAKE, Label.FAKE)
    assert fake.probability_fake == pytest.approx(0.9)
    assert [face.counts for face in real.faces] == [True]
    assert real.seconds is not None


def test_the_crops_of_a_video_vote_by_the_rules_that_serve(tmp_path: Path) -> None:
    """Three large faces of four vote; of the other video too few do."""
    videos = {"real/1.mp4": ("1", 4), "fake/1.mp4": ("1", 2)}
    folder = write_crops_of_videos(
        tmp_path / "cut", videos, side=lambda number: 40 if number == 3 else 90
    )
    real, fake = asked(folder, [0.2, 0.4, 0.6, 0.9, 0.9, 0.9])
    assert (real.verdict, real.votes_real, real.votes_fake) == (Verdict.REAL, 2, 1)
    assert real.probability_fake == pytest.approx(0.4)
    assert [face.counts for face in real.faces] == [True, True, True, False]
    assert [face.frame_index for face in real.faces] == [0, 5, 10, 15]
    assert (fake.verdict, fake.vote, fake.reasons) == (Verdict.UNDECIDED, None, ("too_few_faces",))
    assert fake.probability_fake is None


def test_probabilities_are_calibrated_and_the_band_withholds(dataset: Path) -> None:
    answers = [0.9, 0.55] * 12
    first, second, *_ = asked(dataset, answers, **CALIBRATED)
    # The logit of 0.9 is the logarithm of 9; half of it that of 3.
    assert first.probability_fake == pytest.approx(0.75)
    assert first.faces[0].probability_fake == pytest.approx(0.75)
    assert (first.verdict, first.faces[0].undecided) == (Verdict.FAKE, False)
    assert (second.verdict, second.vote) == (Verdict.UNDECIDED, Label.FAKE)
    assert (second.reasons, second.faces[0].undecided) == (("low_confidence",), True)


def test_crops_reach_the_network_as_300_pixels_and_damaged(dataset: Path) -> None:
    [one] = read_sets([f"{dataset}:val"], {})
    shown = Network([0.5] * 4)
    checkpoint = cast(LoadedCheckpoint, shown)
    damage = Damage("black", unchanged, 23, np.zeros_like)
    ask_about_crops(checkpoint, one.items, single=True)
    ask_about_crops(checkpoint, one.items, single=True, damage=damage)
    assert {crop.shape for crop in shown.shown} == {(300, 300, 3)}
    assert [crop.any() for crop in shown.shown] == [True, True, False, False]


def test_a_crop_that_is_not_square_is_named(tmp_path: Path) -> None:
    folder = write_crops_of_videos(tmp_path / "cut", {"real/1.mp4": ("1", 1)})
    cv2.imwrite(str(folder / "real-1.mp4-0.jpg"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"real-1\.mp4-0\.jpg: a face crop is square, got 30×20"):
        asked(folder, [0.5])


def test_stored_crops_are_not_shown_to_a_network_that_reads_frames(dataset: Path) -> None:
    one = Network([])
    one.sequence = "frames"
    [crops] = read_sets([str(dataset)], {})
    with pytest.raises(DatasetError, match="reads windows of neighboring frames"):
        ask_about_crops(one, crops.items, single=True)  # type: ignore[arg-type]


def test_a_video_is_judged_as_in_service(detector: Detector, tmp_path: Path) -> None:
    clips.one_person(tmp_path / "clip.mp4", seconds=1, person=1)
    example = Example("clip.mp4", Label.FAKE, "group", "swap")
    four = Sampling("four", frames=4, window_frames=4)
    said = ask_about_video(detector, tmp_path, example, four)
    served = detector.analyze(tmp_path / "clip.mp4", four)
    assert len(said.faces) == 4
    assert (said.verdict, said.vote) == (served.verdict, served.vote)
    assert said.probability_fake == served.probability_fake
    assert said.votes_fake == served.votes.fake > 2
    assert [(f.frame_index, f.probability_fake, f.counts) for f in said.faces] == [
        (f.frame_index, f.probability_fake, f.counts) for f in served.faces
    ]
    assert said.seconds is not None
    assert (said.path, said.group, said.method) == ("clip.mp4", "group", "swap")


def test_what_cannot_be_judged_keeps_its_code(
    detector: Detector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(name: str) -> Outcome:
        example = Example(name, Label.REAL, name, "genuine")
        return ask_about_video(detector, tmp_path, example, QUICK)

    clips.text_file(tmp_path / "text.mp4")
    clips.no_face(tmp_path / "landscape.mp4", seconds=0.4)
    broken, empty = said("text.mp4"), said("landscape.mp4")
    assert (broken.error, broken.verdict, broken.vote) == ("not_a_video", None, None)
    assert (empty.error, empty.verdict, empty.reasons) == ("", Verdict.UNDECIDED, ("no_face",))

    def fail(*_: object) -> None:
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr(detector, "analyze", fail)
    assert said("landscape.mp4").error == "internal"
    assert "landscape.mp4" in (err := capsys.readouterr().err)
    assert "the roof fell in" in err


def test_a_damaged_video_is_judged_instead_of_the_original(
    detector: Detector, tmp_path: Path
) -> None:
    clips.one_person(tmp_path / "clip.mp4", seconds=1)
    clips.text_file(tmp_path / "text.mp4")
    black = Damage("black", np.zeros_like, 23, unchanged)

    def said(name: str, damage: Damage) -> Outcome:
        example = Example(name, Label.REAL, name, "genuine")
        return ask_about_video(detector, tmp_path, example, QUICK, damage)

    assert said("clip.mp4", DAMAGES[0]).vote == Label.REAL
    assert said("clip.mp4", black).reasons == ("no_face",)
    assert said("text.mp4", black).error == "not_a_video"
