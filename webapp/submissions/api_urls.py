"""Addresses under ``/api/``."""

from __future__ import annotations

from django.urls import path, re_path

from .api import AnalysisViewSet, ModelViewSet, SubmissionViewSet
from .api_docs import DocsView, SchemaView
from .api_errors import nothing_here
from .api_uploads import PartialUploadViewSet

app_name = "api"

urlpatterns = [
    path(
        "v1/submissions/",
        SubmissionViewSet.as_view({"get": "list", "post": "create"}),
        name="submissions",
    ),
    path(
        "v1/submissions/<uuid:pk>/",
        SubmissionViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="submission",
    ),
    path(
        "v1/submissions/<uuid:pk>/result/",
        SubmissionViewSet.as_view({"get": "result"}),
        name="submission-result",
    ),
    path(
        "v1/submissions/<uuid:pk>/cancel/",
        SubmissionViewSet.as_view({"post": "cancel"}),
        name="submission-cancel",
    ),
    path(
        "v1/submissions/<uuid:pk>/rerun/",
        SubmissionViewSet.as_view({"post": "rerun"}),
        name="submission-rerun",
    ),
    path(
        "v1/analyses/<uuid:pk>/",
        AnalysisViewSet.as_view({"get": "retrieve"}),
        name="analysis",
    ),
    path(
        "v1/analyses/<uuid:pk>/result/",
        AnalysisViewSet.as_view({"get": "result"}),
        name="analysis-result",
    ),
    path(
        "v1/analyses/<uuid:pk>/cancel/",
        AnalysisViewSet.as_view({"post": "cancel"}),
        name="analysis-cancel",
    ),
    path(
        "v1/uploads/",
        PartialUploadViewSet.as_view({"post": "create", "options": "discover"}),
        name="uploads",
    ),
    path(
        "v1/uploads/<uuid:pk>/",
        PartialUploadViewSet.as_view(
            {"head": "offset", "patch": "append", "delete": "terminate", "options": "discover"}
        ),
        name="upload",
    ),
    path("v1/models/", ModelViewSet.as_view({"get": "list"}), name="models"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    re_path("", nothing_here),
]
