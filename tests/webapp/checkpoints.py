"""Measured figures as they stand in a checkpoint's metadata."""

from __future__ import annotations

from typing import Any


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {"value": value, "low": low, "high": high}


def measured(
    *,
    name: str = "unseen",
    part: str = "test",
    level: str = "frame",
    auc: float | None = 0.861,
    **more: Any,
) -> dict[str, Any]:
    """An entry with two methods and one damage; its keys: ``detector.training.summary``."""
    return {
        "set": name,
        "part": part,
        "layout": "face crops",
        "level": level,
        "n": 2000,
        "real": 900,
        "fake": 1100,
        "groups": 1000,
        "figures": {
            "roc_auc": figure(auc, 0.84, 0.88) if auc is not None else figure(None),
            "accuracy": figure(0.77, 0.75, 0.79),
        },
        "by_method": {
            "FaceSwap": {
                "n": 600,
                "groups": 600,
                "roc_auc": figure(0.912, 0.9, 0.93),
                "detection_rate": figure(0.8, 0.78, 0.82),
            },
            "unknown": {
                "n": 500,
                "groups": 1,
                "roc_auc": figure(0.5),
                "detection_rate": figure(0.4),
            },
        },
        "by_dataset": {
            "Studio": {
                "n": 25,
                "groups": 6,
                "figures": {"roc_auc": figure(0.781, 0.716, 1.0), "log_loss": figure(0.9)},
            }
        },
        "matched": {
            "n": 40,
            "groups": 7,
            "figures": {"roc_auc": figure(0.774, 0.467, 0.938), "log_loss": figure(0.9)},
        },
        "robustness": [
            {
                "damage": "blur",
                "n": 1990,
                "without_vote": 10,
                "roc_auc": figure(0.811, 0.79, 0.83),
                "accuracy": figure(0.7, 0.69, 0.71),
                "roc_auc_difference": figure(-0.05, -0.06, -0.04),
            }
        ],
        "command": "python -m detector evaluate default unseen:test --out DIR",
        "date": "2026-11-25",
    } | more
