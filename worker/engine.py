"""The detector of this pool child: loaded once, in the child only.

Loading takes a second, and many when a checkpoint is used for the first time or on a
GPU. It starts in the background as soon as the child is up, outside
``worker_process_init`` proper: a child that works there for longer than
``worker_proc_alive_timeout`` is killed and started again for ever.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.signals import worker_process_init
from django.conf import settings

from detector import Detector, DetectorError

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_detector: Detector | None = None


def loaded_detector() -> Detector:
    """The detector; waits for it, or loads it, or raises what loading raises."""
    global _detector
    with _lock:
        if _detector is None:
            _detector = Detector.load(
                checkpoint=settings.FRAMEVOTE_CHECKPOINT,
                device=settings.FRAMEVOTE_DEVICE,
                threads=settings.FRAMEVOTE_THREADS,
                cache=settings.FRAMEVOTE_VAR_DIR / "cache",
                bits=int(settings.FRAMEVOTE_BITS),
            )
            logger.info("detector %s is loaded", settings.FRAMEVOTE_CHECKPOINT)
        return _detector


@worker_process_init.connect
def _load_in_background(**kwargs: Any) -> None:
    threading.Thread(target=_warm_up, name="load detector", daemon=True).start()


def _warm_up() -> None:
    try:
        loaded_detector()
    except DetectorError as error:
        # The first analysis tries again and fails with this code, where people see it.
        logger.error("the detector cannot be loaded: %s", error)
