"""MTCNN: a picture of a bounded size ▸ the faces in it.

The cascade of Zhang et al., "Joint Face Detection and Alignment Using Multi-task Cascaded
Convolutional Networks", 2016, with the thresholds of the package ``mtcnn``, whose weights it
has. P-Net proposes candidates on every level of a pyramid, R-Net refines them, O-Net gives box
and landmarks. The networks run in ONNX Runtime, on one thread and one picture at a time, so
that an answer depends on that picture alone: not on others that it came with, nor on how many
cores there are. Ties are broken by position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector import mtcnn_networks
from detector.domain import Image
from detector.mtcnn_networks import GRAY, INPUT, ONET_SIDE, RNET_SIDE
from detector.runtime import session

Boxes = npt.NDArray[np.float64]
"""(n, 4): left, top, right, bottom, in pixels of the picture."""

Part = tuple[int, int, int, int]
"""Left, top, right, bottom."""

CELL, STRIDE = 12, 2
"""Side of what P-Net looks at, and how far one cell is from the next, in its picture."""

SMALLEST = 20
"""Side of the smallest face in the first level of the pyramid, in pixels."""

PYRAMID_STEP = 0.709
PNET_SCORE, RNET_SCORE, ONET_SCORE = 0.6, 0.7, 0.8
WITHIN_LEVEL, BETWEEN_LEVELS, AFTER_RNET, AFTER_ONET = 0.5, 0.7, 0.7, 0.7
"""A candidate goes where a better one overlaps it by more than this."""

RESIZED = 2.2
"""How much larger or smaller than P-Net's cell a face may be for that cell to propose it."""

CHUNK = 16
"""Candidates that R-Net and O-Net are shown at a time: more would not fit a core's cache."""


@dataclass(frozen=True)
class Found:
    """The faces of one picture, the surest first."""

    boxes: Boxes
    scores: npt.NDArray[np.float64]
    """(n,), 0.8 to 1."""
    landmarks: npt.NDArray[np.float64]
    """(n, 5, 2): x and y of left eye, right eye, nose, mouth left, mouth right."""

    def __len__(self) -> int:
        return len(self.scores)


class Mtcnn:
    """The three networks. May be shared by threads; each call computes on its own.

    Example::

        found = Mtcnn().detect(rgb_picture)
    """

    def __init__(self) -> None:
        # Several pictures are looked at side by side: OpenCV's own threads would only disturb.
        cv2.setNumThreads(1)
        self._pnet = session(mtcnn_networks.proposals())
        self._rnet = session(mtcnn_networks.refinement())
        self._onet = session(mtcnn_networks.output())

    def detect(self, image: Image, near: Boxes | None = None) -> Found:
        """The faces of an RGB ``uint8`` picture, (height, width, 3).

        Args:
            near: look only where a face may be that was here shortly before: not more than
                half its side away, and not more than ``RESIZED`` times as large or small.
                There the answer is the same, for P-Net sees the very same cells.
        """
        picture = image.astype(np.float32)
        boxes = self._propose(picture, near)
        if len(boxes):
            boxes = self._refine(picture, boxes)
        if len(boxes):
            return self._finish(picture, boxes)
        return Found(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))

    def _propose(self, picture: npt.NDArray[np.float32], near: Boxes | None) -> Boxes:
        kept_boxes, kept_scores = [np.empty((0, 4))], [np.empty(0)]
        for level in pyramid(picture.shape[0], picture.shape[1]):
            parts = level.whole() if near is None else level.parts(near)
            if not parts:
                continue
            small = np.asarray(
                cv2.resize(picture, level.size, interpolation=cv2.INTER_AREA), np.float32
            )
            boxes, scores = self._propose_in_parts(small, parts)
            boxes /= level.scale
            kept = best_of_overlapping(boxes, scores, WITHIN_LEVEL)
            kept_boxes.append(boxes[kept])
            kept_scores.append(scores[kept])
        boxes, scores = np.concatenate(kept_boxes), np.concatenate(kept_scores)
        return boxes[best_of_overlapping(boxes, scores, BETWEEN_LEVELS)]

    def _propose_in_parts(
        self, small: npt.NDArray[np.float32], parts: Sequence[Part]
    ) -> tuple[Boxes, npt.NDArray[Any]]:
        all_boxes, all_scores = [], []
        for left, top, right, bottom in parts:
            part = np.ascontiguousarray(small[top:bottom, left:right])
            score, offsets = self._pnet.run(None, {INPUT: part[None]})
            rows, columns = np.nonzero(score[0] > PNET_SCORE)
            start = np.stack([columns * STRIDE + left, rows * STRIDE + top], axis=1) + 1.0
            cells = np.concatenate([start, start + (CELL - 1)], axis=1)
            all_boxes.append(cells + offsets[0, rows, columns] * (CELL - 1))
            all_scores.append(score[0, rows, columns].astype(np.float64))
        return np.concatenate(all_boxes), np.concatenate(all_scores)

    def _refine(self, picture: npt.NDArray[np.float32], boxes: Boxes) -> Boxes:
        boxes = squares(boxes)
        scores, offsets = _in_chunks(self._rnet, cut_out(picture, boxes, RNET_SIDE))
        sure = scores > RNET_SCORE
        boxes, scores = _moved(boxes[sure], offsets[sure]), scores[sure]
        return boxes[best_of_overlapping(boxes, scores, AFTER_RNET)]

    def _finish(self, picture: npt.NDArray[np.float32], boxes: Boxes) -> Found:
        boxes = squares(boxes)
        answers = _in_chunks(self._onet, cut_out(picture, boxes, ONET_SIDE))
        sure = answers[0] > ONET_SCORE
        scores, offsets, landmarks = (answer[sure] for answer in answers)
        boxes = boxes[sure]
        points = landmarks.reshape(-1, 2, 5).transpose(0, 2, 1)
        points = points * _sides(boxes)[:, None] + boxes[:, None, :2] - 1
        boxes = _moved(boxes, offsets)
        kept = best_of_overlapping(boxes, scores, AFTER_ONET, of_smaller=True)
        return Found(boxes[kept], scores[kept].astype(np.float64), points[kept])


