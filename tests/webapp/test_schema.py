"""The OpenAPI description: complete, true, and readable without inline scripts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def description(client: Client) -> dict[str, Any]:
    return json.loads(client.get("/api/schema/?format=json").content)


def test_the_description_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file="/dev/null")


def test_every_operation_of_the_api_is_described(description: dict[str, Any]) -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, methods in description["paths"].items()
        for method in methods
    }
    assert operations == {
        "GET /api/v1/submissions/",
        "POST /api/v1/submissions/",
        "GET /api/v1/submissions/{id}/",
        "DELETE /api/v1/submissions/{id}/",
        "GET /api/v1/submissions/{id}/result/",
        "POST /api/v1/submissions/{id}/cancel/",
        "POST /api/v1/submissions/{id}/rerun/",
        "GET /api/v1/analyses/{id}/",
        "GET /api/v1/analyses/{id}/result/",
        "POST /api/v1/analyses/{id}/cancel/",
        "GET /api/v1/models/",
        "POST /api/v1/uploads/",
        "HEAD /api/v1/uploads/{id}/",
        "PATCH /api/v1/uploads/{id}/",
        "DELETE /api/v1/uploads/{id}/",
    }


def test_every_error_is_described_in_the_one_shape(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, (path, method, status)
            changes = method not in ("get", "head")
            assert ("403" in operation["responses"]) == changes, (path, method)
            assert "401" in operation["responses"]


def test_an_upload_is_described_as_a_form_with_a_file(description: dict[str, Any]) -> None:
    body = description["paths"]["/api/v1/submissions/"]["post"]["requestBody"]
    assert set(body["content"]) == {"multipart/form-data"}
    form = description["components"]["schemas"]["Upload"]
    assert form["required"] == ["video"]
    assert form["properties"]["video"]["format"] == "binary"


def test_the_headers_of_tus_are_described(description: dict[str, Any]) -> None:
    create = description["paths"]["/api/v1/uploads/"]["post"]
    one = description["paths"]["/api/v1/uploads/{id}/"]
    for operation in (create, *one.values()):
        asked = {p["name"]: p for p in operation["parameters"] if p["in"] == "header"}
        assert asked["Tus-Resumable"]["schema"]["enum"] == ["1.0.0"]
        assert asked["Tus-Resumable"]["required"]
    assert set(create["responses"]["201"]["headers"]) == {"Location", "Upload-Expires"}
    assert set(one["head"]["responses"]["200"]["headers"]) >= {"Upload-Offset", "Upload-Length"}
    assert set(one["patch"]["requestBody"]["content"]) == {"application/offset+octet-stream"}
    assert {"409", "410", "412", "413", "415", "423", "460", "507"} <= set(
        one["patch"]["responses"]
    )


def test_the_description_is_served_to_anybody_as_yaml_too(client: Client) -> None:
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    assert answer.content.startswith(b"openapi: 3")


def test_the_page_for_people_has_nothing_inline_and_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs/")
    html = page.content.decode()
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "<style" not in html
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\s(on\w+|style)=", html)
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert address.startswith("/"), address
        if address.startswith(f"/{settings.STATIC_URL.strip('/')}/"):
            assert finders.find(address.split("/", 2)[2]), address
    script = client.get("/api/docs/?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert b"/api/schema/" in script.content
