"""Who calls the API: a token's user, a signed-in browser, or an anonymous session.

Whoever shows no token is taken for a browser, so every unsafe request without
one needs a CSRF token, signed in or not: otherwise another site could upload or
delete in an anonymous visitor's name.
"""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts.models import ApiToken

from .api_errors import CsrfFailed
from .ownership import may_upload

SCHEMES = (b"token", b"bearer")


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Token fv_…``, or ``Bearer`` in place of ``Token``."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in SCHEMES:
            return None
        if len(parts) != 2:
            raise exceptions.AuthenticationFailed("The header must read “Authorization: Token …”.")
        # Undecodable bytes become a character that no secret has, so nothing is found.
        token = ApiToken.objects.find(parts[1].decode("ascii", errors="replace"))
        if token is None or not token.user.is_active:
            raise exceptions.AuthenticationFailed("This token is unknown, or was revoked.")
        token.mark_used()
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Token realm="FrameVote"'


class BrowserAuthentication(SessionAuthentication):
    """A session, signed in or anonymous, with CSRF enforced for both."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        self.enforce_csrf(request)
        user = getattr(request._request, "user", None)
        if user is None or not user.is_active:
            return None
        return user, None

    def enforce_csrf(self, request: Request) -> None:
        try:
            # Django's own request: it reads forms and leaves every other body alone,
            # where the framework's would refuse bodies that the view never looks at.
            super().enforce_csrf(request._request)  # type: ignore[arg-type]
        except exceptions.PermissionDenied as failure:
            raise CsrfFailed(
                "Send an API token, or the session's CSRF token in the header X-CSRFToken."
            ) from failure


class MayUseApi(BasePermission):
    """Everybody, unless the site demands an account."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_upload(request)
