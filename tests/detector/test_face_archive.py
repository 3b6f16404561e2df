"""Crops in a zip for each video, and files that are written whole."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from detector.domain import Face, FaceBox, Image, Person
from detector.training.crops import decode_rgb
from detector.training.face_archive import FaceArchiveWriter, read_record, written_whole


def test_faces_of_a_zip_are_in_order_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    crops: dict[Face, Image] = {}
    # Eleven faces in one frame, and an earlier frame that a damaged file gave later.
    for frame_index, count in ((40, 11), (7, 1)):
        for number in range(count):
            box = FaceBox(100 * number, 0, 50, 60)
            face = Face(frame_index, frame_index / 25, 0, box, 0.98765, np.zeros(1, np.float32))
            crops[face] = random.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    path = tmp_path / "crops" / "a.mp4.zip"
    with FaceArchiveWriter(path) as archive:
        for face, crop in crops.items():
            archive.add(face, crop)
        assert not path.exists()
        people = [Person(1, archive.faces[:1]), Person(2, archive.faces[1:])]
        written = archive.finish(people, video_bytes=5, frames=2, seconds=1.5)
    record = read_record(path)
    assert record == written
    assert [face.path for face in record.faces] == [
        "000007-1.png", *(f"000040-{number}.png" for number in range(1, 12))
    ]  # fmt: skip
    assert [face.person for face in record.faces] == [2, 1, *[2] * 10]
    with zipfile.ZipFile(path) as stored:
        for face, kept in zip(crops, [*record.faces[1:], record.faces[0]], strict=True):
            assert (kept.box, kept.confidence) == (face.box, 0.9877)
            np.testing.assert_array_equal(decode_rgb(stored.read(kept.path)), crops[face])


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    table = tmp_path / "out" / "manifest.csv"
    table.parent.mkdir()
    table.write_text("before")

    def write(text: str, error: Exception | None = None) -> None:
        with written_whole(table) as file:
            file.write(text)
            file.flush()
            if error:
                raise error

    with pytest.raises(OSError, match="full"):
        write("half", OSError("full"))
    assert table.read_text() == "before"
    assert list(table.parent.iterdir()) == [table]
    write("after")
    assert table.read_text() == "after"
