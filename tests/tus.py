"""What every client of tus in these tests sends."""

from __future__ import annotations

import base64

UPLOADS = "/api/v1/uploads/"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = "application/offset+octet-stream"
"""The content type of a piece."""


def encoded(**pairs: str) -> str:
    """``Upload-Metadata`` of these pairs."""
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
