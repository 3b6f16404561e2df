"""``python -m detector preprocess``: killed, resumed, in parallel, in bounded memory."""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from detector import cli, extraction
from detector.domain import Face, FaceBox, Image
from detector.training import preprocess as command
from detector.training.crops import read_manifest
from detector.training.errors import DatasetError
from detector.training.face_archive import FaceArchiveWriter, read_record
from tests import clips
from tests.detector.conftest import Preprocess
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


def finished(out: Path) -> dict[str, int]:
    """Zips with the time they were written at."""
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.zip")}


def parts(out: Path) -> list[Path]:
    return list(out.rglob("*.part"))


def stop(*_: object) -> None:
    raise DatasetError("enough")


# --- resuming -----------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_with_what_is_missing(
    preprocess: Preprocess, tmp_path: Path, how: signal.Signals
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    (folder / "real").mkdir(parents=True)
    for number in range(6):
        clips.two_people(folder / "real" / f"{number}.mp4", seconds=2 + number / 4)
    # Tests that run in the background ignore Ctrl-C, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", "preprocess", str(folder), str(out),
         "--sampling", "quick", "--margin", "1.3", "--workers", "2"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        signal.signal(signal.SIGINT, before)
        wait_until(lambda: finished(out) and parts(out), "a zip is done", seconds=200)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    done = finished(out)
    assert 1 <= len(done) < 6
    assert not (out / "manifest.csv").exists()
    if how == signal.SIGINT:
        assert process.returncode == 1
        assert "interrupted" in said
        assert "Traceback" not in said
        assert not parts(out)

    assert preprocess(folder, out) == 0
    assert done.items() <= finished(out).items()
    assert len(finished(out)) == 6
    assert not parts(out)
    assert preprocess(folder, tmp_path / "undisturbed") == 0
    assert (out / "manifest.csv").read_bytes() == (
        tmp_path / "undisturbed" / "manifest.csv"
    ).read_bytes()


def test_an_interrupt_waits_for_no_video(
    preprocess: Preprocess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    (folder / "real").mkdir(parents=True)
    clips.text_file(folder / "real" / "at-once.mp4")
    clips.two_people(folder / "real" / "long.mp4", seconds=6)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.tqdm, "update", interrupt)
    assert preprocess(folder, out, "--workers", 2) == 1
    assert "interrupted" in capsys.readouterr().err
    assert not finished(out)
    assert not parts(out)


