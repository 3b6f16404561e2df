"""Keeping an evaluation on disk, and setting two beside each other."""

import json
from pathlib import Path
from typing import Any

import pytest

from detector.training import comparison, evaluation
from detector.training.errors import DatasetError
from detector.training.evaluation_folder import OUTCOMES, EvaluationFolder
from detector.training.outcomes import Outcome
from tests.detector.evaluated import outcome

SETTINGS: dict[str, Any] = {
    "checkpoint": "a" * 64,
    "sampling": "quick",
    "sets": {"clips": {"levels": ["video", "frame"], "fingerprint": "f"}},
}


def kept(path: Path, outcomes: list[Outcome], **settings: object) -> Path:
    folder = EvaluationFolder.begin(path, SETTINGS | settings, afresh=False)
    folder.add("clips", outcomes)
    return path


def judged(*probabilities: float | None) -> list[Outcome]:
    """Real and fake in turn; two of a group."""
    return [
        outcome(
            f"{'fake' if number % 2 else 'real'}/{number}",
            probability,
            group=str(number // 2),
            reasons=() if probability is not None else ("no_face",),
        )
        for number, probability in enumerate(probabilities)
    ]


def test_outcomes_are_there_again_when_the_folder_is_opened(tmp_path: Path) -> None:
    outcomes = judged(0.1, 0.9, None)
    kept(tmp_path / "a", outcomes)
    folder = EvaluationFolder.open(tmp_path / "a")
    folder.add("clips", outcomes[:1], "blur")
    again = EvaluationFolder.open(tmp_path / "a")
    assert again.outcomes("clips") == sorted(outcomes, key=lambda o: o.path)
    assert again.outcomes("clips", "blur") == outcomes[:1]
    assert again.answered("clips", "real/0", "blur")
    assert not again.answered("clips", "fake/1", "blur")
    assert not again.answered("others", "real/0")


def test_a_line_that_was_not_finished_is_asked_again(tmp_path: Path) -> None:
    path = kept(tmp_path / "a", judged(0.1, 0.9)) / OUTCOMES
    path.write_bytes(path.read_bytes()[:-20])
    folder = EvaluationFolder.open(tmp_path / "a")
    assert [o.path for o in folder.outcomes("clips")] == ["real/0"]
    folder.add("clips", judged(0.1, 0.9)[1:])
    assert len(EvaluationFolder.open(tmp_path / "a").outcomes("clips")) == 2


def test_what_failed_unforeseen_is_asked_again(tmp_path: Path) -> None:
    failed = [outcome("real/0", None, error="internal"), outcome("real/1", None, error="too_long")]
    folder = EvaluationFolder.open(kept(tmp_path / "a", failed))
    assert not folder.answered("clips", "real/0")
    assert folder.answered("clips", "real/1")


def test_another_evaluation_is_refused_by_what_differs_and_replaced_on_demand(
    tmp_path: Path,
) -> None:
    kept(tmp_path / "a", judged(0.1, 0.9))
    other = SETTINGS | {"checkpoint": "b" * 64, "sampling": "thorough"}
    with pytest.raises(DatasetError, match=r"differs in checkpoint, sampling; .*--force"):
        EvaluationFolder.begin(tmp_path / "a", other, afresh=False)
    same = EvaluationFolder.begin(tmp_path / "a", SETTINGS, afresh=False)
    assert len(same.outcomes("clips")) == 2
    afresh = EvaluationFolder.begin(tmp_path / "a", other, afresh=True)
    assert afresh.outcomes("clips") == []
    assert EvaluationFolder.open(tmp_path / "a").settings == other


def test_a_folder_without_an_evaluation_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no evaluation"):
        EvaluationFolder.open(tmp_path)
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(DatasetError, match="cannot read"):
        EvaluationFolder.open(tmp_path)


def differences(one: Path, other: Path) -> dict[str, Any]:
    found = comparison.compare(EvaluationFolder.open(one), EvaluationFolder.open(other))
    return {entry["level"]: entry for entry in found["sets"]}


def test_a_comparison_finds_a_known_difference(tmp_path: Path) -> None:
    """The first is right on all, the second on all but one genuine video in each group."""
    right = kept(tmp_path / "a", judged(*[0.1, 0.9] * 4))
    wrong = kept(tmp_path / "b", judged(*[0.95, 0.9] * 4), checkpoint="b" * 64)
    entry = differences(right, wrong)["video"]
    assert (entry["n"], entry["only_one"], entry["only_other"]) == (8, 0, 0)
    assert entry["differences"]["roc_auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert entry["differences"]["accuracy"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert entry["differences"]["false_positive_rate"]["value"] == -1.0
    back = differences(wrong, right)["video"]["differences"]
    assert back["accuracy"]["value"] == -0.5


def test_only_examples_that_both_judged_are_compared(tmp_path: Path) -> None:
    one = kept(tmp_path / "a", judged(0.1, 0.9, 0.9, None))
    other = kept(tmp_path / "b", judged(0.1, 0.9, None, 0.1))
    entry = differences(one, other)["video"]
    assert (entry["n"], entry["only_one"], entry["only_other"]) == (2, 1, 1)
    assert entry["differences"]["roc_auc"]["value"] == 0.0
    single = {"clips": {"levels": ["frame"], "fingerprint": "f"}}
    one = kept(tmp_path / "c", judged(0.1, 0.9), sets=single)
    assert list(differences(one, kept(tmp_path / "d", judged(0.1, 0.8), sets=single))) == ["frame"]


def test_what_else_differs_than_the_checkpoint_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sets(files: str) -> dict[str, Any]:
        return {"clips": SETTINGS["sets"]["clips"] | {"files": files}}

    one = kept(tmp_path / "a", judged(0.1, 0.9), bits=32, sets=sets("f"))
    same = kept(tmp_path / "b", judged(0.1, 0.9), bits=32, sets=sets("f"))
    for alike in (same, kept(tmp_path / "earlier", judged(0.1, 0.9))):
        assert run("--compare", one, alike) == 0
        assert "They differ" not in capsys.readouterr().out
    other = kept(tmp_path / "c", judged(0.1, 0.9), bits=8, sampling="thorough", sets=sets("g"))
    assert run("--compare", one, other) == 0
    assert (
        "They differ in more than the checkpoint: sampling (quick, thorough), bits (32, 8), "
        "files of clips."
    ) in capsys.readouterr().out


def test_evaluations_of_other_videos_are_not_compared(tmp_path: Path) -> None:
    one = kept(tmp_path / "a", judged(0.1, 0.9))
    more = kept(tmp_path / "b", judged(0.1, 0.9, 0.2))
    with pytest.raises(DatasetError, match=r"same videos.*: 1 differ, first real/2"):
        differences(one, more)
    relabelled = judged(0.1, 0.9)
    relabelled[0] = outcome("real/0", 0.1, group="elsewhere")
    with pytest.raises(DatasetError, match="first real/0"):
        differences(one, kept(tmp_path / "c", relabelled))
    others = kept(tmp_path / "d", judged(0.1, 0.9), sets={"films": SETTINGS["sets"]["clips"]})
    with pytest.raises(DatasetError, match="different sets: clips and films"):
        differences(one, others)


def run(*arguments: object) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    evaluation.add_arguments(parser)
    return evaluation.run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command_prints_and_writes_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = kept(tmp_path / "a", judged(*[0.1, 0.9] * 4, None))
    other = kept(tmp_path / "b", judged(*[0.95, 0.9] * 4, 0.2), checkpoint="b" * 64)
    assert run("--compare", one, other, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Checkpoint aaaaaaaaaaaa minus bbbbbbbbbbbb")
    assert "clips, video level: 8 examples, 1 more without a vote in one of the two" in printed
    assert "| ROC AUC | +1.000 (+1.000 to +1.000) |" in printed
    assert (tmp_path / "out" / "comparison.md").read_text() == printed
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert run("--compare", one, other, "--json") == 0
    assert json.loads(capsys.readouterr().out) == written
    assert run("--compare", one, tmp_path / "nothing") == 1
    assert "error: " in capsys.readouterr().err
    assert run("default", "--compare", one, other) == 1
    assert "--compare takes two folders" in capsys.readouterr().err
