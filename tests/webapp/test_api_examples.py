"""docs/api.md: its examples are run, in their order, and its list of codes is complete."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

import detector.errors
from tests.webapp.analyses import VIDEO
from tests.webapp.outcomes import an_outcome
from webapp.accounts.models import ApiToken
from webapp.submissions import queue, tus, uploads
from webapp.submissions.api_errors import upload_status
from webapp.submissions.models import Analysis, Submission

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
DONE = "--- done"


class Shell:
    """One shell that is given a block at a time and remembers its variables."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: str) -> str:
        """What the block printed; it must succeed to its last command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"set -e\n{block}\necho\necho '{DONE}'\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for line in self._process.stdout:
            if line.strip() == DONE:
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"failed: {block}\n{''.join(printed)}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; install it with: apt install curl")
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def test_the_examples_work_as_they_stand(
    transactional_db: None, live_server: Any, alice: User, shell: Shell, tmp_path: Path
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    start, upload, pieces, wait, read, models, listing, change = blocks
    (tmp_path / "clip.mp4").write_bytes(VIDEO)
    _, secret = ApiToken.objects.issue(alice, "examples")
    shell.run(start)
    shell.run(f"FRAMEVOTE={live_server.url}; TOKEN={secret}")

    shell.run(upload)
    submission = Submission.objects.get()
    analysis = Analysis.objects.get()
    assert (submission.owner, analysis.sampling) == (alice, "quick")
    in_pieces = uuid.UUID(shell.run(pieces).strip())
    assert Submission.objects.get(pk=in_pieces).size_bytes == len(VIDEO)
    lease = queue.claim(analysis.pk, worker="worker1@host:1")
    assert lease is not None
    queue.publish(lease, an_outcome())

    assert shell.run(wait).strip() == "SUCCEEDED"
    assert shell.run(read).splitlines()[0] == "FAKE 0.75 {'real': 1, 'fake': 2}"
    assert shell.run(models).strip().startswith("[")
    assert str(submission.pk) in shell.run(listing)
    assert "CANCELED" in shell.run(change)
    assert Submission.objects.get().pk == in_pieces


def test_the_example_with_a_client_of_tus_works_as_it_stands(
    transactional_db: None,
    live_server: Any,
    alice: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(VIDEO)
    _, secret = ApiToken.objects.issue(alice, "examples")
    exec(block, {"FRAMEVOTE": live_server.url, "TOKEN": secret, "VIDEO": "clip.mp4"})  # noqa: S102
    submission = Submission.objects.get()
    assert capsys.readouterr().out.strip() == str(submission.pk)
    assert submission.analyses.get().sampling == "quick"


def test_every_code_of_an_upload_is_listed_with_its_status() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| \d{3} \|", line)]
    listed = {(code, int(row[2:5])) for row in rows for code in re.findall(r"`(\w+)`", row)}
    sources = [*Path(uploads.__file__).parent.glob("*uploads.py"), Path(tus.__file__)]
    raised = {
        code
        for source in sources
        for code in re.findall(r'(?:UploadRejected|NotNow)\(\s*"(\w+)"', source.read_text())
    }
    assert len(raised) > 15
    assert {(code, upload_status(code)) for code in raised} <= listed


def test_every_code_of_a_failed_analysis_is_listed() -> None:
    (row,) = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| 409 |")]
    listed = set(re.findall(r"`(\w+)`", row.partition("failed analysis")[2]))
    raised = {error.code for error in vars(detector.errors).values() if hasattr(error, "code")}
    # The base, a program's end, and what the worker tries again until it gives up.
    never = {"detector_error", "stopped", "internal"}
    assert listed == (raised - never) | {"gave_up", "timed_out"}
