"""`ratematch study`: many scenarios as one question, on this machine or on a cluster; their dataset drawn."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from tui.cli.flags import Parser, UsageError
from tui.cli.terminal import DONE, INTERRUPTED, Failure, interrupts, say, writing

if TYPE_CHECKING:
    from planner.studies.cluster import Dask
    from planner.studies.run import Progress, Workers

MOST_WORKERS = 1024


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for what is no study, Failure where a cluster is lost."""
    if arguments and arguments[0] == "show":
        return int(importlib.import_module("tui.cli.study_show").run(arguments[1:]))
    parser = Parser(
        "ratematch study",
        "FILE [--out DIR] [--workers N | --scheduler ADDRESS] [--resume] [--json]",
        "Answer every scenario of a study, and store one row for each as Parquet: what was asked, whether a\n"
        "split pays and by how much, both plans, what they rest on. FILE is a TOML file or one of those\n"
        "that `ratematch study list` names. It runs on processes of this machine, or on any Dask cluster.\n"
        "Ctrl+C keeps what is done; --resume runs the rest. `ratematch study show DIR` draws the answer.",
        "  ratematch study when-it-pays --out pays\n"
        "  ratematch study my-study.toml --scheduler tcp://10.0.0.1:8786 --out far\n"
        "  ratematch study my-study.toml --out far --resume\n"
        "  ratematch study show pays --x isl --y osl --value gain",
    )
    where = parser.add_mutually_exclusive_group()
    parser.add_argument("file", metavar="FILE", nargs="?", help="a study, or `list`")
    parser.add_argument("--out", metavar="DIR", help="the dataset's folder; the study's name by default")
    where.add_argument(
        "--workers", metavar="N", help="processes on this machine; one for each core by default"
    )
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask scheduler, such as tcp://host:8786")
    parser.add_argument("--resume", action="store_true", help="run what is not stored yet")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    args = parser.read(arguments)
    if args.file is None:
        raise UsageError("which study? a file or a name; `ratematch study list` names some")
    if args.file == "list":
        return _list(args.json)
    return _run(args.file, args.out, workers(args.workers, args.scheduler), args.resume, args.json)


def workers(number: str | None, scheduler: str | None) -> Dask:
    """Who does the work: processes of this machine, one for each core where nothing is said, or a cluster.

    Raises InputError for no number of workers.
    """
    from planner.studies import cluster

    count = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64)
    if number is not None:
        try:
            count = int(number)
        except ValueError:
            count = 0
        if not 1 <= count <= MOST_WORKERS:
            raise InputError("workers", number, f"a whole number from 1 to {MOST_WORKERS:,}")
    return cluster.Dask(workers=count, scheduler=scheduler)


def _run(name: str, out: str | None, workers: Workers, resume: bool, as_json: bool) -> int:
    from planner import load
    from planner.inputs import files
    from planner.output.as_json import dumps
    from planner.studies import presets
    from planner.studies import run as running
    from planner.studies import study as studies
    from planner.studies.cluster import Lost

    path, catalog = presets.find(name), load()
    asked = studies.read(path, catalog)
    text = files.read_text(path, what="study")
    folder = Path(asked.name if out is None else out)
    stopped: list[bool] = []

    def stop(*_: object) -> None:
        if stopped:  # the second time: now
            os._exit(INTERRUPTED)
        stopped.append(True)

    try:
        with writing("out", folder), interrupts(stop), _bar(len(asked)) as show:
            done = running.run(
                asked,
                text,
                folder,
                workers,
                catalog,
                resume=resume,
                should_stop=lambda: bool(stopped),
                on_progress=show,
            )
    except Lost as error:
        raise Failure(f"{error}; what was done is in {folder}, and --resume goes on") from None
    if as_json:
        say(dumps(_summary(done, folder)))
    else:
        say(_told(done, folder))
    return INTERRUPTED if stopped else DONE


def _summary(done: Progress, folder: Path) -> dict[str, object]:
    return {
        "out": str(folder),
        "scenarios": done.scenarios,
        "stored": done.stored,
        "answered": done.answered,
        "failures": done.failures,
        "seconds": done.seconds,
        "scenarios_per_s": done.per_s,
    }


def _told(done: Progress, folder: Path) -> str:
    failures = f", {done.failures:,} failed" if done.failures else ""
    text = f"{done.stored:,} of {done.scenarios:,} scenarios in {folder}{failures}"
    if done.answered:
        text += f" ({done.answered:,} in {done.seconds:.0f} s, {done.per_s:.1f}/s)"
    if done.stored < done.scenarios:
        return f"{text}\n--resume runs the rest"
    return f"{text}\nratematch study show {folder}"


def _list(as_json: bool) -> int:
    from planner import load
    from planner.output.as_json import dumps
    from planner.studies import presets
    from planner.studies import study as studies

    catalog, lines, rows = load(), [], []
    for name, path in presets.known().items():
        try:
            found = studies.read(path, catalog)
        except InputError as error:  # one broken file does not hide the others
            lines.append(f"{name:<22}{error}")
            continue
        rows.append({"name": name, "scenarios": len(found), "note": found.note})
        lines.append(f"{name:<22}{len(found):>9,}  {found.note}")
    say(dumps({"studies": rows}) if as_json else "\n".join(lines))
    return DONE


@contextmanager
def _bar(scenarios: int) -> Iterator[Callable[[Progress], None]]:
    """A bar with the rate, the time left and failures on standard error, where someone watches."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=scenarios, told="starting workers")

        def show(done: Progress) -> None:
            failures = f", {done.failures:,} failed" if done.failures else ""
            left = "" if done.left_s != done.left_s else f", {_clock(done.left_s)} left"
            told = f"{done.per_s:.1f}/s{left}{failures}" if done.answered else "starting workers"
            bar.update(task, completed=done.before + done.answered, told=told)

        yield show


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
