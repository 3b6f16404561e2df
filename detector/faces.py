"""Finds all faces in frames: the adapter around MTCNN.

What it takes care of, each a measured failure of the bare library: frames are
shrunk to a bounded size instead of changing MTCNN's ``min_face_size``, the
networks run as compiled functions, frames of one size go through together, a
failing network is an error and never "no faces", boxes are plain integers inside
the frame, and textures that pass for a face at one scale get a second look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image

from detector.domain import DetectedFace, FaceBox, Image

WORKING_SIDE = 640
"""Longer side, in pixels, of the frame MTCNN sees; larger frames are shrunk to it.

The smallest face MTCNN looks for is 20 pixels there, one thirty-second of the frame.
"""

MIN_CONFIDENCE = 0.9
"""Together with the second look: it keeps more true faces and fewer textures than 0.95 alone."""

BATCH_FRAMES = 8

SECOND_LOOK_SIDES = (100, 160)
"""A face must be found again in a square around it at each of these sides.

Counted once by hand, over 78 videos with 2,490 frames: 28 of 144 detections beside the
main face were left, all but one of them true faces, and 98.6 % of the main faces.
"""

SECOND_LOOK_MARGIN = 1.3
BATCH_SECOND_LOOKS = 32

MIN_VISIBLE = 0.6
"""Of a box's area inside the frame; a face cut off more than this cannot be judged."""

_LANDMARKS = 5
_COLUMNS = 6 + 2 * _LANDMARKS
"""Of MTCNN's answer: frame, x1, y1, x2, y2, confidence, five landmark xs, five ys."""


class FaceFinder:
    """MTCNN on one device, loaded once and used for many frames.

    Arguments:
        device: as TensorFlow names it, ``"CPU:0"`` or ``"GPU:0"``.
        working_side: larger frames are shrunk to this longer side.
        min_confidence: faces MTCNN is less sure of are dropped.

    Example::

        faces_per_frame = FaceFinder().find([rgb_frame, next_rgb_frame])
    """

    def __init__(
        self,
        device: str = "CPU:0",
        working_side: int = WORKING_SIDE,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> None:
        import tensorflow as tf
        from mtcnn.stages import StageONet, StagePNet, StageRNet

        self._device = device
        self._working_side = working_side
        self._min_confidence = min_confidence
        with tf.device(device):
            self._stages = [StagePNet(), StageRNet(), StageONet()]
        for stage, side in zip(self._stages, (None, 24, 48), strict=True):
            # Eagerly the networks take twice as long. The open shape makes one
            # graph serve every pyramid level and every number of candidates.
            stage._model = tf.function(
                stage.model,
                input_signature=[tf.TensorSpec((None, side, side, 3), tf.float32)],
                autograph=False,
            )

    def find(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
        """All faces of each RGB frame, from left to right.

        Neighboring frames of equal size share a pass through the networks.
        """
        for image in images:
            _check(image)
        found: list[list[DetectedFace]] = []
        for batch in _batches(images):
            found.extend(self._find_in_batch(batch))
        seen_twice = iter(
            self._second_look(
                [
                    _square(image, face.box)
                    for image, faces in zip(images, found, strict=True)
                    for face in faces
                ]
            )
        )
        return [[face for face in faces if next(seen_twice)] for faces in found]

    def _find_in_batch(self, images: Sequence[Image]) -> list[list[DetectedFace]]:
        height, width = images[0].shape[:2]
        frames = np.stack([_shrink(image, self._working_side) for image in images])
        scale = np.array([width / frames.shape[2], height / frames.shape[1]])
        found: list[list[DetectedFace]] = [[] for _ in images]
        for row in self._run_stages(frames):
            box = _visible_box(row[1:3] * scale, row[3:5] * scale, width, height)
            if box is None or row[5] < self._min_confidence:
                continue
            landmarks = np.rint(row[6:].reshape(2, _LANDMARKS).T * scale).astype(int).tolist()
            found[int(row[0])].append(
                DetectedFace(
                    box=box,
                    confidence=float(row[5]),
                    landmarks=tuple((x, y) for x, y in landmarks),
                )
            )
        for faces in found:
            faces.sort(key=lambda face: (face.box.x, face.box.y, face.box.side))
        return found

    def _second_look(self, squares: Sequence[PIL.Image.Image]) -> list[bool]:
        """For each square, whether a face fills its middle at every side."""
        confirmed = [True] * len(squares)
        for side in SECOND_LOOK_SIDES:
            for start in range(0, len(squares), BATCH_SECOND_LOOKS):
                part = squares[start : start + BATCH_SECOND_LOOKS]
                rows = self._run_stages(np.stack([_resized(square, side) for square in part]))
                seen = {int(row[0]) for row in rows if _fills_the_middle(row, side)}
                for position in range(len(part)):
                    confirmed[start + position] &= position in seen
        return confirmed

    def _run_stages(self, images: Image) -> npt.NDArray[np.float64]:
        """MTCNN's three stages over images (n, height, width, 3); a row a face (``_COLUMNS``).

        ``MTCNN.detect_faces`` does the same and takes any InvalidArgumentError for
        "no faces", because its second and third network refuse an empty batch.
        Stopping at an empty batch leaves that error its meaning.
        """
        import tensorflow as tf

        frames = (images.astype(np.float32) - 127.5) / 128.0
        shapes = np.array([frame.shape for frame in frames])
        boxes = None
        with tf.device(self._device):
            for stage in self._stages:
                boxes = stage(bboxes_batch=boxes, images_normalized=frames, images_oshapes=shapes)
                if len(boxes) == 0:
                    return np.empty((0, _COLUMNS))
        return np.asarray(boxes, dtype=np.float64)


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            "a frame must be an RGB uint8 array of shape (height, width, 3), "
            f"got {image.dtype} of shape {image.shape}"
        )


def _batches(images: Sequence[Image]) -> Iterator[Sequence[Image]]:
    """Runs of neighboring frames of one size, at most ``BATCH_FRAMES`` long."""
    start = 0
    for end in range(1, len(images) + 1):
        if (
            end == len(images)
            or images[end].shape != images[start].shape
            or end - start == BATCH_FRAMES
        ):
            yield images[start:end]
            start = end


def _shrink(image: Image, side: int) -> Image:
    """The frame with its longer side at most ``side``; small frames stay as they are."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BOX))


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


def _square(image: Image, box: FaceBox) -> PIL.Image.Image:
    """The face with a margin, black outside the frame."""
    side = round(box.side * SECOND_LOOK_MARGIN)
    left = round(box.x + (box.width - side) / 2)
    top = round(box.y + (box.height - side) / 2)
    square = PIL.Image.fromarray(image).crop((left, top, left + side, top + side))
    largest = max(SECOND_LOOK_SIDES)
    return square.resize((largest, largest), _resampling(side, largest))


def _resized(square: PIL.Image.Image, side: int) -> Image:
    return np.asarray(square.resize((side, side), _resampling(square.width, side)))


def _resampling(before: int, after: int) -> PIL.Image.Resampling:
    return PIL.Image.Resampling.BOX if after < before else PIL.Image.Resampling.BILINEAR


def _fills_the_middle(row: npt.NDArray[np.float64], side: int) -> bool:
    """Whether MTCNN's box is about where the second look expects the face."""
    center = (row[1:3] + row[3:5]) / 2
    size = float(np.max(row[3:5] - row[1:3]))
    return bool(np.all(np.abs(center - side / 2) < 0.2 * side)) and 0.45 < size / side < 1.0
