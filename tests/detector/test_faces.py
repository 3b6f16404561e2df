"""Finding faces with the real MTCNN on rendered pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detector.domain import DetectedFace, FaceBox
from detector.faces import FaceFinder
from tests.clips import Image, scene


def center(face: DetectedFace) -> tuple[float, float]:
    return face.box.x + face.box.width / 2, face.box.y + face.box.height / 2


def test_a_face_is_found_where_it_is(finder: FaceFinder) -> None:
    [[face]] = finder.find([scene((640, 360), [(0, 200, 180, 300)])])
    assert center(face) == pytest.approx((200, 180), abs=30)
    assert 100 < face.box.side < 200
    assert face.confidence > 0.95


def test_all_faces_are_found_from_left_to_right(finder: FaceFinder) -> None:
    [[left, right]] = finder.find([scene((640, 360), [(1, 480, 180, 300), (0, 160, 180, 300)])])
    assert center(left)[0] == pytest.approx(160, abs=30)
    assert center(right)[0] == pytest.approx(480, abs=30)


def test_where_there_is_no_face_none_is_found(finder: FaceFinder) -> None:
    black = np.zeros((240, 320, 3), np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    assert finder.find([black, noise, scene((320, 240), [])]) == [[], [], []]


def test_no_frames_give_no_answers(finder: FaceFinder) -> None:
    assert finder.find([]) == []


@pytest.mark.parametrize("size", [(1, 1), (12, 12), (1000, 9), (9, 1000)])
def test_frames_too_small_for_a_face_are_no_error(
    finder: FaceFinder, size: tuple[int, int]
) -> None:
    assert finder.find([scene(size, [])]) == [[]]


def test_a_large_frame_is_searched_small_and_answered_large(finder: FaceFinder) -> None:
    small = scene((640, 360), [(0, 200, 180, 300)])
    large = np.ascontiguousarray(small.repeat(3, axis=0).repeat(3, axis=1))
    [[face], [same_larger]] = finder.find([small, large])
    assert same_larger.box.as_list() == pytest.approx(
        [3 * value for value in face.box.as_list()], abs=9
    )
    assert np.array(same_larger.landmarks) == pytest.approx(3 * np.array(face.landmarks), abs=9)


def test_frames_of_mixed_sizes_in_one_call_are_answered_as_one_by_one(finder: FaceFinder) -> None:
    pictures = [
        scene((320, 240), [(0, 150, 120, 200)]),
        scene((320, 240), [(1, 170, 120, 200)]),
        scene((640, 360), [(0, 300, 180, 250)]),
        scene((320, 240), []),
        *[scene((320, 240), [(0, 130 + 5 * i, 120, 200)]) for i in range(10)],
    ]
    together = finder.find(pictures)
    for picture, faces in zip(pictures, together, strict=True):
        [alone] = finder.find([picture])
        assert [face.box for face in alone] == [face.box for face in faces]


def test_a_face_at_the_edge_has_a_box_inside_the_frame(finder: FaceFinder) -> None:
    whole = scene((640, 360), [(0, 320, 180, 340)])
    cut = np.ascontiguousarray(whole[:, 275:])
    [[face]] = finder.find([cut])
    assert face.box.x == 0
    assert face.box.x + face.box.width <= cut.shape[1]
    assert face.box.y >= 0


def test_a_face_mostly_outside_the_frame_is_none(finder: FaceFinder) -> None:
    whole = scene((640, 360), [(0, 320, 180, 340)])
    assert finder.find([np.ascontiguousarray(whole[:, 330:])]) == [[]]


def test_landmarks_are_eyes_nose_and_mouth_in_this_order(finder: FaceFinder) -> None:
    [[face]] = finder.find([scene((640, 360), [(0, 320, 180, 300)])])
    left_eye, right_eye, nose, mouth_left, mouth_right = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_the_answer_is_plain_numbers(finder: FaceFinder) -> None:
    [[face]] = finder.find([scene((640, 360), [(0, 320, 180, 300)])])
    json.dumps([face.box.as_list(), face.confidence, face.landmarks])
    assert type(face.box) is FaceBox
    assert {type(value) for value in face.box.as_list()} == {int}
    assert type(face.confidence) is float


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((240, 320), np.uint8),
        np.zeros((240, 320, 4), np.uint8),
        np.zeros((240, 320, 3), np.float32),
        np.zeros((0, 320, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_frame_is_refused(finder: FaceFinder, wrong: Image) -> None:
    with pytest.raises(ValueError, match="RGB uint8"):
        finder.find([wrong])


def test_a_failing_network_is_an_error_and_not_an_empty_frame(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OutOfOrder:
        def run(self, *_: object) -> object:
            raise RuntimeError("out of order")

    picture = scene((640, 360), [(0, 320, 180, 300)])
    monkeypatch.setattr(finder._mtcnn, "_rnet", OutOfOrder())
    with pytest.raises(RuntimeError, match="out of order"):
        finder.find([picture])


def test_a_face_is_looked_at_twice(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = scene((640, 360), [(0, 320, 180, 300)])
    gray = np.full((160, 160, 3), 128, np.uint8)
    monkeypatch.setattr("detector.faces._square", lambda image, box: gray)
    assert finder.find([picture]) == [[]]
    assert finder.follow([picture] * 8) == [[]] * 8


# --- following faces through a window ------------------------------------------------------

Drawn = list[tuple[int, float, float, float]]


def window(*people: Drawn, size: tuple[int, int] = (640, 360)) -> list[Image]:
    return [scene(size, one) for one in people]


WANDERING: list[Drawn] = [
    [(0, 150 + 12 * i, 170 + 3 * i, 250 + 5 * i), (1, 520 - 4 * i, 180, 180)] for i in range(8)
]


@pytest.fixture
def looks(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each look at a frame of 640 pixels: whether it was at all of it."""
    seen: list[bool] = []
    plain = finder._mtcnn.detect

    def detect(image: Image, near: object = None) -> object:
        if image.shape[1] == 640:
            seen.append(near is None)
        return plain(image, near)  # type: ignore[arg-type]

    monkeypatch.setattr(finder._mtcnn, "detect", detect)
    return seen


