"""`ratematch calibrate`: presets of one's own from measurements."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner import load
from planner.errors import InputError, printable_lines
from tui.cli.flags import Parser, UsageError
from tui.cli.measured_files import KERNEL_COLUMNS, RUN_COLUMNS
from tui.cli.terminal import DONE, ERROR, say, writing

if TYPE_CHECKING:
    from planner.evidence.calibrate.few import Few
    from planner.evidence.runs import Row
    from planner.inputs.catalog import Catalog


def run(arguments: Sequence[str]) -> int:
    """The command: 0 when constants were written, 1 when nothing could be fitted.

    Raises InputError for what cannot be read or written.
    """
    parser = Parser(
        "ratematch calibrate",
        "DIR [--system S] [--operator O] [--out FOLDER]\n"
        "       ratematch calibrate --engines FILE.csv [--bands] [--out FOLDER]\n"
        "       ratematch calibrate --check",
        "Make presets of your own from measurements: constants of the kernels of a machine from a folder\n"
        "of CSV files, or host and scheduling constants of engines from measured runs. They go to your\n"
        "own presets (`ratematch paths config`), which come before those installed with ratematch.\n"
        "Of 30 runs of an engine or fewer: which constants of the profile as it is they move, how surely,\n"
        "and which run to make next.\n"
        "--check compares the constants in use with each other: formats, engines, sister GPUs, bounds.\n\n"
        f"{KERNEL_COLUMNS}\n\n{RUN_COLUMNS}",
        "  ratematch calibrate measurements/ --system h100\n"
        "  ratematch calibrate --engines runs.csv --out my-presets\n"
        "  ratematch calibrate --engines runs.csv --bands    # error bands too: some minutes\n"
        "  ratematch calibrate --check                       # 1 if a table is odd and nobody knows why",
    )
    parser.add_argument("measurements", metavar="DIR", nargs="?", help="a folder of measured kernels")
    parser.add_argument("--engines", metavar="FILE.csv", help="measured runs")
    parser.add_argument("--bands", action="store_true", help="write the error bands of --engines only")
    parser.add_argument("--check", action="store_true", help="compare the kernel constants in use")
    parser.add_argument("--system", metavar="S", help="fit this system only")
    parser.add_argument("--operator", metavar="O", help="fit this operator only")
    parser.add_argument("--out", metavar="FOLDER", help="a folder of presets (default: your own)")
    args = parser.read(arguments)
    if args.check:
        if args.measurements is not None or args.engines is not None:
            raise UsageError("--check reads presets alone: neither DIR nor --engines")
        return _check(load())
    if (args.measurements is None) == (args.engines is None):
        raise UsageError(f"either DIR or --engines FILE.csv is needed; see `{parser.prog} --help`")
    if args.bands and args.engines is None:
        raise UsageError("--bands needs runs: ratematch calibrate --engines FILE.csv --bands")
    from planner.inputs.catalog import user_folder

    catalog = load()
    out = Path(args.out) if args.out is not None else user_folder()
    with writing("out", out):
        if args.engines is None:
            return _kernels(Path(args.measurements), out, catalog, args.system, args.operator)
        fit = _bands if args.bands else _engines
        return fit(Path(args.engines), out, catalog)


def _check(catalog: Catalog) -> int:
    from planner.evidence.sanity.checks import findings
    from planner.evidence.sanity.remarks import tables_of
    from planner.evidence.sanity.report import text

    found = findings(tables_of(catalog), catalog)
    print(text(found))
    return DONE if all(one.settled for one in found) else ERROR


def _kernels(
    measurements: Path, out: Path, catalog: Catalog, system: str | None, operator: str | None
) -> int:
    from planner.evidence.calibrate import user_presets
    from planner.evidence.calibrate.run import calibrate
    from planner.evidence.figures import percent
    from planner.evidence.text import table

    if not os.path.isdir(measurements):  # noqa: PTH112 (never raises, whatever the name)
        raise InputError("measurements", str(measurements), "a folder of CSV files")
    if system is not None:
        system = catalog.canonical("system", system)
    fits = list(calibrate(measurements, out, catalog, system, operator))
    if not fits:
        say("Nothing could be fitted: no file with at least 12 usable rows of a known system.")
        return ERROR
    head = ("system", "operator", "engine", "format", "rows", "faster than light", "left-out mean", "median")
    rows = [
        (
            fit.group.system,
            fit.group.operator,
            fit.group.engine,
            fit.group.dtype,
            f"{fit.n:,}",
            f"{fit.dropped:,}",
            percent(fit.mape),
            percent(fit.median_ape),
        )
        for fit in fits
    ]
    say(table([head, *rows], "llllrrrr"))
    for name in sorted({catalog.canonical("system", fit.group.system) for fit in fits}):
        fitted = {fit.group.operator for fit in fits if catalog.canonical("system", fit.group.system) == name}
        lent = user_presets.inherited(name, out, catalog)
        text = ", ".join(f"{key} from {owner}" for key, owner in lent.items()) or "nothing"
        say(f"\n{out / user_presets.KERNELS / name}.toml: {len(fitted)} operators fitted; inherited: {text}.")
    return DONE


def _engines(file: Path, out: Path, catalog: Catalog) -> int:
    from planner.evidence import gather
    from planner.evidence.calibrate import engines, left_out, user_presets
    from planner.evidence.figures import percent, spread
    from planner.evidence.results import read as results
    from planner.evidence.text import table

    rows = results.read(file, catalog)
    if _are_few(rows, catalog):
        return _few(rows, out, catalog)
    trials = engines.prepare(rows, catalog)
    profiles = engines.fitted(trials, catalog, trials.names)
    if not profiles:
        say("Nothing could be fitted: no row can be predicted (`ratematch validate` says why).")
        return ERROR
    for name in profiles:
        user_presets.prepare_engine(name, out, catalog)
    paths = engines.write(profiles, out / user_presets.ENGINES)
    names = list(profiles)
    head = ("constant", "range", *names)
    cells = [
        (c.name, f"{c.low:g} to {c.high:g}", *(f"{getattr(profiles[n], c.name):g}" for n in names))
        for c in engines.CONSTANTS
    ]
    say(table([head, *cells], "ll" + "r" * len(names)))
    found = gather.gather(rows, catalog, profiles)
    ttft, tpot = gather.predict(found)
    measured = [[getattr(row, key) for row in found.rows] for key in ("ttft_s", "tpot_s")]
    errors: list[tuple[str, Any, Any]] = [
        ("of the fit", spread(ttft / measured[0]), spread(tpot / measured[1]))
    ]
    for split in left_out.SPLITS:
        if split.name in ("model", "system") and len({split.group(row) for row in rows}) > 1:
            apart = left_out.ratios(rows, trials, catalog, split)
            errors.append((f"{split.label} left out", spread(apart[0]), spread(apart[1])))
    say(
        "\n"
        + table(
            [
                ("error", "rows", "TPOT mean", "median", "TTFT mean", "median"),
                *(
                    (
                        text,
                        f"{step['n']:,}",
                        *(percent(part[k]) for part in (step, first) for k in ("mape", "median_ape")),
                    )
                    for text, first, step in errors
                ),
            ],
            "lrrrrr",
        )
    )
    say("\n" + "\n".join(str(path) for path in paths))
    return DONE


def _are_few(rows: Sequence[Row], catalog: Catalog) -> bool:
    """Whether no engine has more runs than count as few."""
    from planner.evidence.calibrate.few import MOST_RUNS
    from planner.evidence.deployment import engine_profile

    counted: Counter[str] = Counter()
    for row in rows:
        try:
            counted[engine_profile(catalog, row.engine, row.version).name] += 1
        except InputError:  # an engine that is not known: `prepare` leaves its rows out
            continue
    return bool(counted) and max(counted.values()) <= MOST_RUNS


def _few(rows: Sequence[Row], out: Path, catalog: Catalog) -> int:
    """A handful of runs: what they move in the profile as it is, how surely, and which run tells most."""
    from planner.evidence.calibrate import engines, few, user_presets

    found = few.fit(rows, catalog)
    if not found:
        say("Nothing could be fitted: no row can be predicted (`ratematch validate` says why).")
        return ERROR
    for one in found:
        user_presets.prepare_engine(one.engine, out, catalog)
    paths = engines.write({one.engine: one.profile for one in found}, out / user_presets.ENGINES)
    for one in found:
        say(printable_lines(few_text(one)) + "\n")
    say("\n".join(str(path) for path in paths))
    return DONE


def few_text(found: Few) -> str:
    """What a handful of runs say of an engine, for people."""
    from planner.evidence.figures import percent
    from planner.evidence.text import table

    rows = [("constant", "before", "now", "uncertain by", "alone", "is the one that changed")]
    for one in sorted(found.told, key=lambda told: -told.weight):
        if one.says != "prior":
            now = f"{getattr(found.profile, one.name):.3g}"
            off = f"{one.sd:.2g}, before the runs {one.prior_sd:.2g}"
            rows.append((one.name, f"{one.before:.3g}", now, off, f"{one.alone:.3g}", percent(one.weight)))
    prior = [one.name for one in found.told if one.says == "prior"]
    lines = [f"{found.engine}: {found.runs} runs against the profile as it is"]
    if len(rows) > 1:
        lines.append(table(rows, "lrrrrr"))
    if found.profile_changed:
        lines.append(f"misfit {found.misfit_before:.1f} -> {found.misfit_now:.1f} (squares over their noise)")
        for name in found.at_an_end:
            lines.append(
                f"{name} stops at {getattr(found.profile, name):.3g}, an end of its plausible range: it lies "
                "beyond, or something else is off, and it is less sure than the table says."
            )
    else:
        lines.append(f"The profile stays: that nothing changed is {percent(found.unchanged)} likely.")
    if prior:
        lines.append(f"The runs say nothing of {', '.join(prior)}.")
    if found.next_run is not None:
        row, tells = found.next_run.row, found.next_run
        shape = f"{row.concurrency:g} in flight, ISL {row.isl:,}, OSL {row.osl:,}"
        lines.append(
            f"The next best run: {row.model} on {row.system}, {shape}: it leaves {percent(tells.left)} of "
            f"what is open of {tells.tells}."
        )
    return "\n".join(lines)


def _bands(file: Path, out: Path, catalog: Catalog) -> int:
    from planner.evidence import runs
    from planner.evidence.calibrate import left_out
    from planner.evidence.figures import percent, spread
    from planner.inputs.catalog import ACCURACY_FILE

    rows = runs.read(file)
    found = {}
    for split, ttft, tpot, prefill in left_out.each(rows, catalog):
        found[split.name] = ttft, tpot, prefill
        text = ", ".join(
            f"{name} {percent(spread(ratio)['median_ape'])} median"
            for name, ratio in (("TPOT", tpot), ("TTFT", ttft))
        )
        say(f"left out by {split.label}: {text}")
    table = left_out.summarise(rows, catalog, found)
    path = out / ACCURACY_FILE
    left_out.write(table, path, file.name)
    say(path)
    return DONE
