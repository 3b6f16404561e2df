"""The worker as a real process with the real detector: on both brokers, killed, shut down."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests import clips
from tests.processes import Site
from tests.servers import wait_until
from webapp.submissions import queue
from webapp.submissions.models import Analysis, State, Submission, WorkerBeat, media_storage

pytestmark = [pytest.mark.process, pytest.mark.timeout(2400)]

PATIENCE = 600
"""Seconds; TensorFlow alone takes ten on an idle machine, and minutes on a busy one."""

MakeSubmission = Callable[..., Submission]


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return clips.one_person(tmp_path_factory.mktemp("clips") / "short.mp4").read_bytes()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Long enough to be interrupted, when sampled thoroughly: 300 frames are looked at."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    return clips.one_person(path, seconds=60).read_bytes()


@pytest.fixture(scope="module")
def endless_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """For an analysis that nobody waits for: 800 frames."""
    path = tmp_path_factory.mktemp("clips") / "endless.mp4"
    return clips.one_person(path, seconds=160).read_bytes()


def analysis(pk: str) -> Analysis:
    return Analysis.objects.get(pk=pk)


def wait_for(pk: str, state: State) -> Analysis:
    wait_until(lambda: analysis(pk).state == state, f"{pk} is {state}", PATIENCE)
    return analysis(pk)


def wait_until_it_runs(pk: str) -> Analysis:
    """In the middle: the detector is at work, and the end has not come."""

    def in_the_middle() -> bool:
        now = analysis(pk)
        assert now.is_active, f"{pk} ended before it could be interrupted: {now.state}"
        return now.stage in {"detect", "track", "predict"}

    wait_until(in_the_middle, f"{pk} is in the middle", PATIENCE)
    return analysis(pk)


@pytest.mark.parametrize("broker", ["filesystem", "redis"])
def test_videos_go_through_a_worker(
    site: Site,
    make_submission: MakeSubmission,
    short_clip: bytes,
    broker: str,
    request: pytest.FixtureRequest,
) -> None:
    if broker == "redis":
        site.env["REDIS_URL"] = request.getfixturevalue("redis_url")
    site.start_worker("worker1")
    good = site.enqueue(make_submission(short_clip))
    bad = site.enqueue(make_submission(b"this is no video"))
    site.announce(good, times=3)  # Duplicates are harmless.

    done = wait_for(good, State.SUCCEEDED)
    assert done.verdict in {"REAL", "FAKE"}
    assert done.vote
    assert done.attempts == 1
    assert done.worker.startswith("worker1@")
    assert done.submission.codec == "h264"
    faces = list(done.faces.select_related("analysis"))
    assert len(faces) == done.votes_real + done.votes_fake > 0
    assert all(media_storage().open(face.thumbnail_name).read(2) == b"\xff\xd8" for face in faces)

    refused = wait_for(bad, State.FAILED)
    assert refused.error_code == "not_a_video"
    assert refused.attempts == 1

    assert WorkerBeat.objects.get().name.startswith("worker1@")
    assert queue.live_slots() == 1


def test_another_worker_finishes_what_a_killed_one_began(
    site: Site, make_submission: MakeSubmission, long_clip: bytes
) -> None:
    site.start_sweeper()
    first = site.start_worker("worker1")
    pk = site.enqueue(make_submission(long_clip), "thorough")
    wait_until_it_runs(pk)

    # Before the other one starts: that takes longer than an analysis, which would end.
    os.killpg(first.pid, signal.SIGKILL)
    site.start_worker("worker2")

    done = wait_for(pk, State.SUCCEEDED)
    assert done.attempts == 2
    assert done.worker.startswith("worker2@")


def test_a_shutdown_gives_the_analysis_back_and_another_worker_finishes_it(
    site: Site, make_submission: MakeSubmission, long_clip: bytes
) -> None:
    worker = site.start_worker("worker1")
    pk = site.enqueue(make_submission(long_clip), "thorough")
    wait_until_it_runs(pk)

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=PATIENCE) == 0

    returned = analysis(pk)
    assert (returned.state, returned.attempts) == (State.QUEUED, 0)
    assert returned.last_reason == "The worker was shut down."
    assert not WorkerBeat.objects.exists(), "it said good-bye"
    assert not list((site.var_dir / "run").iterdir()), "its flag is gone"

    site.start_worker("worker2")
    assert wait_for(pk, State.SUCCEEDED).attempts == 1


def test_a_canceled_analysis_frees_its_worker(
    site: Site, make_submission: MakeSubmission, endless_clip: bytes, short_clip: bytes
) -> None:
    site.start_worker("worker1")
    canceled = site.enqueue(make_submission(endless_clip), "thorough")
    following = site.enqueue(make_submission(short_clip))
    wait_until_it_runs(canceled)

    assert queue.cancel(analysis(canceled).pk)

    wait_for(following, State.SUCCEEDED)
    assert analysis(canceled).state == State.CANCELED
    assert not analysis(canceled).faces.exists()
    assert f"analysis {canceled}: stopped" in site.log("worker1"), "it did not run to its end"
