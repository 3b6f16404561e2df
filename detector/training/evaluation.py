"""``python -m detector evaluate``: how well a checkpoint does on labelled sets.

    python -m detector evaluate default FOLDER OTHER:test --out DIR

Videos and crops are judged as they would be in service (``verdicts``), the outcomes kept
in ``DIR`` as they come (``evaluation_folder``), so that the same command goes on where it
was stopped, and at the end the figures (``summary``) and the report are written.
``--compare A B`` sets two such folders beside each other (``comparison``).
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from detector import checkpoints, serving, voting
from detector.errors import DetectorError
from detector.sampling import BUDGETS, Sampling
from detector.training import comparison, evaluation_report, figure_tables, model_card
from detector.training.errors import DatasetError
from detector.training.evaluation_folder import UNDAMAGED, EvaluationFolder
from detector.training.evaluation_report import Evaluated
from detector.training.evaluation_sets import OWN_PARTS, EvaluationSet, Item, read_sets
from detector.training.outcomes import Outcome
from detector.training.robustness import DAMAGES, Damage
from detector.training.verdicts import ask_about_crops, ask_about_video
from detector.training.weights import said_kept_from_first_weights

if TYPE_CHECKING:
    from detector.network import Network
    from detector.pipeline import Detector

CHUNK = 64
"""Crops, at least, that are asked about at a time."""

LIBRARIES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "av")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector evaluate``."""
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="an installed one's name, or a folder"
    )
    parser.add_argument(
        "datasets",
        nargs="*",
        metavar="DATASET",
        help="FOLDER or FOLDER:PART, of labelled videos or of face crops. PART: a split of the "
        "set's own, or, of the crops it was trained on, what the checkpoint's own run left out "
        "(selection, calibration)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the results go")
    parser.add_argument("--force", action="store_true", help="replace another evaluation in DIR")
    parser.add_argument(
        "--sampling", choices=list(BUDGETS), default="standard", help="how many frames to look at"
    )
    parser.add_argument(
        "--robustness", action="store_true", help="measure the damaged sets too; takes long"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the figures into the checkpoint and its card"
    )
    parser.add_argument("--compression", help="of FaceForensics++: raw, c23 or c40")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or such as GPU:1")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores", metavar="N")
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("A", "B"),
        help="instead: the difference of two evaluations of the same sets, A minus B",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Evaluate or compare. Exit status."""
    try:
        if options.compare:
            if options.checkpoint or options.write or options.robustness:
                raise DatasetError("--compare takes two folders, --out and --json, nothing else")
            return comparison.run(*options.compare, out=options.out, as_json=options.json)
        if not options.checkpoint or not options.datasets or not options.out:
            raise DatasetError("expected CHECKPOINT, DATASET and --out DIR, or --compare A B")
        document = evaluate(options)
    except (DatasetError, DetectorError) as error:
        print(f"error: {_said(error)}", file=sys.stderr)
        return 1
    if options.json:
        comparison.print_json(document)
    else:
        print("\n".join(figure_tables.overview([*document["sets"], *document["all_sets"]])))
        for title, by_code in document["without_vote"].items():
            for code, paths in by_code.items():
                print(f"{title}: {len(paths)} without a vote: {code}")
        print(f"results: {options.out}")
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """What stands in ``metrics.json`` afterwards.

    Raises:
        DatasetError: a set cannot be used, or nothing in it was judged.
        DetectorError: the checkpoint or device cannot be used.
    """
    about = checkpoints.read_metadata(checkpoints.find(options.checkpoint))
    training = about.raw.get("training") or {}
    sets = read_sets(options.datasets, training, compression=options.compression)
    for one in sets:
        for problem in one.problems:
            print(f"{one.title}: {problem}", file=sys.stderr)
        if one.trained_on:
            seen = f"{one.title} holds sources of the set that the checkpoint was trained on"
            if options.write:
                raise DatasetError(f"{seen}; only figures of what it has never seen go onto a card")
            print(f"{seen}: its figures say little of other videos", file=sys.stderr)
        elif one.part in OWN_PARTS and not said_kept_from_first_weights(training):
            print(
                f"whether the weights it began with were trained on {one.title} is not known",
                file=sys.stderr,
            )
    damages = DAMAGES if options.robustness else ()
    folder = EvaluationFolder.begin(
        options.out,
        {
            "checkpoint": about.sha256,
            "rules": voting.RULES,
            "thresholds": dict(about.thresholds),
            "calibration": about.calibration,
            "sampling": options.sampling,
            "bits": options.bits,
            "sets": {
                one.title: {
                    "levels": list(one.levels),
                    "fingerprint": one.fingerprint(),
                    "files": one.files(),
                }
                for one in sets
            },
            "damages": [damage.name for damage in damages],
        },
        afresh=options.force,
    )
    networks = _Networks(options.checkpoint, options.device, options.threads, options.bits)
    for one in sets:
        for damage in (None, *damages):
            _complete(folder, one, damage, networks, Sampling.named(options.sampling))
    evaluated = [
        Evaluated(
            one,
            folder.outcomes(one.title),
            {damage.name: folder.outcomes(one.title, damage.name) for damage in damages},
        )
        for one in sets
    ]
    ran = {
        "checkpoint": {"name": about.name, "version": about.version, "sha256": about.sha256},
        "sampling": options.sampling,
        "bits": networks.bits,
    } | provenance(_command(options, sets), networks.device)
    document = evaluation_report.write(folder.path, evaluated, ran)
    if not document["sets"]:
        raise DatasetError(f"no video got a vote; {folder.path} says why of each")
    if options.write:
        put_into(checkpoints.find(options.checkpoint), document)
    return document


def put_into(folder: Path, document: dict[str, Any]) -> None:
    """The figures of an evaluation into a checkpoint's metadata, and onto its card."""
    ran = {key: document[key] for key in ("command", "date", "hardware", "versions", "bits")}
    checkpoints.write_metrics(folder, [entry | ran for entry in document["sets"]])
    model_card.write(folder)


