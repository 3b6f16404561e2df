"""Addresses of the site; each part keeps its own list."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from webapp import health, metrics

handler500 = "webapp.error_pages.server_error"

urlpatterns = [
    path("", include("webapp.submissions.urls")),
    path("accounts/", include("webapp.accounts.urls")),
    path("api/", include("webapp.submissions.api_urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
