"""Liveness, readiness, and the headers every answer carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_living_process_says_so(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_a_site_with_all_its_parts_is_ready(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"database": "ok", "storage": "ok", "broker": "ok"}


def test_a_missing_storage_is_named(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "gone"
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"database": "ok", "storage": "unavailable", "broker": "ok"}


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
