"""What a command runs in: the terminal, its output's alphabet, ctrl+c; and how it can end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from planner.errors import InputError, printable_lines
from planner.inputs import files

DONE, ERROR, USAGE, NO_PLAN, INTERRUPTED = 0, 1, 2, 3, 130  # exit codes


def say(text: object, *, colours: bool = False, error: bool = False) -> None:
    """Print a text of a command: nothing in it, whatever file it is from, is obeyed by a terminal.

    `colours` leaves those of a drawing of ours; `error` prints to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    print(printable_lines(str(text), colours=colours).removesuffix("\n"), file=stream, flush=True)


class Failure(Exception):
    """Something outside the input went wrong; `str()` is the one line a user sees."""


@contextlib.contextmanager
def writing(field: str, place: object) -> Iterator[None]:
    """What goes wrong in writing to `place`, that of a flag, is one line. Raises InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(field, str(place), f"cannot be written: {files.why(error)}") from None


@contextlib.contextmanager
def interrupts(handler: Callable[..., object]) -> Iterator[None]:
    """What ctrl+c does meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def on_terminal() -> bool:
    """Whether the application can draw: Textual reads standard input and draws on standard error.

    A web driver (`ratematch serve`) needs no terminal.
    """
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)  # None where the shell closed one
    return all(stream is not None and stream.isatty() for stream in streams)


def cannot_draw() -> str:
    """Why the terminal cannot show the application, in one line; "" where it can.

    A terminal that cannot move its cursor would get the screen as an endless scroll.
    """
    if os.environ.get("TERM") != "dumb" or os.environ.get("TEXTUAL_DRIVER"):
        return ""
    return "this terminal cannot show the application (TERM=dumb); here is the plan as text"


def ascii_output(wanted: bool = False) -> bool:
    """Whether to keep to ASCII: asked for, or all that the output can take."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    return wanted or not encoding.startswith("utf")


def draws_ascii() -> bool:
    """Whether the terminal is one that draws no Unicode."""
    from tui.glyphs import wants_ascii

    coerced = bool(sys.flags.utf8_mode) and os.environ.get("LC_CTYPE") == "C.UTF-8"
    return wants_ascii(os.environ, coerced=coerced)


def slow_line() -> None:
    """Over SSH: no animation, fewer frames; before Textual is imported, which reads this once."""
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", "15")
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
