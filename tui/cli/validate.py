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
    from planner.inputs.catalog import Catalog

WIDTH = 80


def run(arguments: Sequence[str]) -> int:
    """The command.

    Raises InputError for a file or folder that cannot be used, UsageError for a page without runs.
    """
    parser = Parser(
        "ratematch validate",
        "[FILE.csv] [--kernels DIR | --plans | --replay] [--json | --write PAGE] [--plot] [--ascii]",
        "Predict measured runs, or measured kernels, and report the error: by group, the worst rows, what\n"
        "cannot be predicted. An error is predicted over measured, minus one. With neither FILE.csv nor\n"
        "--kernels: both of presets/measured, which come with the source of ratematch. Any file may be\n"
        "compressed (.csv.gz).\n\n"
        f"{RUN_COLUMNS}\n\n{KERNEL_COLUMNS}",
        "  ratematch validate runs.csv --plot\n  ratematch validate runs.csv --json\n"
        "  ratematch validate runs.csv --plans    # the best plan against each tuned split: a minute\n"
        "  ratematch validate runs.csv --replay    # request by request, beside the closed forms\n"
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
    parser.add_argument("--rows", metavar="N", help="runs to replay, evenly of the file (default all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the report as JSON")
    form.add_argument(
        "--write", metavar="PAGE", help="write the report as the page docs/accuracy.md to this file"
    )
    parser.add_argument("--plot", action="store_true", help="plot predicted against measured")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    args = parser.read(arguments)
    if args.write and args.file is None and args.kernels is not None:
        raise UsageError("--write needs a file of runs: ratematch validate FILE.csv --write PAGE")
    if args.plans and (args.kernels or args.write or args.plot):
        raise UsageError("--plans goes with FILE.csv, --json and --ascii alone")
    from planner.evidence import runs, shipped, text, validate_runs
    from planner.evidence import validate_kernels as kernels

    catalog = load()
    file = Path(args.file) if args.file is not None else None
    folder = Path(args.kernels) if args.kernels is not None else None
    if args.rows is not None and not args.replay:
        raise UsageError("--rows goes with --replay")
    if args.replay:
        if args.plans or args.kernels or args.write or args.plot:
            raise UsageError("--replay goes with FILE.csv, --rows, --json and --ascii alone")
        return _replay(args, file or shipped.runs_file(), catalog)
    if args.plans:
        from planner.evidence import validate_plans

        judged = validate_plans.validate(runs.read(file or shipped.runs_file()), catalog)
        shown = dumps(judged) if args.json else printable_lines(text.plans_text(judged)).rstrip("\n")
        say(ascii_only(shown) if not args.json and ascii_output(args.ascii) else shown)
        return DONE
    name = file.name if file is not None else shipped.RUNS_NAME
    if file is None and folder is None:
        file, folder = shipped.runs_file(), shipped.kernels_folder()
    found = validate_runs.predict(runs.read(file), catalog) if file is not None else None
    result = validate_runs.summarise(found) if found is not None else None
    operators = kernels.report(folder, catalog) if folder is not None else None
    if args.json:
        document = {**(operators or {}), **(result or {})}
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
    paragraphs = [printable_lines(text.runs_text(result))] if result is not None else []
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


def _replay(args: argparse.Namespace, file: Path, catalog: Catalog) -> int:
    """Errors of replayed runs beside those of the closed forms."""
    from planner.evidence import runs, text, validate_replay

    rows = runs.read(file)
    if args.rows is not None:
        most = args.rows
        if not (most.isascii() and most.isdigit() and 1 <= len(most) < 8 and int(most)):
            raise InputError("rows", most, "a whole number from 1")
        rows = rows[:: max(len(rows) // int(most), 1)][: int(most)]
    result = validate_replay.summarise(validate_replay.predict(rows, catalog))
    shown = dumps(result) if args.json else printable_lines(text.replay_text(result)).rstrip("\n")
    say(ascii_only(shown) if not args.json and ascii_output(args.ascii) else shown)
    return DONE
