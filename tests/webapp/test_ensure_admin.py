"""The first start makes a staff account, once."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def ensure_admin() -> str:
    printed = StringIO()
    call_command("ensure_admin", stdout=printed)
    return printed.getvalue()


def test_a_generated_password_is_printed_and_works() -> None:
    printed = ensure_admin()
    admin = User.objects.get()
    assert admin.is_superuser
    assert admin.is_staff
    password = printed.split("password '")[1].split("'")[0]
    assert admin.check_password(password)


def test_a_given_password_is_used_and_never_printed(settings: Any) -> None:
    settings.FRAMEVOTE_ADMIN_USERNAME = "root"
    settings.FRAMEVOTE_ADMIN_PASSWORD = "from the environment"
    assert "from the environment" not in ensure_admin()
    assert User.objects.get(username="root").check_password("from the environment")


def test_the_second_start_changes_and_says_nothing(settings: Any) -> None:
    ensure_admin()
    settings.FRAMEVOTE_ADMIN_USERNAME = "another"
    assert ensure_admin() == ""
    assert User.objects.count() == 1


def test_a_name_that_is_taken_is_not_promoted(alice: User, settings: Any) -> None:
    settings.FRAMEVOTE_ADMIN_USERNAME = "alice"
    with pytest.raises(CommandError, match="'alice'"):
        ensure_admin()
    alice.refresh_from_db()
    assert not alice.is_staff
