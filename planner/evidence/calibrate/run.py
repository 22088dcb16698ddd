"""Fit everything that a folder of measurements holds and write it where kernels files live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planner.errors import InputError
from planner.evidence import csv_files
from planner.evidence.calibrate.derive import write_derived
from planner.evidence.calibrate.fit import Calibration, Fit, fit_group, write_kernels
from planner.evidence.calibrate.kernels import attention, collectives, dsa_modules, gemm, mla_modules, moe
from planner.inputs import catalog
from planner.inputs.toml_tables import read_toml

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
# in the order in which they are fitted: a whole block is fitted around the kernels within it
MODULES = (gemm, attention, dsa_modules, mla_modules, moe, collectives)


def calibrations() -> tuple[Calibration, ...]:
    """Every kind of measurement that can be fitted, in the order of `MODULES`."""
    return tuple(calibration for module in MODULES for calibration in module.CALIBRATIONS)


def calibrate(
    measurements: Path,
    out: Path,
    system: str | None = None,
    operator: str | None = None,
    *,
    prepare: Callable[[str], None] = lambda name: None,
    tell: Callable[[Fit], None] = lambda fit: None,
) -> int:
    """Fit everything measured in a folder and write it; returns the number of fits.

    Parameters
    ----------
    out
        Folder of kernels files. What a file holds of other operators stays.
    system, operator
        Only these.
    prepare
        Called with each system before its first fit: it may lay out the file.
    tell
        Called with each fit.

    Raises InputError for a file that cannot be used or a system that is not known.
    """
    presets = catalog.load()
    found = 0
    prepared: set[str] = set()
    for calibration in calibrations():
        path = csv_files.find(measurements, calibration.csv)
        if path is None:
            continue
        fits: dict[str, list[Fit]] = {}
        for group in calibration.groups(csv_files.read(path)):
            name = presets.canonical("system", group.system)
            if system not in (None, name) or operator not in (None, group.operator):
                continue
            if name not in prepared:
                prepared.add(name)
                prepare(name)
            file = out / f"{name}.toml"
            try:
                fit = fit_group(group, presets.system(name), read_toml(file) if file.exists() else {})
            except LookupError as error:
                text = f"the operators around it must be fitted first: {error.args[0]}"
                raise InputError(calibration.csv, name, text) from None
            if fit is not None:
                fits.setdefault(name, []).append(fit)
                tell(fit)
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
