"""The Celery application: how messages travel and how the pool behaves.

A message is only a wake-up; the database row is the truth (see
``webapp/submissions/queue.py``). Start a worker with ``python -m worker``.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

# Redis hands a message that was not acknowledged to another worker after this long.
# It must outlast the longest task; recovering lost work is the sweeper's business.
VISIBILITY_SECONDS = settings.FRAMEVOTE_TASK_SECONDS + 600


def _broker_transport_options() -> dict[str, Any]:
    if settings.REDIS_URL:
        return {
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        }
    folder = settings.FRAMEVOTE_BROKER_DIR
    for name in ("messages", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
        "store_processed": False,
        "polling_interval": 0.5,
    }


app = Celery("framevote", include=["worker.tasks"], set_as_current=True)
app.conf.update(
    broker_url=settings.REDIS_URL or "filesystem://localhost//",
    broker_transport_options=_broker_transport_options(),
    # The three places the documentation names; the shortest of them wins.
    visibility_timeout=VISIBILITY_SECONDS,
    result_backend_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.2, "interval_max": 0.5},
    result_backend=None,
    task_ignore_result=True,
    task_default_queue="analyses",
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_time_limit=settings.FRAMEVOTE_TASK_SECONDS,
    task_soft_time_limit=settings.FRAMEVOTE_TASK_SECONDS - 60,
    worker_prefetch_multiplier=1,
    worker_concurrency=settings.FRAMEVOTE_WORKER_CONCURRENCY,
    # A model touched before a fork hangs the child for ever: children start afresh.
    worker_pool="prefork",
    worker_pool_start_method="spawn",
    # A spawned child imports this project before it reports for work.
    worker_proc_alive_timeout=120,
    worker_send_task_events=False,
    task_send_sent_event=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    enable_utc=True,
    timezone="UTC",
)


@setup_logging.connect
def _leave_logging_to_django(**kwargs: Any) -> None:
    """A receiver is all it takes: Celery then keeps what ``LOGGING`` configured."""
