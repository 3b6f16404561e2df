"""What is installed is the same on every day: exact pins, and nothing left to the resolver."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-cuda.txt", "requirements-dev.txt")


def lines_of(file: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return [line for line in lines if line and line != "-r requirements.txt"]


def pins_of(*files: str) -> dict[str, Requirement]:
    found = [Requirement(line) for file in files for line in lines_of(file)]
    return {canonicalize_name(pin.name): pin for pin in found}


PYTHONS = ("3.11.0", "3.11.99")
"""Some packages ask early releases of Python 3.11 for more than late ones."""


def needs_of(name: str, extras: set[str]) -> list[Requirement]:
    """What the installed distribution asks for with these extras, on any Python 3.11."""
    environments = [
        {"extra": extra, "python_full_version": python}
        for extra in ("", *extras)
        for python in PYTHONS
    ]
    return [
        need
        for need in map(Requirement, metadata.requires(name) or [])
        if need.marker is None or any(map(need.marker.evaluate, environments))
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_is_pinned_exactly(file: str) -> None:
    pinned = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[A-Za-z0-9.]+")
    assert not [line for line in lines_of(file) if not pinned.fullmatch(line)]


@pytest.mark.parametrize("files", [("requirements.txt",), ("requirements.txt", FILES[2])])
def test_everything_that_something_needs_is_pinned_too(files: tuple[str, ...]) -> None:
    pins = pins_of(*files)
    wanted = {name: set(pin.extras) for name, pin in pins.items()}
    left_open = set()
    waiting = list(wanted.items())
    while waiting:
        name, extras = waiting.pop()
        for need in needs_of(name, extras):
            needed = canonicalize_name(need.name)
            if needed not in pins:
                left_open.add(f"{needed}, for {name}")
            elif not need.extras <= wanted[needed]:
                wanted[needed] |= need.extras
                waiting.append((needed, wanted[needed]))
    assert not left_open


def test_the_cuda_libraries_are_those_that_tensorflow_asks_for() -> None:
    pins = pins_of("requirements-cuda.txt")
    plain = {need.name for need in needs_of("tensorflow", set())}
    cuda = [need for need in needs_of("tensorflow", {"and-cuda"}) if need.name not in plain]
    assert {canonicalize_name(need.name) for need in cuda} == set(pins)
    for need in cuda:
        (pin,) = pins[canonicalize_name(need.name)].specifier
        assert need.specifier.contains(pin.version), need
