"""`ratematch` itself: the terminal application, with what the last session left."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner import __version__, load
from planner.errors import InputError, printable
from planner.inputs import files
from planner.inputs.fields import check
from tui.cli.flags import Parser, add_scenario, named_scenario, read_scenario, spelled_out
from tui.cli.plan import report, solve
from tui.cli.terminal import (
    ascii_output,
    cannot_draw,
    draws_ascii,
    interrupts,
    odd_size,
    on_terminal,
    say,
    slow_line,
    web_driver,
)
from tui.files import storage
from tui.files.storage import Session

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario


def run(arguments: Sequence[str], commands: Mapping[str, str]) -> int:
    """The application; where there is no terminal, the plan as text.

    `commands` are the names and summaries of the others, for `--help` and for a word in the wrong place.
    """
    parser = Parser(
        "ratematch",
        "[SCENARIO] [--field value ...] [--theme NAME] [--ascii] [--no-mouse] [--demo]\n"
        "       ratematch COMMAND ...",
        "Plan disaggregated LLM serving: split prefill from decode or not, how to shard each pool, how\n"
        "many instances of each, and what that gives.\n\n"
        "Without a command: the terminal application; where there is no terminal, the plan as text.\n\n"
        "commands (each has its own --help):\n"
        + "\n".join(f"  {name:<14}{text}" for name, text in commands.items()),
        "  ratematch\n"
        "  ratematch --model deepseek-r1 --system gb200 --isl 16k --osl 2k --ttl 20ms --gpus 72\n"
        "  ratematch plan --model llama-3.1-70b --json\n\n"
        "values take units: 16k or 4096 tokens, 20ms, 1.5s, 10%",
    )
    parser.add_argument("--version", action="version", version=f"ratematch {__version__}")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.add_argument(
        "--theme", metavar="NAME", help="dark, light, or one that Textual knows (nord, ansi-dark)"
    )
    parser.add_argument("--demo", action="store_true", help="a guided tour; any key ends it")
    add_scenario(parser)
    args = parser.read(arguments)
    catalog = load()
    scenario = read_scenario(args, catalog, commands)
    terminal = on_terminal()
    reason = cannot_draw() if terminal else ""
    if reason or not terminal:
        gc.enable()  # there will be no first paint
        if reason:
            say(f"ratematch: {reason}", error=True)
        return report(solve(scenario, catalog), "text", args.ascii or bool(reason))
    odd_size()
    slow_line()
    _without_openssl()
    from tui import app
    from tui.widgets import themes

    theme = themes.theme_name(args.theme) if args.theme is not None else ""
    # a browser's session is its own: it sees no pins of the terminal's, and leaves it none
    keep = not web_driver() or bool(os.environ.get(storage.SESSION))
    session = _last_session(catalog) if keep else _first_session(catalog)
    if web_driver() and keep and not session.first:
        pass  # the page was loaded again: it goes on where it was
    elif args.scenario:
        base, name = named_scenario(args.scenario, catalog), printable(Path(args.scenario).stem)
        session = dataclasses.replace(session, scenario=scenario, base=base, name=name)
    elif args.demo and not spelled_out(args):
        from tui.screens.tour import SCENARIO

        start = catalog.scenario(SCENARIO)
        session = dataclasses.replace(session, scenario=start, base=start, name=SCENARIO)
    elif spelled_out(args):
        base = named_scenario(None, catalog)
        session = dataclasses.replace(session, scenario=scenario, base=base, name="")
    if theme:
        session = dataclasses.replace(session, theme=theme)
    if args.demo:
        session = dataclasses.replace(session, pins={}, damage="")
    with interrupts(signal.default_int_handler):  # Textual puts the terminal back first
        return app.run(
            session,
            ascii=ascii_output(args.ascii) or draws_ascii(),
            mouse=not args.no_mouse,
            demo=args.demo,
            keep=keep,
        )


def _without_openssl() -> None:
    """Load asyncio as on a Python that has no OpenSSL, whose libraries take 8 ms of a start.

    The application makes no connection; another part that wants `ssl` gets it.
    """
    if "ssl" not in sys.modules:
        sys.modules["ssl"] = None  # type: ignore[assignment]  # an import of it fails
        try:
            importlib.import_module("asyncio")
        finally:
            del sys.modules["ssl"]


def _first_session(catalog: Catalog) -> Session:
    start = named_scenario(None, catalog)
    return Session(scenario=start, base=start, first=True)


def _last_session(catalog: Catalog) -> Session:
    """What the last session left, as far as it can be used; `damage` says what cannot.

    A session that is damaged, or names a preset that is gone, is kept beside the new one.
    """
    last = storage.load()
    if last is None:
        return _first_session(catalog)
    damage = last.damage
    try:
        start = _usable(last.scenario, catalog)
    except InputError as error:
        start, damage = type(last.scenario)(), damage or str(error)
    pins = {}
    for letter, scenario in last.pins.items():
        try:
            pins[letter] = _usable(scenario, catalog)
        except InputError as error:
            damage = damage or f"pin {letter}: {error}"
    if damage:
        try:
            damage = f"{damage}. The file is kept as {storage.set_aside()}"
        except OSError as error:
            damage = f"{damage}. {storage.session_path()}: {files.why(error)}"
    base, name = _named(last.name, catalog)
    return dataclasses.replace(last, scenario=start, base=base, name=name, pins=pins, damage=damage)


def _named(name: str, catalog: Catalog) -> tuple[Scenario, str]:
    """The scenario that the last session began with; the defaults, without a name, if it is gone."""
    try:
        return named_scenario(name or None, catalog), name
    except InputError:
        return named_scenario(None, catalog), ""


def _usable(scenario: Scenario, catalog: Catalog) -> Scenario:
    """A scenario of the last session. Raises InputError where a preset that it names is gone."""
    for kind in ("model", "system", "engine"):
        catalog.canonical(kind, getattr(scenario, kind))
    return check(scenario)
