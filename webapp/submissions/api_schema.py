"""Which operations the OpenAPI description lists; settings name ``Generator``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator


class WithHead(EndpointEnumerator):
    """Also lists HEAD where a view answers it with a method of its own."""

    def get_allowed_methods(self, callback: Any) -> list[str]:
        methods = list(super().get_allowed_methods(callback))
        actions = getattr(callback, "actions", {})
        return [*methods, "HEAD"] if "head" in actions and "get" not in actions else methods


class Generator(SchemaGenerator):
    endpoint_inspector_cls = WithHead
