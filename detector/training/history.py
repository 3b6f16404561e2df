"""What a run has been through: ``history.jsonl``, and ``curves.png`` drawn from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.training.face_archive import written_whole

HISTORY = "history.jsonl"
CURVES = "curves.png"

Line = dict[str, Any]


@dataclass
class History:
    """Lines of ``training`` figures and of ``selection`` scores, by stage and step."""

    folder: Path
    lines: list[Line] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> History:
        """That of a run's folder, empty for a new one."""
        path = folder / HISTORY
        # A line that was being written when the run was killed is of no saved state.
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return cls(folder, [json.loads(line) for line in whole.splitlines()])

    def rewind(self, stage: str, step: int) -> None:
        """Forget what came after ``step`` of a stage: it is done again from there."""
        self.lines = [line for line in self.lines if line["stage"] != stage or line["step"] <= step]
        with written_whole(self.folder / HISTORY) as file:
            file.writelines(json.dumps(line) + "\n" for line in self.lines)

    def trained(self, stage: str, step: int, **figures: float) -> None:
        """Means over the steps since the line before."""
        self._add({"stage": stage, "step": step, "training": figures})

    def looked(self, stage: str, step: int, scores: dict[str, float]) -> None:
        """Scores of the selection sets."""
        self._add({"stage": stage, "step": step, "selection": scores})

    def scores(self, stage: str) -> list[float]:
        return [
            line["selection"]["score"]
            for line in self.lines
            if line["stage"] == stage and "selection" in line
        ]

    def best_step(self, stage: str) -> int | None:
        """Of the look with the best score, the first of equals; ``None`` before any look."""
        return int(self.best_scores(stage)["step"]) if self.scores(stage) else None

    def looks_since_best(self, stage: str) -> int:
        scores = self.scores(stage)
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def best_scores(self, stage: str) -> Line:
        """The stage's line of the best score: step and scores."""
        return max(
            (line for line in self.lines if line["stage"] == stage and "selection" in line),
            key=lambda line: float(line["selection"]["score"]),
        )

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def draw(history: History) -> Path:
    """``curves.png``: loss, accuracy and AUC over the steps of all stages; its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, aucs = figure.subplots(2, 1, sharex=True)
    before = 0
    for stage in dict.fromkeys(line["stage"] for line in history.lines):
        lines = [line for line in history.lines if line["stage"] == stage]
        training = [line for line in lines if "training" in line]
        steps = [before + line["step"] for line in training]
        for axes, name, colour in ((losses, "loss", "C3"), (aucs, "accuracy", "C7")):
            values = [line["training"][name] for line in training]
            axes.plot(steps, values, color=colour, label=name if not before else None)
        looks = [line for line in lines if "selection" in line]
        names = list(looks[0]["selection"]) if looks else []
        for number, name in enumerate(names):
            aucs.plot(
                [before + line["step"] for line in looks],
                [line["selection"][name] for line in looks],
                color=f"C{number}",
                marker="o",
                markersize=3,
                linewidth=2 if name == "score" else 1,
                label=f"AUC {name.replace('_', ' ')}" if not before else None,
            )
        for axes in (losses, aucs):
            axes.axvline(before, color="0.8", linewidth=0.8)
        losses.text(before, 1.0, f" {stage}", transform=losses.get_xaxis_transform(), va="bottom")
        before += max(line["step"] for line in lines)
    losses.set_ylabel("loss on training batches")
    aucs.set_ylabel("accuracy in training, AUC on selection sets")
    aucs.set_xlabel("step")
    for axes in (losses, aucs):
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    path = history.folder / CURVES
    figure.savefig(path, dpi=100)
    return path
