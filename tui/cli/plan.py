"""`ratematch plan`: the plan as text, JSON, CSV, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import planner
from planner import load
from tui.cli.flags import FORMATS, Parser, add_scenario, read_scenario
from tui.cli.terminal import DONE, NO_PLAN, ascii_output, say

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Plan


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with a plan, 3 without."""
    parser = Parser(
        "ratematch plan",
        "[SCENARIO] [--field value ...] [--json | --csv | --markdown | --html] [--compare NAME | --what-if]",
        "Print the plan for a scenario. Exit code 3: no plan meets the limits, and the report says why.",
        "  ratematch plan --model llama-3.1-70b --system h200 --isl 8k --osl 1k --ttl 30ms --gpus 64\n"
        "  ratematch plan my-scenario.toml --ttl 15ms --json\n"
        "  ratematch plan --prefill-layout TP4 --prefill-instances 4 --decode-layout TP8\n"
        "  ratematch plan prefill-heavy --compare trtllm sglang vllm\n"
        "  ratematch plan --compare chat prefill-heavy my-scenario.toml --json\n"
        "  ratematch plan prefill-heavy --what-if\n"
        "  ratematch plan prefill-heavy --what-if ttl system=h200 --json\n"
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
    add_scenario(parser)
    args = parser.read(arguments)
    catalog = load()
    if args.compare is not None or args.what_if is not None:
        from tui.cli import compare

    if args.compare is not None:
        return compare.side_by_side(args, catalog)
    if args.what_if is not None:
        return compare.what_if(args, catalog)
    return report(solve(read_scenario(args, catalog), catalog), args.format or "text", args.ascii)


def solve(scenario: Scenario, catalog: Catalog) -> Plan:
    """`planner.plan`."""
    return planner.plan(scenario, catalog)


def report(plan: Plan, form: str, ascii: bool) -> int:
    """Print a plan as text, json, csv, markdown or html; the exit code says whether there is one."""
    from planner.output.formats import WRITERS
    from planner.output.text import to_text

    text = to_text(plan, ascii=ascii_output(ascii)) if form == "text" else WRITERS[form](plan)
    say(text)
    return DONE if plan.chosen is not None else NO_PLAN
