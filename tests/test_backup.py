"""docs/operations.md: the blocks for backup and restore are run, on data that then is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent

FILL = """
import sys, django
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from tests.webapp.evidence import MP4, a_video, fail, finish
from webapp.submissions.uploads import receive
alice = User.objects.create_user("alice", password="alice-password")
finish(receive(a_video("one.mp4"), owner=alice, visitor=None))
fail(receive(a_video("two.mp4", MP4 * 500), owner=alice, visitor=None), "internal", "Broken.")
receive(a_video("three.webm", MP4 * 9), owner=alice, visitor=None)
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(alice)
print(client.cookies["sessionid"].value)
"""

TELL = """
import hashlib, json, sys, django
django.setup()
from django.contrib.auth.models import User
from django.test import Client
from webapp.submissions.models import Analysis, Face, Submission, media_storage
client = Client(SERVER_NAME="127.0.0.1")
client.cookies["sessionid"] = sys.argv[1]
print(json.dumps({
    "files": [
        (str(s.pk), s.original_name, s.sha256, hashlib.sha256(s.video.read()).hexdigest())
        for s in Submission.objects.order_by("pk")
    ],
    "analyses": list(Analysis.objects.order_by("pk").values_list("state", "verdict")),
    "pictures": [
        media_storage().open(face.thumbnail_name).read().hex() for face in Face.objects.all()
    ],
    "password": User.objects.get().check_password("alice-password"),
    "still logged in": b"three.webm" in client.get("/api/v1/submissions/").content,
}))
"""

LOSE = """
import os, django
django.setup()
from django.contrib.auth.models import User
from webapp.submissions.models import Submission
Submission.objects.all().delete()
User.objects.update(password="lost")
os._exit(0)  # As when the power fails: what was written is in SQLite's journal alone.
"""

KEEP_BUSY = """
import itertools, django
django.setup()
from webapp.submissions import queue
for turn in itertools.count():
    queue.beat(f"worker{turn % 5}", 1)
    print(turn, flush=True)
"""


def block(part: str, number: int) -> str:
    """The first or second block of commands below a heading of the runbook."""
    text = (ROOT / "docs" / "operations.md").read_text()
    backup = text[text.index("## Backup and restore") :]
    _, _, chapter = backup.partition(f"### {part}\n")
    return re.findall(r"^```sh\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE)[number]


class Installation:
    """A folder with FrameVote in it, as somebody runs it, and a shell there."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "manage.py").symlink_to(ROOT / "manage.py")
        self.env = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(folder / "var"),
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def python(self, *arguments: str) -> str:
        return self._run([sys.executable, *arguments])

    def shell(self, commands: str) -> str:
        """What they print; the last line is the name of the backup."""
        return self._run(["sh", "-e", "-c", f'{commands}\necho "$BACKUP"'])

    def tell(self, session: str) -> Any:
        return json.loads(self.python("-c", TELL, session))

    def busy(self) -> subprocess.Popen[bytes]:
        """A process that writes to the database without a break."""
        return subprocess.Popen(
            [sys.executable, "-c", KEEP_BUSY],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
        )

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "site")


def filled(site: Installation) -> str:
    """Three videos, a result, and somebody who is logged in; her session."""
    site.python("manage.py", "migrate", "--verbosity=0")
    return site.python("-c", FILL).strip()


def saved(site: Installation, part: str) -> str:
    """Run the block that backs up, while somebody writes; where the backup is."""
    writer = site.busy()
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"0\n"
        backup = site.shell(block(part, 0)).splitlines()[-1]
        assert writer.poll() is None, "it wrote all the time"
    finally:
        writer.kill()
        writer.communicate()
    assert (site.folder / backup).stat().st_mode & 0o077 == 0, "for its owner alone"
    return backup


def test_one_machine_comes_back_from_its_backup(installation: Installation) -> None:
    site = installation
    session = filled(site)
    before = site.tell(session)
    assert before["still logged in"]
    backup = saved(site, "One machine")

    site.python("-c", LOSE)
    assert (site.folder / "var" / "framevote.sqlite3-wal").stat().st_size
    for video in (site.folder / "var" / "media").rglob("video.*"):
        video.write_bytes(b"rubbish")

    printed = site.shell(f"BACKUP={backup}\n{block('One machine', 1)}")
    assert "All files of 3 submissions are as they should be." in printed
    assert site.tell(session) == before


def test_one_machine_comes_back_on_another(installation: Installation, tmp_path: Path) -> None:
    session = filled(installation)
    before = installation.tell(session)
    backup = saved(installation, "One machine")
    other = Installation(tmp_path / "other")
    shutil.move(installation.folder / backup, other.folder / backup)
    shutil.rmtree(installation.folder)
    other.shell(f"BACKUP={backup}\n{block('One machine', 1)}")
    assert other.tell(session) == before


@pytest.fixture
def databases(postgres_url: str) -> Iterator[list[str]]:
    """The addresses of two empty databases."""
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed; install it with: apt install postgresql-client")
    names = [f"backup_{uuid.uuid4().hex[:8]}" for _ in range(2)]
    with psycopg.connect(postgres_url, autocommit=True) as server:
        for name in names:
            server.execute(f"CREATE DATABASE {name}".encode())
        yield [f"{postgres_url.rpartition('/')[0]}/{name}" for name in names]
        for name in names:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_site_on_postgres_comes_back_from_its_dump(tmp_path: Path, databases: list[str]) -> None:
    key = {"SECRET_KEY": "k" * 50}
    first, second = databases
    site = Installation(
        tmp_path / "site", DATABASE_URL=first, FRAMEVOTE_MEDIA_DIR=str(tmp_path / "media"), **key
    )
    session = filled(site)
    before = site.tell(session)
    backup = saved(site, "Postgres")
    shutil.rmtree(tmp_path / "media")

    other = Installation(
        tmp_path / "other", DATABASE_URL=second, FRAMEVOTE_MEDIA_DIR=str(tmp_path / "new"), **key
    )
    shutil.move(site.folder / backup, other.folder / backup)
    printed = other.shell(f"BACKUP={backup}\n{block('Postgres', 1)}")
    assert "All files of 3 submissions are as they should be." in printed
    assert other.tell(session) == before


def test_missing_and_changed_files_are_named(installation: Installation) -> None:
    site = installation
    filled(site)
    media = site.folder / "var" / "media"
    missing, changed, kept = sorted(media.rglob("video.*"), key=lambda path: path.stat().st_size)
    picture = next(iter(media.rglob("*.jpg")))
    missing.unlink()
    picture.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    done = subprocess.run(
        [sys.executable, "manage.py", "check_files"],
        env=site.env,
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    wanted = (f"{missing.relative_to(media)} is missing",
              f"{changed.relative_to(media)} has the SHA-256",
              f"{picture.relative_to(media)} is missing")  # fmt: skip
    assert [w for w in wanted if w not in done.stdout] == []
    assert str(kept.relative_to(media)) not in done.stdout
    assert "3 of the files are missing or changed" in done.stderr
