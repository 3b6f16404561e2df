"""Backbones for tests: InceptionResNetV2 is built once for each cut, size and precision.

Building all of it takes five seconds, for whatever cut, and a test rarely needs more than its
first layers. A copy has layers, names and first weights of its own, drawn anew.
"""

from __future__ import annotations

from typing import Any

from detector import model

real = model.build_backbone

_built: dict[tuple[str, int, str], Any] = {}


def copied(cut: str, image_size: int, weights: str | None = None) -> Any:
    """In place of ``model.build_backbone``."""
    import keras

    if weights is not None:
        return real(cut, image_size, weights)
    key = (cut, image_size, keras.config.dtype_policy().name)
    if key not in _built:
        _built[key] = real(cut, image_size)
    first = _built[key]
    copy = keras.models.clone_model(first)
    copy.canonical_names = {
        layer: first.canonical_names[same]
        for layer, same in zip(copy.layers, first.layers, strict=True)
    }
    return copy