def test_a_full_disk_leaves_nothing_half_written(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    plain_add, crops = FaceArchiveWriter.add, itertools.count()

    def add(self: FaceArchiveWriter, face: Face, crop: Image) -> None:
        if next(crops) == 12:  # In the second video with a face.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain_add(self, face, crop)

    with monkeypatch.context() as patch:
        patch.setattr(FaceArchiveWriter, "add", add)
        assert preprocess(videos, out, "--workers", 1) == 1
    assert f"error: cannot write into {out}: [Errno 28] No space" in capsys.readouterr().err
    assert set(finished(out)) == {"crops/fake/FaceSwap/1.mp4.zip"}
    assert not parts(out)
    assert not (out / "manifest.csv").exists()
    assert preprocess(videos, out) == 2
    assert preprocess(videos, tmp_path / "undisturbed") == 2
    assert (out / "manifest.csv").read_bytes() == (
        tmp_path / "undisturbed" / "manifest.csv"
    ).read_bytes()


def test_what_is_finished_is_not_read_again(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    (folder / "real").mkdir(parents=True)
    for name in ("1.mp4", "empty.mp4"):
        os.link(videos / "real" / name, folder / "real" / name)
    assert preprocess(folder, out) == 0
    manifest, report = ((out / name).read_bytes() for name in ("manifest.csv", "report.csv"))
    (out / "manifest.csv").unlink()
    (out / "crops" / "real" / "gone.mp4.zip.part").write_bytes(b"half")
    monkeypatch.setattr(command, "_load_finder", lambda arguments: pytest.fail("loaded"))
    assert preprocess(folder, out) == 0
    assert (out / "manifest.csv").read_bytes() == manifest
    assert (out / "report.csv").read_bytes() == report
    assert not parts(out)


def test_a_video_that_failed_is_tried_again(
    preprocess: Preprocess, videos: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    (folder / "real").mkdir(parents=True)
    os.link(videos / "real" / "1.mp4", folder / "real" / "1.mp4")
    broken = clips.text_file(folder / "real" / "2.mp4")
    assert preprocess(folder, out) == 2
    assert {row.video for row in read_manifest(out)} == {"real/1.mp4"}
    broken.unlink()
    os.link(videos / "real" / "turned.mp4", broken)
    assert preprocess(folder, out) == 0
    assert {row.video for row in read_manifest(out)} == {"real/1.mp4", "real/2.mp4"}


@pytest.mark.parametrize("spoiled", ["another video", "cut off", "without its list of faces"])
def test_a_zip_that_is_not_of_the_video_or_not_whole_is_made_again(
    preprocess: Preprocess, videos: Path, tmp_path: Path, spoiled: str
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    (folder / "real").mkdir(parents=True)
    video, archive = folder / "real" / "1.mp4", out / "crops" / "real" / "1.mp4.zip"
    os.link(videos / "real" / "1.mp4", video)
    assert preprocess(folder, out) == 0
    faces = 16
    assert len(read_manifest(out)) == faces
    if spoiled == "another video":
        video.unlink()
        os.link(videos / "real" / "turned.mp4", video)
        faces = 8
    elif spoiled == "cut off":
        archive.write_bytes(archive.read_bytes()[:-100])
    else:
        archive.write_bytes(archive.read_bytes().replace(b"faces.json", b"notes.json"))
    assert preprocess(folder, out) == 0
    assert len(read_manifest(out)) == faces
    record = read_record(archive)
    assert record is not None
    assert record.video_bytes == video.stat().st_size


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--margin", "1.2"], "margin (1.3 there, 1.2 asked for)"),
        (["--margin", "1.3", "--drop", "0.1"], "drop (0.0 there, 0.1 asked for)"),
        (["--sampling", "standard"], "frames (32 there, 64 asked for), sampling ('quick' there"),
        (["--frames", "16"], "frames (32 there, 16 asked for)"),
    ],
)
def test_other_settings_are_refused_by_name(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    named: str,
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(command.CropExtractor, "run", stop)
    assert preprocess(videos, out) == 1  # Leaves its settings.
    assert preprocess(videos, out, *options) == 1
    assert named in capsys.readouterr().err


def test_other_libraries_are_other_settings(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    assert preprocess(videos, out) == 2
    monkeypatch.setattr("detector.training.crop_folder.versions", lambda: {"mtcnn": "0.9"})
    assert preprocess(videos, out) == 1
    assert "versions.mtcnn ('1.0.0' there, '0.9' asked for)" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "manifest.csv").write_text("mine")
    assert preprocess(videos, tmp_path) == 1
    assert "is not empty, and has no settings.json" in capsys.readouterr().err
    assert (tmp_path / "manifest.csv").read_text() == "mine"


def test_two_processes_do_not_write_into_one_folder(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, statuses = tmp_path / "out", []

    def meanwhile(*_: object) -> None:
        monkeypatch.setattr(command, "_load_finder", lambda arguments: pytest.fail("let in"))
        statuses.append(preprocess(videos, out))
        stop()

    monkeypatch.setattr(command, "_load_finder", meanwhile)
    preprocess(videos, out)
    assert statuses == [1]
    assert f"another process is writing into {out}" in capsys.readouterr().err


def test_a_surprise_in_one_video_leaves_the_others_alone(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, plain_link = itertools.count(), command.link

    def link(*arguments: Any) -> Any:
        if next(calls) == 0:
            raise RuntimeError("the roof fell in")
        return plain_link(*arguments)

    monkeypatch.setattr(command, "link", link)
    assert preprocess(videos, tmp_path / "out", "--workers", 1) == 2
    assert "the roof fell in" in capsys.readouterr().err
    report = (tmp_path / "out" / "report.csv").read_text()
    assert "fake/FaceSwap/1.mp4,internal," in report
    assert report.count(",ok,") == 3


# --- workers and memory -------------------------------------------------------------------


@pytest.mark.parametrize("stated", ["3", "", None])
def test_the_environment_says_how_many_workers(
    monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    monkeypatch.delenv("NUM_WORKERS", raising=False)
    if stated is not None:
        monkeypatch.setenv("NUM_WORKERS", stated)
    assert parsed().workers == int(stated or len(os.sched_getaffinity(0)))
    assert parsed("--workers", "5").workers == 5


def test_a_number_of_workers_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUM_WORKERS", "many")
    with pytest.raises(SystemExit):
        cli.main(["preprocess", "videos", "out"])
    assert "--workers: expected a number of 1 or more, got 'many'" in capsys.readouterr().err


def parsed(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(["videos", "out", *options])


def test_as_many_videos_are_read_at_a_time_as_there_are_workers(
    preprocess: Preprocess,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meeting = threading.Barrier(3, timeout=60)
    plain_read = command.CropExtractor._read

    def read(self: Any, example: Any) -> Any:
        meeting.wait()  # For ever, unless three come.
        return plain_read(self, example)

    monkeypatch.setattr(command.CropExtractor, "_read", read)
    assert preprocess(videos, tmp_path / "out", "--workers", 3) == 2


def test_few_crops_are_in_memory_however_many_there_are(
    preprocess: Preprocess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "videos" / "real").mkdir(parents=True)
    clips.two_people(tmp_path / "videos" / "real" / "1.mp4", seconds=6.4, size=(320, 180))
    alive = most = 0
    references: list[weakref.ref[Image]] = []
    plain_cut = extraction.crop_face

    def gone(_: object) -> None:
        nonlocal alive
        alive -= 1

    def cut(image: Image, box: FaceBox, margin: float, drop: float) -> Image:
        nonlocal alive, most
        crop = plain_cut(image, box, margin, drop)
        references.append(weakref.ref(crop, gone))
        alive += 1
        most = max(most, alive)
        return crop

    monkeypatch.setattr(extraction, "crop_face", cut)
    assert preprocess(tmp_path / "videos", tmp_path / "out") == 0
    assert len(references) == 64
    # Two faces in each of eight frames, while those of the eight before are let go of.
    assert most <= 32
    assert alive == 0


def test_few_videos_wait_however_many_there_are() -> None:
    taken: list[int] = []
    ahead = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = command._as_completed(pool, lambda number: -number, items(), at_a_time=4)
        for got, (item, result) in enumerate(results):
            assert result == -item
            ahead.append(len(taken) - got)
    assert len(ahead) == 100
    assert max(ahead) <= 4