def provenance(command: str, device: str) -> dict[str, Any]:
    """When, where and with what something was measured."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": {"processor": _processor(), "cores": os.cpu_count(), "device": device},
        "versions": {"python": platform.python_version()}
        | {name: installed_version(name) for name in LIBRARIES},
    }


class _Networks:
    """The checkpoint, and the detector around it, loaded when first asked for."""

    def __init__(self, name: str, device: str, threads: int, bits: int) -> None:
        self._name, self._device, self._threads, self._bits = name, device, threads, bits
        self._network: Network | None = None
        self._detector: Detector | None = None

    @property
    def device(self) -> str:
        """TensorFlow's name of the one in use, or what was asked for."""
        return self._device

    @property
    def bits(self) -> int:
        """Of the numbers computed with: a GPU's are not those asked for."""
        return self._network.bits if self._network else self._bits

    def network(self) -> Network:
        from detector.device import choose

        if self._network is None:
            self._device = choose(self._device, self._threads)
            self._network = serving.load(self._name, self._device, bits=self._bits)
        return self._network

    def detector(self) -> Detector:
        from detector.faces import FaceFinder
        from detector.pipeline import Detector

        if self._detector is None:
            self._detector = Detector(FaceFinder(), self.network(), self._threads)
        return self._detector


def _complete(
    folder: EvaluationFolder,
    one: EvaluationSet,
    damage: Damage | None,
    networks: _Networks,
    sampling: Sampling,
) -> None:
    """Ask about all of a set that has not been answered yet."""
    name = damage.name if damage else UNDAMAGED

    def ask(items: Sequence[Item]) -> list[Outcome]:
        if one.of_crops:
            return ask_about_crops(networks.network(), items, single=one.single, damage=damage)
        detector = networks.detector()
        return [
            ask_about_video(detector, one.folder, item.example, sampling, damage) for item in items
        ]

    # A chunk is asked about whole or not at all, so that a network sees the batches it would
    # have seen without an interruption.
    chunks = _chunks(one.items) if one.of_crops else [[item] for item in one.items]
    label = f"{one.title} {name}".strip()
    with tqdm(total=len(one.items), desc=label, unit="video", file=sys.stderr, leave=False) as bar:
        for chunk in chunks:
            if not all(folder.answered(one.title, item.example.path, name) for item in chunk):
                folder.add(one.title, ask(chunk), name)
            bar.update(len(chunk))


def _chunks(items: Sequence[Item]) -> list[list[Item]]:
    """Videos with together some ``CHUNK`` crops."""
    chunks: list[list[Item]] = []
    room = 0
    for item in items:
        if room <= 0:
            chunks.append([])
            room = CHUNK
        chunks[-1].append(item)
        room -= len(item.faces)
    return chunks


def _command(options: argparse.Namespace, sets: Sequence[EvaluationSet]) -> str:
    """To repeat it; folders by their names, for others have them elsewhere."""
    words = ["python", "-m", "detector", "evaluate", Path(options.checkpoint).name]
    words += [one.title for one in sets]
    words += ["--out", "DIR", "--sampling", options.sampling]
    if options.compression:
        words += ["--compression", options.compression]
    if options.robustness:
        words.append("--robustness")
    if options.bits != 32:
        words += ["--bits", str(options.bits)]
    return shlex.join(words)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _said(error: Exception) -> str:
    """A detector's error has a sentence for people and a detail that names the thing."""
    if isinstance(error, DetectorError):
        return f"{error.sentence} ({error.detail})" if error.detail else error.sentence
    return str(error)
