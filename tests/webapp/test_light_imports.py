"""The web process and the worker's main process stay small: no TensorFlow, no model code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

CHECK = """
import sys, django
django.setup()
import {modules}
heavy = sorted(name for name in sys.modules if name.split(".")[0] in {forbidden})
assert not heavy, heavy
"""

NETWORKS = {"tensorflow", "keras", "mtcnn", "h5py"}


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        # Nor anything that opens pictures: what was uploaded is never decoded here.
        pytest.param(
            "webapp.wsgi, webapp.urls", {*NETWORKS, "detector", "cv2", "av", "PIL"}, id="web"
        ),
        pytest.param("worker.celery, worker.tasks", NETWORKS, id="worker"),
        pytest.param("worker.sweeper", {*NETWORKS, "detector"}, id="sweeper"),
    ],
)
def test_nothing_heavy_is_imported(modules: str, forbidden: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(modules=modules, forbidden=forbidden)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
