"""Queues of their own: which analyses which workers take, by the level of sampling.

``FRAMEVOTE_QUEUES`` names the queue of each level, ``FRAMEVOTE_WORKER_QUEUES`` those that a
worker serves. Rows carry no queue: a level that is sent elsewhere takes its waiting rows along.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db.models import Q


def queue_of(sampling: str) -> str:
    """The queue in which analyses of this level wait."""
    name: str = settings.FRAMEVOTE_QUEUES[sampling]
    return name


def queue_names() -> list[str]:
    return sorted(set(settings.FRAMEVOTE_QUEUES.values()))


def waiting_in(queues: Collection[str]) -> Q:
    """Analyses of these queues; no condition at all where these are all."""
    levels = [level for level, name in settings.FRAMEVOTE_QUEUES.items() if name in queues]
    return Q() if len(levels) == len(settings.FRAMEVOTE_QUEUES) else Q(sampling__in=levels)
