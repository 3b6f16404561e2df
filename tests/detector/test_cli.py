"""``python -m detector analyze``: what is printed where, and the exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector import Detector
from detector.cli import main
from tests import clips

ROOT = Path(__file__).resolve().parent.parent.parent

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    rows_checkpoint: Path,
    detector: Detector,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """``run("analyze", …)`` in this process, with the shared detector: status, out, err."""
    monkeypatch.setattr("detector.cli._load", lambda options: detector)

    def run(*arguments: object) -> tuple[int, str, str]:
        given = [str(argument) for argument in arguments]
        if given[:1] == ["analyze"]:
            given += ["--checkpoint", str(rows_checkpoint), "--sampling", "quick"]
        try:
            status = main(given)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.two_people(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1)


def documents(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_command_gives_json_lines_and_status_2_when_a_file_is_unusable(
    rows_checkpoint: Path, clip: Path, tmp_path: Path
) -> None:
    """The whole program as a user starts it."""
    text = clips.text_file(tmp_path / "text.mp4")
    done = subprocess.run(
        [sys.executable, "-m", "detector", "analyze", str(text), str(clip), "--json",
         "--checkpoint", str(rows_checkpoint), "--sampling", "quick", "--threads", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    failure, result = documents(done.stdout)
    assert failure["file"] == str(text)
    assert failure["error"]["code"] == "not_a_video"
    assert f"not_a_video: {failure['error']['message']}" in done.stderr
    assert result["file"] == str(clip)
    assert result["verdict"] == "FAKE"
    assert set(result["votes"]) == {"real", "fake"}
    assert isinstance(result["seconds"], float)
    assert len(result["checkpoint"]["sha256"]) == 64
    assert "cudart" not in done.stderr
    assert "clip.mp4:" in done.stderr  # The progress bar.


def test_a_result_has_the_promised_keys(run: Run, clip: Path) -> None:
    status, out, _ = run("analyze", clip, "--json")
    assert status == 0
    [result] = documents(out)
    assert {
        "file", "verdict", "probability_fake", "votes", "reasons", "people", "faces", "seconds",
        "checkpoint",
    } <= set(result)  # fmt: skip
    assert result["reasons"] == []
    for person in result["people"]:
        assert {"id", "verdict", "probability_fake", "votes"} <= set(person)
    for face in result["faces"]:
        assert {
            "person", "frame_index", "time_s", "box", "vote", "probability_fake"
        } <= set(face)  # fmt: skip
        assert face["vote"] in ("REAL", "FAKE")
        assert [type(value) for value in face["box"]] == [int] * 4
    counted = [face["vote"] for face in result["faces"] if face["counts"]]
    assert result["votes"] == {"real": counted.count("REAL"), "fake": counted.count("FAKE")}


def test_it_stops_early_only_if_asked(
    run: Run, clip: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyze, asked = detector.analyze, []

    def listening(*arguments: Any, **options: Any) -> Any:
        asked.append(options["early_stop"])
        return analyze(*arguments, **options)

    monkeypatch.setattr(detector, "analyze", listening)
    assert run("analyze", clip)[0] == 0
    assert run("analyze", clip, "--early-stop")[0] == 0
    assert asked == [False, True]


def test_a_verdict_can_be_read(run: Run, clip: Path) -> None:
    status, out, err = run("analyze", clip)
    assert status == 0
    assert out.startswith(f"{clip}: FAKE, probability of fake ")
    assert "uncalibrated" in out
    assert "person 1 REAL" in out
    assert "person 2 FAKE" in out
    assert "not proof" in out
    assert "%" in err
    assert "%" not in out


def test_the_others_are_analysed_when_one_is_unusable(run: Run, clip: Path, tmp_path: Path) -> None:
    empty = clips.zero_bytes(tmp_path / "empty.mp4")
    status, out, err = run("analyze", empty, clip)
    assert status == 2
    assert f"{empty}: not_a_video: This file is not a video" in err
    assert f"{clip}: FAKE" in out
    assert str(empty) not in out


@pytest.mark.parametrize("name", ["missing.mp4", "", "a-directory", "nul\0.mp4"])
def test_what_is_no_readable_file_is_an_unusable_input(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "a-directory").mkdir()
    file = f"{tmp_path}/{name}"
    status, out, err = run("analyze", file, "--json")
    assert status == 2
    [failure] = documents(out)
    assert failure["file"] == file
    assert failure["error"]["code"] == "file_not_found"
    assert "file_not_found: There is no such file" in err


def test_a_video_without_a_face_is_analysed(run: Run, tmp_path: Path) -> None:
    clip = clips.no_face(tmp_path / "clip.mp4", seconds=0.4)
    status, out, _ = run("analyze", clip, "--json")
    assert status == 0
    [result] = documents(out)
    assert (result["verdict"], result["reasons"]) == ("UNDECIDED", ["no_face"])
    assert result["probability_fake"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["analyze"],
        ["guess", "clip.mp4"],
        ["analyze", "clip.mp4", "--sampling", "everything"],
        ["analyze", "clip.mp4", "--threads", "-1"],
        ["analyze", "clip.mp4", "--max-minutes", "0"],
        ["analyze", "clip.mp4", "--colour"],
    ],
)
def test_wrong_usage_is_status_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage:" in captured.err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["analyze", "--help"])
    assert leaving.value.code == 0
    assert "--sampling" in capsys.readouterr().out


def test_a_missing_checkpoint_is_status_1(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(clip), str(tmp_path / "missing.mp4")]
    assert main(["analyze", *files, "--json", "--checkpoint", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    answers = documents(captured.out)
    assert [answer["file"] for answer in answers] == files
    assert [answer["error"]["code"] for answer in answers] == ["no_checkpoint"] * 2
    assert f"{clip}: no_checkpoint: No trained model is installed" in captured.err


def test_what_cannot_be_prepared_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert main(["prepare", "--checkpoint", str(tmp_path), "--cache", str(cache)]) == 1
    assert "No trained model is installed" in capsys.readouterr().err
    assert not cache.exists()


def test_a_surprise_in_one_file_leaves_the_others_alone(
    run: Run, clip: Path, tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    follow = detector._finder.follow

    def fail_at_first(images: Any) -> Any:
        calls.append(images)
        if len(calls) == 1:
            raise RuntimeError("the roof fell in")
        return follow(images)

    monkeypatch.setattr(detector._finder, "follow", fail_at_first)
    status, out, err = run("analyze", clip, clip, tmp_path / "missing", "--json")
    assert status == 1
    surprise, result, missing = documents(out)
    assert surprise["error"]["code"] == "internal"
    assert "the roof fell in" in err
    assert result["verdict"] == "FAKE"
    assert missing["error"]["code"] == "file_not_found"


def test_ctrl_c_ends_it_quietly(
    run: Run, clip: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(images: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(detector._finder, "follow", interrupt)
    status, out, err = run("analyze", clip, clip, "--json")
    assert (status, out) == (1, "")
    assert "Traceback" not in err


def test_a_name_that_is_no_text_takes_no_other_file_with_it(
    clip: Path, tmp_path: Path, rows_checkpoint: Path
) -> None:
    """A name in another encoding, where standard output takes nothing but UTF-8."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    os.link(clip, odd)
    done = subprocess.run(
        [sys.executable, "-m", "detector", "analyze", odd, clips.text_file(tmp_path / "t.mp4"),
         "--checkpoint", str(rows_checkpoint), "--sampling", "quick", "--json"],
        cwd=ROOT, capture_output=True, timeout=280, check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict", "PYTHONUTF8": "0"},
    )  # fmt: skip
    result, refused = documents(done.stdout.decode())
    assert os.fsencode(result["file"]) == odd
    assert result["verdict"] == "FAKE"
    assert refused["error"]["code"] == "not_a_video"
    assert done.returncode == 2


