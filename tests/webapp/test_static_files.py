"""How static files are kept: with gzip beside them, and with nothing that takes minutes."""

from __future__ import annotations

from pathlib import Path

from whitenoise import compress

from webapp import settings
from webapp.static_files import StaticFilesStorage


def test_the_site_compresses_static_files_with_gzip_alone(tmp_path: Path) -> None:
    assert settings.STORAGES["staticfiles"]["BACKEND"].endswith(".static_files.StaticFilesStorage")
    assert compress.brotli_installed  # With locust, so it could be otherwise.
    (tmp_path / "base.css").write_text("body { margin: 0; }\n" * 100)
    storage = StaticFilesStorage(location=tmp_path, base_url="/static/")
    list(storage.post_process({"base.css": (storage, "base.css")}))
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert ".gz" in suffixes
    assert ".br" not in suffixes
