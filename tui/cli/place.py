"""`ratematch place`: which instance of a plan lies on which GPUs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import planner
from planner.output.as_json import dumps
from planner.output.spelling import ascii_only
from tui.cli.flags import Parser, add_scenario, read_scenario
from tui.cli.plan import report, solve
from tui.cli.terminal import DONE, NO_PLAN, ascii_output, say

WIDTH = 80


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with a map, 3 where there is no plan to place.

    Raises InputError for a value that cannot be used.
    """
    parser = Parser(
        "ratematch place",
        "[SCENARIO] [--field value ...] [--json]",
        "Plan a scenario and draw which instance lies on which GPUs of which hosts: first fit, the largest\n"
        "instances first; one that fits in a scale-up domain lies in one. Exit code 3: there is no plan.",
        "  ratematch place --model deepseek-r1 --system gb200 --engine trtllm --gpus 72\n"
        "  ratematch place chat --survive node --json",
    )
    parser.add_argument("--json", action="store_true", help="hosts and GPUs of every instance as JSON")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    args = parser.read(arguments)
    catalog = planner.load()
    found = solve(read_scenario(args, catalog), catalog)
    from planner.output import place_map

    serving = found.deployed
    if serving is None:
        return report(found, "json" if args.json else "text", args.ascii) or NO_PLAN
    if args.json:
        say(dumps(place_map.to_data(found, serving)))
        return DONE
    plain = ascii_output(args.ascii)
    wide = min(shutil.get_terminal_size((WIDTH, 24)).columns, 160) if sys.stdout.isatty() else WIDTH
    text = "\n".join(place_map.lines(found, serving, wide, ascii=plain))
    say(ascii_only(text) if plain else text)
    return DONE
