"""What a command runs in: the terminal, its output's alphabet, ctrl+c; and how it can end."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from planner.errors import InputError, printable_lines
from planner.inputs import files

DRIVER = "TEXTUAL_DRIVER"  # of the environment: how Textual draws
DONE, ERROR, USAGE, NO_PLAN, INTERRUPTED = 0, 1, 2, 3, 130  # exit codes


def say(text: object, *, colours: bool = False, error: bool = False) -> None:
    """Print a text of a command: nothing in it, whatever file it is from, is obeyed by a terminal.

    `colours` leaves those of a drawing of ours; `error` prints to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # closed by the shell; `print` would take the other
        return
    print(printable_lines(str(text), colours=colours).removesuffix("\n"), file=stream, flush=True)


def progress(text: str) -> None:
    """A line of standard error on what takes long, where someone watches."""
    if sys.stderr is not None and sys.stderr.isatty():
        say(text, error=True)


class Failure(Exception):
    """Something outside the input went wrong; `str()` is the one line a user sees."""


@contextlib.contextmanager
def writing(field: str, place: object) -> Iterator[None]:
    """What goes wrong in writing to `place`, that of a flag, is one line. Raises InputError."""
    try:
        yield
    except BrokenPipeError:  # who read what is said meanwhile has gone: no fault of the place
        raise
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

    The web driver (`ratematch serve`) needs no terminal, but pipes.
    """
    if web_driver():
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)  # None where the shell closed one
    return all(stream is not None and stream.isatty() for stream in streams)


def web_driver() -> bool:
    """Whether the application is to draw for a server in front of a browser.

    Raises InputError for TEXTUAL_DRIVER naming no driver, or this one without a server to talk to.
    """
    name = os.environ.get(DRIVER)
    if not name:
        return False
    module, _, symbol = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), symbol, None)
    except (ImportError, ValueError):
        found = None
    if not isinstance(found, type) or not hasattr(found, "is_web"):
        raise InputError(
            DRIVER, name, "a driver of Textual's, as module:Class; unset it to use this terminal"
        )
    web = found.__module__.endswith("web_driver")
    if web and not all(_is_pipe(stream) for stream in (sys.__stdin__, sys.__stdout__)):
        raise InputError(DRIVER, name, "a pipe to a server, as `ratematch serve` has one; unset it")
    return web


def _is_pipe(stream: TextIO | None) -> bool:
    if stream is None:
        return False
    kind = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def cannot_draw() -> str:
    """Why the terminal cannot show the application, in one line; "" where it can.

    A terminal that cannot move its cursor would get the screen as an endless scroll.
    """
    if os.environ.get("TERM") != "dumb" or web_driver():
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


def odd_size() -> None:
    """Forget a size in the environment that is none; the terminal says its own. Textual reads these once."""
    for name in ("COLUMNS", "LINES", "ROWS"):
        value = os.environ.get(name, "1")
        if not (value.isascii() and value.isdigit() and 0 < int(value[:6]) < 10_000 and len(value) < 6):
            del os.environ[name]


def slow_line() -> None:
    """Over SSH: no animation, fewer frames; before Textual is imported, which reads this once."""
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", "15")
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
