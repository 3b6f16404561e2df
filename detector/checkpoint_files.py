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

from detector.errors import BadCheckpoint, ChecksumMismatch, NoCheckpoint

Arrays = dict[str, npt.NDArray[Any]]


def read_arrays(path: Path, sha256: str) -> Arrays:
    """The arrays of a safetensors file, by name.

    Raises:
        NoCheckpoint: it cannot be read.
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
        raise ChecksumMismatch(f"{path}: SHA-256 {found}, expected {sha256}")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise BadCheckpoint(f"{path}: {error}") from error


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
