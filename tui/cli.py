"""The command line: parses, tests for a terminal, dispatches. Heavy modules are imported when needed.

Whatever goes wrong is told in one line on standard error. Exit codes: 0 done, 1 error, 2 usage or
bad input, 3 no plan meets the limits.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner import __version__
from planner.errors import InputError, unknown
from planner.fields import check
from tui.flags import FORMATS, Parser, UsageError, add_scenario, named_scenario, read_scenario, spelled_out

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.result import Plan
    from planner.scenario import Scenario

DONE, ERROR, USAGE, NO_PLAN, INTERRUPTED = 0, 1, 2, 3, 130


class Failure(Exception):
    """Something outside the input went wrong; `str()` is the one line a user sees."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises, never shows a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot draw becomes "?"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            with _interrupts(_leave):
                code = _dispatch(arguments)
        except SystemExit as leave:  # argparse after --help and --version
            code = int(leave.code or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (InputError, UsageError) as error:
        return _complain(error, USAGE)
    except Failure as error:
        return _complain(error, ERROR)
    except BrokenPipeError:  # the reader had enough (`| head`): not our error
        _drop_output()
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
            return _complain("the output cannot be written: no space left", ERROR)
        return _complain(f"internal error: {type(error).__name__}: {error}{_log()}", ERROR)


def _leave(*_: object) -> None:
    """Ctrl+c: out, now. An exception instead could get lost in whatever library is at work."""
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def _interrupts(handler: Callable[..., object]) -> Iterator[None]:
    """What ctrl+c does meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _drop_output() -> None:
    """What is still unwritten goes nowhere, so that the interpreter does not complain on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: object, code: int) -> int:
    print(f"ratematch: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _log() -> str:
    """Save the current traceback; say where."""
    import traceback
    from datetime import datetime

    try:
        path = _state_folder() / "errors.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            when = datetime.now().astimezone().isoformat(timespec="seconds")
            log.write(f"{when} ratematch {__version__} {sys.argv[1:]}\n{traceback.format_exc()}\n")
    except OSError:
        return ""
    return f" (details in {path})"


def _on_terminal() -> bool:
    """Whether the application can draw: Textual reads standard input and draws on standard error.

    A web driver (`ratematch serve`) needs no terminal.
    """
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)  # None where the shell closed one
    return all(stream is not None and stream.isatty() for stream in streams)


def _ascii(wanted: bool = False) -> bool:
    """Whether to keep to ASCII: asked for, or all that the output can take."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    return wanted or not encoding.startswith("utf")


def _draws_ascii() -> bool:
    """Whether the terminal is one that draws no Unicode."""
    from tui.glyphs import wants_ascii

    coerced = bool(sys.flags.utf8_mode) and os.environ.get("LC_CTYPE") == "C.UTF-8"
    return wants_ascii(os.environ, coerced=coerced)


def _spare_the_line() -> None:
    """Over SSH: no animation, fewer frames; before Textual is imported, which reads this once."""
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", "15")
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")


# The commands. Each takes the arguments behind its name and returns an exit code.


def _app(arguments: Sequence[str]) -> int:
    parser = Parser(
        "ratematch",
        "[SCENARIO] [--field value ...] [--theme NAME] [--ascii] [--no-mouse] [--demo]\n"
        "       ratematch COMMAND ...",
        "Plan disaggregated LLM serving: split prefill from decode or not, how to shard each pool, how\n"
        "many instances of each, and what that gives.\n\n"
        "Without a command: the terminal application; where there is no terminal, the plan as text.\n\n"
        "commands (each has its own --help):\n"
        + "\n".join(f"  {name:<14}{text}" for name, (_, text) in COMMANDS.items()),
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
    catalog = _catalog()
    scenario = read_scenario(args, catalog, COMMANDS)
    if not _on_terminal():
        return _report(_solve(scenario, catalog), catalog, "text", args.ascii)
    _spare_the_line()
    from tui import app, palette, storage

    theme = palette.theme_name(args.theme) if args.theme is not None else ""
    last = storage.load()
    start, base, name = scenario, named_scenario(args.scenario, catalog), ""
    if args.scenario:
        name = Path(args.scenario).stem
    elif args.demo and not spelled_out(args):
        from tui.demo import SCENARIO

        start = base = catalog.scenario(SCENARIO)
        name = SCENARIO
    elif last and not spelled_out(args):
        start = _usable(last.scenario, catalog)
        base, name = _named(last.name, catalog)
    with _interrupts(signal.default_int_handler):  # Textual puts the terminal back first
        return app.run(
            start,
            base=base,
            name=name,
            ascii=_ascii(args.ascii) or _draws_ascii(),
            mouse=not args.no_mouse,
            theme=theme or (last.theme if last else ""),
            recent=last.recent if last else (),
            demo=args.demo,
        )


def _named(name: str, catalog: Catalog) -> tuple[Scenario, str]:
    """The scenario that the last session began with; the defaults, without a name, if it is gone."""
    try:
        return named_scenario(name or None, catalog), name
    except InputError:
        return named_scenario(None, catalog), ""


def _usable(scenario: Scenario, catalog: Catalog) -> Scenario:
    """The last session's scenario, or the defaults where a preset it names is gone."""
    try:
        for kind in ("model", "system", "engine"):
            catalog.canonical(kind, getattr(scenario, kind))
        return check(scenario)
    except InputError:
        return type(scenario)()


