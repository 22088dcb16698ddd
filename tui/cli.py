"""The command line: finds the command, and tells whatever goes wrong in one line on standard error.

Exit codes: 0 done, 1 error, 2 usage or bad input, 3 no plan meets the limits. Heavy modules are
imported when needed.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence

from planner import __version__
from planner.errors import InputError
from tui import storage, text_commands
from tui.flags import UsageError
from tui.surroundings import DONE, ERROR, INTERRUPTED, USAGE, Failure, ascii_output, interrupts
from tui.text_commands import load_catalog


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises, never shows a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot draw becomes "?"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            with interrupts(_leave):
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
        path = storage.state_folder() / "errors.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            when = datetime.now().astimezone().isoformat(timespec="seconds")
            log.write(f"{when} ratematch {__version__} {sys.argv[1:]}\n{traceback.format_exc()}\n")
    except OSError:
        return ""
    return f" (details in {path})"


# The commands. Each takes the arguments behind its name and returns an exit code.


def _app(arguments: Sequence[str]) -> int:
    from tui import app_command

    return app_command.run(arguments, {name: text for name, (_, text) in COMMANDS.items()})


def _serve(arguments: Sequence[str]) -> int:
    from tui import app_command

    return app_command.serve(arguments)


def _paper(arguments: Sequence[str]) -> int:
    from tui import paper_command

    return paper_command.run(arguments, load_catalog, ascii_output())


def _validate(arguments: Sequence[str]) -> int:
    from tui import measured_commands

    return measured_commands.validate(arguments, load_catalog, ascii_output())


def _calibrate(arguments: Sequence[str]) -> int:
    from tui import measured_commands

    return measured_commands.calibrate(arguments, load_catalog)


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "plan": (text_commands.plan, "print the plan for a scenario: text, JSON, CSV or Markdown"),
    "presets": (text_commands.presets, "list models, systems, engines and scenarios, or show one"),
    "import-model": (text_commands.import_model, "add a model from its Hugging Face config.json"),
    "paper": (_paper, "rebuild the study behind ratematch: its figures and findings"),
    "validate": (_validate, "predict measured runs or kernels and report the error"),
    "calibrate": (_calibrate, "make presets of your own from measured kernels or runs"),
    "bench": (text_commands.bench, "measure the speed of ratematch on this machine"),
    "serve": (_serve, "the application in a browser, on localhost"),
    "paths": (text_commands.paths, "print the folders that ratematch reads and writes"),
}


def _dispatch(arguments: list[str]) -> int:
    """The command is the first word; anything else opens the application."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]][0](arguments[1:])
    return _app(arguments)


if __name__ == "__main__":
    sys.exit(main())
