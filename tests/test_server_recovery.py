"""What ``script/server`` makes of an analysis whose processes are killed in its middle."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import clips
from tests.api_client import ApiClient
from tests.graphs import share_graphs
from tests.servers import free_port, wait_until
from tests.test_server_script import Server, environment_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(2400)]

LEASE_SECONDS = 20
GRACE_SECONDS = 60
"""What may pass, beyond the lease, until somebody takes up what a killed process left."""

PATIENCE = 600
ENDS = {"SUCCEEDED", "FAILED", "CANCELED"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    var_dir = tmp_path_factory.mktemp("server")
    share_graphs(var_dir)
    server = Server(
        var_dir,
        free_port(),
        FRAMEVOTE_WORKERS="2",
        FRAMEVOTE_LEASE_SECONDS=str(LEASE_SECONDS),
        FRAMEVOTE_HEARTBEAT_SECONDS="2",
    )
    try:
        server.wait_until_ready()
        for worker in ("worker1", "worker2"):
            wait_until(partial(takes_messages, server, worker), f"{worker} is ready", 300)
        yield server
    except BaseException:
        server.stop()
        raise
    assert server.stop() == 0


@pytest.fixture(scope="module")
def client(server: Server) -> ApiClient:
    return ApiClient(f"http://127.0.0.1:{server.port}", environment_of(server.var_dir, server.port))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its analysis has a middle: 400 frames are looked at."""
    return clips.one_person(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=80)


def test_a_killed_pool_child_costs_one_attempt(
    server: Server, client: ApiClient, video: Path
) -> None:
    def kill_the_child(worker: str, child: int) -> None:
        os.kill(child, signal.SIGKILL)

    analyze_and_interrupt(server, client, video, kill_the_child)


def test_a_killed_worker_costs_one_attempt_and_comes_back(
    server: Server, client: ApiClient, video: Path
) -> None:
    killed: dict[str, int] = {}

    def kill_the_worker(worker: str, child: int) -> None:
        killed[worker] = server.pid_of(worker)
        main = psutil.Process(killed[worker])
        assert child in [process.pid for process in main.children()]
        for process in (main, *main.children(recursive=True)):
            process.kill()

    analyze_and_interrupt(server, client, video, kill_the_worker)

    ((worker, pid),) = killed.items()
    wait_until(lambda: server.pid_of(worker) != pid, f"{worker} is started again")
    wait_until(partial(takes_messages, server, worker), f"{worker} is ready again", 300)


def analyze_and_interrupt(
    server: Server, client: ApiClient, video: Path, kill: Callable[[str, int], None]
) -> None:
    """Upload, kill in the middle, and find one result, in time, of a second attempt."""
    id = client.upload(video, "thorough")["id"]
    wait_until(lambda: is_in_the_middle(only_analysis(client, id)), "the middle", PATIENCE)
    analysis_id = only_analysis(client, id)["id"]
    wait_until(lambda: times(server, analysis_id, "started") == 1, "the log says who runs it")
    worker, child = who_runs(server, analysis_id)

    killed_at = time.time()
    kill(worker, child)

    wait_until(lambda: client.submission(id)["state"] in ENDS, "an end", PATIENCE)
    done = only_analysis(client, id)
    assert (done["state"], done["attempts"]) == ("SUCCEEDED", 2)
    again_at, done_at = (seconds_of(done[name]) for name in ("started_at", "finished_at"))
    print(
        f"killed {worker}, process {child}: taken up again after {again_at - killed_at:.1f} s, "
        f"done {done_at - again_at:.1f} s later by",
        *who_runs(server, analysis_id),
    )
    assert 0 < again_at - killed_at < LEASE_SECONDS + GRACE_SECONDS

    assert client.ask(f"/api/v1/submissions/{id}/result/")["faces"]
    # The row says so a moment before the log does.
    wait_until(lambda: times(server, analysis_id, "published") == 1, "it was published once")
    assert times(server, analysis_id, "started") == 2
    evidence = server.var_dir / "media" / "evidence" / analysis_id
    assert len(list(evidence.iterdir())) == 1, "nothing is left of the first attempt"


def only_analysis(client: ApiClient, id: str) -> Any:
    (analysis,) = client.submission(id)["analyses"]
    return analysis


def is_in_the_middle(analysis: Any) -> bool:
    assert analysis["state"] not in ENDS, "it ended before it could be interrupted"
    return analysis["stage"] in {"detect", "track", "predict"}


def who_runs(server: Server, analysis_id: str) -> tuple[str, int]:
    """The worker and the process of its pool that began with the analysis last."""
    began = rf"^(\w+) +\| .*\[(\d+)\] analysis {analysis_id}: started$"
    worker, child = re.findall(began, server.log, re.MULTILINE)[-1]
    return worker, int(child)


def times(server: Server, analysis_id: str, event: str) -> int:
    return server.log.count(f"analysis {analysis_id}: {event}")


def takes_messages(server: Server, worker: str) -> bool:
    """Since its last start; see the words that Celery ends it with."""
    since = server.log.rpartition(f"spawned: '{worker}' with pid ")[2]
    return bool(re.search(rf"^{worker} +\| .*{worker}@\S+ ready\.$", since, re.MULTILINE))


def seconds_of(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
