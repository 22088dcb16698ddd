"""`ratematch plan`: the plan as text, JSON, CSV, Markdown or HTML."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import planner
from planner import load
from planner.errors import InputError
from planner.output.spelling import ascii_only
from tui.cli.flags import FORMATS, Parser, UsageError, add_scenario, read_scenario
from tui.cli.terminal import DONE, NO_PLAN, ascii_output, say

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Plan
    from planner.words import Settling

WIDTH = 80


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with a plan, 3 without."""
    parser = Parser(
        "ratematch plan",
        "[SCENARIO] [--field value ...] [--json | --csv | --markdown | --html]\n"
        "       [--compare NAME ... | --what-if | --running FILE]",
        "Print the plan for a scenario. Exit code 3: no plan meets the limits, and the report says why.",
        "  ratematch plan --model llama-3.1-70b --system h200 --isl 8k --osl 1k --ttl 30ms --gpus 64\n"
        "  ratematch plan my-scenario.toml --ttl 15ms --json\n"
        "  ratematch plan --prefill-layout TP4 --prefill-instances 4 --decode-layout TP8\n"
        "  ratematch plan prefill-heavy --compare trtllm sglang vllm\n"
        "  ratematch plan --compare chat prefill-heavy my-scenario.toml --json\n"
        "  ratematch plan prefill-heavy --what-if\n"
        "  ratematch plan prefill-heavy --what-if ttl system=h200 --json\n"
        "  ratematch plan chat --running deployment    # what changes against the export that runs\n"
        "  ratematch plan --csv > frontier.csv\n"
        "  ratematch plan prefill-heavy --html > report.html",
    )
    formats = parser.add_mutually_exclusive_group()
    for name, text in FORMATS.items():
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=text)
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    beside = parser.add_mutually_exclusive_group()
    beside.add_argument(
        "--compare",
        metavar="NAME",
        nargs="+",
        help="plans side by side: of scenarios (names or files), engines, systems, models, FIELD=VALUE,VALUE",
    )
    beside.add_argument(
        "--what-if",
        metavar="FIELD[=VALUE]",
        nargs="*",
        help="what single changes of inputs bring, the best first; without a FIELD all that are worth a try",
    )
    beside.add_argument(
        "--running",
        metavar="FILE",
        nargs="?",
        const="",
        help="what changes against the deployment that runs: of a plan's JSON or an export's folder; without "
        "a FILE the layouts and instances that are given run, and the plan is free of them",
    )
    add_settle(parser)
    add_scenario(parser)
    args = parser.read(arguments)
    how = settling(args)
    catalog = load()
    if args.compare is not None or args.what_if is not None:
        from tui.cli import compare

    if args.compare is not None:
        return compare.side_by_side(args, catalog, how)
    if args.what_if is not None:
        return compare.what_if(args, catalog, how)
    scenario = read_scenario(args, catalog)
    if args.running is not None:
        return _against(args, scenario, catalog, how)
    plan = _priced(solve(scenario, catalog, how), scenario, catalog, how)
    return report(plan, args.format or "text", args.ascii)


def _priced(plan: Plan, scenario: Scenario, catalog: Catalog, how: Settling) -> Plan:
    """The plan with what one more kilowatt or dollar buys, where they are capped."""
    if not scenario.fleet.capped:
        return plan
    from planner.planning import one_more

    return one_more.told(plan, lambda other: solve(other, catalog, how))


def _against(args: argparse.Namespace, scenario: Scenario, catalog: Catalog, how: Settling) -> int:
    """The plan, and what changes against what runs."""
    from planner.inputs.deployment import Deployment
    from planner.output import running
    from planner.output.columns import aligned

    if args.format not in (None, "text", "json"):
        raise UsageError("--running goes with text and --json")
    if args.running:
        before = running.read(Path(args.running))
    else:
        before = running.of_deployment(scenario.deployment)
        scenario = replace(scenario, deployment=Deployment())
    plan = solve(scenario, catalog, how)
    serving = plan.deployed
    if serving is None:
        return report(plan, args.format or "text", args.ascii)
    found = running.changes(before, running.of_serving(serving, plan.scenario))
    if args.format == "json":
        from planner.output.as_json import dumps
        from planner.output.data import to_dict

        say(dumps({**to_dict(plan), "running": running.to_dict(found)}))
        return DONE
    table = "\n".join(line.rstrip() for line in aligned(running.rows(found), "llrrrrl", "  "))
    told = f"{fill(running.sentence(found), WIDTH, break_on_hyphens=False)}\n\n{table}\n\n"
    say(ascii_only(told) if ascii_output(args.ascii) else told)
    return report(plan, "text", args.ascii)


def add_settle(parser: Parser) -> None:
    """`--settle`, of the commands that deploy a plan."""
    parser.add_argument(
        "--settle",
        metavar="WHEN",
        default="auto",
        help="have the plan's own requests replayed, and more headroom where they miss a limit: auto (where "
        "closed forms of waiting are not sure, 10,000 requests at most; the default), on (200,000), off",
    )


def settling(args: argparse.Namespace) -> Settling:
    """What `--settle` says. Raises InputError."""
    if args.settle not in ("auto", "on", "off"):
        raise InputError("settle", args.settle, "auto, on or off")
    said: Settling = args.settle
    return said


def solve(scenario: Scenario, catalog: Catalog, how: Settling = "auto") -> Plan:
    """The plan, which asks its replay where `how` says."""
    steady = scenario.traffic.arriving == "steady"  # nothing waits: no need to load what replays
    return planner.plan(scenario, catalog, settle="off" if steady else how)


def report(plan: Plan, form: str, ascii: bool) -> int:
    """Print a plan as text, json, csv, markdown or html; the exit code says whether there is one."""
    if form == "text":
        from planner.output.text import to_text

        text = to_text(plan, ascii=ascii_output(ascii))
    else:
        from planner.output.formats import WRITERS

        text = WRITERS[form](plan)
    say(text)
    return DONE if plan.deployed is not None else NO_PLAN
