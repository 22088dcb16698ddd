"""`ratematch validate`: predictions against measurements."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner import load
from planner.errors import InputError, printable_lines
from planner.inputs import files
from planner.output.as_json import dumps
from planner.output.spelling import ascii_only
from tui.cli.flags import Parser, UsageError
from tui.cli.measured_files import KERNEL_COLUMNS, RUN_COLUMNS
from tui.cli.terminal import DONE, ascii_output, say, writing

if TYPE_CHECKING:
    from planner.evidence.results.records import Found
    from planner.evidence.runs import Row
    from planner.inputs.catalog import Catalog

WIDTH = 80
GIVEN = {
    "model": "preset, or a name as published",
    "system": "preset",
    "engine": "preset",
    "layout": "of co-located instances, such as TP8 or DEP16",
    "prefill-layout": "of the prefill instances of a split",
    "decode-layout": "of its decode instances",
    "prefill-instances": "how many of them",
    "decode-instances": "how many of them; of a co-located run, instances in all",
    "weights": "format of the weights; else what the model's name implies, or its checkpoint has",
    "isl": "input tokens",
    "osl": "output tokens",
    "concurrency": "requests in flight",
    "rate": "requests per second of an open loop",
    "mtp": "drafted tokens per step",
}
_COLUMN = {
    "rate": "requests_per_s",
    "prefill-instances": "prefill_workers",
    "decode-instances": "decode_workers",
}


def _said(args: argparse.Namespace, name: str) -> str | None:
    """What a flag says, as the cell of a file; lengths take units. Raises InputError."""
    text: str | None = getattr(args, name.replace("-", "_"))
    if text is None or name not in ("isl", "osl", "rate", "weights", "mtp"):
        return text
    from planner.inputs.fields import BY_KEY

    return str(BY_KEY[name].parse(text))


def run(arguments: Sequence[str]) -> int:
    """The command.

    Raises InputError for a file or folder that cannot be used, UsageError for a page without runs.
    """
    parser = Parser(
        "ratematch validate",
        "[FILE.csv] [--kernels DIR | --plans | --replay | --loads | --power]\n"
        "                          [--json | --write PAGE] [--plot]",
        "Predict measured runs, or measured kernels, and report the error: by group, the worst rows, what\n"
        "cannot be predicted. An error is predicted over measured, minus one. With neither FILE.csv nor\n"
        "--kernels: both of presets/measured, which come with the source of ratematch. Any file may be\n"
        "compressed (.csv.gz).\n\n"
        "FILE may also be what a benchmark wrote, JSON or CSV: vLLM's and SGLang's serving benchmarks,\n"
        "aiperf, genai-perf, guidellm, InferenceX, trtllm-bench, llmperf; flags say what is not in it,\n"
        "such as --system and --layout. What aiconfigurator or aisimulate predict (pareto.csv,\n"
        "best_config_topn.csv) is laid beside our predictions of the same deployments.\n\n"
        f"{RUN_COLUMNS}\n\n{KERNEL_COLUMNS}",
        "  ratematch validate result.json --system h100 --layout TP4\n"
        "  ratematch validate runs.csv --plot\n  ratematch validate runs.csv --json\n"
        "  ratematch validate runs.csv --plans    # the best plan against each tuned split: a minute\n"
        "  ratematch validate runs.csv --replay    # request by request, beside the closed forms\n"
        "  ratematch validate --loads    # first tokens at stated request rates, predicted and replayed\n"
        "  ratematch validate --power    # watts predicted against published ones\n"
        "  ratematch validate --kernels measurements/\n"
        "  ratematch validate --write docs/accuracy.md    # in a checkout: the page as it is",
    )
    parser.add_argument("file", metavar="FILE.csv", nargs="?", help="measured runs")
    parser.add_argument("--kernels", metavar="DIR", help="a folder of measured kernels")
    parser.add_argument(
        "--plans",
        action="store_true",
        help="judge plans instead: the best within the GPUs, TTFT and TPOT of each tuned split",
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="replay each run request by request too: errors of the replay beside those of the closed forms",
    )
    parser.add_argument(
        "--loads",
        action="store_true",
        help="FILE (default presets/measured/loads.csv) has runs at request rates: predict and replay them",
    )
    parser.add_argument(
        "--power",
        action="store_true",
        help="FILE (default presets/measured/power.csv) has runs with watts_per_gpu: predict them",
    )
    parser.add_argument(
        "--waits",
        action="store_true",
        help="no FILE: the closed forms of waiting against replays of the same deployments, some minutes",
    )
    parser.add_argument("--rows", metavar="N", help="runs to replay, evenly of the file (default all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the report as JSON")
    form.add_argument(
        "--write", metavar="PAGE", help="write the report as the page docs/accuracy.md to this file"
    )
    parser.add_argument("--plot", action="store_true", help="plot predicted against measured")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    said = parser.add_argument_group("what a tool's result does not say, or says otherwise")
    for name, meaning in GIVEN.items():
        said.add_argument(f"--{name}", metavar=name.split("-")[-1].upper(), help=meaning)
    args = parser.read(arguments)
    told = {_COLUMN.get(name, name.replace("-", "_")): _said(args, name) for name in GIVEN}
    given = {column: value for column, value in told.items() if value is not None}
    if given and args.file is None:
        raise UsageError("what a file does not say goes with a FILE: ratematch validate FILE --system NAME")
    if args.write and args.file is None and args.kernels is not None and not args.loads:
        raise UsageError("--write needs a file of runs: ratematch validate FILE.csv --write PAGE")
    if args.plans and (args.kernels or args.write or args.plot):
        raise UsageError("--plans goes with FILE.csv, --json and --ascii alone")
    from planner.evidence import each, runs, shipped, text, validate_runs
    from planner.evidence import validate_kernels as kernels
    from planner.evidence.results import exported
    from planner.evidence.results import read as results
    from planner.evidence.results.read import read

    catalog = load()
    file = Path(args.file) if args.file is not None else None
    folder = Path(args.kernels) if args.kernels is not None else None
    if args.rows is not None and not args.replay:
        raise UsageError("--rows goes with --replay")
    if args.loads:
        if args.plans or args.kernels or args.replay or args.plot or args.power or given:
            raise UsageError("--loads goes with FILE.csv, --json, --write and --ascii alone")
        return _loads(args, file or shipped.loads_file(), catalog)
    if args.waits:
        if args.file or args.plans or args.kernels or args.replay or args.plot or args.loads or given:
            raise UsageError("--waits goes with --json, --write and --ascii alone")
        return _waits(args, catalog)
    if args.power:
        if args.plans or args.kernels or args.replay or args.plot or args.loads or given:
            raise UsageError("--power goes with FILE.csv, --json, --write and --ascii alone")
        return _power(args, file, catalog)
    if args.replay:
        if args.plans or args.kernels or args.write or args.plot:
            raise UsageError("--replay goes with FILE.csv, --rows, --json and --ascii alone")
        return _replay(args, read(file, catalog, given) if file else runs.read(shipped.runs_file()), catalog)
    if args.plans:
        from planner.evidence import validate_plans

        judged = validate_plans.validate(
            read(file, catalog, given) if file else runs.read(shipped.runs_file()), catalog
        )
        shown = dumps(judged) if args.json else printable_lines(text.plans_text(judged)).rstrip("\n")
        say(ascii_only(shown) if not args.json and ascii_output(args.ascii) else shown)
        return DONE
    if file is not None and (theirs := results.predicted(file, catalog, given)) is not None:
        if args.kernels or args.write or args.plot:
            raise UsageError("another planner's table goes with --json and --ascii alone")
        return _beside(args, theirs, catalog)
    name = file.name if file is not None else shipped.RUNS_NAME
    if file is None and folder is None:
        file, folder = shipped.runs_file(), shipped.kernels_folder()
    rows = None
    if file is not None:
        rows = read(file, catalog, given) if args.file is not None else runs.read(file)
    found = validate_runs.predict(rows, catalog) if rows is not None else None
    result = validate_runs.summarise(found) if found is not None else None
    few = None
    if found is not None and args.file is not None and each.of_one(found):
        few = each.each(found, catalog)
        record = exported.record(Path(args.file))
        differs = each.differences(few, found, exported.beside(Path(args.file)))
    operators = kernels.report(folder, catalog) if folder is not None else None
    if args.json:
        document = {**(operators or {}), **(result or {})}
        if few is not None:
            document |= {"runs": few, "differs": differs, "deployment": str(record) if record else None}
        say(dumps(document))
        return DONE
    if args.write and found is not None:
        from planner.evidence.page.write import write

        page = write(found, operators, name)
        with writing("write", args.write):
            files.write_atomically(Path(args.write), page)
        say(args.write)
        return DONE
    plain = ascii_output(args.ascii)
    paragraphs = [printable_lines(text.runs_text(result, worst=few is None))] if result is not None else []
    if few:
        paragraphs.append(printable_lines(each.text(few, differs)))
        if record is not None:
            paragraphs.append(printable_lines(f"What was deployed is read from {record}.\n"))
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if args.plot and found is not None:
        from tui.charts import scatter

        wide = min(shutil.get_terminal_size((WIDTH, 24)).columns, 120) if sys.stdout.isatty() else WIDTH
        for metric in ("tpot", "ttft"):
            measured = getattr(found, f"measured_{metric}_s").tolist()
            predicted = getattr(found, f"{metric}_s").tolist()
            plot = scatter.draw(measured, predicted, metric.upper(), width=wide, ascii=plain, colour=colour)
            paragraphs += [plot] if plot else []
    if operators is not None:
        paragraphs.append(printable_lines(text.kernels_text(operators)))
    report = "\n".join(paragraphs).rstrip("\n")
    say(ascii_only(report) if plain else report, colours=colour)
    return DONE


def _beside(args: argparse.Namespace, theirs: tuple[list[Row], Found], catalog: Catalog) -> int:
    """Another planner's predictions beside ours."""
    from planner.evidence import beside, beside_text

    rows, found = theirs
    result = beside.compare(rows, found.records, found.tool, catalog)
    shown = dumps(result) if args.json else printable_lines(beside_text.beside_text(result)).rstrip("\n")
    say(ascii_only(shown) if not args.json and ascii_output(args.ascii) else shown)
    return DONE


