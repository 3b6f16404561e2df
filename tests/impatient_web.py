"""A configuration of gunicorn for tests: a silent connection is given up after a second."""

from __future__ import annotations

from typing import Any

threads = 8


def post_worker_init(worker: Any) -> None:
    from webapp.submissions import api_uploads

    api_uploads.STALL_SECONDS = 1
