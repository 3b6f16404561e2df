"""A ``VideoResult`` in words and in JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from detector.domain import REASON_SENTENCES, VideoResult, VoteCount


def result_to_json(result: VideoResult) -> dict[str, Any]:
    """The result as JSON knows it, without the thumbnails.

    ``seconds`` is the whole time; ``stage_seconds`` has the parts.
    """
    return {
        "verdict": result.verdict.value,
        "vote": None if result.vote is None else result.vote.name,
        "probability_fake": result.probability_fake,
        "votes": _votes(result.votes),
        "reasons": [reason.value for reason in result.reasons],
        "people": [
            {
                "id": person.id,
                "verdict": person.verdict.value,
                "probability_fake": person.probability_fake,
                "votes": _votes(person.votes),
                "counts": person.counts,
            }
            for person in result.people
        ],
        "faces": [
            {
                "person": face.person,
                "frame_index": face.frame_index,
                "time_s": face.time_s,
                "box": face.box.as_list(),
                "vote": face.vote.name,
                "probability_fake": face.probability_fake,
                "confidence": face.confidence,
                "predictions": [[p.p_fake, p.p_real] for p in face.predictions],
                "counts": face.counts,
            }
            for face in result.faces
        ],
        "seconds": result.seconds["total"],
        "stage_seconds": {k: v for k, v in result.seconds.items() if k != "total"},
        "checkpoint": asdict(result.checkpoint),
        "media": asdict(result.media),
        "sampling": result.sampling,
        "sampled_frames": list(result.sampled_frames),
        "skipped_frames": result.skipped_frames,
        "versions": dict(result.versions),
    }


def result_to_text(name: str, result: VideoResult, *, calibrated: bool) -> str:
    """A few lines for a terminal, the verdict first."""
    kind = "calibrated" if calibrated else "uncalibrated"
    probability = ""
    if result.probability_fake is not None:
        probability = f", probability of fake {result.probability_fake:.2f} ({kind})"
    lines = [f"{name}: {result.verdict.value}{probability}"]
    lines += [f"  {REASON_SENTENCES[reason]}" for reason in result.reasons]
    if result.vote is not None:
        lines.append(
            f"  video vote {result.vote.name}: {result.votes.real} faces real, "
            f"{result.votes.fake} fake, in {len(result.sampled_frames)} frames looked at"
        )
    if result.skipped_frames:
        looked_at = len(result.sampled_frames)
        lines.append(
            f"  stopped early, after {looked_at} of {looked_at + result.skipped_frames} frames: "
            "the others could not change the verdict"
        )
    for person in result.people:
        silent = "" if person.counts else ", does not vote"
        lines.append(
            f"  person {person.id} {person.verdict.value}: {person.votes.real} faces real, "
            f"{person.votes.fake} fake, probability of fake {person.probability_fake:.2f}{silent}"
        )
    lines.append(
        f"  checkpoint {result.checkpoint.name} {result.checkpoint.version}, "
        f"{result.seconds['total']:.1f} s; a judgment of a model, not proof"
    )
    return "\n".join(lines)


def _votes(votes: VoteCount) -> dict[str, int]:
    return {"real": votes.real, "fake": votes.fake}
