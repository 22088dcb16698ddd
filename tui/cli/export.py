"""`ratematch export`: the files that launch a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from planner import load
from planner.errors import InputError, printable, unknown
from planner.inputs import files
from planner.output.as_json import dumps
from planner.words import Benchmark, EngineFamily, Target
from tui.cli.flags import Parser, add_scenario, read_scenario
from tui.cli.plan import report, solve
from tui.cli.terminal import DONE, NO_PLAN, ascii_output, say, writing

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario

ENGINES: tuple[EngineFamily, ...] = get_args(EngineFamily)


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with files, 3 without a plan, or where the target cannot say it."""
    from planner.output.deploy import write
    from planner.output.deploy.parts import Options, Refused

    parser = Parser(
        "ratematch export",
        "TARGET [SCENARIO] [--out DIR] [--field value ...]",
        "Write what launches the plan of a scenario: commands for each host, a start script, a compose \n"
        "file, a benchmark script and the record that `ratematch validate` reads beside its results.\n\n"
        f"TARGET is one of {', '.join(write.TARGETS)}. The plan is made for the target's engine, unless\n"
        "--engine names another: its layouts are then written as they are. Exit code 3: no plan, or none\n"
        "that the target can say; the line says why, and which it can.",
        "  ratematch export vllm chat --out chat-vllm\n"
        "  ratematch export sglang prefill-heavy --hosts 10.0.0.1,10.0.0.2 --benchmark aiperf\n"
        "  ratematch export dynamo my-scenario.toml --schedule week.csv    # of ratematch elastic --csv\n"
        "  ratematch export trtllm my-scenario.toml --checkpoint my-org/my-model-fp8 --revision v2",
    )
    parser.add_argument("target", metavar="TARGET", help=f"one of {', '.join(write.TARGETS)}")
    parser.add_argument("--out", metavar="DIR", help="the folder (default: ratematch-MODEL-SYSTEM-TARGET)")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="the files as JSON, nothing is written")
    parser.add_argument("--hosts", metavar="A,B", help="addresses of the hosts, the router's first")
    parser.add_argument(
        "--gpus-per-host", metavar="N", type=int, help="GPUs of a host (default: the system's)"
    )
    parser.add_argument(
        "--checkpoint", metavar="NAME", default="", help="repository or folder of the weights"
    )
    parser.add_argument("--revision", metavar="NAME", default="", help="of the checkpoint")
    parser.add_argument("--image", metavar="NAME", default="", help="of the containers")
    parser.add_argument(
        "--benchmark",
        metavar="NAME",
        default="vllm",
        help=f"whose load generator bench.sh runs: {', '.join(get_args(Benchmark))} (default vllm)",
    )
    parser.add_argument(
        "--schedule",
        metavar="FILE",
        help="instances over time (ratematch elastic --csv) for dynamo and llm-d: the plan is of their "
        "layouts and most instances, autoscale.yaml scales them (KEDA)",
    )
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    args = parser.read(arguments)
    if args.target not in write.TARGETS:
        raise unknown("target", args.target, write.TARGETS)
    if args.benchmark not in get_args(Benchmark):
        raise unknown("benchmark", args.benchmark, get_args(Benchmark))
    catalog = load()
    target: Target = args.target
    scenario = for_target(read_scenario(args, catalog), target, catalog, given=args.engine is not None)
    timed = None
    if args.schedule is not None:
        from planner.inputs import deployment_fields
        from planner.output.deploy import schedule

        timed = schedule.read(Path(args.schedule))
        scenario = deployment_fields.fitted(replace(scenario, deployment=timed.busiest))
    if args.out is not None and not args.out.strip():
        raise InputError("out", args.out, "a folder; . is the one where you are")
    stem = printable(Path(args.scenario).stem) if args.scenario else f"{scenario.model}-{scenario.system}"
    options = Options(
        hosts=tuple(host.strip() for host in args.hosts.split(",")) if args.hosts is not None else (),
        gpus_per_host=args.gpus_per_host,
        checkpoint=args.checkpoint,
        revision=args.revision,
        image=args.image,
        benchmark=args.benchmark,
        name=f"ratematch-{stem}",
        schedule=timed,
    )
    made = solve(scenario, catalog)
    if made.deployed is None:
        return report(made, "text", args.ascii)
    found = write.export(made, target, options, catalog)
    if isinstance(found, Refused):
        near = write.nearest(made, target, options, catalog)
        say(f"ratematch: {target}: {found.reason}" + (f"; {near}" if near else ""), error=True)
        return NO_PLAN
    if args.json:
        say(dumps({"target": target, "files": found.files, "notes": list(found.notes)}))
        return DONE
    folder = Path(args.out if args.out is not None else f"{options.name}-{target}")
    put(folder, found.files, replace=args.force)
    lines = [f"{folder}: {', '.join(found.files)}", *(f"note: {note}" for note in found.notes)]
    text = "\n".join(printable(line) for line in lines)
    from planner.output.spelling import ascii_only

    say(ascii_only(text) if ascii_output(args.ascii) else text)
    return DONE


def for_target(scenario: Scenario, target: Target, catalog: Catalog, *, given: bool) -> Scenario:
    """The scenario on the engine that the target runs, where the user named no engine."""
    from planner.output.deploy.subject import LLM_D, family

    now = family(catalog.engine(scenario.engine))
    runs = ENGINES if target == "dynamo" else LLM_D if target == "llm-d" else (target,)
    try:
        vendor = catalog.system(scenario.system).vendor
    except InputError:  # a name that is not known is told with the plan
        vendor = None
    able = tuple(name for name in runs if vendor in catalog.engine(name).can.vendors) or runs
    if given or now in able:
        return scenario
    return replace(scenario, engine=able[0])


def put(folder: Path, texts: Mapping[str, str], *, replace: bool) -> None:
    """Write the files of an export into a folder.

    Raises InputError where one lies there already, unless it is to be replaced, or cannot be written.
    """
    if not replace:
        there = next((name for name in texts if os.path.lexists(folder / name)), None)
        if there is not None:
            raise InputError("out", str(folder), f"{there} lies there already: another folder, or --force")
    with writing("out", folder):
        for name, text in texts.items():
            files.write_atomically(folder / name, text)
