"""Reads the settings of one installation from the environment, strictly.

A value that is not understood stops the start with a sentence that names the
variable, what was received and what was expected. ``.env.example`` lists them all.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, EnvValidationError, ValidationError

RATE_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
"""In what rates may be counted, in seconds."""

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def read_environment(env_file: Path) -> Env:
    """The process's environment, completed by ``env_file`` where that exists."""
    env = Env(eager=False)
    if env_file.is_file():
        env.read_env(str(env_file), recurse=False)
    return env


def refuse_unknown_values(env: Env) -> None:
    """Stop with one sentence for each variable whose value was not understood."""
    try:
        env.seal()
    except EnvValidationError as error:
        raise ImproperlyConfigured(" ".join(_sentences(error.error_messages))) from None
    except EnvError as error:
        raise ImproperlyConfigured(str(error)) from None


def at_least(minimum: int) -> Callable[[int], None]:
    """A validator for whole numbers."""

    def check(value: int) -> None:
        if value < minimum:
            raise ValidationError(f"expected {minimum} or more")

    return check


def one_of(allowed: Iterable[str]) -> Callable[[str], None]:
    """A validator for names."""
    names = tuple(allowed)

    def check(value: str) -> None:
        if value not in names:
            raise ValidationError(f"expected one of {', '.join(names)}")

    return check


def matching(pattern: str, expected: str) -> Callable[[str], None]:
    """A validator for texts of one form, in upper or lower case."""

    def check(value: str) -> None:
        if not re.fullmatch(pattern, value, re.IGNORECASE):
            raise ValidationError(f"expected {expected}")

    return check


def a_rate() -> Callable[[str], None]:
    """A validator for rates."""
    periods = "|".join(RATE_PERIODS)
    return matching(
        rf"off|[1-9][0-9]{{0,8}}/({periods})",
        f"off, or a number and one of {', '.join(RATE_PERIODS)}, such as 60/hour",
    )


def queue_of_each(given: Iterable[str], levels: Iterable[str], otherwise: str) -> dict[str, str]:
    """The queue of each level of sampling, from items such as ``thorough=gpu``."""
    queues = dict.fromkeys(levels, otherwise)
    for item in filter(None, map(str.strip, given)):
        level, _, name = item.partition("=")
        if level not in queues or not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
            raise ImproperlyConfigured(
                f"FRAMEVOTE_QUEUES has {item!r}: expected one of {', '.join(queues)}, and the "
                "name of a queue in small letters, such as thorough=gpu."
            )
        queues[level] = name
    return queues


def is_server_address(url: str, schemes: Iterable[str]) -> bool:
    """Whether a URL is one of a server; what a library says of a wrong one may quote a password."""
    try:
        parts = urlsplit(url)
        return parts.scheme in tuple(schemes) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def secret_key(given: str, key_file: Path, *, may_generate: bool) -> str:
    """The given key, or one kept in ``key_file``, made at the first start.

    Web process and workers may start at the same moment: the file appears whole
    or not at all, and whoever comes second reads what the first one wrote.
    """
    if given:
        return given
    if not may_generate:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. It is generated only for an installation that "
            "answers on this machine alone; ALLOWED_HOSTS names other hosts, so give "
            "it a long random value."
        )
    if not key_file.exists():
        descriptor, name = tempfile.mkstemp(dir=key_file.parent, prefix=".secret_key")
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(50))
        try:
            os.link(name, key_file)
        except FileExistsError:
            pass  # Another process was first; its key is the one.
        finally:
            Path(name).unlink()
    return key_file.read_text().strip()


def _sentences(messages: list[str] | Mapping[str, Any]) -> list[str]:
    if isinstance(messages, list):
        return messages
    sentences = []
    for name, problems in sorted(messages.items()):
        listed = problems if isinstance(problems, list) else [problems]
        problem = "; ".join(str(item).rstrip(".") for item in listed)
        sentences.append(f"{name} is {os.environ.get(name, '')!r}: {problem}.")
    return sentences
