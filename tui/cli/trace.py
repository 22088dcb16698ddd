"""`ratematch trace`: what a trace of requests holds, and parts of one as files."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.cli.flags import Parser
from tui.cli.quantities import quantity, whole
from tui.cli.terminal import DONE, ascii_output, draws_ascii, say, writing

if TYPE_CHECKING:
    from planner.inputs.requests import Requests
    from planner.inputs.traces.window import Window

MOST_INSTANCES = 4096


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a file or a value that cannot be used."""
    parser = _parser()
    args = parser.read(arguments)
    window = _window(args)
    instances = whole("instances", args.instances, 1, MOST_INSTANCES)
    seed = whole("seed", args.seed, 0, 2**31 - 1)
    rate = None if args.rate is None else quantity("rate", args.rate, "rate")
    speed = None if args.speed is None else quantity("speed", args.speed, "count")
    if rate is not None and speed is not None:
        parser.error("--rate and --speed both change the rate: give one of them")

    from planner.inputs.traces import read_requests
    from planner.inputs.traces.window import at_rate, faster

    requests, repairs = read_requests(
        Path(args.file),
        seed=seed,
        window=window,
        model=args.model,
        lengths=None if args.lengths is None else Path(args.lengths),
    )
    if rate is not None:
        requests = at_rate(requests, rate)
    if speed is not None:
        requests = faster(requests, speed)
    if args.out is not None:
        _write(requests, args)

    from planner.inputs.traces.facts import facts

    found = facts(requests, instances=instances)
    if args.json:
        from planner.output.as_json import dumps
        from planner.output.trace_data import data

        say(dumps(data(args.file, found, repairs)))
        return DONE

    from tui.charts import trace_charts
    from tui.glyphs import ASCII, UNICODE

    glyphs = ASCII if ascii_output(args.ascii) or draws_ascii() else UNICODE
    notes = [f"note: {sentence}" for sentence in repairs.sentences()]
    say("\n".join([trace_charts.headline(found, repairs), *notes, "", *trace_charts.lines(found, glyphs)]))
    return DONE


def _parser() -> Parser:
    parser = Parser(
        "ratematch trace",
        "FILE [--from TIME --for TIME] [--rate REQ/S | --speed X] [--out FILE] [--json]",
        "Show what a trace of requests holds: rate and lengths over time, their spread, bursts, and what a\n"
        "prefix cache finds. FILE is a trace of Azure (CSV), Mooncake or Qwen-Bailian (JSON lines),\n"
        "BurstGPT (CSV), sessions of agents or rates of clients (CSV), or a table with the columns time_s,\n"
        "input_tokens, output_tokens and if known session and blocks (CSV or JSON lines); gzip of any; or\n"
        "the name of one that comes with ratematch: azure-conversations, azure-code,\n"
        "mooncake-conversations, coding-agents. docs/traffic.md has the formats.",
        "  ratematch trace azure-conversations\n"
        "  ratematch trace mooncake-conversations --instances 8 --json\n"
        "  ratematch trace day.csv.gz --from 8h --for 1h --rate 20 --out morning.csv",
    )
    parser.add_argument("file", metavar="FILE", help="the trace")
    parser.add_argument("--from", dest="start", metavar="TIME", help="leave out what comes before: 10m, 2h")
    parser.add_argument("--for", dest="length", metavar="TIME", help="so much of the trace")
    parser.add_argument("--rate", metavar="REQ/S", help="stretch it to this mean rate; think times stay")
    parser.add_argument("--speed", metavar="X", help="let it pass X times as fast, think times too")
    parser.add_argument("--instances", metavar="N", default="1", help="caches that share the prompts (1)")
    parser.add_argument(
        "--model", metavar="NAME", default="", help="whose rates, in a file of several models"
    )
    parser.add_argument("--lengths", metavar="FILE", help="the lengths that belong to a file of rates")
    parser.add_argument("--seed", metavar="N", default="0", help="of what a file leaves open (0)")
    parser.add_argument("--out", metavar="FILE", help="write the requests as a table; .gz packs it")
    parser.add_argument("--replace", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="as JSON, SI units")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII alone")
    return parser


def _window(args: argparse.Namespace) -> Window:
    from planner.inputs.traces.window import WHOLE, Window

    if args.start is None and args.length is None:
        return WHOLE
    start = 0.0 if args.start is None else quantity("from", args.start, "seconds", least=0.0)
    if args.length is None:
        return Window(from_s=start)
    return Window(from_s=start, for_s=quantity("for", args.length, "seconds"))


def _write(requests: Requests, args: argparse.Namespace) -> None:
    from planner.inputs import files
    from planner.inputs.traces.write import text_of

    path = Path(args.out)
    with writing("out", args.out):
        if path.suffix != files.COMPRESSED:
            files.write_file(path, text_of(requests), replace=args.replace)
            return
        files.write_file(path, gzip.compress(text_of(requests).encode(), mtime=0), replace=args.replace)
