"""From which address a visitor comes: wrong passwords and rates are counted by it."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

_IPV6_NETWORK = 64
"""Whoever has one IPv6 address has all of its /64."""


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


def client_network(request: HttpRequest) -> str:
    """The address, or of IPv6 the network one subscriber has."""
    address = client_address(request)
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address  # A web server behind a socket in the file system sees none.
    if known.version == 4:
        return address
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, _IPV6_NETWORK), strict=False))
