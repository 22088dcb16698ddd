"""Fit the operators' constants to measured kernels: ``python -m planner.calibrate DIR``.

DIR holds CSV files, one per kind of kernel; each column set is documented in the module named.
Every row has `system` (a preset name), `engine` (trtllm, sglang or vllm) and `latency_us`.

    gemm.csv                       planner.calibrate.gemm
    attention_*.csv, mla_*.csv ... planner.calibrate.attention
    dsa_*_module.csv               planner.calibrate.sparse
    mla_*_module.csv               planner.calibrate.blocks
    moe.csv                        planner.calibrate.moe
    allreduce.csv, nccl.csv ...    planner.calibrate.collectives

Files that are missing are passed over. The constants go to presets/kernels/<system>.toml, or to
the folder given with ``--out``; what such a file holds of other operators stays, and a group whose
rows involve other operators (sparse attention: the GEMMs around it) takes them from there.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from planner import catalog
from planner.calibrate.derive import write_derived
from planner.calibrate.fit import Calibration, Fit, fit_group, read_rows, write_kernels
from planner.errors import InputError
from planner.tables import read_toml

# where to look for what a system's own file lacks: the nearest architecture that was measured
RELATIVES = {
    "a100": "h100",
    "h100": "h200",
    "h200": "h100",
    "b200": "gb200",
    "gb200": "b200",
    "l40s": "h100",
    "rtx-pro-6000": "b200",
}
MODULES = ("gemm", "attention", "sparse", "blocks", "moe", "collectives")


def calibrations() -> tuple[Calibration, ...]:
    """Every kind of measurement that can be fitted, in the order of `MODULES`."""
    found: list[Calibration] = []
    for name in MODULES:
        found.extend(importlib.import_module(f"planner.calibrate.{name}").CALIBRATIONS)
    return tuple(found)


def main(argv: list[str] | None = None) -> int:
    """Command line: 0 when constants were written, 1 when nothing could be fitted, 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m planner.calibrate", description=__doc__.splitlines()[0])
    parser.add_argument("measurements", type=Path, help="folder of CSV files")
    parser.add_argument("--system", help="fit this system only")
    parser.add_argument("--operator", help="fit this operator only")
    parser.add_argument("--out", type=Path, default=Path("presets/kernels"), help="folder of kernels files")
    given = parser.parse_args(argv)

    try:
        found = calibrate(given.measurements, given.out, given.system, given.operator)
    except (InputError, OSError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    return 0 if found else 1


def calibrate(measurements: Path, out: Path, system: str | None = None, operator: str | None = None) -> int:
    """Fit everything measured in a folder and write it; returns the number of fits.

    Raises InputError for a file that cannot be used or a system that is not known.
    """
    presets = catalog.load()
    found = 0
    for calibration in calibrations():
        path = measurements / calibration.csv
        if not path.exists():
            continue
        fits: dict[str, list[Fit]] = {}
        for group in calibration.groups(read_rows(path)):
            name = group.system.replace("_", "-")
            if system not in (None, name) or operator not in (None, group.operator):
                continue
            file = out / f"{name}.toml"
            fit = fit_group(group, presets.system(name), read_toml(file) if file.exists() else {})
            if fit is not None:
                fits.setdefault(name, []).append(fit)
                print(line(fit), flush=True)
        for name, some in fits.items():
            write_kernels(out / f"{name}.toml", some, RELATIVES.get(name))
            found += len(some)
    write_derived(out)
    return found


def line(fit: Fit) -> str:
    """One fit as a line of a table."""
    g = fit.group
    return (
        f"{g.system:14} {g.operator:18} {g.engine:7} {g.dtype:10} n {fit.n:5}"
        f"  left-out MAPE {fit.mape:6.1%}  median {fit.median_ape:6.1%}"
    )


if __name__ == "__main__":
    sys.exit(main())
