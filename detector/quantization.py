"""A network in 8 bits, which some processors multiply faster.

Activations become unsigned and weights signed numbers of 8 bits (Jacob et al., "Quantization
and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018).
Processors of the x86 family without the VNNI instructions add such products in 16 bits, which
overflow; they cannot take part. The answers differ slightly from those in 32 bits
(docs/performance.md), so workers that share a queue had better all do it or none.

How large activations get is measured when a checkpoint is calibrated, and kept with it, so that
its graph can be made where there are no faces.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.export import INPUT

Pictures = npt.NDArray[np.float32]

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""As Linux calls the instructions, of which a processor needs one."""

LAYERS = ["Conv", "Relu", "Add", "Concat", "MaxPool", "AveragePool"]
"""What is computed in 8 bits; the recurrent head is not."""


def possible(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has the instructions; no where that can't be told."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and VNNI & set(line.split()) for line in lines)


def activation_ranges(graph: bytes, batches: Iterable[Pictures]) -> bytes:
    """The least and greatest value of every activation: a file for ``quantized``.

    Args:
        graph: as ``export.to_onnx`` makes it.
        batches: what the network is given, one batch after another.
    """
    return _quantize(graph, None, batches)[1]


def quantized(graph: bytes, ranges: bytes) -> bytes:
    """The same network in 8 bits: an ONNX file.

    Args:
        graph: as ``export.to_onnx`` makes it.
        ranges: as ``activation_ranges`` measured them for the same layers.

    Raises:
        ValueError: the ranges are not those of this graph.
    """
    try:
        if not isinstance(json.loads(ranges), dict):
            raise ValueError("no object")
        return _quantize(graph, ranges, None)[0]
    except (ValueError, KeyError) as error:
        raise ValueError(f"the activation ranges are not those of this graph: {error}") from error


def _quantize(
    graph: bytes, ranges: bytes | None, batches: Iterable[Pictures] | None
) -> tuple[bytes, bytes]:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load_from_string(graph)
    # It warns of graphs whose normalizations are still layers; this one has none.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory(prefix="framevote-") as folder:
        result, known = Path(folder) / "result.onnx", Path(folder) / "ranges.json"
        if ranges is not None:
            known.write_bytes(ranges)
        quantize_static(
            model,
            result,
            None if batches is None else _Reader(batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=LAYERS,
            calibration_cache_path=known,
        )
        return result.read_bytes(), known.read_bytes()


class _Reader:
    """What ONNX Runtime asks for one batch after another; ``None`` is the end."""

    def __init__(self, batches: Iterable[Pictures]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Pictures] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
