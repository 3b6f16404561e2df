"""Reads docker-compose.yml as a real Compose understands it.

The Compose may be the Python one (``docker-compose``) or Docker's plugin; neither needs an
engine to resolve a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent

REQUIRED = {"SECRET_KEY": "s" * 50, "POSTGRES_PASSWORD": "pass", "ALLOWED_HOSTS": "videos.example"}


@cache
def command() -> tuple[str, ...]:
    """The installed Compose; without one the lane is left out."""
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ("docker", "compose")
    pytest.skip("Docker Compose is not installed; install it with: apt install docker-compose")


def config(*profiles: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """``compose config`` with these variables and no other, and no ``.env``."""
    with tempfile.TemporaryDirectory(prefix="framevote-compose-") as folder:
        return subprocess.run(
            [
                *command(),
                f"--file={ROOT / 'docker-compose.yml'}",
                f"--project-directory={folder}",
                *(f"--profile={profile}" for profile in profiles),
                "config",
            ],
            env={"PATH": os.environ["PATH"], "HOME": folder, **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@cache
def resolve(*profiles: str, **environment: str) -> dict[str, Any]:
    """The file with every variable filled in; not to be changed, for others read it too."""
    done = config(*profiles, environment={**REQUIRED, **environment})
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = yaml.safe_load(done.stdout)
    return resolved
