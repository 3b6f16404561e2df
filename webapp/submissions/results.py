"""The result of a succeeded analysis as JSON, with the keys of the command line's ``--json``."""

from __future__ import annotations

from typing import Any

from .models import Analysis


def result_of(analysis: Analysis) -> dict[str, Any]:
    """Everything the detector found, in two queries however many faces there are."""
    submission = analysis.submission
    seconds = dict(analysis.seconds)
    return {
        "file": submission.original_name,
        "verdict": analysis.verdict,
        "vote": analysis.vote or None,
        "probability_fake": analysis.probability_fake,
        "votes": votes_of(analysis),
        "reasons": analysis.reasons,
        "people": _people(analysis),
        "faces": _faces(analysis),
        "seconds": seconds.pop("total", sum(seconds.values())),
        "stage_seconds": seconds,
        "checkpoint": checkpoint_of(analysis),
        "media": {
            "container": submission.container,
            "codec": submission.codec,
            "width": submission.width,
            "height": submission.height,
            "duration_s": submission.duration_s,
        },
        "sampling": analysis.sampling,
        "sampled_frames": analysis.sampled_frames,
        "skipped_frames": analysis.skipped_frames,
        "versions": analysis.versions,
    }


def votes_of(analysis: Analysis) -> dict[str, int]:
    return {"real": analysis.votes_real, "fake": analysis.votes_fake}


def checkpoint_of(analysis: Analysis) -> dict[str, str]:
    return {
        "name": analysis.checkpoint_name,
        "version": analysis.checkpoint_version,
        "sha256": analysis.checkpoint_sha256,
    }


def _people(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "id": person.number,
            "verdict": person.verdict,
            "probability_fake": person.probability_fake,
            "votes": {"real": person.votes_real, "fake": person.votes_fake},
            "counts": person.counts,
        }
        for person in analysis.people.order_by("number")
    ]


def _faces(analysis: Analysis) -> list[dict[str, Any]]:
    # Plain rows: a thorough look at half an hour has ten thousand faces.
    rows = analysis.faces.order_by("number").values(
        "person__number",
        "frame_index",
        "time_s",
        "x",
        "y",
        "width",
        "height",
        "vote",
        "probability_fake",
        "confidence",
        "predictions",
        "counts",
    )
    return [
        {
            "person": row["person__number"],
            "frame_index": row["frame_index"],
            "time_s": row["time_s"],
            "box": [row["x"], row["y"], row["width"], row["height"]],
            "vote": row["vote"],
            "probability_fake": row["probability_fake"],
            "confidence": row["confidence"],
            "predictions": row["predictions"],
            "counts": row["counts"],
        }
        for row in rows
    ]
