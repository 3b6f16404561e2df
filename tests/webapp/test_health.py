"""Liveness, readiness, and the headers every answer carries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tests.webapp.disks import MORE_THAN_THERE_IS
from webapp import health
from webapp.submissions import queue
from webapp.submissions.models import WorkerBeat

pytestmark = pytest.mark.django_db


def test_a_living_process_says_so(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_a_site_with_all_its_parts_is_ready(client: Client) -> None:
    queue.beat("worker1", slots=1)
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == dict.fromkeys(
        ("database", "storage", "broker", "worker", "disk"), "ok"
    )


@pytest.mark.parametrize("silent_for_s", [None, 3600])
def test_a_site_without_a_worker_is_ready_and_says_so(
    client: Client, silent_for_s: int | None
) -> None:
    if silent_for_s:
        queue.beat("worker1", slots=1)
        WorkerBeat.objects.update(beat_at=timezone.now() - timedelta(seconds=silent_for_s))
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["worker"] == "unavailable"


def test_each_queue_needs_a_worker(client: Client, settings: Any) -> None:
    settings.FRAMEVOTE_QUEUES = {"quick": "analyses", "standard": "analyses", "thorough": "gpu"}
    queue.beat("cpu0", 1, ["analyses"])
    assert client.get("/readyz").json()["worker"] == "unavailable"
    queue.beat("gpu0", 1, ["gpu"])
    assert client.get("/readyz").json()["worker"] == "ok"


def test_a_missing_database_is_named(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("away")

    monkeypatch.setitem(health.CHECKS, "database", away)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert (response.json()["database"], response.json()["worker"]) == ("unavailable",) * 2


def test_a_missing_storage_is_named(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "gone"
    response = client.get("/readyz")
    assert response.status_code == 503
    answer = response.json()
    assert (answer["database"], answer["storage"], answer["disk"]) == ("ok", *["unavailable"] * 2)


def test_a_full_disk_is_named_by_a_site_that_is_ready_for_all_but_uploads(
    client: Client, settings: Any
) -> None:
    settings.FRAMEVOTE_MIN_FREE_MB = MORE_THAN_THERE_IS
    response = client.get("/readyz")
    assert response.status_code == 200
    assert (response.json()["storage"], response.json()["disk"]) == ("ok", "full")


def test_a_missing_broker_is_named(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.FRAMEVOTE_BROKER_DIR = tmp_path / "gone"
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["broker"] == "unavailable"


@pytest.mark.parametrize("address", ["/healthz", "/", "/admin/login/", "/api/docs/"])
def test_every_page_forbids_foreign_and_inline_code(client: Client, address: str) -> None:
    policy = client.get(address)["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
