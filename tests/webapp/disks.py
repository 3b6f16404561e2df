"""File systems with little room, for tests of what happens when uploads fill them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.stack import SmallDisk

MORE_THAN_THERE_IS = 1_000_000_000
"""Megabytes that no disk has free; for ``FRAMEVOTE_MIN_FREE_MB``."""


@contextmanager
def a_small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own; where none can be mounted the test is left out."""
    disk = SmallDisk(folder, megabytes)
    try:
        if not disk.is_own:
            pytest.skip("only root can mount a small disk")
        yield disk.folder
    finally:
        disk.close()
