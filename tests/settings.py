"""Settings of the test suite: the project's own, in a fresh folder, nothing from outside.

pytest-django reads settings before any ``conftest.py``, so the environment is set here.
``FRAMEVOTE_TEST_DATABASE_URL`` runs the suite on another database.
"""

from __future__ import annotations

import os
import tempfile

_database_url = os.environ.get("FRAMEVOTE_TEST_DATABASE_URL", "")
for _name in set(os.environ) - {"FRAMEVOTE_CHROMIUM"}:
    if _name.startswith("FRAMEVOTE_") or _name in {
        "DEBUG",
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "DATABASE_URL",
        "REDIS_URL",
    }:
        del os.environ[_name]
os.environ["FRAMEVOTE_ENV_FILE"] = os.devnull
os.environ["FRAMEVOTE_VAR_DIR"] = tempfile.mkdtemp(prefix="framevote-tests-")
os.environ["SECRET_KEY"] = "only-for-tests-" + "x" * 40
# What tests ask of their own servers must not go to a proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
if _database_url:
    os.environ["DATABASE_URL"] = _database_url

from webapp.settings import *  # noqa: E402,F403
from webapp.settings import DATABASES, FRAMEVOTE_VAR_DIR, STORAGES  # noqa: E402

# Pages are tested without collecting files first, and passwords without slow hashing.
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# A file, not memory: workers and servers started by tests share it.
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": str(FRAMEVOTE_VAR_DIR / "test.sqlite3")}
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
