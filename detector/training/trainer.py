"""``python -m detector train``: from labelled face crops to a checkpoint, in stages.

One run is a folder: ``config.json``, ``sources.json``, ``beginning.json``, ``history.jsonl``,
``curves.png``, a folder for each stage (see ``fitting``) and, at the end, ``checkpoint/`` with
the best weights of the last stage. A run that was killed goes on when the same command is given
again.

What is trained on: ``run_data``. What is shown to the network: ``batches``. Which weights are
best: ``selection``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector import checkpoints
from detector.errors import CheckpointError
from detector.training import history, model_card
from detector.training.batches import BatchMaker, Recipe
from detector.training.configuration import Config, read_config
from detector.training.crops import Source
from detector.training.errors import DatasetError
from detector.training.face_archive import written_whole
from detector.training.fitting import BEST, LAST, StageRun
from detector.training.run_data import RunData, load_data
from detector.training.selection import selection_sets
from detector.training.weights import (
    build,
    identity,
    kept_from_first_weights,
    load_weights,
    resolved,
)

if TYPE_CHECKING:
    import keras

CONFIG = "config.json"
SOURCES = "sources.json"
BEGINNING = "beginning.json"
"""What ``CONFIG``, which has names in place of paths, does not tell of crops and first weights."""
CHECKPOINT = "checkpoint"

LIMITS = (
    "Blind to methods it was not trained on: a forgery made another way may look genuine "
    "to it, and a genuine video of an unusual kind may look forged.",
    "Not proof: a verdict is one piece of evidence for a person to weigh, whichever way it falls.",
)
"""What holds for every checkpoint this trainer writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m detector train``."""
    parser.add_argument("--config", type=Path, required=True, help="TOML, as in docs/examples")
    parser.add_argument(
        "--run",
        dest="run_folder",  # `run` is the command itself, see detector.cli
        type=Path,
        help="folder of this run, resumed if there; default runs/NAME OF THE FILE",
    )
    parser.add_argument(
        "--crops", nargs="+", type=Path, metavar="FOLDER", help="in place of data.crops"
    )
    parser.add_argument(
        "--weights", help="in place of network.weights: imagenet, none, arrays or a checkpoint"
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        default=os.environ.get("NUM_WORKERS") or "1",
        help="threads that make batches; default: NUM_WORKERS, else 1 (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train and write the checkpoint. Exit status."""
    try:
        config = configuration_of(arguments.config, arguments.crops, arguments.weights)
        if config.deterministic:
            _make_deterministic()
        folder = arguments.run_folder or Path("runs") / arguments.config.stem
        print(f"checkpoint: {train(config, arguments.config.parent, folder, arguments.workers)}")
    except (CheckpointError, DatasetError, FloatingPointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def configuration_of(
    path: Path, crops: Sequence[Path] | None, weights: str | None = None
) -> Config:
    """The file's run, with what a command line says in place of it.

    Raises:
        DatasetError, ValueError: see ``read_config``.
    """
    overrides: dict[str, dict[str, Any]] = {}
    if crops:
        folders = [str(folder.resolve()) for folder in crops]
        overrides["data"] = {"crops": folders, "generated": 0}
    if weights:
        overrides["network"] = {"weights": resolved(weights, Path())}
    return read_config(path, overrides)


def recipe_of(config: Config, number: int) -> Recipe:
    """What decides the batches of a stage, by its number from 0."""
    stage = config.stages[number]
    return Recipe(
        image_size=config.network.image_size,
        batch_size=stage.batch_size,
        self_blended=stage.self_blended,
        augmentation=config.augmentation,
        # Later stages see other batches.
        seed=config.seed + 1000 * number,
        windows=config.network.sequence == "frames" and stage.learns != "backbone",
    )


def train(config: Config, beside: Path, folder: Path, workers: int = 1) -> Path:
    """One run, from wherever it stands to its checkpoint's folder.

    Args:
        beside: where relative paths of the configuration begin.
        folder: of the run.
        workers: threads that make batches.

    Raises:
        CheckpointError: the run begins with a checkpoint that is not sound.
        DatasetError: data or first weights cannot be had, or these were trained on what is to be
            kept apart.
        ValueError: settings that make no sense, settings or sources that are not the folder's,
            or another process trains in it.
        FloatingPointError: the loss is no number any more.
    """
    about = _described(config)
    _refuse_another(folder / CONFIG, about, "settings")
    if (folder / CHECKPOINT).exists():
        # Figures may have been written into it.
        return folder / CHECKPOINT
    data = load_data(config, beside, folder)
    sources = _counted(config, data)
    _refuse_another(folder / SOURCES, sources, "sources")
    first = resolved(config.network.weights, beside)
    kept_from_first = kept_from_first_weights(first, data.split)
    beginning = {"margin": data.margin, "drop": data.drop, "first weights": identity(first)}
    _refuse_another(folder / BEGINNING, beginning, "crops or first weights")
    batches = [
        BatchMaker(recipe_of(config, number), data.training) for number in range(len(config.stages))
    ]
    strategy = _strategy()
    _refuse_unequal_parts(config, strategy.num_replicas_in_sync)
    with strategy.scope():
        model = start(config, beside)
        # Only now: settings or sources that begin nothing must not claim the folder.
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            _remember(folder / CONFIG, about)
            _remember(folder / SOURCES, sources)
            _remember(folder / BEGINNING, beginning)
            past = history.History.of(folder)
            for number, make in enumerate(batches):
                _run_stage(config, number, model, folder, past, make, data.selection, workers)
            said = sources | {"kept_from_first_weights": kept_from_first}
            return _export(config, model, folder, past, data, said)


def _run_stage(
    config: Config,
    number: int,
    model: keras.Model,
    folder: Path,
    past: history.History,
    batches: BatchMaker,
    selecting: Sequence[Source],
    workers: int,
) -> None:
    """Train one stage if it is not done yet; the model has its best weights afterwards."""
    of_stage = folder / f"{number + 1}-{config.stages[number].name}"
    if not (of_stage / LAST).exists():
        recipe = batches.recipe
        sets = selection_sets(selecting, recipe.image_size, windows=recipe.windows)
        fitting = StageRun(config, number, model, of_stage, len(batches.sources))
        fitting.fit(batches, sets, past, workers)
    history.draw(past)
    load_weights(model, of_stage / BEST)


def start(config: Config, beside: Path) -> keras.Model:
    """The network with its first weights, reproducibly, computing in the run's precision."""
    import keras

    keras.utils.set_random_seed(config.seed)
    given = replace(config.network, weights=resolved(config.network.weights, beside))
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return build(given)
    finally:
        keras.config.set_dtype_policy(usual)


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, got {text!r}")
    return int(text)


def _make_deterministic() -> None:
    """For the whole process: TensorFlow has no way back."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _strategy() -> Any:
    """All GPUs together, if there are several."""
    import tensorflow as tf

    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _export(
    config: Config,
    model: keras.Model,
    folder: Path,
    past: history.History,
    run_data: RunData,
    sources: dict[str, Any],
) -> Path:
    """Write the checkpoint of the model's weights, at once or not at all; returns its folder."""
    network, data = config.network, config.data
    last = config.stages[-1].name
    unfinished = folder / f"{CHECKPOINT}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    checkpoints.save(
        model,
        unfinished,
        name=config.name,
        version=config.version,
        architecture={
            "sequence": network.sequence,
            "backbone_cut": network.cut,
            "image_size": network.image_size,
        },
        margin=run_data.margin,
        drop=run_data.drop,
        data={
            "training set": f"{', '.join(_names(config)) or 'generated'}: "
            f"{sources['training']} sources",
            "kept apart": f"{data.selection} sources to choose weights by and "
            f"{data.calibration} for calibration, "
            + (
                "never trained on"
                if sources["kept_from_first_weights"]
                else "not trained on in this run; whether its first values were is not known"
            ),
            "licence of the data": data.licence,
            "first values": network.weights_source or Path(network.weights).name,
        },
        training=_described(config) | {"sources": sources, "best": {last: past.best_scores(last)}},
        limits=LIMITS,
        created=datetime.now(UTC).date().isoformat(),
        git_commit=_git_commit(),
        versions={
            name: installed_version(name)
            for name in ("tensorflow", "keras", "numpy", "opencv-python-headless", "av")
        },
    )
    model_card.write(unfinished)
    return unfinished.rename(folder / CHECKPOINT)