def _plan(arguments: Sequence[str]) -> int:
    parser = Parser(
        "ratematch plan",
        "[SCENARIO] [--field value ...] [--json | --csv | --markdown] [--ascii]",
        "Print the plan for a scenario. Exit code 3: no plan meets the limits, and the report says why.",
        "  ratematch plan --model llama-3.1-70b --system h200 --isl 8k --osl 1k --ttl 30ms --gpus 64\n"
        "  ratematch plan my-scenario.toml --ttl 15ms --json\n"
        "  ratematch plan --csv > frontier.csv",
    )
    formats = parser.add_mutually_exclusive_group()
    for name, text in FORMATS.items():
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=text)
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    args = parser.read(arguments)
    catalog = _catalog()
    return _report(_solve(read_scenario(args, catalog), catalog), catalog, args.format or "text", args.ascii)


def _catalog() -> Catalog:
    from planner.catalog import load

    return load()


def _solve(scenario: Scenario, catalog: Catalog) -> Plan:
    from planner.plan import plan

    return plan(scenario, catalog)


def _report(plan: Plan, catalog: Catalog, form: str, ascii: bool) -> int:
    from planner import report

    if form == "text":
        from planner.simulate.kv_transfer import link_bytes_per_s

        link = link_bytes_per_s(catalog.system(plan.scenario.system).fabric, plan.scenario.fleet.gpus)
        text = report.to_text(plan, ascii=_ascii(ascii), link_bytes_per_s=link)
    else:
        text = {"json": report.to_json, "csv": report.to_csv, "markdown": report.to_markdown}[form](plan)
    print(text, end="" if text.endswith("\n") else "\n")
    return DONE if plan.chosen is not None else NO_PLAN


def _presets(arguments: Sequence[str]) -> int:
    from planner.summary import ascii_only
    from tui import listing

    parser = Parser(
        "ratematch presets",
        "[KIND [NAME]] [--json]",
        "List the models, systems, engines and scenarios that come with ratematch and your own,\n"
        "or show one with every number and its source.",
        "  ratematch presets\n  ratematch presets systems\n  ratematch presets models deepseek-r1 --json",
    )
    parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(listing.KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="one preset, in full")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.read(arguments)
    catalog = _catalog()
    kinds = list(listing.KINDS)
    if args.kind is not None:
        kind = args.kind.lower()
        kinds = [k for k in kinds if kind in (k, k.removesuffix("s"))]
        if not kinds:
            raise unknown("presets", args.kind, listing.KINDS)
    if args.name is not None:
        text = listing.show(catalog, kinds[0], args.name, as_json=args.json)
    else:
        text = listing.lists(catalog, kinds, as_json=args.json)
    print(ascii_only(text) if _ascii() and not args.json else text)
    return DONE


