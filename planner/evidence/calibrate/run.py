"""Fit everything that a folder of measurements holds and write it where kernels files live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from planner.errors import InputError
from planner.evidence import csv_files, kernel_files
from planner.evidence.calibrate import user_presets
from planner.evidence.calibrate.derive import write_derived
from planner.evidence.calibrate.fit import (
    BOARDS,
    SISTERS,
    Calibration,
    Fit,
    Member,
    fit_sisters,
    write_kernels,
)
from planner.evidence.calibrate.kernels import attention, collectives, dsa_modules, gemm, mla_modules, moe
from planner.evidence.sanity.remarks import write_remarks
from planner.inputs.catalog import Catalog
from planner.inputs.toml_tables import read_toml

# where to look for what a system's own file lacks: the nearest architecture that was measured
RELATIVES = {
    "a100": "h100",
    "h100": "h200",
    "h200": "h100",
    "b200": "gb200",
    "gb200": "b200",
    "b300": "b200",
    "gb300": "gb200",
    "l40s": "h100",
    "rtx-pro-6000": "b200",
}
# Rows below which a table is fitted together with that of its chip on another board; where that chip has
# other memory, of whose bandwidth kernels need not reach the same share, only the shortest tables are
ENOUGH_ROWS = 120
FEW_ROWS = 40
# in the order in which they are fitted: a whole block is fitted around the kernels within it
MODULES = (gemm, attention, dsa_modules, mla_modules, moe, collectives)


def calibrations() -> tuple[Calibration, ...]:
    """Every kind of measurement that can be fitted, in the order of `MODULES`."""
    return tuple(calibration for module in MODULES for calibration in module.CALIBRATIONS)


def _families(by_chip: Iterable[list[Member]]) -> Iterator[list[Member]]:
    """What is fitted together: tables of one chip where one of them is short of rows, else each alone."""
    for members in by_chip:
        enough = ENOUGH_ROWS if members[0].system.name in BOARDS else FEW_ROWS
        if any(len(member.group.measured_s) < enough for member in members):
            yield members
        else:
            yield from ([member] for member in members)


def calibrate(
    measurements: Path, out: Path, catalog: Catalog, system: str | None = None, operator: str | None = None
) -> Iterator[Fit]:
    """Fit everything measured in a folder and write it; yields each fit, file by file.

    Tables of few rows (`ENOUGH_ROWS`, `FEW_ROWS`) are fitted together with those of the sister GPU.

    Constants are written as the iteration goes: those of a CSV file after its last fit.

    Parameters
    ----------
    out
        Folder of presets. A system's kernels file that is not in it starts as the catalog's; what a file
        holds of other operators stays.
    system, operator
        Only these.

    Raises InputError for a file that cannot be used or a system that is not known.
    """
    prepared: set[str] = set()
    for calibration in calibrations():
        path = csv_files.find(measurements, calibration.csv)
        if path is None:
            continue
        wanted: dict[tuple[str, ...], list[Member]] = {}
        for group in calibration.groups(kernel_files.fitted_rows(path, calibration.csv)):
            name = catalog.canonical("system", group.system)
            if system is not None and name not in (system, SISTERS.get(system)):
                continue
            if operator not in (None, group.operator):
                continue
            if name not in prepared:
                prepared.add(name)
                user_presets.prepare_kernels(name, out, catalog)
            member = Member(
                group=group,
                system=catalog.system(name),
                others=read_toml(user_presets.kernels_path(name, out)),
            )
            chip = min(name, SISTERS.get(name, name))
            wanted.setdefault((group.operator, group.engine, group.dtype, chip), []).append(member)
        fits: dict[str, list[Fit]] = {}
        for members in _families(wanted.values()):
            if all(system not in (None, member.system.name) for member in members):
                continue
            try:
                found = fit_sisters(members)
            except LookupError as error:
                text = f"the operators around it must be fitted first: {error.args[0]}"
                raise InputError(calibration.csv, members[0].system.name, text) from None
            for member, fit in zip(members, found, strict=True):
                if fit is not None and system in (None, member.system.name):
                    fits.setdefault(member.system.name, []).append(fit)
                    yield fit
        for name, some in fits.items():
            write_kernels(user_presets.kernels_path(name, out), some, RELATIVES.get(name))
    write_derived(out / user_presets.KERNELS)
    if prepared:
        write_remarks(out / user_presets.KERNELS, catalog)
