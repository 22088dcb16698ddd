"""Measured kernels against the operators: predicts every row of CSV files and reports the error.

The files, their columns and how a row becomes a call of an operator are those of calibration
(`planner.evidence.calibrate`); any subset of them will do. The constants are the catalog's, so a system
without measurements of its own is predicted with what it inherits, as in a plan.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.evidence import csv_files
from planner.evidence.calibrate.fit import Group
from planner.evidence.kernel_files import FILES, known_rows, machine_of, read
from planner.inputs.catalog import Catalog
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.moe import OPERATOR as MOE

NOT_FITTED = "its kernels were not measured on this system or a relative"
# parts of one name in the report
_MERGED = ((f"{MOE}_", MOE), ("dsa_prefill_", "dsa_prefill"), ("dsa_decode_", "dsa_decode"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """Absolute errors of the rows of one operator, system, engine and format."""

    parts: list[FloatArray]
    left_out: list[tuple[int, float]]  # rows, error that calibration found on points left out
    inherited: set[str]


def report(folder: Path, catalog: Catalog) -> dict[str, Any]:
    """Errors of the operators on every row of the CSV files in a folder.

    Returns
    -------
    dict
        ``operators``: operator, system, engine, dtype, n, mape, median_ape, left_out_mape (of the
        calibration behind the constants, on points left out; None where unknown), constants ("own",
        or where they were measured). ``rows``, ``covered``; ``missing``: file, n, why;
        ``seconds``.

    Raises
    ------
    InputError
        Where the folder holds none of the files, a column is missing, or a cell is not a number.
    """
    begin = time.perf_counter()
    if not os.path.isdir(folder):  # noqa: PTH112 (never raises, whatever the name)
        raise InputError("kernels", str(folder), "a folder of CSV files")
    present = [(file, path) for file in FILES if (path := csv_files.find(folder, file.name))]
    if not present:
        names = ", ".join(file.name for file in FILES)
        raise InputError("kernels", str(folder), f"a folder with at least one of {names}")
    found: dict[tuple[str, str, str, str], _Errors] = {}
    missing: list[dict[str, Any]] = []
    total = 0
    for file, path in present:
        rows = read(path, file)
        total += len(rows)
        known, why = known_rows(rows, file, catalog)
        missing += [{"file": file.name, "n": n, "why": text} for text, n in why.items()]
        for group in file.groups(known, catalog) if known else ():
            machine = machine_of(group, catalog)
            try:
                predicted = np.broadcast_to(group.predict(machine).seconds, group.measured_s.shape)
            except LookupError:
                text = f"{group.operator} {group.dtype}: {NOT_FITTED} ({group.system})"
                missing.append({"file": file.name, "n": len(group.measured_s), "why": text})
                continue
            errors = np.abs(predicted / group.measured_s - 1.0)
            sound = np.isfinite(errors)
            if not sound.all():
                text = f"{group.operator} {group.dtype}: sizes that no kernel has ({group.system})"
                missing.append({"file": file.name, "n": int((~sound).sum()), "why": text})
            if sound.any():
                _add(found, group, machine, errors[sound])
    lost = sum(item["n"] for item in missing)
    return {
        "operators": [_line(key, errors) for key, errors in sorted(found.items())],
        "rows": total,
        "covered": total - lost,
        "missing": missing,
        "seconds": time.perf_counter() - begin,
    }


def _add(
    found: dict[tuple[str, str, str, str], _Errors], group: Group, machine: Machine, errors: FloatArray
) -> None:
    operator = next((name for start, name in _MERGED if group.operator.startswith(start)), group.operator)
    key = (operator, group.system.replace("_", "-"), group.engine, group.dtype)
    line = found.setdefault(key, _Errors(parts=[], left_out=[], inherited=set()))
    line.parts.append(errors)
    try:
        source = machine.kernels.provenance(group.operator, group.dtype)
    except LookupError:
        return
    line.left_out.append((len(errors), source.mape))
    if source.system != key[1] or source.dtype != group.dtype or source.engine != group.engine:
        line.inherited.add(f"{source.system} {source.engine} {source.dtype}")


def _line(key: tuple[str, str, str, str], found: _Errors) -> dict[str, Any]:
    errors = np.concatenate(found.parts)
    rows = sum(n for n, _ in found.left_out)
    left_out = sum(n * mape for n, mape in found.left_out) / rows if rows else float("nan")
    return {
        **dict(zip(("operator", "system", "engine", "dtype"), key, strict=True)),
        "n": len(errors),
        "mape": float(errors.mean()),
        "median_ape": float(np.median(errors)),
        "left_out_mape": left_out if np.isfinite(left_out) and not found.inherited else None,
        "constants": ", ".join(sorted(found.inherited)) or "own",
    }


def by_operator(lines: Iterable[Mapping[str, Any]], systems: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Lines of a report summed over systems, engines and formats: operator, n, mape, median of medians.

    Parameters
    ----------
    systems
        Only these, where any are given.
    """
    chosen = set(systems)
    kept = [line for line in lines if not chosen or line["system"] in chosen]
    found = []
    for operator in sorted({line["operator"] for line in kept}):
        some = [line for line in kept if line["operator"] == operator]
        n = sum(line["n"] for line in some)
        known = [line for line in some if line["left_out_mape"] is not None]
        held = sum(line["n"] for line in known)
        found.append(
            {
                "operator": operator,
                "n": n,
                "mape": sum(line["n"] * line["mape"] for line in some) / n,
                "median_ape": float(np.median([line["median_ape"] for line in some])),
                "left_out_mape": sum(line["n"] * line["left_out_mape"] for line in known) / held
                if held
                else None,
            }
        )
    return found