def test_followed_faces_are_those_found_frame_by_frame(
    finder: FaceFinder, looks: list[bool]
) -> None:
    images = window(*WANDERING)
    followed = finder.follow(images)
    assert looks == [True, True] + [False] * 6  # The first, the last, and those between.
    assert followed == finder.find(images)
    assert [len(faces) for faces in followed] == [2] * 8


@pytest.mark.parametrize(("firm", "frames"), [(0.99, 2), (1.1, 8)])
def test_a_followed_face_gets_a_second_look_where_it_is_not_firm(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch, firm: float, frames: int
) -> None:
    looked_at: list[Image] = []
    plain = finder._second_look

    def second_look(image: Image, box: FaceBox) -> bool:
        looked_at.append(image)
        return plain(image, box)

    monkeypatch.setattr(finder, "_second_look", second_look)
    monkeypatch.setattr("detector.faces.FIRM", firm)
    images = window(*[people[:1] for people in WANDERING])
    assert [len(faces) for faces in finder.follow(images)] == [1] * 8
    assert len(looked_at) == frames


def test_a_face_that_appears_within_a_window_is_found_from_then_on(finder: FaceFinder) -> None:
    drawn = [people if i >= 3 else people[:1] for i, people in enumerate(WANDERING)]
    assert [len(faces) for faces in finder.follow(window(*drawn))] == [1] * 3 + [2] * 5


def test_where_a_face_is_lost_all_of_the_frame_is_looked_at(
    finder: FaceFinder, looks: list[bool]
) -> None:
    """A hard cut: another person, elsewhere and of another size."""
    drawn: list[Drawn] = [[(0, 150.0, 180.0, 280.0)]] * 3 + [[(1, 520.0, 160.0, 170.0)]] * 5
    images = window(*drawn)
    followed = finder.follow(images)
    assert followed == finder.find(images)
    assert [faces[0].box.x > 320 for faces in followed] == [False] * 3 + [True] * 5
    assert looks[:8].count(True) == 3


def test_a_window_without_faces_at_its_ends_is_not_searched_between(
    finder: FaceFinder, looks: list[bool]
) -> None:
    assert finder.follow(window(*[[]] * 8)) == [[]] * 8
    assert looks == [True, True]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 15])
def test_a_run_of_any_length_is_followed(finder: FaceFinder, count: int) -> None:
    images = window(*[[(0, 200.0 + 5 * i, 180.0, 260.0)] for i in range(count)])
    assert finder.follow(images) == finder.find(images)
