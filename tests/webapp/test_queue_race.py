"""One winner per claim and per re-run, with real processes on real databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.servers import wait_until

pytestmark = pytest.mark.process

PROCESSES = 4


class Arena:
    """A database of its own in which processes meet."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_VAR_DIR": str(folder / "var"),
            "DATABASE_URL": database_url,
        }
        self.call("manage.py", "migrate", "--verbosity=0")

    def call(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command,
            env=self.env,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, command: str, argument: str = "") -> Any:
        return json.loads(self.call("-m", "tests.claimants", command, argument))

    def fight(self, *commands: str) -> list[list[Any]]:
        """Run the commands side by side from one starting signal; what each printed."""
        signal = Path(tempfile.mkdtemp(dir=self.folder)) / "go"
        fighters = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.claimants", command, str(signal)],
                env=self.env,
                cwd=settings.BASE_DIR,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]
        try:
            wait_until(
                lambda: (
                    len(list(signal.parent.glob("*.ready"))) == len(commands)
                    or any(fighter.poll() is not None for fighter in fighters)
                ),
                "all processes are ready, or one has ended",
                seconds=240,
            )
            signal.touch()
            ends = [fighter.communicate(timeout=300) for fighter in fighters]
        finally:
            for fighter in fighters:
                fighter.kill()
        assert [fighter.returncode for fighter in fighters] == [0] * len(fighters), ends
        return [json.loads(output) for output, _ in ends]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    folder = tmp_path_factory.mktemp("arena")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{folder / 'arena.sqlite3'}"
    return Arena(folder, url)


def test_every_analysis_is_claimed_once(arena: Arena) -> None:
    waiting = arena.ask("fill", "200")
    claimed = arena.fight(*["claim"] * PROCESSES)
    everything = [analysis for share in claimed for analysis in share]
    assert sorted(everything) == sorted(waiting)
    assert arena.ask("report")["attempts"] == [1]
    assert sum(bool(share) for share in claimed) > 1, "the processes did not compete"


def test_one_video_is_claimed_early_among_many_of_another_person(arena: Arena) -> None:
    *_, only = waiting = arena.ask("fill_for_two", "200")
    claimed = arena.fight(*["claim"] * PROCESSES)
    assert sorted(analysis for share in claimed for analysis in share) == sorted(waiting)
    # Second in the order; each process may have one more of the others in its hands.
    assert arena.ask("report")["as claimed"].index(only) <= 1 + PROCESSES


def test_uploads_of_one_person_at_once_get_a_turn_each(arena: Arena) -> None:
    arena.ask("fill", "0")
    turns = arena.fight(*["enqueue_thirty"] * PROCESSES)
    assert sorted(turn for share in turns for turn in share) == list(range(0, 60 * PROCESSES, 2))
    assert all(share == sorted(share) for share in turns)
    # Not one process after the other.
    assert any(share[-1] - share[0] > 2 * 29 for share in turns), "the processes did not compete"


def test_one_submission_is_put_in_the_queue_once(arena: Arena) -> None:
    arena.ask("submit")
    enqueued = arena.fight(*["enqueue"] * PROCESSES)
    assert sorted(len(share) for share in enqueued) == [0] * (PROCESSES - 1) + [1]


def test_what_is_taken_back_meanwhile_is_still_published_once(arena: Arena) -> None:
    waiting = arena.ask("fill", "100")
    counted_before = arena.ask("report")["counted"]
    *published, recovered = arena.fight(*["work"] * (PROCESSES - 1), "disturb")
    everything = [analysis for share in published for analysis in share]
    assert sorted(everything) == sorted(waiting)
    assert recovered, "nothing was disturbed"
    report = arena.ask("report")
    assert report["states"] == ["SUCCEEDED"]
    assert report["faces"] == 3 * len(waiting)
    assert report["counted"] - counted_before == len(waiting)


def test_a_video_stays_for_an_analysis_that_is_being_asked_for(arena: Arena) -> None:
    arena.ask("submit_long_ago")
    enqueued, (removed,) = arena.fight("enqueue_slowly", "retire")
    assert len(enqueued) == 1
    assert removed == "0"


def test_a_rate_is_one_for_all_processes(arena: Arena) -> None:
    """100 in a day: together they ask 240 times, and the day gives none back meanwhile."""
    arena.env["FRAMEVOTE_UPLOAD_RATE"] = "100/day"
    taken = [len(share) for share in arena.fight(*["take"] * PROCESSES)]
    assert sum(taken) == 100
    assert sum(count > 0 for count in taken) > 1, "the processes did not compete"
