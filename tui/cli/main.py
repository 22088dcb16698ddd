"""The command line: finds the command, and tells whatever goes wrong in one line on standard error.

Exit codes: 0 done, 1 error, 2 usage or bad input, 3 no plan meets the limits. Heavy modules are
imported when needed.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from planner import __version__
from planner.errors import LONGEST_LINE, InputError, printable, printable_lines
from planner.inputs import files
from tui.cli.flags import UsageError
from tui.cli.terminal import DONE, ERROR, INTERRUPTED, USAGE, Failure, interrupts, say
from tui.files import storage

# Each is a module of this room, imported when it is called, with `run(arguments) -> exit code`, which
# raises InputError, UsageError and Failure for what a user can mend.
COMMANDS: Mapping[str, str] = {
    "plan": "print the plan for a scenario: text, JSON, CSV or Markdown",
    "export": "write what launches the plan: vLLM, SGLang, TensorRT-LLM, Dynamo, llm-d",
    "explain": "say a layout such as CPP4xTP8 in words, with the flags of each engine",
    "place": "draw which instance of a plan lies on which GPUs",
    "replay": "put a plan to the proof, request by request: percentiles, queues, utilisation",
    "elastic": "plan a trace over time: policies, their cost and what they keep, replayed",
    "presets": "list models, systems, engines and scenarios, or show one",
    "import-model": "add a model from its Hugging Face config.json",
    "trace": "show what a trace of requests holds",
    "paper": "rebuild the study behind ratematch: its figures and findings",
    "study": "answer thousands of scenarios, here or on a cluster, and draw the map",
    "validate": "predict measured runs or kernels and report the error",
    "calibrate": "make presets of your own from measured kernels or runs",
    "bench": "measure the speed of ratematch on this machine",
    "serve": "the application in a browser, on localhost",
    "paths": "print the folders that ratematch reads and writes",
}


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
    for line in getattr(error, "lines", (str(error),)):
        say(f"ratematch: {printable(' '.join(line.split()), LONGEST_LINE)}", error=True)
    return code


def _log() -> str:
    """Save the current traceback; say where."""
    import traceback
    from datetime import datetime

    try:
        path = storage.state_folder() / "errors.log"
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        what = f"{when} ratematch {__version__} {sys.argv[1:]}\n{traceback.format_exc()}\n"
        files.append(path, printable_lines(what))
    except OSError:
        return ""
    return f" (details in {path})"


def _dispatch(arguments: list[str]) -> int:
    """The command is the first word; anything else opens the application."""
    if arguments and arguments[0] in COMMANDS:
        module = importlib.import_module(f"tui.cli.{arguments[0].replace('-', '_')}")
        return int(module.run(arguments[1:]))
    gc.disable()  # what is made until the first paint stays: to walk it again and again takes long
    try:
        from tui.cli import app

        return app.run(arguments, COMMANDS)
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