def _import_model(arguments: Sequence[str]) -> int:
    parser = Parser(
        "ratematch import-model",
        "CONFIG [--name NAME] [--json]",
        "Add a model to your own catalog from its Hugging Face config.json.",
        "  ratematch import-model ./my-model/config.json --name my-model\n"
        "  ratematch plan --model my-model --system h200",
    )
    parser.add_argument("config", metavar="CONFIG", help="a config.json, or the folder that holds it")
    parser.add_argument("--name", help="the model's name in the catalog (default: that of its folder)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    args = parser.read(arguments)
    from planner.import_model import import_model
    from tui import listing

    path, spec, unknown_keys = import_model(Path(args.config), args.name)
    print(listing.imported(path, spec, unknown_keys, as_json=args.json))
    return DONE


def _paths(arguments: Sequence[str]) -> int:
    parser = Parser(
        "ratematch paths",
        "[FOLDER]",
        "Print the folders that ratematch reads and writes: your presets and scenarios (config), the\n"
        "last session and the error log (state).",
        "  ratematch paths\n  ls $(ratematch paths state)",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="only this one: config or state")
    args = parser.read(arguments)
    from planner.catalog import user_folder

    folders = {"config": user_folder(), "state": _state_folder()}
    if args.folder is None:
        print("\n".join(f"{name:<8}{path}" for name, path in folders.items()))
    elif args.folder in folders:
        print(folders[args.folder])
    else:
        raise unknown("paths", args.folder, folders)
    return DONE


def _bench(arguments: Sequence[str]) -> int:
    parser = Parser(
        "ratematch bench",
        "[--json] [--runs N]",
        "Measure the speed of the sweep, of whole plans, of a live edit and of the screen, on this machine.",
        "  ratematch bench\n  ratematch bench --json",
    )
    parser.add_argument("--json", action="store_true", help="the measurements as JSON")
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="timed runs (default 15)")
    args = parser.read(arguments)
    if args.runs < 1:
        raise InputError("runs", args.runs, "a whole number of at least 1")
    from planner import bench
    from tui import bench as screen

    result, more = bench.run(args.runs), screen.run(args.runs)
    if args.json:
        print(json.dumps(result | more, indent=2))
    else:
        print(f"{bench.to_text(result)}\n{screen.to_text(more)}")
    return DONE


def _paper(arguments: Sequence[str]) -> int:
    from tui import paper_command

    return paper_command.run(arguments, _catalog, _ascii())


def _validate(arguments: Sequence[str]) -> int:
    from tui import measured_commands

    return measured_commands.validate(arguments, _catalog, _ascii())


def _calibrate(arguments: Sequence[str]) -> int:
    from tui import measured_commands

    return measured_commands.calibrate(arguments, _catalog)


def _serve(arguments: Sequence[str]) -> int:
    import shlex

    parser = Parser(
        "ratematch serve",
        "[SCENARIO] [--field value ...] [--port PORT]",
        "Serve the application to a browser on this machine (localhost only).",
        "  ratematch serve\n  ratematch serve --port 8080 --model deepseek-r1 --system gb200",
    )
    parser.add_argument("--port", type=int, default=8000, help="port on localhost (default 8000)")
    add_scenario(parser)
    args = parser.read(arguments)
    if not 1 <= args.port <= 65535:
        raise InputError("port", args.port, "a whole number from 1 to 65535")
    read_scenario(args, _catalog())  # a mistake is told here, not in the browser
    try:
        from textual_serve.server import Server
    except ImportError:
        raise Failure("serve needs textual-serve: pip install 'ratematch[serve]'") from None
    command = [sys.executable, "-m", "tui.cli", *spelled_out(args)]
    try:
        with _interrupts(signal.default_int_handler):
            Server(shlex.join(command), host="localhost", port=args.port, title="ratematch").serve()
    except OSError as error:
        raise Failure(f"port {args.port}: {error.strerror or error}") from None
    return DONE


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "plan": (_plan, "print the plan for a scenario: text, JSON, CSV or Markdown"),
    "presets": (_presets, "list models, systems, engines and scenarios, or show one"),
    "import-model": (_import_model, "add a model from its Hugging Face config.json"),
    "paper": (_paper, "rebuild the study behind ratematch: its figures and findings"),
    "validate": (_validate, "predict measured runs or kernels and report the error"),
    "calibrate": (_calibrate, "make presets of your own from measured kernels or runs"),
    "bench": (_bench, "measure the speed of ratematch on this machine"),
    "serve": (_serve, "the application in a browser, on localhost"),
    "paths": (_paths, "print the folders that ratematch reads and writes"),
}


def _dispatch(arguments: list[str]) -> int:
    """The command is the first word; anything else opens the application."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]][0](arguments[1:])
    return _app(arguments)


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("ratematch", appauthor=False)


if __name__ == "__main__":
    sys.exit(main())
