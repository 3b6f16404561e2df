"""Static files as whitenoise keeps them, made the same whatever else is installed."""

from __future__ import annotations

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Compresses with gzip alone.

    Whitenoise takes Brotli as well where its package happens to be, at the highest level:
    collecting then takes a minute and a half in place of seconds, for some kilobytes less.
    """

    def create_compressor(self, **options: Any) -> Compressor:
        return super().create_compressor(**{**options, "use_brotli": False})
