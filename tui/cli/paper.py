"""`ratematch paper`: the study's figures and findings, on the screen, as JSON, or as files."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner import load
from planner.inputs import files
from planner.output.as_json import dumps
from planner.output.spelling import ascii_only
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, Failure, ascii_output, say, writing

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.paper.figures.drawing import Figure
    from planner.paper.parts import Each
    from planner.paper.reproduction import Reproduction

FOLDER = "paper"  # in --out: one CSV per figure, SVG and PNG where matplotlib is installed
PAGE = "paper.md"
ASSUMPTIONS = "paper-assumptions.md"
NARROW = 80


def run(arguments: Sequence[str]) -> int:
    """The command.

    Raises InputError for an unknown figure or a folder that cannot be written.
    """
    parser = Parser(
        "ratematch paper",
        "[--figure N | --assumptions] [--json | --out DIR] [--workers N | --scheduler ADDRESS] [--ascii]",
        "Rebuild the study that ratematch stands on, Beyond the Buzz (arXiv 2506.05508): its figures from\n"
        "this simulator, its findings checked, and what it leaves out: fixed ratios, small fleets, other\n"
        "systems and models. Each finding is judged in the study's own setting, as served today, on\n"
        "perfect kernels and with an FP8 cache; one that does not hold is shown as such, and the exit code\n"
        "stays 0.",
        "  ratematch paper\n  ratematch paper --figure 9\n  ratematch paper --json\n"
        "  ratematch paper --out docs    # docs/paper.md, docs/paper/*.csv, and pictures with\n"
        "                                # pip install 'ratematch[figures]'\n"
        "  ratematch paper --assumptions # the claims under every mix of what the study leaves open",
    )
    form = parser.add_mutually_exclusive_group()
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--figure", metavar="N", help="only this figure, and the claims read from it")
    part.add_argument(
        "--assumptions", action="store_true", help="only the claims, under 24 mixes of assumptions (40 s)"
    )
    form.add_argument("--json", action="store_true", help="claims, figures and counts as JSON")
    form.add_argument("--out", metavar="DIR", help="write a page, CSV files and pictures")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", metavar="N", help="make its settings on processes of this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="on a Dask cluster, such as tcp://host:8786")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    args = parser.read(arguments)
    each = _each(args.workers, args.scheduler)
    if args.assumptions:
        return _assumptions(load(), args.json, args.out, each)
    from planner.paper import report, reproduction

    with _losing():
        done = reproduction.run(args.figure, load(), on_sweep=_progress(), each=each)
    _clear_progress()
    if args.json:
        say(report.to_json(done))
        return DONE
    if args.out is not None:
        say("\n".join(str(path) for path in _write(done, Path(args.out))))
        say(report.summary(done))
        return DONE
    plain = ascii_output(args.ascii)
    text = _screen(done, plain)
    say(ascii_only(text) if plain else text, colours=_coloured())
    return DONE


def _each(number: str | None, scheduler: str | None) -> Each | None:
    """Who makes the parts: this process where nothing is said, else workers as of `ratematch study`."""
    if number is None and scheduler is None:
        return None
    from tui.cli.study import workers

    return workers(number, scheduler).each


@contextmanager
def _losing() -> Iterator[None]:
    """A cluster that is lost is one line."""
    try:
        yield
    except Exception as error:
        from planner.studies.cluster import Lost

        if not isinstance(error, Lost):
            raise
        raise Failure(str(error)) from None


def _assumptions(catalog: Catalog, as_json: bool, out: str | None, each: Each | None) -> int:
    from planner.paper import assumptions

    with _losing():
        done = assumptions.run(catalog, on_sweep=_progress(), each=each)
    _clear_progress()
    if as_json:
        say(dumps(assumptions.to_dict(done)))
    elif out is None:
        say(assumptions.to_text(done))
    else:
        path = Path(out) / ASSUMPTIONS
        with writing("out", out):
            files.write_atomically(path, assumptions.to_markdown(done))
        say(path)
        say(assumptions.summary(done))
    return DONE


def _screen(done: Reproduction, ascii: bool) -> str:
    from planner.paper import report
    from tui.charts import paper_figures

    width = shutil.get_terminal_size((NARROW, 24)).columns if sys.stdout.isatty() else NARROW
    colour = _coloured()
    blocks = []
    for figure in done.figures:
        blocks.append(textwrap.fill(f"{_name(figure)}: {figure.title}", min(width, NARROW)))
        blocks += [paper_figures.to_text(p, width, colour=colour, ascii=ascii) for p in figure.panels]
        blocks += [textwrap.fill(note, min(width, NARROW)) for note in figure.notes]
        if figure.scenarios:
            names = ", ".join(f"ratematch {name}" for name in figure.scenarios)
            blocks.append(textwrap.fill(f"Open it: {names}", min(width, NARROW)))
    if done.pays:
        blocks += [
            "Where a split pays (gain over co-located by part of the axis)",
            report.pays_text(done.pays),
        ]
    if done.verdicts:
        blocks.append(report.claims_text(done, min(width, NARROW)))
        blocks.append(textwrap.fill(report.settings_summary(done), min(width, NARROW)))
    return "\n\n".join([*blocks, report.summary(done)])


def _coloured() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _name(figure: Figure) -> str:
    return f"Figure {figure.id}" if figure.id.isdigit() else figure.id.capitalize()


def _write(done: Reproduction, out: Path) -> list[Path]:
    from planner.paper import page, report
    from tui.charts import paper_figures

    folder = out / FOLDER
    written: list[Path] = []
    pictures: dict[str, str] = {}

    def save(path: Path, text: str) -> None:
        files.write_atomically(path, text)
        written.append(path)

    with writing("out", out):
        folder.mkdir(parents=True, exist_ok=True)
        for figure in done.figures:
            save(folder / f"fig-{figure.id}.csv", report.to_csv(figure))
            try:
                paths = paper_figures.save(figure, folder)
                written += paths
                pictures[figure.id] = f"![{figure.title}]({FOLDER}/{paths[0].name})"
            except paper_figures.NoDrawing:
                panels = (paper_figures.to_text(panel, NARROW) for panel in figure.panels)
                pictures[figure.id] = "```text\n" + "\n\n".join(panels) + "\n```"
        if done.pays:
            save(folder / "where-it-pays.csv", report.pays_csv(done.pays))
        save(out / PAGE, page.to_markdown(done, pictures))
    return written


def _progress() -> Callable[[int], None] | None:
    """Design points so far on standard error, where someone watches."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    return lambda points: print(f"\r{points:,} design points", end="", file=sys.stderr, flush=True)


def _clear_progress() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
