"""Finds all faces in frames: what lies between MTCNN and the detector.

What it takes care of, each a measured failure of the bare networks: frames are shrunk to a
bounded size, boxes are plain integers inside the frame, and textures that pass for a face at
one scale get a second look. Within a run of frames it looks everywhere in some of them only,
and in those between near the faces that it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from detector.domain import DetectedFace, FaceBox, Image
from detector.mtcnn import Boxes, Found, Mtcnn

WORKING_SIDE = 640
"""Longer side, in pixels, of the frame MTCNN sees; larger frames are shrunk to it.

The smallest face MTCNN looks for is 20 pixels there, one thirty-second of the frame.
"""

MIN_CONFIDENCE = 0.9
"""Together with the second look: it keeps more true faces and fewer textures than 0.95 alone."""

FOLLOWED = 6
"""At most, between two frames in which faces are looked for everywhere.

So of a window of 8 the first and the last are looked at everywhere. What that misses and how
far the boxes move is measured by ``python -m benchmarks.following``.
"""

SAME_PLACE = 0.75
"""Of a face's side: how far it may have moved from one frame to the next and be the same."""

FIRM = 0.99
"""Confidence from which a face that is followed needs no second look of its own.

A texture passes the second look in one frame of a run by chance; followed without one, it
would be seen in all of them, and make a person of its own.
"""

SECOND_LOOK_SIDES = (100, 160)
"""A face must be found again in a square around it at each of these sides.

Counted once by hand, over 78 videos with 2,490 frames: 28 of 144 detections beside the
main face were left, all but one of them true faces, and 98.6 % of the main faces.
"""

SECOND_LOOK_MARGIN = 1.3

MIN_VISIBLE = 0.6
"""Of a box's area inside the frame; a face cut off more than this cannot be judged."""


