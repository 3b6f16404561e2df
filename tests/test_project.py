"""Promises of the project's structure, checked on its source."""

from __future__ import annotations

import ast
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

DJANGO = {"django", "webapp", "worker", "celery", "kombu", "rest_framework"}
LEARNING = {"tensorflow", "keras", "mtcnn", "detector"}

# A state's name as a value that is being stored: `state=State.X` in an update or a
# constructor, or an assignment to `.state`.
WRITING_CALLS = {"update", "create", "bulk_create", "get_or_create", "update_or_create", "Analysis"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """What belongs to the project: everything git would commit."""
    listed = subprocess.run(
        [
            # The checkout may belong to another user than the one who tests it.
            *("git", "-c", "safe.directory=*"),
            *("ls-files", "--cached", "--others", "--exclude-standard", "-z"),
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return tuple(ROOT / name for name in sorted(filter(None, listed.split("\0"))))


def python_files(*folders: str) -> list[Path]:
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders and path.exists()
    ]


def text_of(path: Path) -> str | None:
    """None for pictures, weights and other bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return None


def imports(path: Path) -> Iterator[str]:
    """Top-level packages that the module imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- who knows whom -----------------------------------------------------------------------


def test_the_detector_imports_nothing_of_the_web() -> None:
    offenders = {
        name(p): found for p in python_files("detector") if (found := DJANGO & {*imports(p)})
    }
    assert not offenders


def test_the_web_imports_no_detector_and_no_tensorflow() -> None:
    offenders = {
        name(p): found for p in python_files("webapp") if (found := LEARNING & {*imports(p)})
    }
    assert not offenders


def test_importing_the_detector_loads_neither_django_nor_tensorflow() -> None:
    loaded = modules_after("import detector, detector.video, detector.voting, detector.checkpoints")
    assert not loaded & {"django", "celery", "webapp", "tensorflow", "keras", "mtcnn"}


def test_the_web_process_never_loads_tensorflow_or_opencv(tmp_path: Path) -> None:
    loaded = modules_after(
        "from webapp.wsgi import application\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "from django.test import Client\n"
        "assert Client().get('/healthz').status_code == 200",
        DJANGO_SETTINGS_MODULE="webapp.settings",
        FRAMEVOTE_ENV_FILE=os.devnull,
        FRAMEVOTE_VAR_DIR=str(tmp_path),
        ALLOWED_HOSTS="testserver",
        SECRET_KEY="s" * 50,
    )
    assert "django" in loaded
    assert not loaded & {"tensorflow", "keras", "mtcnn", "cv2", "av", "detector"}


def modules_after(statements: str, **environment: str) -> set[str]:
    """Top-level modules that are loaded in a fresh process after the statements."""
    program = (
        f"{statements}\nimport sys\nprint('MODULES', *{{m.split('.')[0] for m in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


# --- one rule, one place ------------------------------------------------------------------


def test_only_the_queue_writes_a_state() -> None:
    offenders = {}
    for path in python_files("webapp", "worker"):
        if path == ROOT / "webapp/submissions/queue.py" or "migrations" in path.parts:
            continue
        if lines := [*state_writes(ast.parse(path.read_text()))]:
            offenders[name(path)] = lines
    assert not offenders, f"state is written outside queue.py: {offenders}"


def state_writes(tree: ast.AST) -> Iterator[int]:
    """Lines that store a state: an assignment to ``.state`` or ``state=`` in a writing call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Attribute) and t.attr == "state" for t in targets):
                yield node.lineno
        elif isinstance(node, ast.Call) and any(k.arg == "state" for k in node.keywords):
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else ""
            called = function.id if isinstance(function, ast.Name) else called
            if called in WRITING_CALLS:
                yield node.lineno


@pytest.mark.parametrize(
    "statement",
    [
        "analysis.state = State.FAILED",
        "Analysis.objects.filter(pk=1).update(state='FAILED')",
        "Analysis(state='QUEUED')",
        "Analysis.objects.create(state='QUEUED')",
    ],
)
def test_a_written_state_is_recognized(statement: str) -> None:
    assert [*state_writes(ast.parse(statement))] == [1]


def test_templates_have_no_inline_script_or_style() -> None:
    inline = re.compile(
        r"<style\b|<script(?![^>]*\bsrc=)[^>]*>|\sstyle=[\"']|\son[a-z]+=[\"']|javascript:", re.I
    )
    offenders = []
    for path in tracked_files():
        if path.suffix not in {".html", ".svg"} or "templates" not in path.parts:
            continue
        text = text_of(path) or ""
        offenders += [f"{name(path)}: {m.group()}" for m in inline.finditer(text)]
    assert not offenders


# --- files --------------------------------------------------------------------------------


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    # Put together here, so that this file does not contain what it looks for.
    places = re.compile(
        "|".join(rf"(?<![\w.])/{place}/" for place in ("home", "root", "Users", "work"))
    )
    offenders = [
        f"{name(path)}: {match.group()}"
        for path in tracked_files()
        if path != Path(__file__) and (text := text_of(path))
        for match in places.finditer(text)
    ]
    assert not offenders


def test_modules_say_what_they_are_for_and_stay_readable() -> None:
    offenders = []
    for path in python_files("benchmarks", "detector", "webapp", "worker", "script", "tests"):
        text = path.read_text()
        if not text.strip() or "migrations" in path.parts:
            continue
        if not ast.get_docstring(ast.parse(text)):
            offenders.append(f"{name(path)} has no docstring")
        if (lines := text.count("\n")) > 400:
            offenders.append(f"{name(path)} has {lines} lines")
    assert not offenders


def test_every_program_in_script_can_be_started() -> None:
    programs = [p for p in (ROOT / "script").iterdir() if p.is_file() and not p.suffix]
    programs.append(ROOT / ".ci/run")
    assert {"bootstrap", "server", "test", "lint"} <= {p.name for p in programs}
    for program in programs:
        text = program.read_text()
        assert program.stat().st_mode & stat.S_IXUSR, name(program)
        assert text.startswith("#!"), name(program)
        assert "bash" not in text.splitlines()[0] or "set -euo pipefail" in text, name(program)


def test_the_readme_names_both_commands_and_existing_pictures() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "script/server" in readme
    assert "script/test" in readme
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", readme)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert links
    assert not missing


def test_the_licence_is_the_gpl_version_3() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 29 June 2007" in text
    assert len(text) > 30_000
