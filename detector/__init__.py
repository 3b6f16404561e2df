"""FrameVote's detector: is the face in this video real or fake?

::

    from detector import Detector, Sampling

    detector = Detector.load()
    result = detector.analyze("clip.mp4", sampling=Sampling.named("quick"))
    print(result.verdict, result.probability_fake)

Names are loaded when first used, so that importing this package costs nothing:
the decoding child and programs that only read results do it too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.domain import Evidence, Label, Reason, Verdict, VideoResult
    from detector.errors import AnalysisStopped, DetectorError, UnusableVideo
    from detector.pipeline import Detector
    from detector.report import result_to_json
    from detector.video import Limits, Sampling

__all__ = [
    "AnalysisStopped",
    "Detector",
    "DetectorError",
    "Evidence",
    "Label",
    "Limits",
    "Reason",
    "Sampling",
    "UnusableVideo",
    "Verdict",
    "VideoResult",
    "result_to_json",
]

_HOMES = {
    "AnalysisStopped": "errors",
    "Detector": "pipeline",
    "DetectorError": "errors",
    "Evidence": "domain",
    "Label": "domain",
    "Limits": "video",
    "Reason": "domain",
    "Sampling": "video",
    "UnusableVideo": "errors",
    "Verdict": "domain",
    "VideoResult": "domain",
    "result_to_json": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
