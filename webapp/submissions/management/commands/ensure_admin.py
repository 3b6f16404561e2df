"""``manage.py ensure_admin``: the first staff account, made at the first start."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction


class Command(BaseCommand):
    help = "Create a staff account with all rights unless one exists; print a generated password."

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        username = settings.FRAMEVOTE_ADMIN_USERNAME
        given = settings.FRAMEVOTE_ADMIN_PASSWORD
        password = given or secrets.token_urlsafe(12)
        try:
            with transaction.atomic():
                users.create_superuser(username=username, password=password)
        except IntegrityError:
            if users.filter(is_superuser=True).exists():
                return  # Another start, at the same moment, was first.
            raise CommandError(
                f"An account named {username!r} exists already and is not a staff account. "
                "Choose another FRAMEVOTE_ADMIN_USERNAME."
            ) from None
        if given:
            self.stdout.write(f"Created the staff account {username!r} with the given password.")
            return
        self.stdout.write(
            f"Created the staff account {username!r} with the password {password!r}.\n"
            "It is shown only now; change it under Account after logging in."
        )