def test_a_limit_of_length_can_be_given(run: Run, tmp_path: Path) -> None:
    long = clips.no_face(tmp_path / "long.mp4", seconds=3)
    status, out, err = run("analyze", long, "--json", "--max-minutes", "0.01")
    assert status == 2
    assert documents(out)[0]["error"]["code"] == "too_long"
    assert "too_long: The video is longer than is accepted here." in err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("preprocess", ["--workers", "--margin", "--max-minutes"]),
        ("train", ["--config", "--run", "--crops", "--weights"]),
        ("calibrate", ["--out", "--false-positive-rate"]),
        ("evaluate", ["--out", "--robustness", "--compare", "--write"]),
    ],
)
def test_what_belongs_to_training_has_its_own_arguments(
    capsys: pytest.CaptureFixture[str], command: str, options: list[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    printed = capsys.readouterr().out
    assert [option for option in options if option in printed] == options


def test_the_package_imports_neither_tensorflow_nor_django() -> None:
    script = (
        "import sys, detector; detector.DetectorError, detector.Sampling, detector.Limits;"
        "print(*sys.modules);"
        "import detector.cli, detector.pipeline, detector.voting;"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    light, whole = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"tensorflow", "keras", "mtcnn", "django", "celery"} & whole
    assert "detector.pipeline" in whole
    assert not {"cv2", "PIL"} & light
