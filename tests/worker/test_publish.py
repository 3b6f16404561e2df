"""From the detector's result to files and rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.results import a_result
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Face, State, Submission, media_storage
from worker.publish import publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease(make_submission: Callable[..., Submission]) -> queue.Lease:
    analysis = queue.enqueue(make_submission())
    lease = queue.claim(analysis.pk, worker="w")
    assert lease is not None
    return lease


def evidence(media_dir: Path) -> list[Path]:
    return sorted((media_dir / "evidence").rglob("*"))


def test_every_face_has_its_row_and_its_thumbnail(lease: queue.Lease) -> None:
    assert publish(lease, a_result())
    analysis = Analysis.objects.get()
    assert (analysis.verdict, analysis.vote) == ("FAKE", "REAL")
    assert analysis.reasons == ["person_differs"]
    assert analysis.evidence_dir == f"evidence/{lease.analysis_id}/{lease.token}"
    first, second = analysis.faces.order_by("number")
    assert (first.vote, second.vote) == ("REAL", "FAKE")
    assert second.person.verdict == "FAKE"
    assert second.predictions == [[0.75, 0.25]]
    with media_storage().open(second.thumbnail_name) as thumbnail:
        assert thumbnail.read() == b"jpeg of person 2"


def test_a_lost_lease_leaves_neither_row_nor_file(lease: queue.Lease, media_dir: Path) -> None:
    queue.cancel(lease.analysis_id)
    assert not publish(lease, a_result())
    assert not Face.objects.exists()
    assert evidence(media_dir) == []


def test_a_second_attempt_leaves_no_trace_of_the_first(lease: queue.Lease, media_dir: Path) -> None:
    queue.retry(lease, "internal")
    again = queue.claim(lease.analysis_id, worker="w")
    assert again is not None
    assert publish(again, a_result())
    assert not publish(lease, a_result())
    folders = [path for path in evidence(media_dir) if path.is_dir()]
    assert [folder.name for folder in folders] == [str(lease.analysis_id), str(again.token)]
    assert Analysis.objects.get().state == State.SUCCEEDED
