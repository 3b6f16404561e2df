"""The app of submissions, their analyses and the queue."""

from __future__ import annotations

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "webapp.submissions"
    label = "submissions"
    verbose_name = "Submissions"
