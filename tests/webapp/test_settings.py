"""Settings come from the environment, and a value that is not understood stops the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SHOW = "import django; from django.conf import settings; print(getattr(settings, {!r}))"

# Then all find no key and make one, however unevenly the machine lets them run.
START_TOGETHER = """
import secrets, time, django, webapp.environment
at_once = secrets.token_urlsafe
secrets.token_urlsafe = lambda length: time.sleep(1) or at_once(length)
print("ready", flush=True)
input()
"""


def start(tmp_path: Path, show: str = "DEBUG", **env: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of their own and print one of them."""
    return _python(tmp_path, "-c", SHOW.format(show), **env)


def manage(tmp_path: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return _python(tmp_path, "manage.py", *command, **env)


def _python(tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        env={
            **kept,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(tmp_path / "var"),
            **env,
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def value(tmp_path: Path, show: str, **env: str) -> str:
    done = start(tmp_path, show, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("DEBUG", "maybe", "boolean"),
        ("FRAMEVOTE_ALLOW_ANONYMOUS", "sometimes", "boolean"),
        ("FRAMEVOTE_SAMPLING", "fast", "one of quick, standard, thorough"),
        ("FRAMEVOTE_MAX_UPLOAD_MB", "500MB", "integer"),
        ("FRAMEVOTE_MAX_UPLOAD_MB", "0", "1 or more"),
        ("FRAMEVOTE_MAX_ATTEMPTS", "-1", "1 or more"),
        ("FRAMEVOTE_MAX_OPEN_UPLOADS", "0", "1 or more"),
        ("FRAMEVOTE_UPLOAD_HOURS", "a day", "integer"),
        ("FRAMEVOTE_MIN_FREE_MB", "-1", "0 or more"),
        ("FRAMEVOTE_HEARTBEAT_SECONDS", "50", "at most half"),
        ("FRAMEVOTE_QUEUES", "fast=gpu", "one of quick, standard, thorough"),
        ("FRAMEVOTE_QUEUES", "thorough", "such as thorough=gpu"),
        ("FRAMEVOTE_WORKER_QUEUES", "gpu", "analyses"),
        ("FRAMEVOTE_S3_ENDPOINT", "storage:9000", "http://host:9000"),
        ("FRAMEVOTE_S3_ACCESS_KEY", "key", "FRAMEVOTE_S3_SECRET_KEY"),
        ("FRAMEVOTE_DEVICE", "cuda", "auto, cpu, gpu"),
        ("FRAMEVOTE_DEVICE", "GPU:", "auto, cpu, gpu"),
        ("FRAMEVOTE_LOG_LEVEL", "LOUD", "one of DEBUG"),
        ("FRAMEVOTE_LOG_FORMAT", "xml", "one of line, json"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("REDIS_URL", "redis://:pass#word@host/0", "percent-encoded"),
        ("REDIS_URL", "redis://[host/0", "redis://"),
        ("DATABASE_URL", "postgresql://user:pass#word@host/name", "percent-encoded"),
        ("DATABASE_URL", "pass://word", "postgresql://"),
        ("FRAMEVOTE_UPLOAD_RATE", "60", "off, or a number and one of second, minute, hour, day"),
        ("FRAMEVOTE_LOGIN_RATE", "0/hour", "such as 60/hour"),
        ("FRAMEVOTE_API_RATE", "60/fortnight", "such as 60/hour"),
        ("FRAMEVOTE_HSTS_SUBDOMAINS", "some", "boolean"),
        ("FRAMEVOTE_MEDIA_DIR", "static/media", "served to everybody"),
        ("FRAMEVOTE_VAR_DIR", "staticfiles", "served to everybody"),
    ],
)
def test_an_unknown_value_stops_the_start_with_a_sentence(
    tmp_path: Path, name: str, given: str, expected: str
) -> None:
    done = start(tmp_path, **{name: given})
    assert done.returncode != 0
    sentence = done.stderr.strip().splitlines()[-1]
    assert name in sentence
    assert expected in sentence
    assert "pass" not in done.stderr.replace("password", ""), "a part of a password"


def test_a_short_metrics_token_is_refused_without_showing_it(tmp_path: Path) -> None:
    done = start(tmp_path, FRAMEVOTE_METRICS_TOKEN="guess-me")
    assert done.returncode != 0
    assert "FRAMEVOTE_METRICS_TOKEN is too short" in done.stderr.strip().splitlines()[-1]
    assert "guess-me" not in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("device", ["auto", "cpu", "GPU", "GPU:1", "cpu:0"])
def test_devices_are_named_as_the_detector_does(tmp_path: Path, device: str) -> None:
    assert value(tmp_path, "FRAMEVOTE_DEVICE", FRAMEVOTE_DEVICE=device) == device


def test_every_unknown_value_is_named_at_once(tmp_path: Path) -> None:
    done = start(tmp_path, DEBUG="maybe", FRAMEVOTE_THREADS="many")
    sentence = done.stderr.strip().splitlines()[-1]
    assert "DEBUG is 'maybe'" in sentence
    assert "FRAMEVOTE_THREADS is 'many'" in sentence


def test_a_local_installation_makes_its_own_secret_once(tmp_path: Path) -> None:
    first = value(tmp_path, "SECRET_KEY")
    assert len(first) > 50
    assert value(tmp_path, "SECRET_KEY") == first
    key_file = tmp_path / "var" / "secret_key"
    assert key_file.stat().st_mode & 0o077 == 0, "readable by its owner alone"


def test_a_site_that_others_reach_must_be_given_its_secret(tmp_path: Path) -> None:
    done = start(tmp_path, ALLOWED_HOSTS="framevote.example.org")
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr
    assert value(tmp_path, "SECRET_KEY", ALLOWED_HOSTS="example.org", SECRET_KEY="s3") == "s3"


def test_processes_that_start_together_share_one_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_TOGETHER + SHOW.format("SECRET_KEY")]
    env = {
        **os.environ,
        "SECRET_KEY": "",
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "FRAMEVOTE_VAR_DIR": str(tmp_path / "var"),
    }
    started = [
        subprocess.Popen(
            command,
            env=env,
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    assert [process.stdout and process.stdout.readline() for process in started] == [b"ready\n"] * 3
    for process in started:
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in started}
    assert len(keys) == 1
    assert keys != {b""}


def test_sqlite_is_tuned_for_several_processes(tmp_path: Path) -> None:
    database = value(tmp_path, "DATABASES")
    for part in ("IMMEDIATE", "journal_mode=WAL", "synchronous=NORMAL", "'timeout': 20"):
        assert part in database


def test_uploads_under_way_lie_where_the_sweeper_reaches_them(tmp_path: Path) -> None:
    media = tmp_path / "shared"
    folder = value(tmp_path, "FILE_UPLOAD_TEMP_DIR", FRAMEVOTE_MEDIA_DIR=str(media))
    assert folder == str(media / "incoming")
    assert media.joinpath("incoming").is_dir()


def test_https_secures_the_cookies(tmp_path: Path) -> None:
    assert value(tmp_path, "SESSION_COOKIE_SECURE") == "False"
    for cookie in ("SESSION", "CSRF"):
        assert value(tmp_path, f"{cookie}_COOKIE_SECURE", FRAMEVOTE_HTTPS="1") == "True"
        name = value(tmp_path, f"{cookie}_COOKIE_NAME", FRAMEVOTE_HTTPS="1")
        assert name.startswith("__Host-"), "browsers let no other host set it"


PRODUCTION = {
    "FRAMEVOTE_HTTPS": "1",
    "ALLOWED_HOSTS": "videos.example.org",
    "CSRF_TRUSTED_ORIGINS": "https://videos.example.org",
    "SECRET_KEY": "fR4me-" * 12,
}


def test_djangos_own_review_of_a_production_site_finds_nothing(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level=INFO", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (1 silenced).\n"
    careless = manage(tmp_path, "check", "--deploy", "--fail-level=INFO", DEBUG="1")
    assert careless.returncode != 0, "the review looks"


def test_hosts_below_this_one_may_go_without_tls(tmp_path: Path) -> None:
    name = "SECURE_HSTS_INCLUDE_SUBDOMAINS"
    assert value(tmp_path, name, **PRODUCTION) == "True"
    assert value(tmp_path, name, **PRODUCTION, FRAMEVOTE_HSTS_SUBDOMAINS="0") == "False"


def test_the_env_file_is_read_and_the_environment_comes_first(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("FRAMEVOTE_SAMPLING=quick\nFRAMEVOTE_MAX_MINUTES=5\n")
    given = {"FRAMEVOTE_ENV_FILE": str(env_file), "FRAMEVOTE_MAX_MINUTES": "6"}
    assert value(tmp_path, "FRAMEVOTE_SAMPLING", **given) == "quick"
    assert value(tmp_path, "FRAMEVOTE_MAX_MINUTES", **given) == "6"


def test_the_example_file_lists_every_variable_and_starts_as_it_is(tmp_path: Path) -> None:
    example = settings.BASE_DIR / ".env.example"
    source = (settings.BASE_DIR / "webapp" / "settings.py").read_text()
    listed = {
        line.lstrip("# ").partition("=")[0]
        for line in example.read_text().splitlines()
        if "=" in line
    }
    read = {
        part.split('"')[1]
        for part in source.split("env.")[1:]
        if part.partition("(")[2].lstrip().startswith('"')
    }
    assert read <= listed
    assert start(tmp_path, FRAMEVOTE_ENV_FILE=str(example)).returncode == 0
