"""API tokens, several named ones per account, stored only as hashes; and allowances.

A secret exists twice: on the page that shows it once, and with its holder.
A token is 256 random bits, so a plain SHA-256 is enough: there is nothing to
guess, and every request can look it up through the index.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

TOKEN_PREFIX = "fv_"  # noqa: S105 - begins every secret, is none
"""Makes a leaked token recognisable to people and to secret scanners."""

LAST_USED_PRECISION = timedelta(minutes=1)
"""A polling client must not turn every read into a write."""


class ApiTokenManager(models.Manager["ApiToken"]):
    def issue(self, user: User, name: str) -> tuple[ApiToken, str]:
        """Make a token; the second value is the secret, which cannot be had again."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = self.create(
            user=user,
            name=name,
            digest=digest_of(secret),
            hint=secret[: len(TOKEN_PREFIX) + 4],
        )
        return token, secret

    def find(self, secret: str) -> ApiToken | None:
        """The token with this secret, with its user, or None."""
        return self.select_related("user").filter(digest=digest_of(secret)).first()


class ApiToken(models.Model):
    """Lets a program act as a user through the API until the user revokes it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(
        max_length=16, editable=False, help_text="The first characters, to tell tokens apart."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenManager()

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = "API token"
        constraints = (
            models.UniqueConstraint(fields=["user", "name"], name="token_name_unique_per_user"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    def mark_used(self) -> None:
        """Note the time of use, at most once a minute."""
        now = timezone.now()
        ApiToken.objects.filter(
            Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_PRECISION), pk=self.pk
        ).update(last_used_at=now)


class Allowance(models.Model):
    """How much of a rate somebody has used; ``rates.py`` writes and reads it."""

    KEY_LENGTH = 100

    key = models.CharField(max_length=KEY_LENGTH, primary_key=True)
    paid_at = models.FloatField(
        db_index=True,
        help_text="Unix time at which all that was taken counts as paid back.",
    )

    def __str__(self) -> str:
        return self.key


def digest_of(secret: str) -> str:
    """What the database holds instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
