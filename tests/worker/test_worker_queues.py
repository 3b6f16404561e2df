"""Workers that serve queues of their own, as real processes on both brokers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.processes import Site
from tests.servers import bucket_environment, wait_until
from webapp.submissions import queue
from webapp.submissions.models import Analysis, State, Submission

pytestmark = [pytest.mark.process, pytest.mark.timeout(1200)]

STAND_IN = "tests.chaos.stand_in"
MakeSubmission = Callable[..., Submission]


@pytest.fixture(params=["filesystem", "redis"])
def routed(request: pytest.FixtureRequest, site: Site) -> Site:
    if request.param == "redis":
        site.env["REDIS_URL"] = request.getfixturevalue("redis_url")
    site.env |= {"FRAMEVOTE_TEST_STAND_IN": "1", "FRAMEVOTE_QUEUES": "thorough=gpu"}
    return site


def has_ended(pk: str) -> bool:
    return not Analysis.objects.get(pk=pk).is_active


def test_each_worker_takes_from_its_queue_alone(
    routed: Site, make_submission: MakeSubmission
) -> None:
    site = routed
    site.env["FRAMEVOTE_WORKER_QUEUES"] = "gpu"
    site.start_worker("gpu0", STAND_IN)
    quick = [site.enqueue(make_submission(), "quick") for _ in range(2)]
    thorough = [site.enqueue(make_submission(), "thorough") for _ in range(2)]
    for pk in thorough:
        wait_until(partial(has_ended, pk), "the GPU's work is done", seconds=120)
    # Whatever the message, a worker looks for nothing that is not its own.
    assert {Analysis.objects.get(pk=pk).state for pk in quick} == {State.QUEUED}
    assert (queue.live_slots(), queue.live_slots("gpu"), queue.live_slots("analyses")) == (1, 1, 0)

    site.env["FRAMEVOTE_WORKER_QUEUES"] = "analyses"
    site.start_worker("cpu0", STAND_IN)
    for pk in quick:
        wait_until(partial(has_ended, pk), "the other work is done", seconds=120)
    names = {a.sampling: a.worker.split("@")[0] for a in Analysis.objects.all()}
    assert names == {"quick": "cpu0", "thorough": "gpu0"}


def test_a_worker_of_another_machine_finds_the_video_in_the_bucket(
    site: Site,
    make_submission: MakeSubmission,
    bucket_options: dict[str, str],
    use_bucket: Callable[..., None],
) -> None:
    use_bucket(**bucket_options)
    site.env |= bucket_environment(bucket_options)
    site.env |= {"FRAMEVOTE_TEST_STAND_IN": "1", "FRAMEVOTE_MEDIA_DIR": str(site.var_dir / "own")}
    site.start_worker("worker1", STAND_IN)
    submission = make_submission(b"seen by another machine")
    pk = site.enqueue(submission)
    wait_until(lambda: has_ended(pk), "the analysis ended", seconds=120)
    analysis = Analysis.objects.get(pk=pk)
    assert analysis.state == State.SUCCEEDED
    face = analysis.faces.select_related("analysis")[0]
    assert submission.video.storage.open(face.thumbnail_name).read(4) == b"face"
    assert not [path for path in (site.var_dir / "own").rglob("*") if path.is_file()]
    assert not list((site.var_dir / "copies").iterdir())
