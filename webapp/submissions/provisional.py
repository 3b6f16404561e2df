"""Evidence of an analysis that still runs: votes so far and small faces, and never a verdict.

It lies in one column of the analysis, pictures and all. So the lease in the WHERE of every
UPDATE guards it too, the UPDATE that ends or gives back the analysis takes it away, and the
database refuses it in every state but RUNNING. There is no file to clean up.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from .models import Analysis, VoteChoice


@dataclass(frozen=True)
class ProvisionalFace:
    """A judged face; person and vote may change."""

    person: int
    frame_index: int
    time_s: float
    vote: VoteChoice
    probability_fake: float
    picture: str
    """WebP, as the address of an image: ``data:image/webp;base64,…``."""


@dataclass(frozen=True)
class Provisional:
    """How the faces that were judged so far have voted; as a dict it is the column."""

    judged_frames: int
    planned_frames: int
    votes: Mapping[str, int]
    """``real`` and ``fake``: of all faces so far, also of those that are not shown."""
    faces: tuple[ProvisionalFace, ...]

    @property
    def voted(self) -> int:
        return self.votes["real"] + self.votes["fake"]


def picture(webp: bytes) -> str:
    return f"data:image/webp;base64,{b64encode(webp).decode()}"


def of(analysis: Analysis) -> Provisional | None:
    """What is known so far of a running analysis; None of any other."""
    column = analysis.provisional
    if column is None:
        return None
    faces = tuple(ProvisionalFace(**face) for face in column["faces"])
    return Provisional(**{**column, "faces": faces})
