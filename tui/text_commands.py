"""The commands that print and end: plan, presets, import-model, paths, bench.

Each takes the arguments behind its name and returns an exit code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError, unknown
from tui import storage
from tui.flags import FORMATS, Parser, add_scenario, read_scenario
from tui.surroundings import DONE, NO_PLAN, ascii_output

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.result import Plan
    from planner.scenario import Scenario


def load_catalog() -> Catalog:
    """Presets and the user's own, imported when asked."""
    from planner.catalog import load

    return load()


def plan(arguments: Sequence[str]) -> int:
    """`ratematch plan`."""
    parser = Parser(
        "ratematch plan",
        "[SCENARIO] [--field value ...] [--json | --csv | --markdown] [--ascii]",
        "Print the plan for a scenario. Exit code 3: no plan meets the limits, and the report says why.",
        "  ratematch plan --model llama-3.1-70b --system h200 --isl 8k --osl 1k --ttl 30ms --gpus 64\n"
        "  ratematch plan my-scenario.toml --ttl 15ms --json\n"
        "  ratematch plan --csv > frontier.csv",
    )
    formats = parser.add_mutually_exclusive_group()
    for name, text in FORMATS.items():
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=text)
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    args = parser.read(arguments)
    catalog = load_catalog()
    return report(solve(read_scenario(args, catalog), catalog), catalog, args.format or "text", args.ascii)


def solve(scenario: Scenario, catalog: Catalog) -> Plan:
    """`planner.plan.plan`, imported when asked."""
    from planner.plan import plan

    return plan(scenario, catalog)


def report(plan: Plan, catalog: Catalog, form: str, ascii: bool) -> int:
    """Print a plan as text, json, csv or markdown; the exit code says whether there is one."""
    from planner import report as texts

    if form == "text":
        from planner.simulate.kv_transfer import link_bytes_per_s

        link = link_bytes_per_s(catalog.system(plan.scenario.system).fabric, plan.scenario.fleet.gpus)
        text = texts.to_text(plan, ascii=ascii_output(ascii), link_bytes_per_s=link)
    else:
        text = {"json": texts.to_json, "csv": texts.to_csv, "markdown": texts.to_markdown}[form](plan)
    print(text, end="" if text.endswith("\n") else "\n")
    return DONE if plan.chosen is not None else NO_PLAN


def presets(arguments: Sequence[str]) -> int:
    """`ratematch presets`."""
    from planner.summary import ascii_only
    from tui import listing

    parser = Parser(
        "ratematch presets",
        "[KIND [NAME]] [--json]",
        "List the models, systems, engines and scenarios that come with ratematch and your own,\n"
        "or show one with every number and its source.",
        "  ratematch presets\n  ratematch presets systems\n  ratematch presets models deepseek-r1 --json",
    )
    parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(listing.KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="one preset, in full")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.read(arguments)
    catalog = load_catalog()
    kinds = list(listing.KINDS)
    if args.kind is not None:
        kind = args.kind.lower()
        kinds = [k for k in kinds if kind in (k, k.removesuffix("s"))]
        if not kinds:
            raise unknown("presets", args.kind, listing.KINDS)
    if args.name is not None:
        text = listing.show(catalog, kinds[0], args.name, as_json=args.json)
    else:
        text = listing.lists(catalog, kinds, as_json=args.json)
    print(ascii_only(text) if ascii_output() and not args.json else text)
    return DONE


def import_model(arguments: Sequence[str]) -> int:
    """`ratematch import-model`."""
    parser = Parser(
        "ratematch import-model",
        "CONFIG [--name NAME] [--json]",
        "Add a model to your own catalog from its Hugging Face config.json.",
        "  ratematch import-model ./my-model/config.json --name my-model\n"
        "  ratematch plan --model my-model --system h200",
    )
    parser.add_argument("config", metavar="CONFIG", help="a config.json, or the folder that holds it")
    parser.add_argument("--name", help="the model's name in the catalog (default: that of its folder)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    args = parser.read(arguments)
    from planner.import_model import import_model
    from tui import listing

    path, spec, unknown_keys = import_model(Path(args.config), args.name)
    print(listing.imported(path, spec, unknown_keys, as_json=args.json))
    return DONE


def paths(arguments: Sequence[str]) -> int:
    """`ratematch paths`."""
    parser = Parser(
        "ratematch paths",
        "[FOLDER]",
        "Print the folders that ratematch reads and writes: your presets and scenarios (config), the\n"
        "last session and the error log (state).",
        "  ratematch paths\n  ls $(ratematch paths state)",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="only this one: config or state")
    args = parser.read(arguments)
    from planner.catalog import user_folder

    folders = {"config": user_folder(), "state": storage.state_folder()}
    if args.folder is None:
        print("\n".join(f"{name:<8}{path}" for name, path in folders.items()))
    elif args.folder in folders:
        print(folders[args.folder])
    else:
        raise unknown("paths", args.folder, folders)
    return DONE


def bench(arguments: Sequence[str]) -> int:
    """`ratematch bench`."""
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
    from planner import bench
    from tui import bench as screen

    result, more = bench.run(args.runs), screen.run(args.runs)
    if args.json:
        print(json.dumps(result | more, indent=2))
    else:
        print(f"{bench.to_text(result)}\n{screen.to_text(more)}")
    return DONE
