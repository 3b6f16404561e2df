"""``script/server`` as a person uses it: start, look, kill something, stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.servers import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent

NO_NETWORKS = {"FRAMEVOTE_CHECKPOINT": "none-of-this-name"}
"""Workers that analyze nothing need not load TensorFlow, which takes both cores."""

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]


class Server:
    """A started ``script/server`` with a folder of its own."""

    def __init__(self, var_dir: Path, port: int, **environment: str) -> None:
        self.var_dir = var_dir
        self.port = port
        var_dir.mkdir(parents=True, exist_ok=True)
        self.log_file = var_dir / "terminal.log"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [ROOT / "script/server"],
                env=environment_of(var_dir, port, **environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # As a terminal does. What a script runs in the background, these tests
                # perhaps, ignores Ctrl-C, and passes that on.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def status(self, path: str) -> int:
        """Of one answer; it may take long while the workers load TensorFlow on every core."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=60
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def wait_until_ready(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log
            try:
                return self.status("/readyz") == 200
            except OSError:
                return False  # Nobody listens yet.

        wait_until(answers, f"the server answers:\n{self.log}", seconds=240)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def pid_of(self, program: str) -> int:
        """Of the main process of a program, as supervisor said when it started it last."""
        return int(re.findall(rf"spawned: '{program}' with pid (\d+)", self.log)[-1])

    def keeps_running(self, program: str) -> bool:
        """Whether supervisor saw the last start of a program outlive its first seconds."""
        since = self.log.rpartition(f"spawned: '{program}' with pid ")[2]
        return f"success: {program} entered RUNNING state" in since

    def supervisor(self) -> int:
        return int((self.var_dir / "supervisord.pid").read_text())

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=150)


def environment_of(var_dir: Path, port: int, **environment: str) -> dict[str, str]:
    """Nothing from outside but where programs are, plus an activated foreign environment."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return {
        **kept,
        "VIRTUAL_ENV": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "FRAMEVOTE_ENV_FILE": os.devnull,
        "FRAMEVOTE_VAR_DIR": str(var_dir),
        "PORT": str(port),
        **environment,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # A blank and a percent sign in the path are a person's right.
    folder = tmp_path_factory.mktemp("server") / "100% mine"
    server = Server(folder, free_port(), FRAMEVOTE_WORKERS="2", **NO_NETWORKS)
    try:
        server.wait_until_ready()
        yield server
    except BaseException:
        server.stop()
        raise
    family = server.family()
    assert server.stop() == 0
    assert not still_alive(family)


def test_the_pages_are_served(server: Server) -> None:
    assert server.status("/") == 200
    assert server.status("/healthz") == 200


def test_a_checkpoint_that_cannot_be_used_is_said_and_stops_nothing(server: Server) -> None:
    before, starting, _ = server.log.partition("FrameVote is starting")
    assert starting
    assert f"no checkpoint '{NO_NETWORKS['FRAMEVOTE_CHECKPOINT']}'" in before


def test_the_first_start_prints_the_staff_password_once(server: Server) -> None:
    assert server.log.count("Created the staff account 'admin' with the password") == 1


def test_each_line_names_its_program(server: Server) -> None:
    for program in ("web", "worker1", "worker2"):
        wait_until(partial(has_line_of, server, program), f"{program} says something", seconds=240)


def has_line_of(server: Server, program: str) -> bool:
    return bool(re.search(rf"^{program:<8} \| ", server.log, re.MULTILINE))


@pytest.mark.parametrize("program", ["web", "worker1", "sweeper"])
def test_a_killed_program_comes_back(server: Server, program: str) -> None:
    killed = server.pid_of(program)
    os.kill(killed, signal.SIGKILL)
    wait_until(
        lambda: server.pid_of(program) != killed and server.keeps_running(program),
        f"{program} is started again",
        seconds=240,
    )
    assert psutil.pid_exists(server.pid_of(program))
    if program == "web":
        # For a moment the children of the killed one still answer.
        wait_until(partial(listens, server), "the new gunicorn listens", seconds=240)
    server.wait_until_ready()


def listens(server: Server) -> bool:
    address = f"http://127.0.0.1:{server.port}"
    return f"Listening at: {address} ({server.pid_of('web')})" in server.log


def test_a_second_start_on_the_same_folder_is_refused_with_a_sentence(server: Server) -> None:
    refused = start_in_vain(server.var_dir, free_port())
    assert "FrameVote is running already" in refused
    assert str(server.var_dir) in refused


def test_a_taken_port_is_refused_with_a_sentence(server: Server, tmp_path: Path) -> None:
    refused = start_in_vain(tmp_path, server.port)
    assert f"cannot serve on 127.0.0.1:{server.port}" in refused
    assert f"PORT={server.port + 1} script/server" in refused


@pytest.mark.parametrize("name", ["FRAMEVOTE_WORKERS", "WEB_CONCURRENCY"])
def test_a_number_that_is_none_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    assert f"{name} is 'many'" in start_in_vain(tmp_path, free_port(), **{name: "many"})


def start_in_vain(var_dir: Path, port: int, **environment: str) -> str:
    done = subprocess.run(
        [ROOT / "script/server"],
        env=environment_of(var_dir, port, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    # The one start here with all networks: they too must be gone.
    with_a_server(tmp_path, lambda server: server.process.send_signal(signal.SIGINT))


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    def kill(server: Server) -> None:
        os.kill(server.supervisor(), signal.SIGKILL)

    with_a_server(tmp_path, kill, **NO_NETWORKS)


def with_a_server(folder: Path, end: Callable[[Server], None], **environment: str) -> None:
    """Start, end in this way, and find nothing of it left."""
    server = Server(folder, free_port(), **environment)
    try:
        server.wait_until_ready()
        family = server.family()
        assert len(family) > 4
        end(server)
        server.process.wait(timeout=150)
        assert not still_alive(family)
    finally:
        server.stop()


def still_alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return psutil.wait_procs(family, timeout=60)[1]
