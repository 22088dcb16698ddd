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
        "[--json] [--runs N] [--edits N]",
        "Measure the speed of the sweep, of whole plans, of a live edit and of the screen, on this machine.",
        "  ratematch bench\n  ratematch bench --json\n  ratematch bench --edits 2000",
    )
    parser.add_argument("--json", action="store_true", help="the measurements as JSON")
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="timed runs (default 15)")
    parser.add_argument(
        "--edits",
        type=int,
        default=0,
        metavar="N",
        help="also the memory after so many edits, and the CPU that it takes idle (2000: some ten minutes)",
    )
    args = parser.read(arguments)
    if args.runs < 1:
        raise InputError("runs", args.runs, "a whole number of at least 1")
    if args.edits < 0:
        raise InputError("edits", args.edits, "a whole number of at least 0")
    from planner.evidence import bench
    from tui.cli import bench_screen as screen

    progress("timing plans, some seconds")
    result = bench.run(args.runs)
    progress("timing keys, bytes and starts of the application, half a minute")
    more = screen.run(args.runs)
    text = f"{bench.to_text(result)}\n{screen.to_text(more)}"
    if args.edits:
        from tui.cli import bench_edits

        progress(f"timing {args.edits:,} edits, {args.edits / 3:.0f} seconds")
        left = bench_edits.run(args.edits)
        more |= left
        text = f"{text}\n{bench_edits.to_text(left)}"
    say(dumps(result | more) if args.json else text)
    return DONE
