"""`ratematch elastic`: a trace served over time, by every policy, with its bill and its proof."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner import load
from planner.errors import InputError
from planner.inputs import files
from planner.output.spelling import ascii_only
from tui.cli.flags import Parser, add_scenario, read_scenario
from tui.cli.plan import settling
from tui.cli.quantities import quantity
from tui.cli.terminal import DONE, INTERRUPTED, NO_PLAN, ascii_output, interrupts, say, writing

if TYPE_CHECKING:
    from planner.elastic.over_time import OverTime, Settings
    from planner.elastic.purchase import Tariffs
    from planner.elastic.report import Proofs
    from planner.inputs.requests import Requests
    from planner.inputs.scenario import Scenario

MOST_LAYOUTS = 3
TOLD = 56  # columns of the line that says what is going on

_quantity = partial(quantity, most=1e9)


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with a plan, 3 where no layout keeps the limits.

    Raises InputError for a value or file that cannot be used.
    """
    parser = _parser()
    args = parser.read(arguments)
    settings = _settings(args)
    week = None if args.week is None else _quantity("week", args.week, "rate")
    if (week is None) == (args.trace is None):
        parser.error("give --trace FILE, or --week REQ/S for a week that is made up")
    if sum(map(bool, (args.json, args.csv, args.export))) > 1:
        parser.error("--json, --csv and --export: give one of them")
    if args.export not in (None, "keda", "dynamo"):
        raise InputError("export", args.export, "keda or dynamo")
    catalog = load()
    scenario = read_scenario(args, catalog)
    if scenario.fleet.gpus is not None and scenario.fleet.gpus < 1:
        raise InputError("gpus", scenario.fleet.gpus, "1 or more, or any")
    requests = _requests(scenario, week)
    return _plan(scenario, catalog, requests, settings, args)


def _parser() -> Parser:
    parser = Parser(
        "ratematch elastic",
        "[SCENARIO] --trace FILE [--window TIME] [--replay] [--json | --csv]",
        "Plan a trace over time: how many instances of which layouts in each window, what that costs and\n"
        "which limits hold, for eight policies from a fleet for the busiest window to today's autoscalers.\n"
        "Starts and drains take time and cost. --replay puts each schedule to the proof.\n"
        "Exit code 3: no layout keeps the limits.",
        "  ratematch elastic --trace azure-conversations --model qwen3-32b --ttft 2s\n"
        "  ratematch elastic --trace day.csv.gz --window 5m --rate 40 --json\n"
        "  ratematch elastic --week 4 --window 5m --export keda --out week.yaml",
    )
    parser.add_argument("--window", metavar="TIME", default="1m", help="length of a window (1m)")
    parser.add_argument(
        "--week", metavar="REQ/S", help="a made-up week instead of a trace, at this mean rate"
    )
    parser.add_argument(
        "--start", metavar="TIME", help="until an instance serves; by default by its weights, as measured"
    )
    parser.add_argument(
        "--swap",
        metavar="TIME",
        help="until an empty instance serves the other phase, where layouts share form",
    )
    parser.add_argument("--dwell", metavar="TIME", help="that an instance stays at least (0s)")
    parser.add_argument(
        "--layouts", metavar="N", default="1", help=f"of a pool at most, 1 to {MOST_LAYOUTS} (1)"
    )
    parser.add_argument(
        "--usd-by-hour",
        metavar="F,F,...",
        help="factors on the price by the hour, from the trace's start, over again",
    )
    parser.add_argument(
        "--reserved",
        metavar="F",
        help="price of a GPU reserved all along, over that on demand: 0.6",
    )
    parser.add_argument("--spot", metavar="F", help="price of spot capacity over that on demand: 0.4")
    parser.add_argument("--interruptions", metavar="N", default="0.05", help="of a spot GPU per hour (0.05)")
    parser.add_argument(
        "--settle",
        metavar="WHEN",
        default="auto",
        help="ask a replay how many instances each window needs: auto (of up to 20,000 requests; the "
        "default), on, off",
    )
    parser.add_argument("--replay", action="store_true", help="replay every schedule, request by request")
    parser.add_argument("--seed", metavar="N", default="0", help="of a replay and a made-up week (0)")
    parser.add_argument("--json", action="store_true", help="everything as JSON, SI units")
    parser.add_argument("--csv", action="store_true", help="instances of each policy in each window as CSV")
    parser.add_argument(
        "--export", metavar="TOOL", help="the elastic schedule for keda (cron triggers) or dynamo (bounds)"
    )
    parser.add_argument("--out", metavar="FILE", help="write there instead of printing")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    return parser


