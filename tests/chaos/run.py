"""One run: start, upload while the monkey is about, wait for the end, look."""

from __future__ import annotations

import hashlib
import random
import time
import urllib.error
from pathlib import Path
from typing import Any

from tests import clips
from tests.api_client import ApiClient
from tests.chaos.backends import BACKENDS
from tests.chaos.monkey import LEASE_SECONDS, Monkey
from tests.chaos.stack import SmallDisk, Stack, wait_for

UPLOADERS_PATIENCE = 120
"""Seconds that an uploader goes on trying with one video."""

SETTINGS = {
    "FRAMEVOTE_SAMPLING": "quick",
    # The disk has 256 MB, and is to be filled to the last byte.
    "FRAMEVOTE_MIN_FREE_MB": "0",
    "FRAMEVOTE_LEASE_SECONDS": str(LEASE_SECONDS),
    "FRAMEVOTE_HEARTBEAT_SECONDS": "1",
    "FRAMEVOTE_SWEEP_SECONDS": "1",
    "FRAMEVOTE_REANNOUNCE_SECONDS": "3",
    # The monkey takes more attempts than the world does.
    "FRAMEVOTE_MAX_ATTEMPTS": "20",
}


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
            stack = Stack(folder, disk.folder, servers, workers, real, SETTINGS)
            stack.run("manage.py", "migrate", "-v0")
            stack.run("manage.py", "ensure_admin")
            stack.start()
            try:
                wait_for(stack.answers, "the site answers", 120)
                client = ApiClient(stack.url, stack.environment)
                monkey = Monkey(stack, disk, seed, pause)
                monkey.start()
                try:
                    accepted, refused = _upload(client, folder, submissions, seed)
                    wait_for(stack.all_ended, "every analysis ended", 1800)
                finally:
                    monkey.end()
            finally:
                stack.stop()
            found = stack.inspected(accepted)
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
