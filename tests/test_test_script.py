"""``script/test``: its exit status is what continuous integration goes by."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PROGRAMS = ["chromium", "redis-server", "postgres", "docker-compose"]

PYTEST = """#!/bin/sh
case "$*" in
  *--ignore=tests/detector*--ignore=tests/e2e*) echo "all others"; exit $OTHERS ;;
  *tests/detector*) sleep 0.3; echo "detector: done"; exit $DETECTOR ;;
  *tests/e2e*) sleep 0.2; echo "browser: done"; exit $BROWSER ;;
  *) echo "given: $*"; exit $GIVEN ;;
esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project whose tests, linters and programs are scripts that end as they are told."""
    stubs = {f"bin/{name}": "#!/bin/sh\n" for name in PROGRAMS}
    stubs["script/bootstrap"] = "#!/bin/sh\n"
    stubs["script/lint"] = "#!/bin/sh\nexit $LINT\n"
    stubs[".venv/bin/python"] = PYTEST
    for name, text in stubs.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    shutil.copy(ROOT / "script/test", tmp_path / "script/test")
    return tmp_path


def run(tree: Path, *arguments: str, **ends: int) -> subprocess.CompletedProcess[str]:
    environment = dict.fromkeys(("LINT", "OTHERS", "DETECTOR", "BROWSER", "GIVEN"), "0")
    environment |= {name: str(status) for name, status in ends.items()}
    (tree / "temporary").mkdir(exist_ok=True)
    return subprocess.run(
        [tree / "script/test", *arguments],
        env=environment | {"PATH": f"{tree}/bin:/usr/bin:/bin", "TMPDIR": f"{tree}/temporary"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_status_is_0_when_everything_passed(tree: Path) -> None:
    finished = run(tree)

    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert "all others" in finished.stdout
    assert "detector: done" in finished.stdout
    assert "browser: done" in finished.stdout
    assert list((tree / "temporary").iterdir()) == []


@pytest.mark.parametrize("failing", ["LINT", "OTHERS", "DETECTOR", "BROWSER"])
def test_one_failure_is_enough_for_status_1_and_hides_no_output(tree: Path, failing: str) -> None:
    finished = run(tree, **{failing: 3})

    assert finished.returncode == 1
    assert "all others" in finished.stdout
    assert "detector: done" in finished.stdout
    assert "browser: done" in finished.stdout
    assert ("script/lint failed" in finished.stderr) == (failing == "LINT")


@pytest.mark.parametrize(("ends", "status"), [(0, 0), (5, 1)])
def test_arguments_go_to_pytest_and_style_is_left_out(tree: Path, ends: int, status: int) -> None:
    finished = run(tree, "tests/webapp", "-k", "upload", LINT=1, GIVEN=ends)

    assert finished.returncode == status
    assert "given: -m pytest tests/webapp -k upload" in finished.stdout
