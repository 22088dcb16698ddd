"""`ratematch bench`: how fast the planner and the screen are on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from planner.errors import InputError
from planner.output.as_json import dumps
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, progress, say


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a number of runs below 1."""
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
    from planner.evidence import bench
    from tui.cli import bench_screen as screen

    progress("timing plans, some seconds")
    result = bench.run(args.runs)
    progress("timing keys, bytes and starts of the application, half a minute")
    more = screen.run(args.runs)
    if args.json:
        say(dumps(result | more))
    else:
        say(f"{bench.to_text(result)}\n{screen.to_text(more)}")
    return DONE
