"""From outcomes to the entries that reports, cards and pages show."""

import json
from dataclasses import replace
from typing import Any

import pytest

from detector.domain import Label, Verdict
from detector.training import figure_tables, metrics, summary
from detector.training.outcomes import Outcome, frame_examples, video_examples, without_vote
from tests.detector.evaluated import outcome

SIX = [
    outcome("real/1", 0.1, group="1"),
    outcome("real/2", 0.6, group="2"),
    outcome("real/3", 0.2, group="3"),
    outcome("fake/1", 0.9, group="1", method="easy"),
    outcome("fake/2", 0.7, group="2", method="easy"),
    outcome("fake/4", 0.3, group="4", method="hard"),
]


def entry_of(outcomes: list[Outcome], level: str = "video", **more: Any) -> summary.Entry:
    [entry] = summary.entries("set", "part", "layout", outcomes, levels=[level], **more)
    return entry


def values(figures: dict[str, Any]) -> dict[str, float]:
    return {name: figure["value"] for name, figure in figures.items()}


def test_an_outcome_comes_back_from_its_line() -> None:
    for one in (
        outcome("fake/1", 0.9, faces=[0.8, 0.1], undecided=True, reasons=("low_confidence",)),
        outcome("real/1", None, error="cannot_decode"),
        outcome("real/2", None, reasons=("no_face",)),
    ):
        line = one.to_json()
        assert "\n" not in line
        assert Outcome.from_json(line) == one
        assert type(Outcome.from_json(line).label) is type(one.label)


