"""Linking faces to people: on rendered scenes, and by its invariants on anything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.domain import Face, FaceBox, Person
from detector.people import ALIKE, describe, link, similarity, tracks
from tests.clips import scene

SIZE = (640, 360)


def seen(
    person: int,
    x: int,
    frame: int,
    *,
    side: int = 300,
    y: int = 180,
    window: int | None = None,
    others: Sequence[tuple[int, float, float, float]] = (),
) -> Face:
    """Person 0 or 1 of the test clips in one frame, centered at (x, y)."""
    picture = scene(SIZE, [(person, x, y, side), *others])
    box = FaceBox(x - side // 5, y - side // 4, 2 * side // 5, side // 2)
    return Face(
        frame_index=frame,
        time_s=frame / 25,
        window=frame // 40 if window is None else window,
        box=box,
        confidence=0.99,
        appearance=describe(picture, box),
    )


def frames_of(people: Sequence[Person]) -> list[list[int]]:
    return [[face.frame_index for face in person.faces] for person in people]


def test_a_face_that_wanders_slowly_is_one_person() -> None:
    faces = [seen(0, 250 + 6 * i, 5 * i) for i in range(16)]
    assert frames_of(link(faces)) == [[5 * i for i in range(16)]]


def test_a_face_that_turns_up_elsewhere_a_minute_later_is_the_same_person() -> None:
    before = [seen(0, 200, 0), seen(0, 205, 5)]
    after = [seen(0, 430, 1500, side=200, y=150), seen(0, 425, 1505, side=200, y=150)]
    assert len(link(before + after)) == 1


def test_a_face_that_comes_closer_is_one_person() -> None:
    faces = [seen(0, 320, 5 * i, side=200 + 8 * i) for i in range(16)]
    assert len(link(faces)) == 1


def test_two_faces_in_every_frame_are_two_people() -> None:
    faces = [seen(person, 160 + 320 * person, 5 * i) for i in range(8) for person in (0, 1)]
    people = link(faces)
    assert len(people) == 2
    for person in people:
        assert len({face.box.x for face in person.faces}) == 1


def test_twins_side_by_side_are_two_people() -> None:
    faces = [seen(0, x, 5 * i) for i in range(8) for x in (160, 480)]
    people = link(faces)
    assert frames_of(people) == [[5 * i for i in range(8)]] * 2
    for person in people:
        assert len({face.box.x for face in person.faces}) == 1


def test_who_looks_exactly_alike_is_told_apart_by_place() -> None:
    look = seen(0, 320, 0).appearance

    def face(frame: int, x: int, y: int) -> Face:
        return Face(frame, frame / 25, 0, FaceBox(x, y, 100, 120), 0.99, look)

    above = [face(5 * i, 100 + 20 * (i % 2), 0) for i in range(8)]
    below = [face(5 * i, 120 - 20 * (i % 2), 200) for i in range(8)]
    assert {tuple(person.faces) for person in link(above + below)} == {tuple(above), tuple(below)}


def test_a_hard_cut_in_a_window_to_somebody_in_the_same_place_makes_two_people() -> None:
    faces = [seen(0 if i < 4 else 1, 320, 5 * i, window=0) for i in range(8)]
    assert frames_of(link(faces)) == [[0, 5, 10, 15], [20, 25, 30, 35]]


@pytest.mark.parametrize("window_frames", [4, 12])
def test_who_returns_after_a_cut_is_the_same_person(window_frames: int) -> None:
    faces = [seen((i // 4) % 2, 320, 5 * i, window=i // window_frames) for i in range(12)]
    assert frames_of(link(faces)) == [[0, 5, 10, 15, 40, 45, 50, 55], [20, 25, 30, 35]]


def test_people_who_change_places_while_nobody_looks_stay_themselves() -> None:
    before = [seen(person, 160 + 320 * person, 5 * i) for i in range(4) for person in (0, 1)]
    after = [seen(person, 480 - 320 * person, 900 + 5 * i) for i in range(4) for person in (0, 1)]
    first, second = link(before + after)
    assert {face.box.x for face in first.faces if face.frame_index < 900} == {100}
    assert {face.box.x for face in first.faces if face.frame_index >= 900} == {420}
    assert len(first.faces) == len(second.faces) == 8


def test_linking_can_be_stopped() -> None:
    """Faces that look like nobody else are compared all with all."""

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    rng = np.random.default_rng(1)
    strangers = [
        replace(face, appearance=rng.normal(size=face.appearance.shape).astype(np.float32))
        for face in (seen(0, 160, frame, window=frame) for frame in range(3))
    ]
    with pytest.raises(Stopped):
        link(strangers, stop)


def test_nobody_is_nobody() -> None:
    assert link([]) == ()


def test_the_two_people_of_the_test_clips_do_not_look_alike() -> None:
    assert similarity(seen(0, 320, 0).appearance, seen(1, 320, 0).appearance) < ALIKE - 0.1
    assert similarity(seen(0, 320, 0).appearance, seen(0, 330, 0).appearance) > ALIKE


def test_a_face_without_any_contrast_has_an_appearance_too() -> None:
    appearance = describe(np.full((100, 100, 3), 7, np.uint8), FaceBox(20, 20, 40, 50))
    assert np.isfinite(appearance).all()
    assert similarity(appearance, appearance) == pytest.approx(1)


def test_a_track_stays_inside_its_window() -> None:
    faces = [seen(0, 320, 5 * i, window=i // 8) for i in range(16)]
    assert [[face.frame_index for face in track] for track in tracks(faces)] == [
        [5 * i for i in range(8)],
        [5 * i for i in range(8, 16)],
    ]


def test_a_long_video_read_whole_is_linked_in_a_moment() -> None:
    """2,000 faces: comparing all with all would be two million comparisons."""
    looks = [seen(0, 300 + i, 0).appearance for i in range(10)]
    faces = [
        Face(5 * i, i / 5, i // 8, FaceBox(300 + i % 10, 100, 120, 150), 0.99, looks[i % 10])
        for i in range(2000)
    ]
    assert [len(person.faces) for person in link(faces)] == [2000]


# --- invariants ---------------------------------------------------------------------------

LOOKS = [
    seen(person, x, 0, side=side).appearance
    for person in (0, 1)
    for x in (200, 320)
    for side in (220, 320)
]


@st.composite
def faces_anywhere(draw: st.DrawFn) -> list[Face]:
    """Up to four faces, in places of their own, in each of up to twelve frames."""
    faces = []
    for frame in range(draw(st.integers(0, 12))):
        for place in draw(st.sets(st.integers(0, 5), max_size=4)):
            size = draw(st.integers(40, 160))
            faces.append(
                Face(
                    frame_index=5 * frame,
                    time_s=frame / 5,
                    window=frame // 4,
                    box=FaceBox(100 * place, draw(st.integers(0, 200)), size, size),
                    confidence=0.99,
                    appearance=draw(st.sampled_from(LOOKS)),
                )
            )
    return faces


@given(faces_anywhere())
@settings(deadline=None)
def test_each_face_is_in_exactly_one_person(faces: list[Face]) -> None:
    linked = [id(face) for person in link(faces) for face in person.faces]
    assert sorted(linked) == sorted(id(face) for face in faces)


@given(faces_anywhere())
@settings(deadline=None)
def test_two_faces_of_one_frame_are_never_one_person(faces: list[Face]) -> None:
    for person in link(faces):
        frames = [face.frame_index for face in person.faces]
        assert frames == sorted(set(frames))


@given(faces_anywhere())
@settings(deadline=None)
def test_people_are_numbered_from_one_by_first_appearance(faces: list[Face]) -> None:
    people = link(faces)
    assert [person.id for person in people] == list(range(1, len(people) + 1))
    first = [(p.faces[0].frame_index, p.faces[0].box.x, p.faces[0].box.y) for p in people]
    assert first == sorted(first)


@given(faces_anywhere(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_faces_does_not_matter(faces: list[Face], rng: random.Random) -> None:
    shuffled = list(faces)
    rng.shuffle(shuffled)
    assert [[id(f) for f in p.faces] for p in link(shuffled)] == [
        [id(f) for f in p.faces] for p in link(faces)
    ]


@given(faces_anywhere())
@settings(deadline=None)
def test_the_people_are_the_tracks_put_together(faces: list[Face]) -> None:
    owner = {id(face): person.id for person in link(faces) for face in person.faces}
    for track in tracks(faces):
        assert len({owner[id(face)] for face in track}) == 1
        assert len({face.window for face in track}) == 1
