"""A network in 8 bits: close to the one it is made from, and only where that is faster."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from detector import checkpoints, quantization, serving
from detector.domain import Image
from detector.errors import BadCheckpoint, NoDevice
from detector.export import to_onnx
from detector.quantization import activation_ranges, possible, quantized
from detector.runtime import session
from tests import clips

needs_vnni = pytest.mark.skipif(
    not possible(), reason="this processor has no VNNI, and would overflow"
)


def crops(count: int) -> list[Image]:
    return [clips.scene((300, 300), [(i % 2, 150, 150, 300 + 10 * i)]) for i in range(count)]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (8, 96, 96, 3)).astype(np.float32)


@pytest.fixture
def with_ranges(rows_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint whose activations were measured, as ``calibrate`` leaves it."""
    copy = tmp_path / "copy"
    shutil.copytree(rows_checkpoint, copy)
    size = checkpoints.read_metadata(copy).architecture["image_size"]
    noise = np.random.default_rng(5).uniform(-1, 1, (8, size, size, 3)).astype(np.float32)
    ranges = activation_ranges(serving.exported(str(copy)), [noise])
    (copy / checkpoints.ACTIVATION_RANGES).write_bytes(ranges)
    return copy


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags\t\t: fpu sse avx2 avx512f avx512_vnni amx_int8", True),
        ("flags\t\t: fpu sse avx2 avx_vnni", True),
        ("flags\t\t: fpu sse avx2 avx512f", False),
        ("model name\t: with avx_vnni in its name", False),
        (None, False),
    ],
)
def test_it_is_possible_with_the_instructions_for_it(
    tmp_path: Path, flags: str | None, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags:
        cpuinfo.write_text(f"processor\t: 0\n{flags}\n")
    assert possible(cpuinfo) == expected


@needs_vnni
def test_the_answers_are_close_to_those_in_32_bits(pictures: np.ndarray) -> None:
    from detector.model import build_model

    graph = to_onnx(build_model("rows", "mixed_5b", 96), "rows")
    ranges = activation_ranges(graph, [pictures[:4], pictures[4:]])
    smaller = quantized(graph, ranges)
    assert b"QuantizeLinear" in smaller
    exact, close = (session(one).run(None, {"pictures": pictures})[0] for one in (graph, smaller))
    assert exact.std() > 1e-4
    assert 0 < np.abs(close - exact).mean() < 0.05


def test_ranges_of_another_network_are_refused(pictures: np.ndarray) -> None:
    from detector.model import build_model

    small, larger = (
        to_onnx(build_model("rows", cut, 96), "rows") for cut in ("mixed_5b", "block35_1_ac")
    )
    with pytest.raises(ValueError, match="not those of this graph"):
        quantized(larger, activation_ranges(small, [pictures]))


def test_8_bits_are_served_only_where_they_are_asked_for(with_ranges: Path, tmp_path: Path) -> None:
    assert serving.load(str(with_ranges), cache=tmp_path / "cache").bits == 32


def test_a_processor_without_the_instructions_refuses(
    with_ranges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "possible", lambda: False)
    with pytest.raises(NoDevice, match="VNNI"):
        serving.load(str(with_ranges), bits=8)


@needs_vnni
def test_both_graphs_are_kept_and_neither_is_taken_for_the_other(
    with_ranges: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    exact = serving.load(str(with_ranges), cache=cache, bits=32).predict_faces(crops(2))
    small = serving.load(str(with_ranges), cache=cache, bits=8).predict_faces(crops(2))
    assert len(list(cache.glob("*.onnx"))) == 2
    assert np.abs(small - exact).max() > 0
    again = serving.load(str(with_ranges), cache=cache, bits=32).predict_faces(crops(2))
    np.testing.assert_array_equal(again, exact)


@needs_vnni
@pytest.mark.parametrize("content", [b"", b"[]", b'{"data": {}}'])
def test_a_damaged_file_of_ranges_is_a_bad_checkpoint(
    with_ranges: Path, tmp_path: Path, content: bytes
) -> None:
    (with_ranges / checkpoints.ACTIVATION_RANGES).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"activation_ranges\.json: .* not those of this graph"):
        serving.load(str(with_ranges), cache=tmp_path / "cache", bits=8)


@needs_vnni
@needs_vnni
def test_8_bits_of_a_checkpoint_that_was_not_measured_are_refused(rows_checkpoint: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"no activation_ranges\.json"):
        serving.load(str(rows_checkpoint), bits=8)
