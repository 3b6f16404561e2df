"""What a line of the log says: which request, which analysis, and never a secret.

Web processes, gunicorn itself, workers and the sweeper share this. Two formats: lines for
people, JSON objects for machines. A request gets its id in ``request_log.py``; the line
“analysis …: queued” has it beside the analysis's id, and so leads to what a worker logged.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from pythonjsonlogger.json import JsonFormatter as LibraryJsonFormatter

FORMATS = ("line", "json")

FIELDS = (
    *("time", "level", "logger", "process", "message", "request_id", "analysis_id"),
    *("address", "method", "path", "status", "seconds", "exception"),
)
"""All that a JSON line may have. What else a library attaches to its records, such as the
request with its headers, stays out."""

SHORTEST_SECRET = 8
"""Shorter ones are words that stand in harmless texts too; addresses hide them all the same."""

_HIDDEN = "[hidden]"
_PATTERNS = (
    # user:password@host in an address
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"), rf"\g<1>{_HIDDEN}"),
    # API tokens
    (re.compile(r"\bfv_[A-Za-z0-9_-]{20,}"), f"fv_{_HIDDEN}"),
)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))}

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_analysis_id: ContextVar[str] = ContextVar("analysis_id", default="")


def configuration(form: str, level: str, secrets: Collection[str]) -> dict[str, Any]:
    """``LOGGING`` for Django, the workers and gunicorn: one handler, on standard error."""
    formatter = "webapp.logs.JsonFormatter" if form == "json" else "webapp.logs.LineFormatter"
    plain = {"handlers": [], "level": level, "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"ids": {"()": "webapp.logs.Ids"}},
        "formatters": {"chosen": {"()": formatter, "secrets": tuple(secrets)}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "chosen",
                "filters": ["ids"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": plain,
            "django.server": plain,
            # At DEBUG they log statements with hashes and keys of sessions, and what pages are
            # made from, forms with passwords included.
            "django.db.backends": {"level": "INFO"},
            "django.template": {"level": "INFO"},
            "axes": {"level": "WARNING"},
            "gunicorn.error": {**plain, "level": "INFO"},
            # request_log.py says the same without the query string, and with the request's id.
            "gunicorn.access": {**plain, "level": "WARNING"},
        },
    }


@contextmanager
def about_analysis(analysis_id: uuid.UUID) -> Iterator[None]:
    """What is logged inside is about this analysis."""
    token = _analysis_id.set(str(analysis_id))
    try:
        yield
    finally:
        _analysis_id.reset(token)


def begin_request() -> str:
    """A new id, for all that this thread logs until it begins with another request.

    Never reset: an answer that is streamed goes on after the middleware has returned it.
    """
    request_id = uuid.uuid4().hex
    _request_id.set(request_id)
    return request_id


def current_request_id() -> str:
    """The id of the request this thread is answering; empty outside of one."""
    return _request_id.get()


class Ids(logging.Filter):
    """Puts the ids of request and analysis on every record; an ``extra`` comes first."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = getattr(record, "request_id", "") or _request_id.get()
        record.analysis_id = getattr(record, "analysis_id", "") or _analysis_id.get()
        return True


class LineFormatter(logging.Formatter):
    """A line for people, with the ids it does not name itself; only tracebacks take more."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__("{asctime} {levelname} {name} [{process}] {message}", style="{")
        self._hide = _hider(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = {
            "request": getattr(record, "request_id", ""),
            "analysis": getattr(record, "analysis_id", ""),
        }
        # What came from outside must not begin a line of its own.
        line = super().formatMessage(record).translate(_CONTROLS)
        told = (f"{name}={value}" for name, value in ids.items() if value and value not in line)
        return " ".join([line, *told])


class JsonFormatter(LibraryJsonFormatter):
    """One JSON object for each record, with :data:`FIELDS` and nothing else."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__(
            ["levelname", "name", "process", "message"],
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        )
        self._hide = _hider(secrets)

    def process_log_record(self, log_data: Any) -> Any:
        return {key: log_data[key] for key in FIELDS if log_data.get(key) not in (None, "")}

    def serialize_log_record(self, log_data: Any) -> str:
        return self._hide(super().serialize_log_record(log_data))


def _hider(secrets: Collection[str]) -> Callable[[str], str]:
    """A function that hides the secrets in a text, however they may be written there."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= SHORTEST_SECRET
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
    }
    # The longest first, for one may begin with another.
    known = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    patterns = [*_PATTERNS]
    if known:
        patterns.append((re.compile(known), _HIDDEN))

    def hide(text: str) -> str:
        for pattern, replacement in patterns:
            text = pattern.sub(replacement, text)
        return text

    return hide
