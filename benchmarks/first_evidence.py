"""How soon there is something to see: ``python -m benchmarks.first_evidence``.

A real worker with its network analyzes the ten-second clip of 1080p at the standard level.
Measured is the time from the claim until there are votes and faces in the database, where the
page finds them when it asks next (every two seconds), and until there is a result. Then what
telling costs: the processor time of the detector with and without it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks import clips
from benchmarks.site import print_table, site

ROUNDS = 5


def main() -> int:
    """Print the table. Exit status."""
    with site() as measured:
        clip = clips.ten_seconds(measured.var_dir / "clip.mp4")
        measured.start_worker()
        _analyzed(clip)  # The first waits until the network is loaded.
        rounds = [_analyzed(clip) for _ in range(ROUNDS)]
        measured.stop_all()
        costs = _costs(clip)
    rows = {
        "from the claim to the first evidence, s": [first for first, _, _ in rounds],
        "from the claim to the result, s": [whole for _, whole, _ in rounds],
        "evidence in the row at most, KB": [size for _, _, size in rounds],
        "processor time of the detector, telling nobody, s": [silent for silent, _ in costs],
        "processor time of the detector, telling, s": [telling for _, telling in costs],
    }
    print_table(f"{ROUNDS} times", rows)
    return 0


def _analyzed(clip: Path) -> tuple[float, float, float]:
    """Seconds from the claim to the first evidence, to the result, and kilobytes."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.utils import timezone

    from webapp.submissions.models import Analysis, State
    from webapp.submissions.uploads import receive

    upload = SimpleUploadedFile("clip.mp4", clip.read_bytes())
    submission = receive(upload, owner=None, visitor=None, sampling="standard")
    first, size = None, 0
    while (now := Analysis.objects.get(submission=submission)).is_active:
        if now.provisional is not None:
            first = first or timezone.now()
            size = max(size, len(str(now.provisional)))
        time.sleep(0.02)
    if now.state != State.SUCCEEDED or not first or not now.started_at or not now.finished_at:
        raise RuntimeError(f"{now.state}, first evidence {first}: {now.error_sentence}")
    from_claim = (first - now.started_at).total_seconds()
    return from_claim, (now.finished_at - now.started_at).total_seconds(), size / 1000


def _costs(clip: Path) -> list[tuple[float, float]]:
    """Processor seconds of all threads, telling nobody and telling, in turn."""
    from detector import Detector

    detector = Detector.load()
    detector.analyze(clip)

    def seconds(**options: object) -> float:
        began = time.process_time()
        detector.analyze(clip, **options)  # type: ignore[arg-type]
        return time.process_time() - began

    return [(seconds(), seconds(on_evidence=lambda evidence: None)) for _ in range(ROUNDS)]


if __name__ == "__main__":
    sys.exit(main())
