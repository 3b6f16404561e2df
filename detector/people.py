"""Faces ▸ people: which faces of a video belong to one person.

Two faces are taken for one person if they look alike, and a little less alike is
enough where they are in the same place. Looks are told by color (of the crop with
its surroundings, and of the face alone) and by the gray pattern of the face: no
network, so the same person in another light or before another wall may come out
as two. That is the lesser error: two persons glued into one would outvote each
other, so the thresholds are set where a hard cut to somebody else splits.

Faces are joined best pair first, inside each window, then between neighboring
windows, then over the whole video; never two that share a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from detector.domain import Face, FaceBox, Image, Person
from detector.preprocessing import crop_face

Appearance = npt.NDArray[np.float32]
"""Three unit vectors one after the other: colors around the face, colors of the
face, gray pattern of the face."""

# Measured once by hand, on four windows each of 78 videos, margin 1.3. The similarity
# (mean over the three parts, best pair of faces) of one person in neighboring windows is
# above 0.84 in 98 %; of 2,535 pairs of different people it is never above 0.81, which is
# what two speakers in one studio, in front of one wall, reach.
ALIKE = 0.85
ALIKE_IN_PLACE = 0.82
IN_PLACE_IOU = 0.3
# A presenter who sits still before a changing picture: the surroundings tell nothing.
# The face's colors of different people come to 0.967 at most.
STILL_IOU = 0.9
STILL_COLORS = 0.97
STILL_PATTERN = 0.5

MARGIN = 1.3
"""Of the square a face is described by, whatever margin the checkpoint reads."""

_SIDE = 64
_BINS = (8, 8, 8)
_RANGES = (0, 256, 80, 176, 80, 176)
"""Lightness, and the part of Lab's a and b that pictures of people use."""
_PATTERN_SIDE = 12
_COLORS = int(np.prod(_BINS))
_EXEMPLARS = 32
_PAIRS_BETWEEN_LOOKS = 1000

Group = list[int]
"""Positions of faces that belong together."""


