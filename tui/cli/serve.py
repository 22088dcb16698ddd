"""`ratematch serve`: the application in a browser."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

from planner import load
from planner.errors import InputError
from tui.cli.flags import Parser, add_scenario, read_scenario, spelled_out
from tui.cli.terminal import DONE, Failure, interrupts, say

HOST, PORT = "localhost", 8000


def run(arguments: Sequence[str]) -> int:
    """The command: serves until it is interrupted.

    Raises InputError for a value that cannot be used, Failure for a missing library or a port in use.
    """
    parser = Parser(
        "ratematch serve",
        "[SCENARIO] [--field value ...] [--port PORT] [--host ADDRESS]",
        "Serve the application to a browser. It prints an address with a token, random for each start;\n"
        "only a page that was opened with it can drive the application, and only from this machine\n"
        "unless --host names another address to listen on.",
        "  ratematch serve\n  ratematch serve --port 8080 --model deepseek-r1 --system gb200",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default {PORT})")
    parser.add_argument(
        "--host", metavar="ADDRESS", default=HOST, help=f"address to listen on (default {HOST})"
    )
    add_scenario(parser)
    args = parser.read(arguments)
    if not 1 <= args.port <= 65535:
        raise InputError("port", args.port, "a whole number from 1 to 65535")
    if not args.host.strip():  # which a socket would take for every address of this machine
        raise InputError("host", args.host, "an address of this machine, such as localhost")
    read_scenario(args, load())  # a mistake is told here, not in the browser
    try:
        from tui.web import door, server
    except ImportError:
        raise Failure("serve needs textual-serve: pip install 'ratematch[serve]'") from None
    way_in = door.new(args.host, args.port)
    if args.host not in door.LOCAL:
        say(
            f"ratematch: warning: {args.host} can be reached by others; whoever has the address below drives "
            "the application as you, and the network can read it on its way",
            error=True,
        )
    serving = server.Server([sys.executable, "-m", "tui.cli", *spelled_out(args)], way_in)

    def listening() -> None:
        say(f"{way_in.address}\nOpen it in a browser; ctrl+c ends the server.")

    try:
        with interrupts(signal.default_int_handler):
            asyncio.run(serving.run(listening))
    except socket.gaierror as error:
        raise Failure(f"host {args.host}: {error.strerror or error}") from None
    except OSError as error:
        raise Failure(f"port {args.port}: {error.strerror or error}") from None
    return DONE
