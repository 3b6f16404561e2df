"""MTCNN's three networks as ONNX graphs, from the weights that the package ``mtcnn`` brings.

P-Net looks at a whole picture, R-Net and O-Net at candidates cut from it (Zhang et al., "Joint
Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks", 2016). The
graphs take RGB values of 0 to 255: the networks' own scaling, (value - 127.5) / 128, is
multiplied into the first convolution, which pads nothing.

The package is not imported, for that would load TensorFlow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from detector.export import Floats, Graph

INPUT = "pictures"
GRAY = 127.5
"""What the networks take for nothing at all: zero, after their scaling."""

SCALE = 128.0
RNET_SIDE = 24
ONET_SIDE = 48


def proposals() -> bytes:
    """P-Net. Input (n, height, width, 3), 12 pixels or more on each side.

    Outputs ``score``, (n, rows, columns), of each cell of 12×12 pixels, 2 apart, and
    ``offsets``, (n, rows, columns, 4), of its box's edges, in parts of its side.
    """
    weights, graph = _weights("pnet"), Graph()
    x = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    x = _prelu(graph, _first_convolution(graph, x, weights), next(weights))
    x = _pool(graph, x, 2, same=True)
    for _ in range(2):
        x = graph.convolve(x, next(weights), next(weights))
        x = _prelu(graph, x, next(weights))
    offsets = graph.convolve(x, next(weights), next(weights))
    score = _score(graph, graph.convolve(x, next(weights), next(weights)))
    offsets = graph.add("Transpose", offsets, perm=[0, 2, 3, 1])
    cells = ["n", "rows", "columns"]
    return graph.serialized(
        (INPUT, ["n", "height", "width", 3]),
        [(score, "score", cells), (offsets, "offsets", [*cells, 4])],
    )


def refinement() -> bytes:
    """R-Net. Input (n, 24, 24, 3); outputs ``score``, (n,), and ``offsets``, (n, 4)."""
    weights, graph = _weights("rnet"), Graph()
    x = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    x = _prelu(graph, _first_convolution(graph, x, weights), next(weights))
    x = _pool(graph, x, 3, same=True)
    x = _prelu(graph, graph.convolve(x, next(weights), next(weights)), next(weights))
    x = _pool(graph, x, 3)
    x = _prelu(graph, graph.convolve(x, next(weights), next(weights)), next(weights))
    x = _flat_dense(graph, x, weights)
    offsets = _dense(graph, x, weights)
    score = _score(graph, _dense(graph, x, weights))
    return graph.serialized(
        (INPUT, ["n", RNET_SIDE, RNET_SIDE, 3]),
        [(score, "score", ["n"]), (offsets, "offsets", ["n", 4])],
    )


def output() -> bytes:
    """O-Net. Input (n, 48, 48, 3); outputs ``score`` (n,), ``offsets`` (n, 4), ``landmarks``.

    The landmarks, (n, 10): five xs, then five ys, in parts of the candidate's side.
    """
    weights, graph = _weights("onet"), Graph()
    x = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    x = _prelu(graph, _first_convolution(graph, x, weights), next(weights))
    x = _pool(graph, x, 3, same=True)
    x = _prelu(graph, graph.convolve(x, next(weights), next(weights)), next(weights))
    x = _pool(graph, x, 3)
    x = _prelu(graph, graph.convolve(x, next(weights), next(weights)), next(weights))
    x = _pool(graph, x, 2, same=True)
    x = _prelu(graph, graph.convolve(x, next(weights), next(weights)), next(weights))
    x = _flat_dense(graph, x, weights)
    offsets = _dense(graph, x, weights)
    landmarks = _dense(graph, x, weights)
    score = _score(graph, _dense(graph, x, weights))
    return graph.serialized(
        (INPUT, ["n", ONET_SIDE, ONET_SIDE, 3]),
        [
            (score, "score", ["n"]),
            (offsets, "offsets", ["n", 4]),
            (landmarks, "landmarks", ["n", 10]),
        ],
    )


def _weights(network: str) -> Iterator[Floats]:
    """Arrays in the order of the network's layers: kernel, bias, slopes of a PReLU …"""
    import joblib

    package = importlib.util.find_spec("mtcnn")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the package mtcnn is not installed")
    folder = Path(package.submodule_search_locations[0]) / "assets" / "weights"
    arrays: list[Floats] = joblib.load(folder / f"{network}.lz4")
    return iter(arrays)


def _first_convolution(graph: Graph, x: str, weights: Iterator[Floats]) -> str:
    kernel, bias = next(weights), next(weights)
    dark = kernel.sum(axis=(0, 1, 2), dtype=np.float64) * GRAY / SCALE
    return graph.convolve(x, kernel / np.float32(SCALE), (bias - dark).astype(np.float32))


def _prelu(graph: Graph, x: str, slopes: Floats) -> str:
    return str(graph.add("PRelu", x, graph.constant(slopes.reshape(-1, 1, 1))))


def _pool(graph: Graph, x: str, side: int, *, same: bool = False) -> str:
    """Largest of a window; ``same`` lets a window at the far edges be a part of one."""
    window: dict[str, Any] = {"kernel_shape": [side, side], "strides": [2, 2]}
    if same:
        window["auto_pad"] = "SAME_UPPER"
    return str(graph.add("MaxPool", x, **window))


def _flat_dense(graph: Graph, x: str, weights: Iterator[Floats]) -> str:
    """The weights expect columns before rows before channels."""
    x = graph.reshape(graph.add("Transpose", x, perm=[0, 3, 2, 1]), 0, -1)
    x = _dense(graph, x, weights)
    return str(graph.add("PRelu", x, graph.constant(next(weights))))


def _dense(graph: Graph, x: str, weights: Iterator[Floats]) -> str:
    kernel, bias = graph.constant(next(weights)), graph.constant(next(weights))
    return str(graph.add("Gemm", x, kernel, bias))


def _score(graph: Graph, logits: str) -> str:
    """The second of two classes, which is the face."""
    scores = graph.add("Softmax", logits, axis=1)
    index = graph.constant(np.array(1), np.int64)
    return str(graph.add("Gather", scores, index, axis=1))
