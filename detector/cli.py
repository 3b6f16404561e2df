"""``python -m detector``: analyze videos; prepare to; preprocess, train, evaluate,
calibrate and crossfit.

Results go to standard output (readable, or JSON Lines with ``--json``), everything
else to standard error. Exit status of ``analyze``: 0 all files were analysed, 2 an
unusable file was among them, 1 anything else, wrong usage and Ctrl-C included.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tqdm import tqdm

from detector import checkpoints, serving
from detector.device import native_noise_held_back
from detector.errors import DetectorError, FileNotReadable, InternalError, UnusableVideo
from detector.limits import Limits
from detector.report import result_to_json, result_to_text
from detector.sampling import BUDGETS, Sampling

if TYPE_CHECKING:
    from detector.pipeline import Detector

OK = 0
FAILED = 1
UNUSABLE = 2

DEVELOPMENT = {
    "preprocess": ("preprocess", "cut the faces of labelled videos"),
    "train": ("trainer", "train a checkpoint"),
    "evaluate": ("evaluation", "measure a checkpoint on labelled sets"),
    "calibrate": ("calibration", "find what its probabilities mean, and when it abstains"),
    "crossfit": ("cross_fitting", "check its abstention band on videos it was not chosen on"),
}
"""Commands that need more than serving does, with their modules in ``detector.training``:
imported when asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Before anything imports TensorFlow, whose native code reads it once.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have bytes or letters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parser(given[0] if given else "").parse_args(given)
        return int(options.run(options))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Who read our output has gone; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def analyze(options: argparse.Namespace) -> int:
    """``analyze``: one verdict, or one error, for each file."""
    detector: Detector | None = None
    statuses = []
    try:
        # A missing checkpoint is said before the seconds that TensorFlow takes.
        checkpoints.read_metadata(checkpoints.find(options.checkpoint))
        for file in options.files:
            if not _readable(file):
                statuses.append(_refuse(file, FileNotReadable(), UNUSABLE, options))
                continue
            detector = detector or _load(options)
            statuses.append(_analyze_one(detector, file, options))
    except DetectorError as error:
        # The installation is at fault, so none of the files that are left can be analysed.
        for file in options.files[len(statuses) :]:
            statuses.append(_refuse(file, error, FAILED, options))
    return FAILED if FAILED in statuses else max(statuses)


def prepare(options: argparse.Namespace) -> int:
    """``prepare``: the graph that answers on the processor, in the cache, unless it is there."""
    try:
        with native_noise_held_back():
            serving.load(options.checkpoint, cache=options.cache, bits=options.bits)
    except DetectorError as error:
        print(_explained(error), file=sys.stderr)
        return FAILED
    return OK


def _analyze_one(detector: Detector, file: str, options: argparse.Namespace) -> int:
    """Print one result or error; nothing a file does takes the others with it."""
    try:
        with _Progress(file) as progress:
            result = detector.analyze(
                file,
                Sampling.named(options.sampling),
                progress.show,
                limits=Limits(max_minutes=options.max_minutes),
                early_stop=options.early_stop,
            )
    except UnusableVideo as error:
        return _refuse(file, error, UNUSABLE, options)
    except DetectorError as error:
        return _refuse(file, error, FAILED, options)
    except Exception:
        traceback.print_exc()
        return _refuse(file, InternalError(), FAILED, options)
    if options.json:
        _print_json({"file": file} | result_to_json(result))
    else:
        calibrated = detector.checkpoint.calibration is not None
        print(result_to_text(file, result, calibrated=calibrated), flush=True)
    return OK


class _Parser(argparse.ArgumentParser):
    """argparse leaves with 2 on wrong usage; here 2 means an unusable video."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"{self.prog}: error: {message}\n")


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The options of all commands; of training those of the chosen one only, for its modules
    and what they need are not loaded for the others."""
    parser = _Parser(prog="python -m detector", description="Is the face in a video real or fake?")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("analyze", help="give verdicts on video files")
    command.add_argument("files", nargs="+", metavar="FILE", help="a video")
    command.add_argument("--json", action="store_true", help="one JSON document a line")
    command.add_argument(
        "--checkpoint", default="default", metavar="NAME", help="an installed one, or a folder"
    )
    _add_reading_options(command)
    command.add_argument(
        "--early-stop",
        action="store_true",
        help="look at no more frames when the others cannot change the verdict",
    )
    command.add_argument("--device", default="auto", help="auto, cpu, gpu or such as GPU:1")
    command.add_argument("--threads", type=_count, default=0, help="0: all cores", metavar="N")
    _add_bits(command)
    command.set_defaults(run=analyze)

    command = commands.add_parser("prepare", help="make what a checkpoint's first use would make")
    command.add_argument("--checkpoint", default="default", metavar="NAME")
    command.add_argument("--cache", type=Path, default=serving.user_cache(), metavar="DIR")
    _add_bits(command)
    command.set_defaults(run=prepare)

    for name, (module, about) in DEVELOPMENT.items():
        command = commands.add_parser(name, help=about)
        if name == chosen:
            _add_options_of(module, command)
            if name == "preprocess":
                _add_reading_options(command)
            if name == "evaluate":
                _add_bits(command)
    return parser


def _add_bits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bits",
        type=int,
        choices=(8, 32),
        default=32,
        help="of the network's numbers; 8 needs a processor with VNNI; default %(default)s",
    )


def _add_reading_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--sampling", choices=list(BUDGETS), default="standard", help="how many frames to look at"
    )
    command.add_argument(
        "--max-minutes",
        type=_positive,
        default=Limits().max_minutes,
        help="longer videos are refused; default %(default)g",
    )


def _add_options_of(module: str, command: argparse.ArgumentParser) -> None:
    try:
        training = import_module(f"detector.training.{module}")
    except ModuleNotFoundError as error:
        command.error(f"{error}; training needs what script/bootstrap --dev installs")
    training.add_arguments(command)
    command.set_defaults(run=training.run)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


def _readable(file: str) -> bool:
    try:
        return Path(file).is_file() and os.access(file, os.R_OK)
    except (OSError, ValueError):
        return False  # A name no file can have.


def _load(options: argparse.Namespace) -> Detector:
    with native_noise_held_back():
        from detector.pipeline import Detector

        return Detector.load(options.checkpoint, options.device, options.threads, bits=options.bits)


class _Progress:
    """A bar on standard error that is gone before the verdict is printed."""

    def __init__(self, file: str) -> None:
        self._bar = tqdm(
            total=100,
            desc=Path(file).name[:40],
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
            file=sys.stderr,
            leave=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, stage: str, fraction: float) -> None:
        """The detector's ``on_progress``."""
        self._bar.set_postfix_str(stage, refresh=False)
        self._bar.update(100 * fraction - self._bar.n)


def _refuse(file: str, error: DetectorError, status: int, options: argparse.Namespace) -> int:
    """Say what is wrong with a file, where people and where programs read; the status."""
    message = error.sentence if isinstance(error, UnusableVideo) else _explained(error)
    print(f"{file}: {error.code}: {message}", file=sys.stderr, flush=True)
    if options.json:
        _print_json({"file": file, "error": {"code": error.code, "message": message}})
    return status


def _explained(error: DetectorError) -> str:
    return f"{error.sentence} ({error.detail})" if error.detail else error.sentence


def _print_json(document: dict[str, Any]) -> None:
    """Pure ASCII, which no terminal's encoding can spoil."""
    print(json.dumps(document, allow_nan=False), flush=True)
