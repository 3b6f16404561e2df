"""What tests of the site and the workers share: people, files, servers.

``site`` starts real processes on the test database; see ``tests/processes.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.graphs import share_graphs
from tests.processes import Site
from tests.servers import make_bucket, postgres_server, redis_server, s3_server
from tests.webapp.evidence import a_video
from webapp.submissions.models import Submission, media_storage
from webapp.submissions.uploads import ALLOWED_EXTENSIONS, receive

# The same examples in every run, and no verdict about the speed of the machine.
hypothesis_settings.register_profile(
    "framevote",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("framevote")

LAST = ("tests/e2e/test_upload", "tests/e2e/", "tests/detector/")
"""In this order, after all other tests.

While Playwright runs, Django takes every test for asynchronous, so browser tests come
after whatever uses the database; of them, uploads need no worker, and come before the
first test that starts one. The detector's tests load TensorFlow into this very process,
which keeps its memory to the end: they come when no test needs a worker any more.
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    turns = [turn for turn, start in enumerate(LAST, start=1) if item.nodeid.startswith(start)]
    return min(turns, default=0)


@pytest.fixture(autouse=True)
def media_dir(tmp_path: Path, settings: Any) -> Path:
    """Uploads and evidence of one test; nothing is left of another's."""
    folder = tmp_path / "media"
    incoming = folder / "incoming"
    incoming.mkdir(parents=True)
    settings.MEDIA_ROOT = folder
    settings.FRAMEVOTE_MEDIA_DIR = folder
    settings.FILE_UPLOAD_TEMP_DIR = incoming
    return folder


@pytest.fixture(autouse=True)
def broker_dir() -> Path:
    """The filesystem broker of this process, without an earlier test's messages."""
    folder = Path(django_settings.FRAMEVOTE_BROKER_DIR)
    messages = folder / "messages"
    for message in messages.glob("*.msg"):
        message.unlink(missing_ok=True)
    return folder


@pytest.fixture
def messages(broker_dir: Path) -> Callable[[], int]:
    """How many wake-ups lie in the broker."""
    return lambda: len(list((broker_dir / "messages").glob("*.analyses.msg")))


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", password="alice-password")


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def submission(alice: User) -> Submission:
    """Of alice, whom ``signed_in`` is; its analysis waits."""
    return receive(a_video("interview.mp4"), owner=alice, visitor=None)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="bob-password")


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", password="charlie-password")


@pytest.fixture
def make_submission(db: None) -> Callable[..., Submission]:
    """``make_submission(owner=alice, content=b"…")``: a row with its file, not yet queued."""

    def make(
        content: bytes = b"not really a video", name: str = "clip.mp4", **fields: Any
    ) -> Submission:
        assert name.endswith(ALLOWED_EXTENSIONS)
        submission = Submission(
            original_name=name, size_bytes=len(content), sha256="0" * 64, **fields
        )
        submission.video.save(name, ContentFile(content), save=True)
        return submission

    return make


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server of its own for this test run."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A Postgres cluster of its own for this test run, with an empty database."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A server of its own that speaks like S3."""
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket_options(s3_url: str) -> dict[str, str]:
    return make_bucket(s3_url)


@pytest.fixture
def use_bucket(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``use_bucket(**options)``: the media of this process lie in a bucket."""

    def use(**options: str) -> None:
        backend = "webapp.submissions.bucket.BucketStorage"
        media = {"BACKEND": backend, "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "media": media}
        # A field asks for its storage once, when its model is loaded.
        monkeypatch.setattr(Submission._meta.get_field("video"), "storage", media_storage())

    return use


@pytest.fixture
def site(transactional_db: None, tmp_path: Path, media_dir: Path) -> Iterator[Site]:
    """Real processes (workers, sweeper) on the test database; stopped at the end."""
    var_dir = tmp_path / "var"
    share_graphs(var_dir)
    site = Site(var_dir, media_dir)
    try:
        yield site
    finally:
        site.stop_all()
        site.print_logs()
