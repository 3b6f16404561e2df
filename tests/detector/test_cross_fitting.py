"""Choosing the abstention band on some videos and measuring it on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detector.cli import main
from detector.domain import Label, Verdict
from detector.training.cross_fitting import cross_fitted, decided
from detector.training.evaluation_folder import EvaluationFolder
from detector.training.outcomes import FaceOutcome, Outcome
from detector.training.verdicts import Rules
from detector.voting import Ballot, Thresholds, calibrated, decide
from tests.detector.evaluated import outcome

OUTLIER = "real/outlier"

SINGLE = Rules(Thresholds(min_track_faces=1, min_voting_faces=1, min_face_px=1), None)
"""Each video has one face."""


def videos() -> list[Outcome]:
    """One genuine video among thirty looks more forged than any of the forged ones."""
    genuine = [outcome(f"real/{n}", 0.1) for n in range(30)]
    forged = [outcome(f"fake/{n}", 0.9) for n in range(10)]
    return [*genuine, outcome(OUTLIER, 0.95), *forged]


def verdicts(outcomes: list[Outcome]) -> dict[str, Verdict | None]:
    found = cross_fitted(outcomes, SINGLE, rate=0.1, most_undecided=1.0)
    return {one.path: one.verdict for one in found.outcomes}


def faces(person: int, count: int, probability: float, vote: Label) -> list[FaceOutcome]:
    return [FaceOutcome(person, 5 * n, 90, vote, probability, False, True) for n in range(count)]


def test_a_video_has_no_part_in_choosing_its_own_band() -> None:
    """The outlier widens the band of all folds but the one it is measured in."""
    found = cross_fitted(videos(), SINGLE, rate=0.1, most_undecided=1.0)
    assert sorted(found.bands, key=lambda band: band[1])[0] == (0.5, 0.5)
    assert sorted(high for _low, high in found.bands)[1:] == [0.95] * 4
    by_path = verdicts(videos())
    assert by_path[OUTLIER] is Verdict.FAKE
    forged = [verdict for path, verdict in by_path.items() if path.startswith("fake")]
    assert Verdict.UNDECIDED in forged
    assert set(forged) <= {Verdict.UNDECIDED, Verdict.FAKE}


def test_all_of_a_group_are_in_one_fold() -> None:
    """A second video of the outlier's group would give it away."""
    twin = outcome("real/twin", 0.95, group=OUTLIER)
    by_path = verdicts([*videos(), twin])
    assert (by_path[OUTLIER], by_path["real/twin"]) == (Verdict.FAKE, Verdict.FAKE)


def test_the_faces_are_voted_on_again_by_the_rules_that_serve() -> None:
    """What was withheld does not say what it would have been: the vote alone would mislead."""
    real, fake = faces(1, 20, 0.1, Label.REAL), faces(2, 8, 0.99, Label.FAKE)
    kept = replace(outcome("fake/x", 0.5), verdict=Verdict.UNDECIDED, vote=Label.REAL)
    person = replace(kept, path="fake/person", faces=tuple(real + fake))
    contrary = replace(kept, path="fake/contrary", faces=tuple(real + faces(2, 8, 0.3, Label.FAKE)))
    brief = replace(kept, path="fake/brief", faces=tuple(real + fake[:2]))
    nobody = outcome("real/nobody", None, reasons=("no_face",))
    by_path = verdicts([*videos(), person, contrary, brief, nobody])
    assert by_path["fake/person"] is Verdict.FAKE
    assert by_path["fake/contrary"] is Verdict.UNDECIDED
    assert by_path["fake/brief"] is Verdict.UNDECIDED
    assert "real/nobody" not in by_path


@pytest.mark.parametrize("temperature", [None, 0.7, 2.0])
def test_what_was_kept_of_a_video_gives_its_verdict_again(temperature: float | None) -> None:
    raw = [0.2, 0.7, 0.8, 0.65, 0.9]
    ballots = [Ballot(1, Label.FAKE if p > 0.5 else Label.REAL, p, 90) for p in raw]
    thresholds = Thresholds(abstention_band=(0.3, 0.6))
    decision = decide(ballots, thresholds, temperature)
    kept = replace(
        outcome("fake/x", decision.probability_fake),
        faces=tuple(
            FaceOutcome(
                1, 5 * n, 90, b.vote, calibrated(b.probability_fake, temperature), False, True
            )
            for n, b in enumerate(ballots)
        ),
    )
    again = decided(kept, Rules(thresholds, temperature))
    assert again.verdict is decision.verdict
    assert again.probability_fake == pytest.approx(decision.probability_fake)


@pytest.mark.parametrize(
    ("rate", "folds", "message"),
    [(0.1, 50, "41 groups of videos cannot"), (0.01, 5, "genuine sources are too few")],
)
def test_too_few_videos_are_an_error(rate: float, folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cross_fitted(videos(), SINGLE, rate=rate, most_undecided=1.0, folds=folds)


def test_the_command_sets_both_bands_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"levels": ["video", "frame"], "fingerprint": "f"}
    crops = {"levels": ["frame"], "fingerprint": "f"}
    settings = {
        "checkpoint": "a" * 64,
        "thresholds": {
            "abstention_band": [0.3, 0.7],
            "min_track_faces": 1,
            "min_voting_faces": 1,
        },
        "calibration": None,
        "sets": {"clips": one, "others": one, "crops": crops},
    }
    EvaluationFolder.begin(tmp_path, settings, afresh=False).add("clips", videos())
    command = ["crossfit", str(tmp_path), "--most-undecided", "1"]
    assert main(command) == 1
    assert "give --set, one of videos: clips, others\n" in capsys.readouterr().err
    assert main([*command, "--set", "clips"]) == 0
    shown = capsys.readouterr().out
    assert "clips: 41 videos, 31 genuine, 41 groups" in shown
    assert "The checkpoint's band: 0.30 to 0.70" in shown
    # The outlier is called fake with both; all forged videos with the checkpoint's band.
    assert "| false-positive rate on genuine | 0.032 (" in shown
    assert "| detected of fake | 1.000 (" in shown
