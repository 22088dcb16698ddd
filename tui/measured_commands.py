"""`ratematch validate` and `ratematch calibrate`: predictions against measurements, and presets from them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.summary import ascii_only
from tui.flags import Parser, UsageError

if TYPE_CHECKING:
    from planner.catalog import Catalog

DONE, ERROR = 0, 1
WIDTH = 80

RUN_COLUMNS = """columns of FILE.csv, one line for each run at a fixed number of requests in flight:
  model, system, engine          names of presets
  isl, osl, concurrency          tokens in and out; requests in flight over the whole deployment
  ttft_ms, tpot_ms               what was measured; either may be empty
  mode                           colocated (default) or disaggregated
  gemm_dtype, moe_dtype          bf16, fp8, fp8_block, nvfp4, mxfp4, int4_wo (default bf16)
  tp, pp, attention_dp, moe_tp, moe_ep         co-located widths (default 1)
  prefill_workers, prefill_tp, prefill_attention_dp, prefill_moe_tp, prefill_moe_ep,
  decode_workers, decode_tp, ...               disaggregated ones
  engine_versions, id            optional"""

KERNEL_COLUMNS = """files of DIR, any of them, all with system, engine and latency_us (microseconds):
  gemm.csv               dtype, m, n, k
  attention_prefill.csv  kv_cache_dtype, batch_size, isl, num_heads, num_key_value_heads, head_dim,
                         window_size (empty: none)
  attention_decode.csv   the same and step; the context is isl + step
  mla_prefill.csv, mla_decode.csv      kv_cache_dtype, num_heads, batch_size, isl, step
  mla_*_module.csv       the same and gemm_type: a whole block, projections included
  dsa_*_module.csv       the same and model
  gated_delta_net.csv    kernel_source, phase (context, generation), batch_size, seq_len, num_k_heads,
                         head_k_dim, num_v_heads, head_v_dim, d_conv
  moe.csv                moe_dtype, kernel_source, num_tokens, hidden_size, inter_size, topk,
                         num_experts, moe_tp_size, moe_ep_size, distribution (balanced, power_law_1.2)
  allreduce.csv          num_gpus, message_size (elements of 2 bytes)
  nccl.csv               nccl_dtype, op_name, num_gpus, message_size (elements)
  moe_alltoall.csv       comm_backend, phase (dispatch, combine), comm_dtype, ep_size, hidden_size,
                         topk, num_tokens"""


def validate(arguments: Sequence[str], load: Callable[[], Catalog], ascii: bool) -> int:
    """The command; `load` gives the catalog, `ascii` says what the output can take.

    Raises InputError for a file or folder that cannot be used, UsageError where neither is named.
    """
    parser = Parser(
        "ratematch validate",
        "[FILE.csv] [--kernels DIR] [--json | --write PAGE] [--plot] [--ascii]",
        "Predict measured runs, or measured kernels, and report the error: by group, the worst rows, what\n"
        "cannot be predicted. An error is predicted over measured, minus one.\n\n"
        f"{RUN_COLUMNS}\n\n{KERNEL_COLUMNS}",
        "  ratematch validate runs.csv --plot\n  ratematch validate runs.csv --json\n"
        "  ratematch validate --kernels measurements/\n"
        "  ratematch validate runs.csv --kernels measurements/ --write docs/accuracy.md",
    )
    parser.add_argument("file", metavar="FILE.csv", nargs="?", help="measured runs")
    parser.add_argument("--kernels", metavar="DIR", help="a folder of measured kernels")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the report as JSON")
    form.add_argument("--write", metavar="PAGE", help="write the page docs/accuracy.md to this file")
    parser.add_argument("--plot", action="store_true", help="plot predicted against measured")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    args = parser.read(arguments)
    if args.file is None and args.kernels is None:
        raise UsageError(f"a file of runs or --kernels DIR is missing; see `{parser.prog} --help`")
    if args.write and args.file is None:
        raise UsageError("--write needs a file of runs: ratematch validate FILE.csv --write PAGE")
    from planner import validate as runs
    from planner import validate_kernels as kernels

    catalog = load()
    found = runs.predict(runs.read(Path(args.file)), catalog) if args.file is not None else None
    result = runs.summarise(found) if found is not None else None
    operators = kernels.report(Path(args.kernels), catalog) if args.kernels is not None else None
    if args.json:
        document = {**(operators or {}), **(result or {})}
        print(json.dumps(document, indent=2, allow_nan=False))
        return DONE
    if args.write and found is not None:
        from planner import accuracy_page

        page = accuracy_page.write(found, operators, Path(args.file).name)
        _save(Path(args.write), page)
        print(args.write)
        return DONE
    plain = ascii or args.ascii
    blocks = [runs.to_text(result)] if result is not None else []
    if args.plot and found is not None:
        from tui import scatter

        wide = min(shutil.get_terminal_size((WIDTH, 24)).columns, 120) if sys.stdout.isatty() else WIDTH
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        for name in ("tpot", "ttft"):
            measured = getattr(found, f"measured_{name}_s").tolist()
            predicted = getattr(found, f"{name}_s").tolist()
            text = scatter.draw(measured, predicted, name.upper(), width=wide, ascii=plain, colour=colour)
            blocks += [text] if text else []
    if operators is not None:
        blocks.append(kernels.to_text(operators))
    text = "\n".join(blocks).rstrip("\n")
    print(ascii_only(text) if plain else text)
    return DONE


def calibrate(arguments: Sequence[str], load: Callable[[], Catalog]) -> int:
    """The command: 0 when constants were written, 1 when nothing could be fitted.

    Raises InputError for what cannot be read or written.
    """
    parser = Parser(
        "ratematch calibrate",
        "DIR [--system S] [--operator O] [--out FOLDER]\n"
        "       ratematch calibrate --engines FILE.csv [--bands] [--out FOLDER]",
        "Make presets of your own from measurements: constants of the kernels of a machine from a folder\n"
        "of CSV files, or host and scheduling constants of engines from measured runs. They go to your\n"
        "own presets (`ratematch paths config`), which come before those installed with ratematch.\n\n"
        f"{KERNEL_COLUMNS}\n\n{RUN_COLUMNS}",
        "  ratematch calibrate measurements/ --system h100\n"
        "  ratematch calibrate --engines runs.csv --out my-presets\n"
        "  ratematch calibrate --engines runs.csv --bands    # error bands too: some minutes",
    )
    parser.add_argument("measurements", metavar="DIR", nargs="?", help="a folder of measured kernels")
    parser.add_argument("--engines", metavar="FILE.csv", help="measured runs")
    parser.add_argument("--bands", action="store_true", help="write the error bands of --engines only")
    parser.add_argument("--system", metavar="S", help="fit this system only")
    parser.add_argument("--operator", metavar="O", help="fit this operator only")
    parser.add_argument("--out", metavar="FOLDER", help="a folder of presets (default: your own)")
    args = parser.read(arguments)
    if (args.measurements is None) == (args.engines is None):
        raise UsageError(f"either DIR or --engines FILE.csv is needed; see `{parser.prog} --help`")
    if args.bands and args.engines is None:
        raise UsageError("--bands needs runs: ratematch calibrate --engines FILE.csv --bands")
    from planner.catalog import user_folder

    catalog = load()
    out = Path(args.out) if args.out is not None else user_folder()
    try:
        if args.engines is None:
            return _kernels(Path(args.measurements), out, catalog, args.system, args.operator)
        return (
            _bands(Path(args.engines), out, catalog)
            if args.bands
            else _engines(Path(args.engines), out, catalog)
        )
    except OSError as error:
        raise InputError("out", str(out), f"cannot be written: {error.strerror or error}") from None


def _kernels(
    measurements: Path, out: Path, catalog: Catalog, system: str | None, operator: str | None
) -> int:
    from planner.calibrate import own
    from planner.calibrate.fit import Fit
    from planner.calibrate.run import calibrate as fit_all
    from planner.validate import percent, table

    if not measurements.is_dir():
        raise InputError("measurements", str(measurements), "a folder of CSV files")
    if system is not None:
        system = catalog.canonical("system", system)
    fits: list[Fit] = []
    count = fit_all(
        measurements,
        out / own.KERNELS,
        system,
        operator,
        prepare=lambda name: own.prepare_kernels(name, out, catalog),
        tell=fits.append,
    )
    if not count:
        print("Nothing could be fitted: no file with at least 12 usable rows of a known system.")
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
    print(table([head, *rows], "llllrrrr"))
    for name in sorted({catalog.canonical("system", fit.group.system) for fit in fits}):
        fitted = {fit.group.operator for fit in fits if catalog.canonical("system", fit.group.system) == name}
        lent = own.inherited(name, out, catalog)
        text = ", ".join(f"{key} from {owner}" for key, owner in lent.items()) or "nothing"
        print(f"\n{out / own.KERNELS / name}.toml: {len(fitted)} operators fitted; inherited: {text}.")
    return DONE


def _engines(file: Path, out: Path, catalog: Catalog) -> int:
    from planner import silicon
    from planner import validate as runs
    from planner.calibrate import bands, engines, own
    from planner.validate import percent, spread, table

    rows = runs.read(file)
    trials = engines.prepare(rows, catalog)
    profiles = engines.fitted(trials, catalog, trials.names)
    if not profiles:
        print("Nothing could be fitted: no row can be predicted (`ratematch validate` says why).")
        return ERROR
    for name in profiles:
        own.prepare_engine(name, out, catalog)
    paths = engines.write(profiles, out / own.ENGINES)
    names = list(profiles)
    head = ("constant", "range", *names)
    cells = [
        (c.name, f"{c.low:g} to {c.high:g}", *(f"{getattr(profiles[n], c.name):g}" for n in names))
        for c in engines.CONSTANTS
    ]
    print(table([head, *cells], "ll" + "r" * len(names)))
    found = silicon.gather(rows, catalog, profiles)
    ttft, tpot = silicon.predict(found)
    measured = [[getattr(row, key) for row in found.rows] for key in ("ttft_s", "tpot_s")]
    errors: list[tuple[str, Any, Any]] = [
        ("of the fit", spread(ttft / measured[0]), spread(tpot / measured[1]))
    ]
    for split in bands.SPLITS:
        if split.name in ("model", "system") and len({split.group(row) for row in rows}) > 1:
            apart = bands.ratios(rows, trials, catalog, split)
            errors.append((f"{split.label} left out", spread(apart[0]), spread(apart[1])))
    print()
    print(
        table(
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
    print("\n" + "\n".join(str(path) for path in paths))
    return DONE


def _bands(file: Path, out: Path, catalog: Catalog) -> int:
    from planner import accuracy
    from planner import validate as runs
    from planner.calibrate import bands

    table = bands.measure(runs.read(file), catalog, lambda text: print(text, flush=True))
    path = out / accuracy.FILE
    bands.write(table, path, file.name)
    print(path)
    return DONE


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("write", str(path), f"cannot be written: {error.strerror or error}") from None
