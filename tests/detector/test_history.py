"""What a run remembers of itself, and forgets when it is resumed."""

import json
from pathlib import Path
from typing import Any

import pytest

from detector.training import history
from detector.training.history import HISTORY, History


@pytest.fixture
def past(tmp_path: Path) -> History:
    """Three looks of a stage that is done, and three of the next."""
    past = History(tmp_path)
    for stage, scores in (("first", (0.6, 0.9, 0.7)), ("second", (0.5, 0.8, 0.8))):
        for number, score in enumerate(scores, start=1):
            figures = {"loss": 0.7, "accuracy": 0.5, "learning_rate": 0.1, "seconds_per_step": 1.0}
            past.trained(stage, 10 * number, **figures)
            past.looked(stage, 10 * number, {"blended": score, "score": score})
    return past


def lines(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]


def test_the_first_of_the_best_looks_is_the_best(past: History) -> None:
    assert past.best_step("first") == 20
    assert past.best_step("second") == 20
    assert past.best_step("third") is None
    assert past.best_scores("second")["selection"]["score"] == 0.8
    assert past.looks_since_best("first") == 1
    assert past.looks_since_best("third") == 0


def test_what_came_after_the_last_state_of_a_stage_is_forgotten(
    past: History, tmp_path: Path
) -> None:
    everything = lines(tmp_path)
    past.rewind("second", 10)
    kept = [line for line in everything if line["stage"] == "first" or line["step"] <= 10]
    assert len(kept) == 8
    assert past.lines == kept
    assert lines(tmp_path) == kept
    assert past.best_step("second") == 10
    assert past.looks_since_best("second") == 0
    past.looked("second", 20, {"score": 0.4})
    assert History.of(tmp_path).lines == [*kept, past.lines[-1]]
    past.rewind("second", 0)
    assert {line["stage"] for line in lines(tmp_path)} == {"first"}


def test_a_line_that_a_death_cut_short_is_not_read(past: History, tmp_path: Path) -> None:
    with (tmp_path / HISTORY).open("a") as file:
        file.write('{"stage": "second", "st')
    assert History.of(tmp_path).lines == past.lines


def test_a_death_while_it_is_rewritten_loses_no_line(
    past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = lines(tmp_path)
    monkeypatch.setattr(history.json, "dumps", dies_at_the_third())
    with pytest.raises(KeyboardInterrupt):
        past.rewind("second", 30)
    monkeypatch.undo()
    assert lines(tmp_path) == everything


def dies_at_the_third() -> Any:
    real, calls = json.dumps, []

    def dumps(line: Any) -> str:
        calls.append(line)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(line)

    return dumps
