"""MTCNN's networks and cascade: the package's answers, whatever company a picture is in."""

from __future__ import annotations

import numpy as np
import pytest

from detector import mtcnn, mtcnn_networks
from detector.mtcnn import Mtcnn, best_of_overlapping, pyramid
from detector.runtime import session
from tests.clips import scene

PICTURE = scene((640, 360), [(0, 180, 180, 300), (1, 470, 170, 200)])


@pytest.fixture(scope="module")
def ours() -> Mtcnn:
    return Mtcnn()


@pytest.mark.parametrize(
    ("make", "stage", "shape"),
    [
        (mtcnn_networks.proposals, "StagePNet", (2, 77, 131, 3)),
        (mtcnn_networks.refinement, "StageRNet", (5, 24, 24, 3)),
        (mtcnn_networks.output, "StageONet", (5, 48, 48, 3)),
    ],
)
def test_each_network_answers_as_the_packages_does(make, stage, shape) -> None:  # type: ignore[no-untyped-def]
    from mtcnn import stages

    pictures = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    theirs = getattr(stages, stage)()._model((pictures - 127.5) / 128)
    *others, scores = [np.asarray(answer) for answer in theirs]
    found = session(make()).run(None, {mtcnn_networks.INPUT: pictures})
    for answer, expected in zip(found, [scores[..., 1], *others], strict=True):
        np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_the_cascade_finds_what_the_package_finds(ours: Mtcnn) -> None:
    from mtcnn import MTCNN

    theirs = MTCNN().detect_faces(PICTURE, box_format="xyxy")
    found = ours.detect(PICTURE)
    assert len(found) == len(theirs) == 2
    order = np.argsort(found.boxes[:, 0])
    boxes = np.array(sorted(face["box"] for face in theirs), float)
    np.testing.assert_allclose(found.boxes[order], boxes, atol=0.51)  # Theirs are rounded.


def test_near_a_face_the_answer_is_that_of_looking_everywhere(ours: Mtcnn) -> None:
    everywhere = ours.detect(PICTURE)
    for shift in (-20, 0, 20):
        near = ours.detect(PICTURE, near=everywhere.boxes + shift)
        np.testing.assert_array_equal(near.boxes, everywhere.boxes)
        np.testing.assert_array_equal(near.landmarks, everywhere.landmarks)
    one = ours.detect(PICTURE, near=everywhere.boxes[:1])
    np.testing.assert_array_equal(one.boxes, everywhere.boxes[:1])


def test_far_from_a_face_nothing_is_found(ours: Mtcnn) -> None:
    corner = np.array([[600.0, 320.0, 630.0, 350.0]])
    assert len(ours.detect(PICTURE, near=corner)) == 0


def test_ties_are_broken_by_position() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    boxes = np.concatenate([box, box + 1, box + 50, box + 51])
    assert best_of_overlapping(boxes, np.ones(4), 0.5).tolist() == [0, 2]
    assert best_of_overlapping(boxes, np.array([1, 1, 1, 2.0]), 0.5).tolist() == [3, 0]


def test_a_small_box_within_a_large_one_goes_only_by_the_smaller_ones_area() -> None:
    boxes = np.array([[0.0, 0.0, 100.0, 100.0], [40.0, 40.0, 60.0, 60.0]])
    assert best_of_overlapping(boxes, np.array([2.0, 1.0]), 0.7).tolist() == [0, 1]
    assert best_of_overlapping(boxes, np.array([2.0, 1.0]), 0.7, of_smaller=True).tolist() == [0]


@pytest.mark.parametrize(("height", "width"), [(360, 640), (12, 12), (13, 400), (19, 21)])
def test_no_level_of_the_pyramid_is_too_small_for_a_cell(height: int, width: int) -> None:
    for level in pyramid(height, width):
        assert min(level.size) >= mtcnn.CELL
