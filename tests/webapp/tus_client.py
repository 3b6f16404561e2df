"""Requests of tus as a client makes them, through Django's test client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client

from tests.tus import PIECE, TUS, UPLOADS, encoded
from tests.webapp.evidence import MP4

VIDEO = MP4 + bytes(4000)


def begin(
    client: Client, length: int = len(VIDEO), name: str = "clip.mp4", **headers: str | None
) -> Any:
    """POST. A header given as None is left out; underscores stand for hyphens."""
    wanted: dict[str, str | None] = {
        **TUS,
        "Upload-Length": str(length),
        "Upload-Metadata": encoded(filename=name),
        **_named(headers),
    }
    return client.post(UPLOADS, headers=_given(wanted))


def begun(client: Client, length: int = len(VIDEO), name: str = "clip.mp4", **headers: str) -> str:
    """The address of an upload that was begun."""
    answer = begin(client, length, name, **headers)
    assert answer.status_code == 201, answer.content
    return str(answer["Location"])


def send(
    client: Client, address: str, piece: bytes, offset: int | str = 0, **headers: str | None
) -> Any:
    """PATCH. A header given as None is left out; underscores stand for hyphens."""
    wanted: dict[str, str | None] = {
        **TUS,
        "Content-Type": PIECE,
        "Upload-Offset": str(offset),
        **_named(headers),
    }
    kind = wanted.pop("Content-Type") or ""
    # The test client leaves the type out where there is no body.
    extra: Any = {"CONTENT_TYPE": kind}
    return client.generic("PATCH", address, piece, headers=_given(wanted), **extra)


def ask(client: Client, address: str) -> Any:
    """HEAD."""
    return client.head(address, headers=TUS)


def end(client: Client, address: str) -> Any:
    """DELETE."""
    return client.delete(address, headers=TUS)


def code_of(answer: Any) -> tuple[int, str]:
    """Status and code of an error in the API's one shape."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"].endswith(".")
    return answer.status_code, body["error"]["code"]


def pieces_on_disk() -> list[Path]:
    """What lies in the folder of uploads under way."""
    return sorted(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir())


def _named(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _given(headers: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}