def _loads(args: argparse.Namespace, file: Path, catalog: Catalog) -> int:
    """Runs at request rates, predicted in closed form and replayed."""
    from planner.evidence import loads, validate_loads
    from planner.evidence.page import loads as page

    found = validate_loads.predict(loads.read(file), catalog)
    if args.json:
        say(dumps(validate_loads.summarise(found)))
        return DONE
    return _page(args, page.page(found))


def _waits(args: argparse.Namespace, catalog: Catalog) -> int:
    """Closed forms of waiting against replays of the same deployments."""
    from planner.evidence import validate_waits
    from planner.evidence.page import waits as page

    found = list(validate_waits.cases(catalog))
    if args.json:
        say(dumps(validate_waits.summarise(found)))
        return DONE
    return _page(args, page.page(found))


def _power(args: argparse.Namespace, file: Path | None, catalog: Catalog) -> int:
    """Watts of serving runs, and of single kernels where the file is the one that comes with the source."""
    from planner.evidence import power, shipped
    from planner.evidence.page import power as page

    serving, kernels = (file, None) if file is not None else shipped.power_files()
    rows = power.read(serving, kernels, catalog)
    result = power.report(rows, again=len(set(rows.group)) > 1)
    if args.json:
        say(dumps(result))
        return DONE
    return _page(args, page.page(result))


def _page(args: argparse.Namespace, text: str) -> int:
    """A page of Markdown, to the file that is named or to the terminal."""
    if args.write:
        with writing("write", args.write):
            files.write_atomically(Path(args.write), text)
        say(args.write)
        return DONE
    shown = printable_lines(text).rstrip("\n")
    say(ascii_only(shown) if ascii_output(args.ascii) else shown)
    return DONE


def _replay(args: argparse.Namespace, rows: list[Row], catalog: Catalog) -> int:
    """Errors of replayed runs beside those of the closed forms."""
    from planner.evidence import text, validate_replay

    if args.rows is not None:
        most = args.rows
        if not (most.isascii() and most.isdigit() and 1 <= len(most) < 8 and int(most)):
            raise InputError("rows", most, "a whole number from 1")
        kept = min(int(most), len(rows))
        rows = [rows[i * len(rows) // kept] for i in range(kept)]
    result = validate_replay.summarise(validate_replay.predict(rows, catalog))
    shown = dumps(result) if args.json else printable_lines(text.replay_text(result)).rstrip("\n")
    say(ascii_only(shown) if not args.json and ascii_output(args.ascii) else shown)
    return DONE
