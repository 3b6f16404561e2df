"""Choosing the abstention band on some videos and measuring it on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detector.cli import main
from detector.domain import Label, Verdict
from detector.training.cross_fitting import cross_fitted
from detector.training.evaluation_folder import EvaluationFolder
from detector.training.outcomes import Outcome
from tests.detector.evaluated import outcome

OUTLIER = "real/outlier"


def videos() -> list[Outcome]:
    """One genuine video among thirty looks more forged than any of the forged ones."""
    genuine = [outcome(f"real/{n}", 0.1) for n in range(30)]
    forged = [outcome(f"fake/{n}", 0.9) for n in range(10)]
    return [*genuine, outcome(OUTLIER, 0.95), *forged]


def verdicts(outcomes: list[Outcome]) -> dict[str, Verdict | None]:
    found = cross_fitted(outcomes, rate=0.1, most_undecided=1.0)
    return {one.path: one.verdict for one in found.outcomes}


def test_a_video_has_no_part_in_choosing_its_own_band() -> None:
    """The outlier widens the band of all folds but the one it is measured in."""
    found = cross_fitted(videos(), rate=0.1, most_undecided=1.0)
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


def test_other_reasons_stay_and_the_bands_own_is_judged_anew() -> None:
    brief = replace(
        outcome("real/brief", 0.1), verdict=Verdict.UNDECIDED, reasons=("brief_person_differs",)
    )
    close = replace(
        outcome("real/close", 0.1), verdict=Verdict.UNDECIDED, reasons=("low_confidence",)
    )
    person = replace(outcome("fake/person", 0.99), vote=Label.REAL, reasons=("person_differs",))
    nobody = outcome("real/nobody", None, reasons=("no_face",))
    by_path = verdicts([*videos(), brief, close, person, nobody])
    assert by_path["real/brief"] is Verdict.UNDECIDED
    assert by_path["real/close"] is not Verdict.UNDECIDED
    assert by_path["fake/person"] is Verdict.FAKE
    assert "real/nobody" not in by_path


@pytest.mark.parametrize(
    ("rate", "folds", "message"),
    [(0.1, 50, "41 groups of videos cannot"), (0.01, 5, "genuine sources are too few")],
)
def test_too_few_videos_are_an_error(rate: float, folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cross_fitted(videos(), rate=rate, most_undecided=1.0, folds=folds)


def test_the_command_sets_both_bands_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"levels": ["video"], "fingerprint": "f"}
    settings = {
        "checkpoint": "a" * 64,
        "thresholds": {"abstention_band": [0.3, 0.7]},
        "sets": {"clips": one, "others": one},
    }
    EvaluationFolder.begin(tmp_path, settings, afresh=False).add("clips", videos())
    command = ["crossfit", str(tmp_path), "--most-undecided", "1"]
    assert main(command) == 1
    assert "give --set, one of: clips, others" in capsys.readouterr().err
    assert main([*command, "--set", "clips"]) == 0
    shown = capsys.readouterr().out
    assert "clips: 41 videos, 31 genuine, 41 groups" in shown
    assert "The checkpoint's band: 0.30 to 0.70" in shown
    # The outlier is called fake with both; all forged videos with the checkpoint's band.
    assert "| false-positive rate on genuine | 0.032 (" in shown
    assert "| detected of fake | 1.000 (" in shown
