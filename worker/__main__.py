"""Starts one worker with the options it needs: ``python -m worker [--name NAME]``."""

from __future__ import annotations

import argparse
import os
import sys

from django.conf import settings

from worker.celery import app


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument(
        "--name",
        default=f"worker-{os.getpid()}",
        help="shown with the analyses it runs; no two running workers may share one",
    )
    arguments = parser.parse_args(argv)
    app.worker_main(
        [
            "worker",
            f"--hostname={arguments.name}@%h",
            f"--queues={','.join(settings.FRAMEVOTE_WORKER_QUEUES)}",
            # On the filesystem broker dead event queues would fill the disk.
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