@dataclass(frozen=True)
class Level:
    """One size of the picture in P-Net's pyramid."""

    scale: float
    size: tuple[int, int]
    """Width, height."""

    def whole(self) -> list[Part]:
        """All of it."""
        return [(0, 0, *self.size)]

    def parts(self, near: Boxes) -> list[Part]:
        """Where a face may be that was here shortly before and that this level finds.

        They begin at even pixels, as P-Net's cells do.
        """
        found: list[Part] = []
        for box in near * self.scale:
            side = float(np.max(box[2:] - box[:2]))
            if not CELL / RESIZED <= side <= CELL * RESIZED:
                continue
            middle = (box[:2] + box[2:]) / 2
            left, top = (max(0, int(value) // 2 * 2) for value in middle - side - STRIDE)
            right, bottom = np.minimum(np.ceil(middle + side).astype(int) + STRIDE, self.size)
            if right - left >= CELL and bottom - top >= CELL:
                found.append((left, top, int(right), int(bottom)))
        return found


def pyramid(height: int, width: int) -> Iterator[Level]:
    """From where a cell is the smallest face, to where it is the picture's shorter side."""
    scale = CELL / SMALLEST
    while min(int(height * scale), int(width * scale)) >= CELL:
        yield Level(scale, (int(width * scale), int(height * scale)))
        scale *= PYRAMID_STEP


def best_of_overlapping(
    boxes: Boxes, scores: npt.NDArray[Any], most: float, *, of_smaller: bool = False
) -> npt.NDArray[np.intp]:
    """Positions of the boxes that no better box overlaps, the best first.

    A box goes even if the better one goes as well, as in the package ``mtcnn``.

    Args:
        most: the largest allowed overlap: shared area by that of both together, or, with
            ``of_smaller``, by that of the smaller box.
    """
    order = np.argsort(-scores, kind="stable")
    start, end = boxes[order, :2], boxes[order, 2:]
    shared = np.prod(
        np.clip(np.minimum(end[:, None], end) - np.maximum(start[:, None], start), 0, None), axis=2
    )
    area = np.prod(end - start, axis=1)
    compared = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    worse = np.triu(shared > most * compared, k=1).any(axis=0)
    return np.asarray(order[~worse])


def squares(boxes: Boxes) -> Boxes:
    """Each box widened to a square around its middle."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def cut_out(picture: npt.NDArray[np.float32], boxes: Boxes, side: int) -> npt.NDArray[np.float32]:
    """The boxes' contents, (n, side, side, 3), interpolated; gray outside of the picture.

    Corners are sampled at the first and last pixel, and a box's right and bottom edges count
    as outside, as ``tf.image.crop_and_resize`` is asked to in the package ``mtcnn``.
    """
    columns = _sampled(boxes[:, 0], boxes[:, 2], picture.shape[1], side)
    rows = _sampled(boxes[:, 1], boxes[:, 3], picture.shape[0], side)
    shape = (len(boxes), side, side)
    maps = (np.broadcast_to(columns[:, None, :], shape), np.broadcast_to(rows[:, :, None], shape))
    cut = cv2.remap(
        picture,
        maps[0].reshape(-1, side).astype(np.float32),
        maps[1].reshape(-1, side).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GRAY, GRAY, GRAY),
    )
    return np.asarray(cut, np.float32).reshape(*shape, 3)


def _sampled(start: Boxes, end: Boxes, length: int, side: int) -> npt.NDArray[np.float64]:
    shrink = (length - 1) / length
    steps = np.arange(side) / (side - 1)
    return np.asarray((start[:, None] + (end - start)[:, None] * steps) * shrink)


def _moved(boxes: Boxes, offsets: npt.NDArray[np.float32]) -> Boxes:
    """Each edge moved by a part of the box's side."""
    return boxes + offsets * np.tile(_sides(boxes), 2)


def _sides(boxes: Boxes) -> Boxes:
    """(n, 2): how many pixels a box touches from left to right and from top to bottom."""
    return boxes[:, 2:] - boxes[:, :2] + 1


def _in_chunks(network: Any, pictures: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
    answers = [
        network.run(None, {INPUT: pictures[start : start + CHUNK]})
        for start in range(0, len(pictures), CHUNK)
    ]
    return [np.concatenate(parts) for parts in zip(*answers, strict=True)]
