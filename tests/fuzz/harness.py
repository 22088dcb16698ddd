"""Calls the command line in this process and says what is wrong with the answer."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import printable
from planner.inputs import files, toml_tables
from planner.inputs.catalog import CONFIG_VARIABLE, preset_folder
from tui.cli.main import main

CODES = (0, 1, 2, 3)  # the documented exit codes of a command that nobody interrupts
LONGEST_S = 2.0  # of processor time: a machine with others at work is not a hang
WHAT_IF = 5  # times that: some 45 plans, one after the other
DEAD_S = 30  # wall clock after which a call is given up
LONGEST_ERROR = 500  # characters
MOST_ERRORS = 40  # of one command line, a line each

slowest: dict[str, float] = {}  # by class: seconds of the input that took longest; for the runner's table


class Hang(BaseException):
    """A call that did not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call of the command line did."""

    arguments: Sequence[str]
    code: int
    out: str
    err: str
    seconds: float  # of processor time


def dice(seed: int, name: str, i: int) -> random.Random:
    """The chance of one input: the same for the same seed, class and number, whatever came before."""
    return random.Random(f"{seed} {name} {i}")


@contextlib.contextmanager
def surroundings() -> Iterator[Path]:
    """A folder of one's own: presets under `own`, state under `state`. Presets that ship are parsed once.

    Whatever is typed as a name, nothing is written outside it.
    """
    plain, sync, folder = toml_tables.read_toml, os.fsync, str(preset_folder())
    anywhere = files._place
    once = functools.cache(plain)
    before, home = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("always")
        os.environ.update(
            {CONFIG_VARIABLE: f"{place}/own", "XDG_STATE_HOME": f"{place}/state", "NO_COLOR": "1"}
        )
        os.chdir(place)
        for name in ("TEXTUAL_DRIVER", "COLUMNS"):
            os.environ.pop(name, None)
        toml_tables.read_toml = lambda path: (once if str(path).startswith(folder) else plain)(path)
        os.fsync = lambda handle: None  # what survives a power cut is another class's question

        def within(path: Path) -> Path:
            found = anywhere(path)
            if not os.path.realpath(found).startswith(os.path.realpath(place) + os.sep):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return found

        files._place = within
        try:
            yield Path(place)
        finally:
            toml_tables.read_toml, os.fsync, files._place = plain, sync, anywhere
            os.chdir(home)
            os.environ.clear()
            os.environ.update(before)


def call(arguments: Sequence[str]) -> Answer:
    """One call of the command line."""
    out, err = io.StringIO(), io.StringIO()

    def give_up(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, DEAD_S)
    begin = time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    except Hang:
        code = -1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return Answer(
        arguments=arguments,
        code=code,
        out=out.getvalue(),
        err=err.getvalue(),
        seconds=time.process_time() - begin,
    )


def faults(answer: Answer) -> Iterator[str]:
    """What is wrong with an answer; nothing where all is well."""
    if answer.code == -1:
        yield f"no answer in {DEAD_S} s"
        return
    if answer.seconds > LONGEST_S * (WHAT_IF if "--what-if" in answer.arguments else 1):
        yield f"{answer.seconds:.1f} s"
    if answer.code not in CODES:
        yield f"exit code {answer.code}"
    if "internal error" in answer.err or "Traceback" in answer.err + answer.out:
        yield answer.err
    lines = answer.err.splitlines()
    wrong = [line for line in lines if len(line) > LONGEST_ERROR or not line.startswith("ratematch: ")]
    again = len(set(lines)) < len(lines)  # one mistake, told twice
    if len(lines) > 1 and (wrong or again or len(lines) > MOST_ERRORS or answer.code != 2):
        yield f"not a short line for each mistake: {answer.err}"
    if len(lines) == 1 and len(answer.err) > LONGEST_ERROR:
        yield f"not one short line: {answer.err}"
    if answer.code == 2 and not answer.err.startswith("ratematch: "):
        yield "refused without a word"
    if answer.code in (0, 3) and answer.err:
        yield f"done, and yet: {answer.err}"
    for text in (answer.out, answer.err):
        if not all(line.isprintable() for line in text.split("\n")):
            yield "a character that a terminal would obey"
    if answer.code in (0, 3) and "--json" in answer.arguments and "--help" not in answer.arguments:
        yield from _not_json(answer.out)


def _not_json(text: str) -> Iterator[str]:
    def no_number(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=no_number)
    except ValueError as error:
        yield f"not JSON: {error}"


def each(
    name: str, seed: int, count: int, make: Callable[[random.Random, Path], Sequence[str] | Iterator[str]]
) -> Iterator[str]:
    """Try `count` inputs.

    Parameters
    ----------
    make
        From chance and a folder: the words of a call, which is made and judged, or what went wrong.
    """
    slowest[name] = 0.0
    with surroundings() as folder:
        for i in range(count):
            found = make(dice(seed, name, i), folder)
            if isinstance(found, Sequence):
                answer = call(found)
                problems, shown, seconds = list(faults(answer)), f"{list(found)!r}", answer.seconds
            else:
                begin = time.process_time()
                problems, shown, seconds = list(found), "", time.process_time() - begin
            slowest[name] = max(slowest[name], seconds)
            for problem in problems:
                yield printable(f"{name} {i} (seed {seed}): {problem.strip()}: {shown}", 1000)
