"""The short form of the fuzzing: 300 files of a fixed seed."""

from __future__ import annotations

import pytest

from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.run import fuzz

pytestmark = pytest.mark.timeout(1800)


def test_every_hostile_file_ends_in_frames_or_a_code() -> None:
    report = fuzz(300, seed=1)
    print(report)
    assert report.broken == {}
    assert set(report.mutations) == set(MUTATIONS)
    # Damage of all degrees: some can still be read, others end in different ways.
    assert report.ends["frames"] >= 50
    assert len(report.ends) >= 4
