"""Settings of a site that browser tests start: production's, with its static files apart.

``webapp.settings`` collects static files into the working tree; a test leaves that alone.
"""

from __future__ import annotations

from webapp.settings import *  # noqa: F403
from webapp.settings import FRAMEVOTE_VAR_DIR

STATIC_ROOT = FRAMEVOTE_VAR_DIR / "static"
