"""The files of a checkpoint: verified when they are read, written at once or not at all.

Whoever reads one while it is written sees the old one; a process that is killed leaves it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from detector.errors import BadCheckpoint, ChecksumMismatch, NoCheckpoint, TruncatedCheckpoint

Arrays = dict[str, npt.NDArray[Any]]


def read_arrays(path: Path, sha256: str) -> Arrays:
    """The arrays of a safetensors file, by name.

    Raises:
        NoCheckpoint: it cannot be read.
        TruncatedCheckpoint: it ends before its arrays do.
        ChecksumMismatch: its SHA-256 is another one.
        BadCheckpoint: it is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoCheckpoint(f"{path.parent} has no readable {path.name}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        if len(content) < (whole := _stated_length(content)):
            raise TruncatedCheckpoint(
                f"{path} has {len(content)} of {whole} bytes; it was not copied whole"
            )
        raise ChecksumMismatch(f"{path}: SHA-256 {found}, expected {sha256}")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise BadCheckpoint(f"{path}: {error}") from error


def _stated_length(content: bytes) -> int:
    """Bytes that a safetensors file has by its header, or at least, where that is cut itself.

    0 if it does not begin like one. Format: https://huggingface.co/docs/safetensors
    """
    start = 8 + int.from_bytes(content[:8], "little")
    if len(content) < start:
        return start if content[8:9] == b"{" else 0
    try:
        header = json.loads(content[8:start])
        arrays = [about for name, about in header.items() if name != "__metadata__"]
        return start + max(int(about["data_offsets"][1]) for about in arrays)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return 0


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Write a safetensors file; returns its SHA-256."""
    from safetensors.numpy import save

    # Not save_file, which lets nobody but the file's owner read it.
    content = save(dict(arrays))
    _write(path, content)
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, indented, in UTF-8."""
    _write(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