def describe(image: Image, box: FaceBox) -> Appearance:
    """What a face looks like, in a form two faces can be compared by.

    Args:
        image: the RGB frame.
        box: the face in it.
    """
    crop = cv2.resize(crop_face(image, box, MARGIN), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2LAB), np.uint8)
    inner = slice(_SIDE // 4, 3 * _SIDE // 4)
    return np.concatenate(
        [_color_histogram(lab), _color_histogram(lab[inner, inner]), _pattern(lab[:, :, 0])]
    )


def link(
    faces: Sequence[Face], stop_if_asked: Callable[[], None] = lambda: None
) -> tuple[Person, ...]:
    """People in order of first appearance, each face in exactly one of them.

    The order of ``faces`` does not matter.

    Args:
        stop_if_asked: called between comparisons, which with hundreds of people take
            minutes; what it raises ends the work.
    """
    ordered = sorted(faces, key=_reading_order)
    groups = _join_in_windows(ordered)
    groups = _join(ordered, groups, _neighbors(ordered, groups))
    pairs = _heeding(stop_if_asked, combinations(range(len(groups)), 2))
    groups = _join(ordered, groups, pairs)
    return tuple(
        Person(id=number, faces=tuple(ordered[position] for position in group))
        for number, group in enumerate(sorted(groups), start=1)
    )


def numbered(people: Iterable[Person]) -> list[tuple[Face, int]]:
    """Every face with its person's id, in order of time and person."""
    pairs = ((face, person.id) for person in people for face in person.faces)
    return sorted(pairs, key=lambda pair: (pair[0].frame_index, pair[1]))


def tracks(faces: Sequence[Face]) -> list[list[Face]]:
    """The faces of one person in one window, in order of time, for each person and window."""
    ordered = sorted(faces, key=_reading_order)
    return [[ordered[position] for position in group] for group in _join_in_windows(ordered)]


def similarity(a: Appearance, b: Appearance) -> float:
    """How alike two faces look, 1 for the same picture."""
    return float(a @ b) / 3


def _color_histogram(lab: Image) -> npt.NDArray[np.float32]:
    """Square roots of the shares: the product of two is their Bhattacharyya coefficient."""
    counts = cv2.calcHist(
        [np.ascontiguousarray(lab)], [0, 1, 2], None, list(_BINS), list(_RANGES)
    ).ravel()
    return _unit(np.sqrt(counts))


def _pattern(gray: Image) -> npt.NDArray[np.float32]:
    """The face in few gray pixels, without brightness and contrast."""
    small = cv2.resize(gray, (16, 16), interpolation=cv2.INTER_AREA)
    border = (16 - _PATTERN_SIDE) // 2
    values = small[border:-border, border:-border].astype(np.float32).ravel()
    return _unit(values - values.mean())


def _unit(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of length one; nothing at all becomes a constant, alike to every other nothing."""
    length = float(np.linalg.norm(values))
    if length < 1e-6:
        return np.full(values.shape, values.size**-0.5, np.float32)
    return (values / length).astype(np.float32)


def _reading_order(face: Face) -> tuple[int, int, int, int, int, float]:
    box = face.box
    return (face.frame_index, box.x, box.y, box.width, box.height, face.confidence)


def _heeding(
    stop_if_asked: Callable[[], None], pairs: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    for number, pair in enumerate(pairs):
        if number % _PAIRS_BETWEEN_LOOKS == 0:
            stop_if_asked()
        yield pair


def _join_in_windows(ordered: Sequence[Face]) -> list[Group]:
    """The faces of each window joined; windows in order of their first face."""
    windows: dict[int, Group] = {}
    for position, face in enumerate(ordered):
        windows.setdefault(face.window, []).append(position)
    groups: list[Group] = []
    for positions in windows.values():
        singles = [[position] for position in positions]
        groups += _join(ordered, singles, combinations(range(len(singles)), 2))
    return groups


def _neighbors(ordered: Sequence[Face], groups: Sequence[Group]) -> Iterator[tuple[int, int]]:
    """Pairs of groups in windows that follow each other.

    Joining these first keeps a long video, read whole, from comparing all with all.
    """
    members: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(ordered[group[0]].window, []).append(number)
    for earlier, later in pairwise(members.values()):
        for a in earlier:
            for b in later:
                yield a, b


def _join(
    faces: Sequence[Face], groups: Sequence[Group], pairs: Iterable[tuple[int, int]]
) -> list[Group]:
    """Join groups of one person, the best of the given pairs first.

    Groups with a frame in common are different people, and stay so through all joins.
    """
    examples = [_Examples([faces[position] for position in group]) for group in groups]
    candidates = []
    for a, b in pairs:
        score = examples[a].best_link(examples[b])
        if score is not None:
            candidates.append((-score, a, b))
    joined = [list(group) for group in groups]
    frames = [{faces[position].frame_index for position in group} for group in groups]
    owner = list(range(len(groups)))
    for _, a, b in sorted(candidates):
        into, gone = sorted((owner[a], owner[b]))
        if into == gone or frames[into] & frames[gone]:
            continue
        joined[into] += joined[gone]
        frames[into] |= frames[gone]
        owner = [into if number == gone else number for number in owner]
        joined[gone] = []
    return [sorted(group) for group in joined if group]


class _Examples:
    """Some faces of a group, as arrays."""

    def __init__(self, faces: Sequence[Face]) -> None:
        if len(faces) > _EXEMPLARS:
            chosen = np.linspace(0, len(faces) - 1, _EXEMPLARS).round().astype(int)
            faces = [faces[position] for position in chosen]
        looks = np.stack([face.appearance for face in faces])
        self._around = looks[:, :_COLORS]
        self._colors = looks[:, _COLORS : 2 * _COLORS]
        self._pattern = looks[:, 2 * _COLORS :]
        box = np.array([face.box.as_list() for face in faces], np.float64)
        self._start = box[:, :2]
        self._end = box[:, :2] + box[:, 2:]
        self._area = box[:, 2] * box[:, 3]

    def best_link(self, other: _Examples) -> float | None:
        """The score of the best pair that makes both one person; None if there is none."""
        colors = self._colors @ other._colors.T
        pattern = self._pattern @ other._pattern.T
        alike = (self._around @ other._around.T + colors + pattern) / 3
        iou = self._iou(other)
        linked = (
            (alike >= ALIKE)
            | ((alike >= ALIKE_IN_PLACE) & (iou >= IN_PLACE_IOU))
            | ((iou >= STILL_IOU) & (colors >= STILL_COLORS) & (pattern >= STILL_PATTERN))
        )
        if not linked.any():
            return None
        # Rounded: a sum's last digit depends on the order of its terms.
        return round(float((alike + iou)[linked].max()), 4)

    def _iou(self, other: _Examples) -> npt.NDArray[np.float64]:
        start = np.maximum(self._start[:, None], other._start[None])
        end = np.minimum(self._end[:, None], other._end[None])
        shared = np.prod(np.clip(end - start, 0, None), axis=2)
        union = self._area[:, None] + other._area[None] - shared
        return np.asarray(shared / union)
