"""Passwords, tokens, keys of sessions and of the site are in no log, however talkative."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SECRETS = {
    "SECRET_KEY": "0f-the-site-" + "k" * 40,
    "FRAMEVOTE_ADMIN_PASSWORD": "admins-own-77",
}
LEAKED_BY_HAND = "leaked-by-hand-11"
"""Logged by the script itself, to see that the test would find it."""

VISIT = """
import json, logging, re, sys
import django
django.setup()
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment
from webapp.submissions import ownership

setup_test_environment()
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
call_command("ensure_admin")
typed = ["wrong-password-11", "right-password-22", "other-password-33", "in-the-wrong-field-44"]
wrong, right, other, misplaced = typed
site = Client(raise_request_exception=False)
strict = Client(enforce_csrf_checks=True)
sign_up = {"username": "zoe", "password1": right, "password2": right}
strict.post("/accounts/signup/", sign_up)
site.post("/accounts/signup/", {**sign_up, "password2": other})
site.post("/accounts/signup/", sign_up)
site.post("/accounts/password/", {"old_password": wrong, "new_password1": other})
page = site.post("/accounts/tokens/create/", {"name": "one"}).content.decode()
token = re.search(r"fv_[\\w-]+", page).group()
for header in (token, token + "x"):
    site.get("/api/v1/submissions/", headers={"Authorization": f"Token {header}"})
sessions = [site.cookies["sessionid"].value, site.cookies["csrftoken"].value]
site.post("/accounts/logout/")
for door in ("/accounts/login/", "/admin/login/"):
    for _ in range(9):
        site.post(door, {"username": "zoe", "password": wrong})
    site.post(door, {"username": misplaced, "password": ""})
    site.post(door, {"username": misplaced, "password": wrong})

def broken(*args, **kwargs):
    raise RuntimeError("broken")

ownership.mine = broken
import webapp.accounts.signals, webapp.accounts.views
webapp.accounts.signals.adopt = webapp.accounts.views.mine = broken
elsewhere = Client(raise_request_exception=False, REMOTE_ADDR="192.0.2.9")
failed = elsewhere.post("/accounts/login/", {"username": "zoe", "password": right})
assert failed.status_code == 500, failed
logging.getLogger("webapp").warning(sys.argv[1])
print(json.dumps([*typed, token, *sessions]), file=open(sys.argv[2], "w"))
"""


@pytest.mark.parametrize("debug", ["0", "1"])
def test_no_secret_is_logged(tmp_path: Path, debug: str) -> None:
    report = tmp_path / "secrets.json"
    done = subprocess.run(
        [sys.executable, "-c", VISIT, LEAKED_BY_HAND, str(report)],
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
            "FRAMEVOTE_ENV_FILE": os.devnull,
            "FRAMEVOTE_VAR_DIR": str(tmp_path / "var"),
            "FRAMEVOTE_LOG_LEVEL": "DEBUG",
            "DEBUG": debug,
            **SECRETS,
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    assert "RuntimeError: broken" in log
    secrets = [*SECRETS.values(), *json.loads(report.read_text()), LEAKED_BY_HAND]
    assert len(secrets) == 10
    assert [secret for secret in secrets if secret in log] == [LEAKED_BY_HAND]
