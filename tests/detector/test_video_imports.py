"""Probing and sampling need no framework: what is imported, and in which process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def modules_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_parent_imports_neither_tensorflow_nor_django_nor_codecs() -> None:
    unwanted = {"tensorflow", "keras", "mtcnn", "django", "celery", "av", "cv2"}
    assert not unwanted & modules_after("import detector.video")


def test_the_child_imports_neither_tensorflow_nor_django() -> None:
    loaded = modules_after("import detector.decode, detector.readers")
    assert "av" in loaded
    unwanted = {"tensorflow", "keras", "mtcnn", "onnxruntime", "cv2", "django", "celery"}
    assert not unwanted & loaded