class FaceFinder:
    """MTCNN, loaded once and used for many frames; may be shared by threads.

    It computes on the processor, on the thread that calls it, also where there is a GPU: the
    networks are so small that they would wait for the pictures.

    Arguments:
        working_side: larger frames are shrunk to this longer side.
        min_confidence: faces MTCNN is less sure of are dropped.

    Example::

        faces_per_frame = FaceFinder().find([rgb_frame, next_rgb_frame])
    """

    def __init__(
        self, working_side: int = WORKING_SIDE, min_confidence: float = MIN_CONFIDENCE
    ) -> None:
        self._mtcnn = Mtcnn()
        self._working_side = working_side
        self._min_confidence = min_confidence

    def find(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
        """All faces of each RGB frame, from left to right, each frame looked at by itself."""
        return [self._look(_Frame(image, self._working_side)).faces for image in images]

    def follow(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
        """All faces of each frame of a run, from left to right.

        The first frame, the last, and every fourth are looked at as by ``find``; between them
        faces are looked for near where the frame before and the next such frame have them. A
        frame in which a face is not found again is looked at everywhere as well.

        Args:
            images: RGB frames that follow each other, fractions of a second apart.
        """
        frames = [_Frame(image, self._working_side) for image in images]
        seen: dict[int, _Seen] = {}
        anchors = sorted({*range(0, len(frames), FOLLOWED + 1), len(frames) - 1} - {-1})
        for anchor in anchors:
            seen[anchor] = self._look(frames[anchor])
        for before, after in pairwise(anchors):
            for between in range(before + 1, after):
                seen[between] = self._look_near(frames[between], seen[between - 1], seen[after])
        return [seen[number].faces for number in range(len(frames))]

    def _look(self, frame: _Frame) -> _Seen:
        seen = _Seen()
        for face in frame.faces(self._mtcnn.detect(frame.small)):
            sure = face.confidence >= self._min_confidence
            seen.add(face, sure and self._second_look(frame.image, face.box))
        return seen

    def _look_near(self, frame: _Frame, before: _Seen, coming: _Seen) -> _Seen:
        nearby = before.all() + coming.all()
        if not nearby:
            return _Seen()
        near = frame.shrunk([face.box for face in nearby])
        faces = frame.faces(self._mtcnn.detect(frame.small, near))
        known = before.faces + coming.faces
        seen = _Seen()
        for face in faces:
            sure = face.confidence >= self._min_confidence
            firm = face.confidence >= FIRM and any(_same(face, one) for one in known)
            seen.add(face, sure and (firm or self._second_look(frame.image, face.box)))
        if not all(any(_same(face, one) for face in seen.faces) for one in before.faces):
            return self._look(frame)
        return seen

    def _second_look(self, image: Image, box: FaceBox) -> bool:
        """Whether a face fills the middle of a square around it, at every side."""
        square = _square(image, box)
        for side in SECOND_LOOK_SIDES:
            half = side / SECOND_LOOK_MARGIN / 2
            middle = np.array([[side / 2 - half] * 2 + [side / 2 + half] * 2])
            found = self._mtcnn.detect(_resized(square, side), near=middle)
            if not any(_fills_the_middle(seen, side) for seen in found.boxes):
                return False
        return True


class _Seen:
    """What was seen in a frame, from left to right."""

    def __init__(self) -> None:
        self.faces: list[DetectedFace] = []
        self.doubtful: list[DetectedFace] = []
        """Not sure enough here; in the next frame they may be."""

    def add(self, face: DetectedFace, sure: bool) -> None:
        (self.faces if sure else self.doubtful).append(face)

    def all(self) -> list[DetectedFace]:
        return self.faces + self.doubtful


class _Frame:
    """A frame, and how MTCNN sees it."""

    def __init__(self, image: Image, working_side: int) -> None:
        _check(image)
        self.image = image
        self.small = _shrink(image, working_side)
        height, width = image.shape[:2]
        self._scale = np.array([width / self.small.shape[1], height / self.small.shape[0]])

    def faces(self, found: Found) -> list[DetectedFace]:
        """What MTCNN found in the small picture, in pixels of the frame, from left to right."""
        height, width = self.image.shape[:2]
        faces = []
        for box, score, points in zip(found.boxes, found.scores, found.landmarks, strict=True):
            visible = _visible_box(box[:2] * self._scale, box[2:] * self._scale, width, height)
            if visible is None:
                continue
            landmarks = np.rint(points * self._scale).astype(int).tolist()
            faces.append(
                DetectedFace(
                    box=visible,
                    confidence=float(score),
                    landmarks=tuple((x, y) for x, y in landmarks),
                )
            )
        return sorted(faces, key=lambda face: (face.box.x, face.box.y, face.box.side))

    def shrunk(self, boxes: Sequence[FaceBox]) -> Boxes:
        """Boxes of the frame in pixels of the small picture."""
        corners = [[(b.x, b.y), (b.x + b.width, b.y + b.height)] for b in boxes]
        return (np.array(corners) / self._scale).reshape(-1, 4)


def _same(face: DetectedFace, earlier: DetectedFace) -> bool:
    """Whether a face is where another was, and about as large."""
    larger, smaller = sorted((face.box.side, earlier.box.side), reverse=True)
    away = max(
        abs(face.box.x + face.box.width / 2 - earlier.box.x - earlier.box.width / 2),
        abs(face.box.y + face.box.height / 2 - earlier.box.y - earlier.box.height / 2),
    )
    return away <= SAME_PLACE * smaller and larger <= 1.6 * smaller


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            "a frame must be an RGB uint8 array of shape (height, width, 3), "
            f"got {image.dtype} of shape {image.shape}"
        )


def _shrink(image: Image, side: int) -> Image:
    """The frame with its longer side at most ``side``; small frames stay as they are."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _visible_box(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], width: int, height: int
) -> FaceBox | None:
    """The box in whole pixels inside the frame; None if too little of it is inside."""
    left, top = (max(0, round(float(value))) for value in start)
    right = min(width, round(float(end[0])))
    bottom = min(height, round(float(end[1])))
    if right <= left or bottom <= top:
        return None
    if (right - left) * (bottom - top) < MIN_VISIBLE * float(np.prod(end - start)):
        return None
    return FaceBox(left, top, right - left, bottom - top)


def _square(image: Image, box: FaceBox) -> Image:
    """The face with a margin, black outside the frame."""
    side = round(box.side * SECOND_LOOK_MARGIN)
    left = round(box.x + (box.width - side) / 2)
    top = round(box.y + (box.height - side) / 2)
    height, width = image.shape[:2]
    inside = image[max(top, 0) : top + side, max(left, 0) : left + side]
    below, behind = max(0, top + side - height), max(0, left + side - width)
    square = cv2.copyMakeBorder(
        inside, max(0, -top), below, max(0, -left), behind, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
    return _resized(np.asarray(square, np.uint8), max(SECOND_LOOK_SIDES))


def _resized(square: Image, side: int) -> Image:
    shrinks = side < square.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side, side), interpolation=interpolation), np.uint8)


def _fills_the_middle(box: npt.NDArray[np.float64], side: int) -> bool:
    """Whether MTCNN's box is about where the second look expects the face."""
    center = (box[:2] + box[2:]) / 2
    size = float(np.max(box[2:] - box[:2]))
    return bool(np.all(np.abs(center - side / 2) < 0.2 * side)) and 0.45 < size / side < 1.0
