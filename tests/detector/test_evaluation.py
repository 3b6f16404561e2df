"""``python -m detector evaluate``: the whole command, on clips and crops."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import Detector, checkpoints, voting
from detector.cli import main
from detector.domain import Label
from detector.training import evaluation, metrics, sight, summary
from detector.training.evaluation_sets import read_sets
from detector.training.metrics import Scored
from detector.training.model_card import render
from detector.training.verdicts import ask_about_crops
from tests import clips
from tests.detector.evaluated import network, write_crops_of_videos

Evaluate = Callable[..., tuple[int, Path]]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Person 0 is real and person 1 fake; one film is broken and one has no face."""
    folder = tmp_path_factory.mktemp("sets") / "films"
    for name in ("real/a.mp4", "real/b.mp4", "fake/swap/a.mp4", "fake/puppet/b.mp4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (320, 240) if path.stem == "a" else (352, 264)
        clips.one_person(path, size=size, seconds=1, person=int(name.startswith("fake")))
    clips.text_file(folder / "fake/swap/broken.mp4")
    clips.no_face(folder / "real/landscape.mp4", seconds=0.4)
    return folder


@pytest.fixture
def evaluate(
    detector: Detector, rows_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Evaluate:
    """``evaluate(set, …, option, …)`` with the shared detector: status and folder of results."""
    monkeypatch.setattr(evaluation._Networks, "detector", lambda self: detector)
    monkeypatch.setattr(evaluation._Networks, "network", lambda self: detector._network)

    def evaluate(
        *arguments: object, out: str = "out", checkpoint: Path = rows_checkpoint
    ) -> tuple[int, Path]:
        given = [str(argument) for argument in (checkpoint, *arguments)]
        folder = tmp_path / out
        status = main(["evaluate", *given, "--out", str(folder), "--sampling", "quick"])
        return status, folder

    return evaluate


def results(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "metrics.json").read_text())
    assert isinstance(found, dict)
    return found


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def of_a_video(row: dict[str, str]) -> str:
    return row["verdict"]


def of_a_face(row: dict[str, str]) -> str:
    return "UNDECIDED" if row["undecided"] == "1" else row["vote"]


def from_csv(found: list[dict[str, str]], verdict: Callable[[dict[str, str]], str]) -> Scored:
    return Scored(
        fake=np.array([row["label"] == "FAKE" for row in found]),
        probability=np.array([float(row["probability_fake"]) for row in found]),
        voted_fake=np.array([row["vote"] == "FAKE" for row in found]),
        undecided=np.array([verdict(row) == "UNDECIDED" for row in found]),
        called_fake=np.array([verdict(row) == "FAKE" for row in found]),
        group=np.array([row["group"] for row in found]),
    )


def test_videos_are_evaluated_and_every_figure_follows_from_the_tables(
    evaluate: Evaluate, films: Path, detector: Detector, capsys: pytest.CaptureFixture[str]
) -> None:
    status, folder = evaluate(films)
    assert status == 0
    document = results(folder)
    video, frame = document["sets"]
    assert (video["set"], video["level"], video["n"]) == ("films", "video", 4)
    assert (video["real"], video["fake"], video["groups"]) == (2, 2, 2)
    assert video["figures"]["roc_auc"]["value"] == 1.0
    assert set(video["by_method"]) == {"swap", "puppet"}
    assert frame["n"] > 4 * 3
    assert document["without_vote"] == {
        "films": {"no_face": ["real/landscape.mp4"], "not_a_video": ["fake/swap/broken.mp4"]}
    }
    assert video["without_vote"] == {"no_face": 1, "not_a_video": 1}
    assert video["seconds"]["median"] > 0
    assert document["checkpoint"]["sha256"] == detector.checkpoint.sha256
    assert document["hardware"]["cores"]
    assert document["versions"]["tensorflow"]
    assert document["all_sets"] == []

    listed = list(rows(folder / "videos.csv"))
    assert len(listed) == 6
    assert {row["path"]: row["error"] or row["reasons"] for row in listed if not row["vote"]} == {
        "fake/swap/broken.mp4": "not_a_video",
        "real/landscape.mp4": "no_face",
    }
    voted = [row for row in listed if row["vote"]]
    again = from_csv(voted, of_a_video)
    faces = [row for row in rows(folder / "frames.csv") if row["counts"] == "1"]
    again_faces = from_csv(faces, of_a_face)
    for entry, scored in ((video, again), (frame, again_faces)):
        assert entry["confusion"] == metrics.confusion(scored)
        for name, metric in metrics.METRICS.items():
            assert entry["figures"][name]["value"] == pytest.approx(metric(scored), abs=1e-4), name

    printed = capsys.readouterr().out
    assert "| films, video level | 2 + 2 | 1.000" in printed
    assert "films: 1 without a vote: not_a_video" in printed


def test_the_report_shows_figures_plots_and_what_had_no_vote(
    evaluate: Evaluate, films: Path
) -> None:
    (films / "stray.mp4").write_text("neither real nor fake")
    _, folder = evaluate(films)
    (films / "stray.mp4").unlink()
    report = (folder / "report.md").read_text()
    assert "| puppet | 1 | 1 | 1.000 | 1.000 |" in report
    assert "- films: not_a_video: fake/swap/broken.mp4" in report
    assert "- films: unlabelled: stray.mp4" in report
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {
        f"films{level}-{kind}.png"
        for level in ("", "-frames")
        for kind in ("roc", "reliability", "confusion")
    }
    for name in drawn:
        assert f"({name})" in report
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_an_evaluation_that_was_killed_goes_on_and_ends_as_it_would_have(
    evaluate: Evaluate, films: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = evaluate(films, out="whole")
    analyze, asked = detector.analyze, []

    def dies_at_the_third(path: Path, *more: Any) -> Any:
        asked.append(path.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return analyze(path, *more)

    monkeypatch.setattr(detector, "analyze", dies_at_the_third)
    status, killed = evaluate(films, out="killed")
    assert status == 1
    assert not (killed / "metrics.json").exists()
    status, _ = evaluate(films, out="killed")
    assert status == 0
    assert len(asked) == 3 + 4  # The two that were done are not asked about again.

    def timeless(folder: Path) -> list[Any]:
        entries = results(folder)["sets"]
        return [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]

    assert timeless(killed) == timeless(whole)
    assert (killed / "frames.csv").read_text() == (whole / "frames.csv").read_text()
    evaluate(films, out="killed")
    assert len(asked) == 7


def test_a_folder_of_another_evaluation_is_refused_unless_forced(
    evaluate: Evaluate, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = evaluate(f"{dataset}:val")
    assert evaluate(dataset)[0] == 1
    assert "differs in sets" in capsys.readouterr().err
    assert results(folder)["sets"][0]["n"] == 2
    assert evaluate(dataset, "--force")[0] == 0
    assert results(folder)["sets"][0]["n"] == 24


def test_verdicts_of_earlier_rules_are_not_mixed_with_those_of_now(
    evaluate: Evaluate,
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate(f"{dataset}:val")
    monkeypatch.setattr(voting, "RULES", voting.RULES + 1)
    assert evaluate(f"{dataset}:val")[0] == 1
    assert "differs in rules" in capsys.readouterr().err


def test_single_crops_are_evaluated_at_frame_level_damaged_and_all_sets_together(
    evaluate: Evaluate, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "others"
    shutil.copytree(dataset, other)
    _, folder = evaluate(f"{dataset}:train", f"{dataset}:val", other, "--robustness", "--json")
    document = results(folder)
    assert json.loads(capsys.readouterr().out) == document
    assert [(e["set"], e["part"], e["level"], e["n"]) for e in document["sets"]] == [
        ("faces", "train", "frame", 22),
        ("faces", "val", "frame", 2),
        ("others", "", "frame", 24),
    ]
    [together] = document["all_sets"]
    assert (together["set"], together["n"], together["groups"]) == ("all sets", 48, 24)
    first = document["sets"][0]
    assert [row["damage"] for row in first["robustness"]] == [
        "H.264 at CRF 23", "H.264 at CRF 32", "H.264 at CRF 40", "half size", "blur", "crop",
    ]  # fmt: skip
    assert {row["n"] for row in first["robustness"]} == {22}
    damaged = [row for row in rows(folder / "frames.csv") if row["damage"] == "blur"]
    assert len(damaged) == 48
    assert list(rows(folder / "videos.csv")) == []
    assert "| blur | 22 |" in (folder / "report.md").read_text()


def test_crops_of_videos_are_evaluated_at_both_levels(evaluate: Evaluate, tmp_path: Path) -> None:
    """The last crop of each video is of a face too small to count."""
    videos = {f"{kind}/{n}.mp4": (str(n), 4) for n in range(2) for kind in ("real", "fake")}
    crops = write_crops_of_videos(
        tmp_path / "cut", videos, side=lambda number: 20 if number == 3 else 90
    )
    status, folder = evaluate(crops)
    assert status == 0
    assert [(e["level"], e["n"], e["groups"]) for e in results(folder)["sets"]] == [
        ("video", 4, 2),
        ("frame", 12, 2),
    ]
    listed = list(rows(folder / "frames.csv"))
    assert len(listed) == 16
    assert {row["frame_index"] for row in listed if row["counts"] == "0"} == {"15"}


def test_figures_of_what_was_trained_on_stay_off_the_card(
    rows_checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = shutil.copytree(rows_checkpoint, tmp_path / "mine")
    data = {"crops": ["faces"], "selection": 4, "calibration": 2, "split_seed": 3}
    training = {"data": data, "network": {"weights": "none"}}
    before = checkpoints.update(mine, {"training": training})
    assert evaluate(f"{dataset}:train", "--write", checkpoint=mine)[0] == 1
    assert "only figures of what it has never seen go onto a card" in capsys.readouterr().err
    assert evaluate(f"{dataset}:train", checkpoint=mine)[0] == 0
    assert "its figures say little of other videos" in capsys.readouterr().err
    assert checkpoints.read_metadata(mine).raw == before
    for part in ("val", "selection"):
        assert evaluate(f"{dataset}:{part}", "--write", out=part, checkpoint=mine)[0] == 0
        assert "trained on" not in capsys.readouterr().err
    checkpoints.update(mine, {"training": training | {"network": {"weights": "another run"}}})
    assert evaluate(f"{dataset}:selection", out="selection", checkpoint=mine)[0] == 0
    assert "were trained on faces:selection is not known" in capsys.readouterr().err


def test_writing_puts_the_figures_into_checkpoint_and_card(
    rows_checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the networks that the command loads itself."""
    checkpoint = tmp_path / "mine"
    shutil.copytree(rows_checkpoint, checkpoint)
    monkeypatch.chdir(tmp_path)

    def evaluated(part: str) -> list[dict[str, Any]]:
        words = ["evaluate", "mine", f"faces:{part}", "--out", part, "--write", "--device", "cpu"]
        assert main(words) == 0
        raw = json.loads((checkpoint / "metadata.json").read_text())
        assert (checkpoint / "MODEL_CARD.md").read_text() == render(raw)
        assert raw["summary"] == sight.sentence(raw["metrics"])
        assert isinstance(raw["metrics"], list)
        return raw["metrics"]

    [first] = evaluated("val")
    assert (first["part"], first["n"]) == ("val", 2)
    both = evaluated("train")
    assert both[0] == first
    assert (both[1]["part"], both[1]["n"]) == ("train", 22)
    assert both[1]["command"] == (
        "python -m detector evaluate mine faces:train --out DIR --sampling standard"
    )
    assert both[1]["hardware"]["device"] == "CPU:0"
    card = (checkpoint / "MODEL_CARD.md").read_text()
    for words in (
        "### faces:train, frame level",
        both[1]["command"],
        "| unknown | 11 | 11 | ",
        "Stated probabilities are off by",
        "faces:val, frame level | 1 + 1 | ",
        "## Intended use",
    ):
        assert words in card
    assert card.splitlines()[2].startswith("Measured on faces:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["default"], "expected CHECKPOINT, DATASET and --out DIR"),
        (["default", "faces"], "expected CHECKPOINT, DATASET and --out DIR"),
        (["default", "nowhere", "--out", "out"], "there is no folder nowhere"),
        (["none", "nowhere", "--out", "out"], "no checkpoint 'none'"),
        (["default", "nowhere", "--out", "out", "--sampling", "quick", "--compare", "a", "b"],
         "--compare takes two folders"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_set_in_which_nothing_gets_a_vote_is_an_error(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts/real").mkdir(parents=True)
    clips.text_file(tmp_path / "texts/real/a.mp4")
    status, folder = evaluate(tmp_path / "texts")
    assert status == 1
    assert "no video got a vote" in capsys.readouterr().err
    assert "not_a_video: real/a.mp4" in (folder / "report.md").read_text()


def test_measuring_prefers_a_network_that_is_right(dataset: Path) -> None:
    [crops] = read_sets([str(dataset)], {})

    def measured(answer: Callable[[Label], float]) -> list[float]:
        by_heart = network([answer(item.example.label) for item in crops.items])
        outcomes = ask_about_crops(by_heart, crops.items, single=True)
        [entry] = summary.entries("faces", "", "face crops", outcomes, levels=["frame"])
        return [entry["figures"][name]["value"] for name in ("roc_auc", "accuracy")]

    assert measured(lambda label: float(label == Label.FAKE)) == [1.0, 1.0]
    assert measured(lambda label: float(label == Label.REAL)) == [0.0, 0.0]
    # A tie is FAKE, so half of the votes are right and nothing is told apart.
    assert measured(lambda label: 0.5) == [0.5, 0.5]
