"""Whose wrong passwords are counted together (django-axes asks)."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The visitor's IP address; with ``FRAMEVOTE_HTTPS`` as the proxy in front saw it.

    The proxy appends the address to ``X-Forwarded-For``. What stands before the last
    comma came from outside, where anybody can write what they like.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.FRAMEVOTE_HTTPS:
        return peer
    seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(seen))
    except ValueError:
        return peer