def _settings(args: Any) -> Settings:
    from planner.elastic.over_time import Settings

    plain = Settings()
    layouts = args.layouts
    if layouts not in [str(n) for n in range(1, MOST_LAYOUTS + 1)]:
        raise InputError("layouts", layouts, f"a whole number from 1 to {MOST_LAYOUTS}")
    return Settings(
        window_s=_quantity("window", args.window, "seconds"),
        start_s=None if args.start is None else _quantity("start", args.start, "seconds", least=0.0),
        swap_s=plain.swap_s if args.swap is None else _quantity("swap", args.swap, "seconds", least=0.0),
        dwell_s=0.0 if args.dwell is None else _quantity("dwell", args.dwell, "seconds", least=0.0),
        layouts=int(layouts),
        settle=settling(args),
        tariffs=_tariffs(args),
        usd_by_hour=() if args.usd_by_hour is None else _factors(args.usd_by_hour),
    )


def _tariffs(args: Any) -> Tariffs:
    from planner.elastic.purchase import Tariffs

    def factor(name: str, text: str | None) -> float | None:
        return None if text is None else quantity(name, text, "count", least=0.001, most=10.0)

    often = quantity("interruptions", args.interruptions, "count", least=0.0, most=60.0)
    return Tariffs(
        reserved=factor("reserved", args.reserved), spot=factor("spot", args.spot), interruptions=often
    )


def _factors(text: str) -> tuple[float, ...]:
    accepted = "1 to 168 factors from 0.01 to 100, with commas between"
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError("usd-by-hour", text, accepted) from None
    if not 1 <= len(values) <= 168 or not all(0.01 <= value <= 100 for value in values):
        raise InputError("usd-by-hour", text, accepted)
    return values


def _requests(scenario: Scenario, week: float | None) -> Requests:
    if week is not None:
        from planner.inputs.traces.diurnal import diurnal

        return diurnal(week)
    from planner.inputs.traces import read_requests
    from planner.planning.demand import at_own_rate

    requests, _ = read_requests(Path(scenario.traffic.trace or ""))
    return at_own_rate(requests, scenario.traffic.requests_per_s)


def _plan(scenario: Scenario, catalog: Any, requests: Requests, settings: Settings, args: Any) -> int:
    from planner.elastic import over_time, report
    from planner.simulate.points import Stopped

    asked: list[bool] = []
    proofs: Proofs = {}
    try:
        with interrupts(lambda *_: asked.append(True)):
            found = over_time.plan(
                scenario, catalog, requests, settings, should_stop=lambda: bool(asked), progress=_tell
            )
            if args.replay:
                proofs = _proofs(found, requests, lambda: bool(asked))
    except Stopped:
        return INTERRUPTED
    finally:
        _tell("")
    if args.json:
        text = report.to_json(found, proofs)
    elif args.export and found.outcomes:
        from planner.elastic import export

        text = export.text(found, found.best, args.export).rstrip("\n")
    elif args.csv:
        text = report.to_csv(found)
    else:
        text = report.to_text(found, proofs)
        text = ascii_only(text) if ascii_output(args.ascii) else text
    if args.out:
        with writing("out", args.out):
            files.write_atomically(Path(args.out), (text + "\n").encode())
    else:
        say(text)
    return DONE if found.outcomes else NO_PLAN


def _proofs(found: OverTime, requests: Requests, should_stop: Any) -> Proofs:
    from planner.elastic.proof import prove

    proofs: Proofs = {}
    for one in found.outcomes:
        _tell(f"replay of {one.name}")
        proofs[one.name, one.way] = prove(found, one, requests, should_stop=should_stop)
    return proofs


def _tell(what: str) -> None:
    """What is going on, in one line of standard error written over; nothing where that is no terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("\r" + what.ljust(TOLD) + ("\r" + " " * TOLD + "\r" if not what else ""))
        sys.stderr.flush()
