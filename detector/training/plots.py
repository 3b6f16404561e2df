"""Pictures of an evaluation, as PNG, drawn without a display."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from detector.training import metrics
from detector.training.metrics import Scored

SIDE_INCHES = 4.5
DPI = 120
BLUE, GREY = "#1f5fa8", "#8a8a8a"


def draw_all(folder: Path, name: str, title: str, scored: Scored) -> list[Path]:
    """``NAME-roc.png`` (if there are both classes), ``-reliability.png``, ``-confusion.png``."""
    name = re.sub(r"[^\w.+-]+", "-", name)
    drawn = []
    kinds: dict[str, Callable[[Axes, Scored], None]] = {
        "reliability": _reliability,
        "confusion": _confusion,
    }
    if 0 < scored.fake.sum() < len(scored):
        kinds = {"roc": _roc} | kinds
    for kind, draw in kinds.items():
        figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        draw(axes, scored)
        axes.set_title(title, fontsize=10)
        path = folder / f"{name}-{kind}.png"
        FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
        drawn.append(path)
    return drawn


def _roc(axes: Axes, scored: Scored) -> None:
    false_positives, true_positives = metrics.roc_curve(scored)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    axes.plot(
        false_positives, true_positives, color=BLUE, label=f"area {metrics.roc_auc(scored):.3f}"
    )
    axes.set(xlabel="genuine called fake", ylabel="fakes called fake", aspect="equal")
    axes.legend(loc="lower right")


def _reliability(axes: Axes, scored: Scored) -> None:
    stated, share, _count = np.array(metrics.reliability(scored)).T
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
    axes.plot(stated, share, color=BLUE, marker="o", label=f"{len(stated)} bins of equal mass")
    axes.set(xlabel="stated probability of fake", ylabel="share of fakes", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")


def _confusion(axes: Axes, scored: Scored) -> None:
    counted = metrics.confusion(scored)
    names = ("real", "fake")
    counts = np.array([[counted[f"{truth}_called_{said}"] for said in names] for truth in names])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(2, 2):
        dark = shares[row, column] > 0.5
        axes.text(column, row, f"{counts[row, column]}\n{shares[row, column]:.0%}",
                  ha="center", va="center", color="white" if dark else "black")  # fmt: skip
    axes.set_xticks([0, 1], [f"called {name}" for name in names])
    axes.set_yticks([0, 1], names)
