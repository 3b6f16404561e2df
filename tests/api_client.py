"""A program that uses the API of a site which runs in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

ISSUE_TOKEN = """
import django
django.setup()
from django.contrib.auth.models import User
from webapp.accounts.models import ApiToken
print(ApiToken.objects.issue(User.objects.get(username="admin"), "test")[1])
"""


class ApiClient:
    """Asks as the site's administrator; ``environment`` is that of the site's processes."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self._url = url
        self.token = subprocess.run(
            [sys.executable, "-c", ISSUE_TOKEN],
            env={"DJANGO_SETTINGS_MODULE": "webapp.settings", **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def ask(self, path: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {"Authorization": f"Token {self.token}"} | (
            {"Content-Type": kind} if body else {}
        )
        request = urllib.request.Request(f"{self._url}{path}", data=body, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)

    def submission(self, id: str) -> Any:
        return self.ask(f"/api/v1/submissions/{id}/")

    def upload(self, video: Path, sampling: str = "") -> Any:
        """Send a video; without a sampling it gets the site's default."""
        boundary = uuid.uuid4().hex
        part = f"--{boundary}\r\nContent-Disposition: form-data; "
        head = f'{part}name="sampling"\r\n\r\n{sampling}\r\n' if sampling else ""
        head += f'{part}name="video"; filename="{video.name}"\r\nContent-Type: video/mp4\r\n\r\n'
        body = head.encode() + video.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.ask("/api/v1/submissions/", body, f"multipart/form-data; boundary={boundary}")
