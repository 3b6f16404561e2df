"""One evaluation on disk: what was asked, and what has been answered so far.

``settings.json`` says what is evaluated; ``outcomes.jsonl`` has one line for each video and
damage, appended as it is done. An evaluation that was killed goes on after its last whole
line; one with other settings is refused. The rest of the folder is made from these two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detector.errors import InternalError
from detector.training.errors import DatasetError
from detector.training.outcomes import Outcome

SETTINGS = "settings.json"
OUTCOMES = "outcomes.jsonl"

UNDAMAGED = ""

Settings = Mapping[str, Any]


class EvaluationFolder:
    """The folder of one evaluation: ``begin`` or go on with one, or ``open`` one to read."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self._outcomes: dict[tuple[str, str, str], Outcome] = {}
        self._read()

    @classmethod
    def begin(cls, path: Path, settings: Settings, *, afresh: bool) -> EvaluationFolder:
        """A new evaluation, or one of the same settings to go on with.

        Args:
            afresh: forget what another evaluation left in the folder.

        Raises:
            DatasetError: another evaluation is in it.
        """
        if afresh:
            for name in (SETTINGS, OUTCOMES):
                (path / name).unlink(missing_ok=True)
        elif (path / SETTINGS).exists():
            found = _settings(path)
            differing = sorted(k for k in {*settings, *found} if settings.get(k) != found.get(k))
            if differing:
                raise DatasetError(
                    f"{path} holds an evaluation that differs in {', '.join(differing)}; "
                    "give another folder, or --force to replace it"
                )
        path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(settings, indent=2) + "\n"
        (path / SETTINGS).write_text(text, encoding="utf-8")
        return cls(path, settings)

    @classmethod
    def open(cls, path: Path) -> EvaluationFolder:
        """An earlier evaluation.

        Raises:
            DatasetError: there is none.
        """
        if not (path / SETTINGS).exists():
            raise DatasetError(f"{path} holds no evaluation: it has no {SETTINGS}")
        return cls(path, _settings(path))

    def titles(self) -> list[str]:
        """Of the sets."""
        return list(self.settings["sets"])

    def levels(self, title: str) -> list[str]:
        """At which a set is measured, see ``EvaluationSet.levels``."""
        return list(self.settings["sets"][title]["levels"])

    def answered(self, title: str, path: str, damage: str = UNDAMAGED) -> bool:
        """Whether a video of a set needs not be asked about again."""
        return (title, damage, path) in self._outcomes

    def add(self, title: str, outcomes: Iterable[Outcome], damage: str = UNDAMAGED) -> None:
        """Keep them; afterwards they are on disk."""
        with (self.path / OUTCOMES).open("a", encoding="utf-8") as file:
            for outcome in outcomes:
                self._outcomes[title, damage, outcome.path] = outcome
                head = json.dumps({"set": title, "damage": damage})
                file.write(f"{head}\t{outcome.to_json()}\n")

    def outcomes(self, title: str, damage: str = UNDAMAGED) -> list[Outcome]:
        """All of a set under one damage, by path."""
        found = [o for (t, d, _), o in self._outcomes.items() if (t, d) == (title, damage)]
        return sorted(found, key=lambda outcome: outcome.path)

    def _read(self) -> None:
        """What is there, without a last line that was not finished."""
        path = self.path / OUTCOMES
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            path.write_bytes(whole)
        for line in whole.decode().splitlines():
            head, _tab, body = line.partition("\t")
            key, outcome = json.loads(head), Outcome.from_json(body)
            if outcome.error != InternalError.code:  # Trying those again may help.
                self._outcomes[key["set"], key["damage"], outcome.path] = outcome


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path / SETTINGS}: {error}") from error
    if not isinstance(found, dict):
        raise DatasetError(f"{path / SETTINGS} is no evaluation's: expected an object")
    return found
