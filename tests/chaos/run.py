"""One run: start, upload while the monkey is about, wait for the end, look."""

from __future__ import annotations

import hashlib
import json
import random
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests import clips
from tests.api_client import ApiClient
from tests.chaos.backends import BACKENDS
from tests.chaos.monkey import Monkey
from tests.chaos.stack import SmallDisk, Stack, wait_for

UPLOADERS_PATIENCE = 120
"""Seconds that an uploader goes on trying with one video."""

UNFINISHED = """
import django
django.setup()
from webapp.submissions.models import ACTIVE_STATES, Analysis
print(Analysis.objects.filter(state__in=ACTIVE_STATES).count())
"""


def run(
    folder: Path,
    *,
    seed: int,
    submissions: int,
    workers: int,
    backend: str,
    pause: float,
    real: bool = False,
) -> dict[str, Any]:
    """What ``inspection.inspect`` found, and what was done before."""
    began = time.monotonic()
    disk = SmallDisk(folder / "media", megabytes=256)
    try:
        with BACKENDS[backend]() as servers:
            stack = Stack(folder, disk.folder, servers, workers, real)
            stack.start()
            try:
                wait_for(lambda: _answers(stack), "the site answers", 120)
                client = ApiClient(stack.url, stack.environment)
                monkey = Monkey(stack, disk, seed, pause)
                monkey.start()
                try:
                    accepted, refused = _upload(client, folder, submissions, seed)
                    wait_for(lambda: _all_ended(stack), "every analysis ended", 1800)
                finally:
                    monkey.end()
            finally:
                stack.stop()
            found = _inspected(stack, accepted, real)
    finally:
        disk.close()
    return {
        "stack": backend,
        "seed": seed,
        "detector": "the shipped networks" if real else "a stand-in",
        "seconds": round(time.monotonic() - began),
        "tricks": dict(monkey.done),
        "processes started": stack.starts,
        "answers other than accepted": refused,
        **found,
    }


def _upload(
    client: ApiClient, folder: Path, count: int, seed: int
) -> tuple[dict[str, str], dict[str, int]]:
    """(SHA-256 by id of what was accepted, how often uploading failed by reason)."""
    clip = folder / "clip.mp4"
    clips.one_person(clip, seconds=0.5)
    drawn = random.Random(seed)
    accepted: dict[str, str] = {}
    refused: dict[str, int] = {}
    for _ in range(count):
        video = folder / "upload.mp4"
        # Bytes after the end of an MP4 are nobody's business, but make another file of it.
        video.write_bytes(clip.read_bytes() + drawn.randbytes(2000))
        deadline = time.monotonic() + UPLOADERS_PATIENCE
        while True:
            try:
                taken = client.upload(video)
                break
            except (OSError, ValueError) as error:
                reason = _reason(error)
                refused[reason] = refused.get(reason, 0) + 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        accepted[taken["id"]] = hashlib.sha256(video.read_bytes()).hexdigest()
    return accepted, refused


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", error)
    return type(reason).__name__


def _answers(stack: Stack) -> bool:
    try:
        with urllib.request.urlopen(f"{stack.url}/healthz", timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _all_ended(stack: Stack) -> bool:
    try:
        return stack.run("-c", UNFINISHED).strip() == "0"
    except RuntimeError:
        return False  # The monkey has the database.


def _inspected(stack: Stack, accepted: dict[str, str], real: bool) -> dict[str, Any]:
    wanted = stack.folder / "accepted.json"
    wanted.write_text(json.dumps(accepted))
    kind = "real" if real else "stand-in"
    report = json.loads(stack.run("-m", "tests.chaos.inspection", str(wanted), kind))
    assert isinstance(report, dict)
    return report
