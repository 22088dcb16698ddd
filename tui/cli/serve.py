"""`ratematch serve`: the application in a browser, on localhost."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence

from planner import load
from planner.errors import InputError
from tui.cli.flags import Parser, add_scenario, read_scenario, spelled_out
from tui.cli.terminal import DONE, Failure, interrupts


def run(arguments: Sequence[str]) -> int:
    """The command: serves until it is interrupted. Raises InputError and Failure."""
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
    read_scenario(args, load())  # a mistake is told here, not in the browser
    try:
        from textual_serve.server import Server
    except ImportError:
        raise Failure("serve needs textual-serve: pip install 'ratematch[serve]'") from None
    command = [sys.executable, "-m", "tui.cli", *spelled_out(args)]
    try:
        with interrupts(signal.default_int_handler):
            Server(shlex.join(command), host="localhost", port=args.port, title="ratematch").serve()
    except OSError as error:
        raise Failure(f"port {args.port}: {error.strerror or error}") from None
    return DONE
