"""How Chromium is found and started, for browser tests and screenshots."""

from __future__ import annotations

import os
import shutil

FLAGS = (
    "--no-sandbox",  # Containers have no user namespaces for its sandbox.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOW_TO_INSTALL = (
    "Chromium is not installed; install it with: apt install chromium, "
    "or name one in FRAMEVOTE_CHROMIUM"
)


def find_chromium() -> str | None:
    """The browser named in ``FRAMEVOTE_CHROMIUM``, else the one of the system."""
    named = os.environ.get("FRAMEVOTE_CHROMIUM")
    return shutil.which(named) if named else shutil.which("chromium")
