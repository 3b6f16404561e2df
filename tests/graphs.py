"""Exported graphs, which the processes of one test run share.

The first worker of a test run makes the shipped checkpoint's, with TensorFlow, as the first one
of an installation does; that is most of what a worker's start costs.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def share_graphs(var_dir: Path) -> None:
    """Before the first worker starts on ``var_dir``."""
    shared = Path(settings.FRAMEVOTE_VAR_DIR) / "cache"
    shared.mkdir(exist_ok=True)
    var_dir.mkdir(parents=True, exist_ok=True)
    (var_dir / "cache").symlink_to(shared)
