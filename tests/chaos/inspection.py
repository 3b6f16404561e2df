"""``python -m tests.chaos.inspection FILE``: is every accepted upload whole? Prints JSON.

FILE holds ``{submission id: SHA-256 of what was sent}``. Run in the site's environment, when
nothing works on the queue any more.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402

from tests.chaos.stand_in import expected  # noqa: E402
from webapp.submissions import storage  # noqa: E402
from webapp.submissions.models import Analysis, State, Submission, media_storage  # noqa: E402
from worker.sweeper import remove_orphans  # noqa: E402

TERMINAL = {State.SUCCEEDED, State.FAILED, State.CANCELED}


def inspect(accepted: dict[str, str], stand_in: bool) -> dict[str, Any]:
    """Counts, and a sentence for everything that is wrong."""
    wrong: list[str] = []
    swept = remove_orphans(older_than=0)
    states: Counter[str] = Counter()
    attempts: Counter[int] = Counter()
    rows = {str(row.pk): row for row in Submission.objects.prefetch_related("analyses")}
    wrong += [f"{pk}: accepted, but there is no row" for pk in accepted.keys() - rows.keys()]
    for pk, submission in rows.items():
        wrong += _about_file(submission, accepted.get(pk))
        analyses = list(submission.analyses.all())
        if len(analyses) != 1:
            wrong.append(f"{pk}: {len(analyses)} analyses")
        for analysis in analyses:
            states[analysis.state] += 1
            attempts[analysis.attempts] += 1
            wrong += _about_analysis(submission, analysis, stand_in)
    wrong += _about_storage()
    return {
        "accepted": len(accepted),
        "rows": len(rows),
        "states": dict(states),
        "attempts": {str(number): count for number, count in sorted(attempts.items())},
        "left by interrupted work and swept": len(swept),
        "wrong": wrong,
    }


def local_path(name: str) -> Path:
    return Path(media_storage().path(name))


def _path_of(submission: Submission) -> Path:
    return local_path(submission.video.name or "no file was stored")


def _about_file(submission: Submission, sent: str | None) -> list[str]:
    path = _path_of(submission)
    if not path.is_file():
        return [f"{submission.pk}: its video is gone"]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != submission.sha256 or (sent is not None and found != sent):
        return [f"{submission.pk}: its video has changed"]
    return []


def _about_analysis(submission: Submission, analysis: Analysis, stand_in: bool) -> list[str]:
    name = f"{submission.pk}/{analysis.pk}"
    if analysis.state not in TERMINAL:
        return [f"{name}: still {analysis.state}"]
    if analysis.provisional is not None:
        return [f"{name}: {analysis.state}, and still shows provisional votes"]
    numbers = list(analysis.faces.values_list("number", flat=True))
    if analysis.state != State.SUCCEEDED:
        return [f"{name}: {analysis.state} with {len(numbers)} faces"] if numbers else []
    wrong = []
    if stand_in:
        result = expected(bytes.fromhex(submission.sha256))
        if analysis.verdict != result.verdict.value:
            wrong.append(f"{name}: another video's verdict")
        if len(numbers) != len(result.faces) or analysis.people.count() != len(result.people):
            wrong.append(f"{name}: {len(numbers)} faces, not {len(result.faces)}")
    folder = local_path(analysis.evidence_dir)
    pictures = {path.name for path in folder.glob("*")}
    if pictures != {Path(storage.thumbnail_name("", number)).name for number in numbers}:
        wrong.append(f"{name}: {len(pictures)} pictures of {len(numbers)} faces")
    return wrong


def _about_storage() -> list[str]:
    """Files on disk that no row speaks of."""
    root = Path(settings.FRAMEVOTE_MEDIA_DIR)
    known = {_path_of(s) for s in Submission.objects.all()}
    folders = {local_path(a.evidence_dir) for a in Analysis.objects.exclude(evidence_dir="")}
    files = [
        p for kind in (storage.SUBMISSIONS, storage.EVIDENCE) for p in (root / kind).rglob("*")
    ]
    return [
        f"{path.relative_to(root)}: nobody's"
        for path in files
        if path.is_file() and path not in known and path.parent not in folders
    ]


if __name__ == "__main__":
    report = inspect(json.loads(Path(sys.argv[1]).read_text()), stand_in=sys.argv[2] == "stand-in")
    print(json.dumps(report))
