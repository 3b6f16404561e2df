"""What ``benchmarks.scale_out`` asks of a host: ``fill VIDEOS``, ``waiting``, ``report``."""

from __future__ import annotations

import json
import os
import sys
import uuid

import django

django.setup()

from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402

from tests.chaos.stand_in import expected  # noqa: E402
from webapp.submissions.models import (  # noqa: E402
    ACTIVE_STATES,
    Analysis,
    Face,
    Submission,
    media_storage,
)
from webapp.submissions.uploads import receive  # noqa: E402

HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


def fill(videos: int) -> None:
    """All of one visitor but the last, which is another's; each a megabyte of its own."""
    many, one = uuid.uuid4(), uuid.uuid4()
    for number in range(videos):
        file = SimpleUploadedFile("clip.mp4", HEAD + os.urandom(2**20))
        receive(file, owner=None, visitor=one if number == videos - 1 else many)


def report() -> dict[str, object]:
    """Whether all went well, and how fast, while every worker had something to do."""
    rows = list(Analysis.objects.select_related("submission").order_by("started_at"))
    begun: dict[str, list[float]] = {}
    for row in rows:
        if row.started_at is not None:
            worker = row.worker.rpartition(":")[0]
            begun.setdefault(worker, []).append(row.started_at.timestamp())
    # From when the last worker had come, to when the last analysis was taken.
    start = max(times[0] for times in begun.values())
    end = max(times[-1] for times in begun.values())
    ended = [row.finished_at.timestamp() for row in rows if row.finished_at is not None]
    last = Submission.objects.order_by("created_at").last()
    pictures = [face.thumbnail_name for face in Face.objects.select_related("analysis")]
    return {
        "videos": len(rows),
        "workers": len(begun),
        "states": sorted({row.state for row in rows}),
        "attempts": sorted({row.attempts for row in rows}),
        "wrong verdicts": sum(
            row.verdict != expected(bytes.fromhex(row.submission.sha256)).verdict.value
            for row in rows
        ),
        "missing pictures": sum(not media_storage().exists(name) for name in pictures),
        "rate": sum(start < time <= end for time in ended) / (end - start),
        "place": [row.submission for row in rows].index(last) + 1 if last else None,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", videos]:
            fill(int(videos))
        case ["waiting"]:
            print(Analysis.objects.filter(state__in=ACTIVE_STATES).count())
        case ["report"]:
            print(json.dumps(report()))
