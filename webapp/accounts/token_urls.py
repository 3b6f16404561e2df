"""Addresses of the token forms; ``accounts/urls.py`` includes them under ``tokens/``."""

from __future__ import annotations

from django.urls import path

from . import tokens

urlpatterns = [
    path("create/", tokens.create, name="token_create"),
    path("<int:pk>/revoke/", tokens.revoke, name="token_revoke"),
]
