"""Settings of the Django project and, through it, of the workers.

Everything that differs between installations comes from the environment;
``.env.example`` explains each variable.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from webapp import logs
from webapp.environment import (
    LOOPBACK_HOSTS,
    a_rate,
    at_least,
    is_server_address,
    matching,
    one_of,
    queue_of_each,
    read_environment,
    refuse_unknown_values,
    secret_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent

# What the environment says ---------------------------------------------------

env = read_environment(Path(os.environ.get("FRAMEVOTE_ENV_FILE", BASE_DIR / ".env")))

DEBUG = env.bool("DEBUG", False)
_given_secret_key = env.str("SECRET_KEY", "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", sorted(LOOPBACK_HOSTS))
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
_database_url = env.str("DATABASE_URL", "")
REDIS_URL = env.str("REDIS_URL", "")

FRAMEVOTE_VAR_DIR = env.path("FRAMEVOTE_VAR_DIR", BASE_DIR / "var")
_media_dir = env.str("FRAMEVOTE_MEDIA_DIR", "")
FRAMEVOTE_S3_BUCKET = env.str("FRAMEVOTE_S3_BUCKET", "")
_s3_endpoint = env.str("FRAMEVOTE_S3_ENDPOINT", "")
_s3_region = env.str("FRAMEVOTE_S3_REGION", "us-east-1")
_s3_access_key = env.str("FRAMEVOTE_S3_ACCESS_KEY", "")
_s3_secret_key = env.str("FRAMEVOTE_S3_SECRET_KEY", "")
FRAMEVOTE_HTTPS = env.bool("FRAMEVOTE_HTTPS", False)
FRAMEVOTE_HSTS_SUBDOMAINS = env.bool("FRAMEVOTE_HSTS_SUBDOMAINS", True)
FRAMEVOTE_LOG_LEVEL = env.str(
    "FRAMEVOTE_LOG_LEVEL", "INFO", validate=one_of(("DEBUG", "INFO", "WARNING", "ERROR"))
)
FRAMEVOTE_LOG_FORMAT = env.str("FRAMEVOTE_LOG_FORMAT", "line", validate=one_of(logs.FORMATS))
FRAMEVOTE_METRICS_TOKEN = env.str("FRAMEVOTE_METRICS_TOKEN", "")
FRAMEVOTE_ALLOW_ANONYMOUS = env.bool("FRAMEVOTE_ALLOW_ANONYMOUS", True)
FRAMEVOTE_ADMIN_USERNAME = env.str("FRAMEVOTE_ADMIN_USERNAME", "admin")
FRAMEVOTE_ADMIN_PASSWORD = env.str("FRAMEVOTE_ADMIN_PASSWORD", "")

FRAMEVOTE_MAX_UPLOAD_MB = env.int("FRAMEVOTE_MAX_UPLOAD_MB", 500, validate=at_least(1))
FRAMEVOTE_MAX_MINUTES = env.int("FRAMEVOTE_MAX_MINUTES", 30, validate=at_least(1))
FRAMEVOTE_MAX_FILES_PER_UPLOAD = env.int("FRAMEVOTE_MAX_FILES_PER_UPLOAD", 20, validate=at_least(1))
FRAMEVOTE_MAX_OPEN_UPLOADS = env.int("FRAMEVOTE_MAX_OPEN_UPLOADS", 20, validate=at_least(1))
FRAMEVOTE_UPLOAD_HOURS = env.int("FRAMEVOTE_UPLOAD_HOURS", 24, validate=at_least(1))
FRAMEVOTE_RETENTION_DAYS = env.int("FRAMEVOTE_RETENTION_DAYS", 0, validate=at_least(0))
FRAMEVOTE_MIN_FREE_MB = env.int("FRAMEVOTE_MIN_FREE_MB", 1024, validate=at_least(0))

# Of one account, or of one address where there is no account.
FRAMEVOTE_UPLOAD_RATE = env.str("FRAMEVOTE_UPLOAD_RATE", "300/hour", validate=a_rate())
FRAMEVOTE_LOGIN_RATE = env.str("FRAMEVOTE_LOGIN_RATE", "60/hour", validate=a_rate())
FRAMEVOTE_API_RATE = env.str("FRAMEVOTE_API_RATE", "600/minute", validate=a_rate())

FRAMEVOTE_CHECKPOINT = env.str("FRAMEVOTE_CHECKPOINT", "default")
_LEVELS = ("quick", "standard", "thorough")
FRAMEVOTE_SAMPLING = env.str("FRAMEVOTE_SAMPLING", "standard", validate=one_of(_LEVELS))
FRAMEVOTE_EARLY_STOP = env.bool("FRAMEVOTE_EARLY_STOP", False)
FRAMEVOTE_DEVICE = env.str(
    "FRAMEVOTE_DEVICE",
    "auto",
    validate=matching(r"auto|(cpu|gpu)(:[0-9]+)?", "auto, cpu, gpu, or one such as GPU:1"),
)
FRAMEVOTE_BITS = env.str("FRAMEVOTE_BITS", "32", validate=one_of(("8", "32")))
FRAMEVOTE_THREADS = env.int("FRAMEVOTE_THREADS", 0, validate=at_least(0))

FRAMEVOTE_WORKER_CONCURRENCY = env.int("FRAMEVOTE_WORKER_CONCURRENCY", 1, validate=at_least(1))
_queues: list[str] = env.list("FRAMEVOTE_QUEUES", [])
_worker_queues: list[str] = env.list("FRAMEVOTE_WORKER_QUEUES", [])
FRAMEVOTE_LEASE_SECONDS = env.int("FRAMEVOTE_LEASE_SECONDS", 60, validate=at_least(2))
FRAMEVOTE_HEARTBEAT_SECONDS = env.int("FRAMEVOTE_HEARTBEAT_SECONDS", 10, validate=at_least(1))
FRAMEVOTE_SWEEP_SECONDS = env.int("FRAMEVOTE_SWEEP_SECONDS", 5, validate=at_least(1))
FRAMEVOTE_REANNOUNCE_SECONDS = env.int("FRAMEVOTE_REANNOUNCE_SECONDS", 60, validate=at_least(1))
FRAMEVOTE_MAX_ATTEMPTS = env.int("FRAMEVOTE_MAX_ATTEMPTS", 3, validate=at_least(1))
FRAMEVOTE_TASK_SECONDS = env.int("FRAMEVOTE_TASK_SECONDS", 3600, validate=at_least(120))

refuse_unknown_values(env)

FRAMEVOTE_QUEUES = queue_of_each(_queues, _LEVELS, otherwise="analyses")
FRAMEVOTE_WORKER_QUEUES = _worker_queues or sorted(set(FRAMEVOTE_QUEUES.values()))
if _unknown := set(FRAMEVOTE_WORKER_QUEUES) - set(FRAMEVOTE_QUEUES.values()):
    raise ImproperlyConfigured(
        f"FRAMEVOTE_WORKER_QUEUES has {', '.join(sorted(_unknown))!r}: expected queues that "
        f"FRAMEVOTE_QUEUES fills, {', '.join(sorted(set(FRAMEVOTE_QUEUES.values())))}."
    )
if FRAMEVOTE_HEARTBEAT_SECONDS * 2 > FRAMEVOTE_LEASE_SECONDS:
    raise ImproperlyConfigured(
        f"FRAMEVOTE_HEARTBEAT_SECONDS is {FRAMEVOTE_HEARTBEAT_SECONDS}: expected at most half "
        f"of FRAMEVOTE_LEASE_SECONDS, which is {FRAMEVOTE_LEASE_SECONDS}, so that one late "
        "heartbeat does not lose the lease."
    )
# Not repeated, for there may be a password in it; nor is DATABASE_URL, below.
if REDIS_URL and not is_server_address(REDIS_URL, ("redis", "rediss")):
    raise ImproperlyConfigured(
        "REDIS_URL is not an address of a Redis server: expected redis://host:6379/0 or "
        "rediss://…, with special characters of a password percent-encoded."
    )
if _s3_endpoint and not is_server_address(_s3_endpoint, ("http", "https")):
    raise ImproperlyConfigured(
        "FRAMEVOTE_S3_ENDPOINT is not an address of a server: expected https://host or "
        "http://host:9000, or nothing for Amazon's own."
    )
if bool(_s3_access_key) != bool(_s3_secret_key):
    raise ImproperlyConfigured(
        "FRAMEVOTE_S3_ACCESS_KEY and FRAMEVOTE_S3_SECRET_KEY: expected both, or neither where "
        "the machine has a role of its own."
    )
if 0 < len(FRAMEVOTE_METRICS_TOKEN) < 16:
    raise ImproperlyConfigured(
        "FRAMEVOTE_METRICS_TOKEN is too short to keep anybody out: expected 16 characters or more."
    )

FRAMEVOTE_VAR_DIR = FRAMEVOTE_VAR_DIR.resolve()
FRAMEVOTE_MEDIA_DIR = Path(_media_dir).resolve() if _media_dir else FRAMEVOTE_VAR_DIR / "media"
FRAMEVOTE_BROKER_DIR = FRAMEVOTE_VAR_DIR / "broker"
# Beside the media, so that the sweeper reaches it from another container or machine.
FILE_UPLOAD_TEMP_DIR = FRAMEVOTE_MEDIA_DIR / "incoming"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
for _name, _folder in (
    ("FRAMEVOTE_VAR_DIR", FRAMEVOTE_VAR_DIR),
    ("FRAMEVOTE_MEDIA_DIR", FRAMEVOTE_MEDIA_DIR),
):
    if any(_folder.is_relative_to(_public) for _public in (STATIC_ROOT, *STATICFILES_DIRS)):
        raise ImproperlyConfigured(
            f"{_name} is {str(_folder)!r}, which is served to everybody: expected a folder "
            f"outside of {STATIC_ROOT.name}/ and {STATICFILES_DIRS[0].name}/."
        )
for _folder in (FRAMEVOTE_VAR_DIR, FRAMEVOTE_MEDIA_DIR, FRAMEVOTE_BROKER_DIR, FILE_UPLOAD_TEMP_DIR):
    _folder.mkdir(parents=True, exist_ok=True)

SECRET_KEY = secret_key(
    _given_secret_key,
    FRAMEVOTE_VAR_DIR / "secret_key",
    may_generate=DEBUG or LOOPBACK_HOSTS.issuperset(ALLOWED_HOSTS),
)

# The project -----------------------------------------------------------------

INSTALLED_APPS = [
    "webapp.submissions",
    "webapp.accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "webapp.request_log.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "webapp.null_bytes.refuse_null_bytes",
    "webapp.sessions.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# Database --------------------------------------------------------------------

try:
    _database = dj_database_url.parse(
        _database_url or f"sqlite:///{FRAMEVOTE_VAR_DIR / 'framevote.sqlite3'}",
        conn_max_age=60,
        conn_health_checks=True,
    )
except ValueError:
    raise ImproperlyConfigured(
        "DATABASE_URL is not an address of a database: expected "
        "postgresql://user:password@host:5432/name, with special characters percent-encoded."
    ) from None
DATABASES: dict[str, Any] = {"default": _database}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Without these, several processes that claim rows at once meet "database is locked".
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    )

# Files -----------------------------------------------------------------------

STATIC_URL = "static/"
# Uploads and evidence. Nothing serves them: a view checks the owner of each file.
_media_in_a_folder = {
    "BACKEND": "webapp.submissions.media.FolderStorage",
    "OPTIONS": {"file_permissions_mode": 0o640, "directory_permissions_mode": 0o750},
}
_media_in_a_bucket = {
    "BACKEND": "webapp.submissions.bucket.BucketStorage",
    "OPTIONS": {
        "bucket_name": FRAMEVOTE_S3_BUCKET,
        "endpoint_url": _s3_endpoint or None,
        "region_name": _s3_region,
        "access_key": _s3_access_key or None,
        "secret_key": _s3_secret_key or None,
    },
}
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "media": _media_in_a_bucket if FRAMEVOTE_S3_BUCKET else _media_in_a_folder,
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "webapp.static_files.StaticFilesStorage",
    },
}
MEDIA_ROOT = FRAMEVOTE_MEDIA_DIR
WHITENOISE_USE_FINDERS = DEBUG

# Room above the site's own limit, so that uploads.py can answer with a sentence.
DATA_UPLOAD_MAX_NUMBER_FILES = max(100, FRAMEVOTE_MAX_FILES_PER_UPLOAD * 2)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["webapp.submissions.uploads.NoUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o640

# People ----------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "submissions:list"
LOGOUT_REDIRECT_URL = "submissions:upload"

AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "webapp.accounts.addresses.client_address"
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "webapp.accounts.lockout.locked"

# An anonymous visitor owns what the session uploaded, so sessions live long.
SESSION_COOKIE_AGE = int(timedelta(days=60).total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = FRAMEVOTE_HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = FRAMEVOTE_HTTPS
if FRAMEVOTE_HTTPS:
    # Browsers take these names from this very host alone, and only over HTTPS: a host beside
    # it can then plant no session of its own for somebody to upload into.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"

# Headers ---------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if FRAMEVOTE_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    SECURE_HSTS_INCLUDE_SUBDOMAINS = FRAMEVOTE_HSTS_SUBDOMAINS
# "preload" asks for a place in a list that is built into browsers, for a whole domain and
# hard to leave; that is for the domain's owner to ask for, not for one site on it.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        # Swagger's and the admin's style sheets carry small icons as data: addresses.
        "img-src": [SELF, "data:"],
        "media-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# API -------------------------------------------------------------------------

REST_FRAMEWORK = {
    # Each view names who may call it (api_auth.py); one that forgets is open to nobody.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FrameVote API",
    "DESCRIPTION": "Upload a video, follow its analysis, read the verdict and its evidence.",
    "VERSION": "1",
    "DEFAULT_GENERATOR_CLASS": "webapp.submissions.api_schema.Generator",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Logging ---------------------------------------------------------------------

LOGGING = logs.configuration(
    FRAMEVOTE_LOG_FORMAT,
    FRAMEVOTE_LOG_LEVEL,
    secrets=[
        SECRET_KEY,
        FRAMEVOTE_ADMIN_PASSWORD,
        FRAMEVOTE_METRICS_TOKEN,
        _s3_secret_key,
        str(DATABASES["default"].get("PASSWORD") or ""),
        unquote(urlsplit(REDIS_URL).password or ""),
    ],
)