def _described(config: Config) -> dict[str, Any]:
    """The configuration as JSON, with names in place of paths."""
    described = asdict(config)
    described["data"]["crops"] = _names(config)
    described["network"]["weights"] = Path(config.network.weights).name
    return dict(json.loads(json.dumps(described)))


def _names(config: Config) -> list[str]:
    return [Path(folder).name for folder in config.data.crops]


def _counted(config: Config, data: RunData) -> dict[str, Any]:
    """How many sources are in each part, and the hash that says which."""
    return {
        "training": len(data.training),
        "selection": len(data.selection),
        "calibration": config.data.calibration,
        "sha256": data.names,
    }


def _refuse_unequal_parts(config: Config, devices: int) -> None:
    for stage in config.stages:
        if stage.batch_size % devices:
            raise ValueError(
                f"stage {stage.name!r}: batch_size must be a multiple of {devices}, so that as "
                f"many GPUs get equal parts, got {stage.batch_size}"
            )


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two processes with one history would each undo what the other does."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ValueError(f"another process is training in {folder}") from error
    try:
        yield
    finally:
        os.close(lock)


def _refuse_another(path: Path, wanted: dict[str, Any], what: str) -> None:
    if not path.exists():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(k for k in wanted.keys() | found if found.get(k) != wanted.get(k))
    if differing:
        raise ValueError(f"{path} was made with other {what}: {', '.join(differing)}")


def _remember(path: Path, content: dict[str, Any]) -> None:
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")


def _git_commit() -> str:
    """The commit of this code, with a note if files differ from it; "unknown" outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with uncommitted changes" if changed else commit
