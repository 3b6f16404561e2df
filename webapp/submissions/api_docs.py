"""The API's OpenAPI description and its page for people.

Both are public: they say how to ask, not what is stored.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from . import api_errors
from .api_base import ApiRate


class SchemaView(SpectacularAPIView):
    """OpenAPI as YAML, or as JSON with ``?format=json`` or an Accept header."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (ApiRate,)  # It is put together anew for every request.

    def get_exception_handler(self) -> Any:
        return api_errors.handle


class DocsView(SpectacularSwaggerSplitView):
    """Swagger without inline script or style, served from this site alone."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    url_name = "api:schema"
    template_name = "api/docs.html"
    title = "FrameVote API"


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "webapp.submissions.api_auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from your account page. `Authorization: Token …` works too.",
        }


class BrowserScheme(OpenApiAuthenticationExtension):
    target_class = "webapp.submissions.api_auth.BrowserAuthentication"
    name = "browser"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "A browser's session, signed in or anonymous. Unsafe requests also "
            "need its CSRF token in the header X-CSRFToken.",
        }
