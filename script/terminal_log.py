"""Writes what supervised programs print to the terminal, one prefixed line at a time.

Supervisor hands each piece of output to this event listener as an event: a header line on
standard input, then a payload. Standard output belongs to that protocol, so the lines go to
standard error, which supervisor forwards. See ``script/supervisord.conf``.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import NoReturn, TextIO

PREFIX_WIDTH = 8


def main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    # Supervisor counts a payload's characters, not its bytes, and keeps its line ends.
    events = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="")
    terminal = io.TextIOWrapper(sys.stderr.buffer, encoding="utf-8", newline="")
    listen(events, sys.stdout, terminal)


def listen(events: TextIO, answers: TextIO, terminal: TextIO) -> None:
    """Serve events until supervisor closes the pipe."""
    unfinished: dict[tuple[str, str], str] = {}
    try:
        while True:
            answers.write("READY\n")
            answers.flush()
            line = events.readline()
            if not line:
                return
            header = _fields(line)
            facts, _, output = events.read(int(header["len"])).partition("\n")
            program = _fields(facts)["processname"]
            # A piece may end in the middle of a line; its rest comes with the next one.
            source = (program, header["eventname"])
            *lines, unfinished[source] = (unfinished.get(source, "") + output).split("\n")
            terminal.write("".join(_prefixed(program, text) for text in lines))
            terminal.flush()
            answers.write("RESULT 2\nOK")
            answers.flush()
    finally:
        rests = ((program, rest) for (program, _), rest in unfinished.items() if rest)
        terminal.write("".join(_prefixed(program, rest) for program, rest in rests))
        terminal.flush()


def _fields(line: str) -> dict[str, str]:
    """``"a:1 b:2"`` as a dictionary."""
    return dict(word.split(":", 1) for word in line.split())


def _prefixed(program: str, text: str) -> str:
    return f"{program:<{PREFIX_WIDTH}} | {text.rstrip(chr(13))}\n"


def _leave(signum: int, frame: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
