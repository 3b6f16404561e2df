"""Which libraries took part in a result."""

from __future__ import annotations

import platform
from importlib import metadata

LIBRARIES = (
    "onnxruntime",
    "tensorflow",
    "keras",
    "mtcnn",
    "numpy",
    "opencv-python-headless",
    "av",
    "pillow",
)


def versions() -> dict[str, str]:
    """By name, Python's included."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # OpenCV comes in packages of several names.
    return installed
