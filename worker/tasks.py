"""The one Celery task: take an analysis from the queue, run it, publish it.

Every way in which an analysis can end is decided here, once:

=============================== ===================================================
what happened                   what becomes of the analysis
=============================== ===================================================
a result                        SUCCEEDED
``DetectorError``               FAILED with the error's code and sentence
soft time limit                 FAILED ``timed_out``
the worker shuts down           QUEUED again, without using up an attempt
lease lost (canceled, deleted)  nothing is written
any other error                 QUEUED again, or FAILED ``gave_up`` after the last try
the process dies                nothing is written; the lease runs out
=============================== ===================================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import Reject, SoftTimeLimitExceeded
from django.conf import settings
from django.db import close_old_connections

from detector import AnalysisStopped, DetectorError, Limits, Sampling
from webapp import logs
from webapp.submissions import queue
from webapp.submissions.models import Analysis, media_storage
from worker.celery import app
from worker.engine import loaded_detector
from worker.lease import LeaseKeeper
from worker.presence import process_name
from worker.publish import publish
from worker.shutdown import is_shutting_down

logger = logging.getLogger(__name__)

TIMED_OUT = "timed_out"
TIMED_OUT_SENTENCE = "The analysis took longer than this site allows."
SHUT_DOWN = "The worker was shut down."


@app.task(bind=True, name="worker.tasks.analyze")
def analyze(self: Any, analysis_id: str) -> None:
    """A wake-up call for ``analysis_id``: take the analysis whose turn it is and run it.

    That is usually the announced one. A duplicate or late message finds nothing
    to do, or does what waits next.
    """
    if is_shutting_down():
        # The message goes back for another worker; this one has only just let go of its own.
        raise Reject(SHUT_DOWN, requeue=True)
    close_old_connections()
    name = process_name(self.request.hostname or "worker")
    lease = queue.claim_next(worker=name, queues=settings.FRAMEVOTE_WORKER_QUEUES)
    if lease is None:
        logger.info("analysis %s was announced, but nothing waits", analysis_id)
        return
    run(lease)


def run(lease: queue.Lease) -> None:
    """Run a claimed analysis to one of the ends listed above."""
    name = lease.analysis_id
    with logs.about_analysis(name), LeaseKeeper(lease) as keeper:
        logger.info("analysis %s: started", name)
        try:
            published = _analyze_and_publish(lease, keeper)
            logger.info("analysis %s: %s", name, "published" if published else "lease lost")
        except AnalysisStopped:
            if not keeper.lost.is_set():
                _end(queue.release, lease, SHUT_DOWN)
            logger.info("analysis %s: stopped", name)
        except DetectorError as error:
            logger.warning("analysis %s: %s: %s", name, error.code, error)
            _end(queue.fail, lease, error.code, error.sentence)
        except SoftTimeLimitExceeded:
            logger.warning("analysis %s: over the time limit", name)
            _end(queue.fail, lease, TIMED_OUT, TIMED_OUT_SENTENCE)
        except SystemExit:
            # The pool terminates this child: a second SIGTERM, or a lost broker.
            _end(queue.release, lease, SHUT_DOWN)
            raise
        except Exception as error:
            logger.exception("analysis %s: unforeseen error", name)
            _end(queue.retry, lease, f"internal: {type(error).__name__}: {error}")


def _analyze_and_publish(lease: queue.Lease, keeper: LeaseKeeper) -> bool:
    analysis = Analysis.objects.select_related("submission").filter(pk=lease.analysis_id).first()
    if analysis is None:
        return False  # Deleted since it was claimed.
    # The decoder is confined to one file of this machine.
    with media_storage().local_copy(str(analysis.submission.video.name)) as video:
        result = loaded_detector().analyze(
            video,
            sampling=Sampling.named(analysis.sampling),
            on_progress=keeper.report,
            should_stop=keeper.should_stop,
            limits=Limits(max_minutes=settings.FRAMEVOTE_MAX_MINUTES),
            on_evidence=keeper.show,
            early_stop=settings.FRAMEVOTE_EARLY_STOP,
        )
    keeper.report("publish", 0.99)
    return _end(publish, lease, result)


def _end(transition: Callable[..., bool], lease: queue.Lease, *arguments: Any) -> bool:
    """Write how it ended, on a connection that works: minutes have passed since the last
    query, and the database may have been restarted."""
    close_old_connections()
    return transition(lease, *arguments)
