"""Addresses of the pages and of the private media."""

from __future__ import annotations

from django.urls import path

from . import media_views, upload_views, views

app_name = "submissions"

urlpatterns = [
    path("", upload_views.upload, name="upload"),
    path("submissions/", views.submission_list, name="list"),
    path("submissions/<uuid:pk>/", views.detail, name="detail"),
    path("submissions/<uuid:pk>/status/", views.status, name="status"),
    path("submissions/<uuid:pk>/video/", media_views.video, name="video"),
    path("submissions/<uuid:pk>/delete/", views.delete, name="delete"),
    path("submissions/<uuid:pk>/rerun/", views.rerun, name="rerun"),
    path("analyses/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("analyses/<uuid:pk>/faces/<int:number>.jpg", media_views.thumbnail, name="thumbnail"),
    path("models/", views.models, name="models"),
]