def test_figures_are_those_worked_out_by_hand() -> None:
    entry = entry_of(SIX)
    assert (entry["n"], entry["real"], entry["fake"], entry["groups"]) == (6, 3, 3, 4)
    found = values(entry["figures"])
    # Of nine pairs 0.9 and 0.7 win all, and 0.3 loses to 0.6.
    assert found["roc_auc"] == pytest.approx(8 / 9, abs=1e-4)
    assert found["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert found["false_positive_rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["detection_rate"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["coverage"] == 1.0
    assert entry["confusion"] == {
        "real_called_real": 2,
        "real_called_fake": 1,
        "fake_called_real": 1,
        "fake_called_fake": 2,
    }
    assert entry["reliability"][0] == [0.1, 0.0, 1]
    assert entry["seconds"] == {"median": 2.0, "mean": 2.0}


def test_each_method_is_set_against_all_genuine_examples() -> None:
    easy, hard = (entry_of(SIX)["by_method"][method] for method in ("easy", "hard"))
    assert (easy["n"], hard["n"]) == (2, 1)
    assert (easy["roc_auc"]["value"], easy["detection_rate"]["value"]) == (1.0, 1.0)
    assert hard["roc_auc"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert hard["detection_rate"]["value"] == 0.0
    assert (easy["groups"], hard["groups"]) == (2, 1)


def test_fakes_of_one_group_have_no_interval() -> None:
    easy, hard = (entry_of(SIX)["by_method"][method] for method in ("easy", "hard"))
    assert easy["detection_rate"]["low"] == 1.0
    for name in ("roc_auc", "detection_rate"):
        assert hard[name]["value"] is not None
        assert (hard[name]["low"], hard[name]["high"]) == (None, None)


def test_groups_with_both_classes_are_measured_on_their_own() -> None:
    matched = entry_of(SIX)["matched"]
    assert (matched["n"], matched["groups"]) == (4, 2)
    assert matched["figures"]["roc_auc"]["value"] == 1.0
    assert entry_of([o for o in SIX if o.group in "12"])["matched"] is None
    assert entry_of([o for o in SIX if o.group in "34"])["matched"] is None


def test_data_sets_of_a_collection_are_measured_apart_if_they_have_both_classes() -> None:
    places = ["web", "web", "film", "web", "web", "phone"]
    gathered = [replace(o, dataset=name) for o, name in zip(SIX, places, strict=True)]
    by_dataset = entry_of(gathered)["by_dataset"]
    assert list(by_dataset) == ["web"]
    assert (by_dataset["web"]["n"], by_dataset["web"]["groups"]) == (4, 2)
    assert by_dataset["web"]["figures"]["roc_auc"]["value"] == 1.0
    assert entry_of(SIX)["by_dataset"] == {}
    assert "| web | 4 | 2 | 1.000 " in "\n".join(figure_tables.whole(entry_of(gathered)))


def test_an_undecided_video_with_a_vote_is_in_all_figures() -> None:
    undecided = replace(SIX[1], verdict=Verdict.UNDECIDED, reasons=("low_confidence",))
    entry = entry_of([SIX[0], undecided, *SIX[2:]])
    assert entry["n"] == 6
    found = values(entry["figures"])
    assert found["roc_auc"] == pytest.approx(8 / 9, abs=1e-4)
    assert found["coverage"] == pytest.approx(5 / 6, abs=1e-4)
    assert found["false_positive_rate"] == 0.0
    assert found["decided_error"] == pytest.approx(1 / 5, abs=1e-4)


def test_videos_without_a_vote_are_in_no_figure_and_counted() -> None:
    silent = [
        outcome("real/7", None, reasons=("no_face",)),
        outcome("fake/7", None, error="cannot_decode"),
        outcome("fake/8", None, error="cannot_decode"),
    ]
    entry = entry_of([*SIX, *silent])
    assert entry["n"] == 6
    assert entry["without_vote"] == {"cannot_decode": 2, "no_face": 1}
    assert without_vote(silent) == {"cannot_decode": ["fake/7", "fake/8"], "no_face": ["real/7"]}
    assert summary.entries("set", "", "", silent, levels=["video", "frame"]) == []


def test_at_frame_level_each_face_that_counts_is_an_example() -> None:
    one = outcome("fake/1", 0.7, faces=[0.9, 0.6, 0.2])
    small = replace(one.faces[2], counts=False)
    counted = frame_examples([replace(one, faces=(*one.faces[:2], small))])
    assert counted is not None
    assert counted.scored.probability.tolist() == [0.9, 0.6]
    assert counted.scored.group.tolist() == ["fake/1"] * 2
    assert len(set(counted.key.tolist())) == 2
    video = video_examples([one])
    assert video is not None
    assert video.scored.probability.tolist() == [0.7]


def test_damage_is_compared_on_the_videos_that_both_have() -> None:
    """After the damage the network is turned about, and one video has no vote any more."""
    turned = [
        outcome(o.path, 1 - (o.probability_fake or 0.0), group=o.group, method=o.method)
        for o in SIX[:5]
    ]
    lost = outcome("fake/4", None, group="4", reasons=("no_face",))
    entry = entry_of(SIX, damaged={"blur": [*turned, lost], "nothing": SIX})
    blur, nothing = entry["robustness"]
    assert (blur["damage"], blur["n"], blur["without_vote"]) == ("blur", 5, 1)
    assert blur["roc_auc"]["value"] == 0.0
    assert blur["accuracy"]["value"] == pytest.approx(1 / 5)
    assert blur["roc_auc_difference"]["value"] == -1.0
    assert (nothing["n"], nothing["without_vote"]) == (6, 0)
    assert nothing["roc_auc_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    both = summary.entries("set", "", "", SIX, levels=["video", "frame"], damaged={"nothing": SIX})
    assert [len(each["robustness"]) for each in both] == [1, 0]
    assert [each["seconds"] is not None for each in both] == [True, False]


def test_a_damage_after_which_nothing_votes_has_no_figures() -> None:
    lost = [replace(o, vote=None, probability_fake=None, faces=()) for o in SIX]
    [row] = entry_of(SIX, damaged={"dark": lost})["robustness"]
    assert (row["n"], row["without_vote"]) == (0, 6)
    assert row["roc_auc"] == {"value": None, "low": None, "high": None}
    assert "| dark | 0 | – | – | – |" in figure_tables.robustness(
        entry_of(SIX, damaged={"dark": lost})
    )


def test_entries_are_json_also_where_a_figure_has_no_meaning() -> None:
    fakes = [o for o in SIX if o.path.startswith("fake")]
    entry = entry_of(fakes)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert entry["figures"]["roc_auc"]["value"] is None
    text = "\n".join(figure_tables.whole(entry))
    assert "| ROC AUC | – |" in text


def test_an_entry_is_readable() -> None:
    silent = outcome("real/7", None, reasons=("no_face",))
    entry = entry_of([*SIX, silent], damaged={"blur": SIX})
    text = "\n".join(figure_tables.whole(entry))
    assert (
        "6 videos, 3 real and 3 fake, in 4 groups. Without a vote and in no figure: 1 no_face."
        in text
    )
    assert "Seconds for each: 2 (median), 2 (mean)." in text
    crops = "\n".join(figure_tables.whole(entry | {"layout": "face crops"}))
    assert "Seconds for each, whose faces were cut before: 2 (median)" in crops
    assert "| easy | 2 | 2 | 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) |" in text
    assert (
        "In the 2 groups that have both genuine and fake videos (4 in all): ROC AUC 1.000" in text
    )
    assert "| blur | 6 | 0.889" in text
    assert "| +0.000 (+0.000 to +0.000) |" in text
    assert "In the lowest of 6 bins of equal mass it states 10% and 0% are fake" in text
    assert "in the highest it states 90% and 100% are." in text
    assert figure_tables.title(entry) == "set:part, video level"


def test_votes_are_listed_by_the_truth() -> None:
    text = "\n".join(figure_tables.whole(entry_of([*SIX, outcome("real/5", 0.8)])))
    assert "| votes | voted real | voted fake |" in text
    assert "| real | 2 | 2 |\n| fake | 1 | 2 |" in text


def test_the_verdict_of_a_video_that_one_person_made_fake_is_what_counts() -> None:
    """Most of its faces are voted real."""
    accused = replace(
        outcome("real/accused", 0.9),
        vote=Label.REAL,
        verdict=Verdict.FAKE,
        reasons=("person_differs",),
    )
    found = video_examples([accused, outcome("real/cleared", 0.1)])
    assert found is not None
    assert list(found.scored.voted_fake) == [False, False]
    assert list(found.scored.called_fake) == [True, False]
    assert metrics.false_positive_rate(found.scored) == 0.5
