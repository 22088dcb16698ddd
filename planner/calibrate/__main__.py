"""Fit the operators' constants to measured kernels: ``python -m planner.calibrate DIR``.

DIR holds CSV files, one per kind of kernel; each column set is documented in the module named.
Every row has `system` (a preset name), `engine` (trtllm, sglang or vllm) and `latency_us`.

    gemm.csv                       planner.calibrate.gemm
    attention_*.csv, mla_*.csv ... planner.calibrate.attention
    moe.csv                        planner.calibrate.moe
    allreduce.csv, nccl.csv ...    planner.calibrate.collectives

Files that are missing are passed over. The constants go to presets/kernels/<system>.toml, or to
the folder given with ``--out``; what such a file holds of other operators stays.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from planner import catalog
from planner.calibrate.fit import Calibration, Fit, fit_group, read_rows, write_kernels

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
MODULES = ("gemm", "attention", "moe", "collectives")


def calibrations() -> tuple[Calibration, ...]:
    """Every kind of measurement that can be fitted, in the order of `MODULES`."""
    found: list[Calibration] = []
    for name in MODULES:
        found.extend(importlib.import_module(f"planner.calibrate.{name}").CALIBRATIONS)
    return tuple(found)


def main(argv: list[str] | None = None) -> int:
    """Command line of calibration; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m planner.calibrate", description=__doc__.splitlines()[0])
    parser.add_argument("measurements", type=Path, help="folder of CSV files")
    parser.add_argument("--system", help="fit this system only")
    parser.add_argument("--operator", help="fit this operator only")
    parser.add_argument("--out", type=Path, default=Path("presets/kernels"), help="folder of kernels files")
    given = parser.parse_args(argv)

    presets = catalog.load()
    fits: dict[str, list[Fit]] = {}
    for calibration in calibrations():
        path = given.measurements / calibration.csv
        if not path.exists():
            continue
        for group in calibration.groups(read_rows(path)):
            name = group.system.replace("_", "-")
            if (given.system and name != given.system) or (
                given.operator and group.operator != given.operator
            ):
                continue
            fit = fit_group(group, presets.system(name))
            if fit is None:
                continue
            fits.setdefault(name, []).append(fit)
            print(
                f"{name:14} {group.operator:18} {group.engine:7} {group.dtype:10} n {fit.n:5}"
                f"  left-out MAPE {fit.mape:6.1%}  median {fit.median_ape:6.1%}",
                flush=True,
            )
    for name, system_fits in fits.items():
        write_kernels(given.out / f"{name}.toml", system_fits, RELATIVES.get(name))
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
