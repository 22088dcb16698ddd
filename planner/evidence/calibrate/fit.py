"""Robust least squares on the logarithm of time, and the files the constants live in.

The generic half of calibration: an operator's module hands over `Group`s (rows of one system,
engine and format together with a function that predicts them) and gets `Fit`s back.

The error it reports is on points left out: five folds drawn by a hash of the row, each predicted
with constants fitted to the other four. The constants written are those fitted to all.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.evidence.csv_files import Rows
from planner.inputs import files
from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import MeasuredKernels
from planner.inputs.system import System
from planner.inputs.toml_tables import read_toml
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost

FOLDS = 5
TOLERANCE = 0.1  # log error at which the robust loss turns from square to linear
MIN_ROWS = 12  # fewer measurements than this do not support a fit
USABLE_SHARE = 0.75

NO_OTHERS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Measurements of one operator, engine and format on one system.

    `predict` evaluates the operator on all rows with the machine's constants (shape [rows]);
    `keys` name the rows, for a split that does not depend on their order. `fixed` holds constants
    that these rows cannot tell (their source belongs in a comment where the group is made); `start`
    begins the search elsewhere than the constants' own start.
    """

    system: str
    operator: str
    engine: str
    dtype: str
    kind: type
    predict: Callable[[Machine], Cost]
    measured_s: FloatArray
    keys: Sequence[str]
    range: str
    fixed: Mapping[str, float] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Constants of one group and how well they predict points left out of the fit."""

    group: Group
    constants: Mapping[str, float]
    n: int
    dropped: int  # rows faster than light, left out
    mape: float
    median_ape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One kind of measurement: the CSV it comes in and how its rows become groups."""

    csv: str
    groups: Callable[[Rows], Iterable[Group]]


def bind(operator: Callable[..., Cost], *arguments: Any) -> Callable[[Machine], Cost]:
    """An operator, all but its machine given: what a group predicts with."""
    return lambda machine: operator(machine, *arguments)


def column(rows: Rows, name: str, blank: float = 0.0) -> FloatArray:
    """One column as numbers; `blank` where a cell is empty or the column is missing.

    Raises InputError for what is no number.
    """
    try:
        return np.array([float(row.get(name) or blank) for row in rows], dtype=np.float64)
    except ValueError as error:
        raise InputError(name, str(error), "a number in every row") from None


def row_keys(rows: Rows) -> list[str]:
    """A name for each row: its cells without what was measured."""
    return ["|".join(v for k, v in row.items() if k != "latency_us") for row in rows]


def span(rows: Rows, *names: str) -> str:
    """What a group of measurements covers, such as "m 1..16384, n 128..65536"."""
    parts = []
    for name in names:
        values = column(rows, name)
        low, high = f"{values.min():g}", f"{values.max():g}"
        parts.append(f"{name} {low}" if low == high else f"{name} {low}..{high}")
    return ", ".join(parts)


def split_by(rows: Rows, *names: str) -> dict[tuple[str, ...], Rows]:
    """Rows by the values of some columns. Raises InputError where a column is missing."""
    if rows:
        for name in names:
            if name not in rows[0]:
                raise InputError("column", name, f"needed beside {', '.join(rows[0])}")
    parts: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        parts.setdefault(tuple(row[n] for n in names), []).append(row)
    return dict(parts)


def trial_machine(
    system: System, group: Group, constants: Mapping[str, float], others: Mapping[str, Any] = NO_OTHERS
) -> Machine:
    """A machine that runs the group's operator with these constants, and `others` as given."""
    table = {group.operator: {group.engine: {group.dtype: {"constants": constants}}}}
    return Machine(
        gpu=system.gpu,
        fabric=system.fabric,
        kernels=MeasuredKernels(engine=group.engine, tables=((system.name, table), (system.name, others))),
        engine=EngineProfile.none(group.engine),
    )


def fit_group(
    group: Group, system: System, others: Mapping[str, Any] = NO_OTHERS, folds: int = FOLDS
) -> Fit | None:
    """Constants of one group, or None where too few rows are left.

    Rows that beat the speed of light (a warm cache) are dropped: no constant can explain them. Where
    they are more than a quarter, the rows measure something else and none is used. `others` is a table
    in the format of a kernels file with operators that the group's own calls upon; `folds` is the number
    of parts of the cross-validation, each left out once (a layer's `fold` in `planner.inputs.model` is
    another thing).
    """
    legal = bounds(group.kind)
    free = [name for name in legal if name not in group.fixed]
    start = np.log([group.start.get(name, legal[name].start) for name in free])
    low = np.log([legal[name].low for name in free])
    high = np.log([legal[name].high for name in free])

    def constants(x: FloatArray) -> dict[str, float]:
        values = {**group.fixed, **dict(zip(free, np.exp(x), strict=True))}
        return {name: float(values[name]) for name in legal}

    def predict(x: FloatArray) -> FloatArray:
        cost = group.predict(trial_machine(system, group, constants(x), others))
        return np.broadcast_to(cost.seconds, group.measured_s.shape)

    light_s = group.predict(trial_machine(system, group, constants(start), others)).light_s
    usable = group.measured_s > light_s
    if usable.sum() < max(MIN_ROWS, USABLE_SHARE * usable.size):
        return None
    log_measured = np.log(group.measured_s)

    def solve(rows: npt.NDArray[np.bool_], x0: FloatArray) -> FloatArray:
        from scipy.optimize import least_squares

        def residuals(x: FloatArray) -> FloatArray:
            return np.asarray((np.log(predict(x)) - log_measured)[rows])

        solution = least_squares(
            residuals,
            np.clip(x0, low + 1e-9, high - 1e-9),
            bounds=(low, high),
            loss="soft_l1",
            f_scale=TOLERANCE,
            ftol=1e-6,  # flat directions are not worth following: an error of 1e-4 of a log is none
            xtol=1e-5,
            max_nfev=80,
        )
        return np.asarray(solution.x)

    part_of = np.array([zlib.crc32(key.encode()) % folds for key in group.keys])
    x = solve(usable, start)
    left_out = np.full(group.measured_s.shape, np.nan)
    for i in range(folds):
        part = usable & (part_of == i)
        if part.any():
            left_out[part] = predict(solve(usable & (part_of != i), x))[part]
    error = np.abs(left_out / group.measured_s - 1.0)[usable]
    return Fit(
        group=group,
        constants={name: significant(value) for name, value in constants(x).items()},
        n=int(usable.sum()),
        dropped=int((~usable).sum()),
        mape=float(error.mean()),
        median_ape=float(np.median(error)),
    )


def significant(value: float, digits: int = 4) -> float:
    """A number rounded to significant digits.

    >>> significant(0.0000123456)
    1.235e-05
    """
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) and value else value


def entry(fit: Fit) -> dict[str, Any]:
    """What a kernels file says about one fit."""
    return {
        "constants": dict(fit.constants),
        "n": fit.n,
        "mape": significant(fit.mape, 3),
        "median_ape": significant(fit.median_ape, 3),
        "range": fit.group.range,
    }


def write_kernels(path: Path, fits: Iterable[Fit], relative: str | None = None) -> None:
    """Merge fits into a kernels file: what it holds of other operators, engines and formats stays.

    `relative` is written only where the file does not name one.
    """
    table: dict[str, Any] = read_toml(path) if path.exists() else {}
    if relative is not None:
        table.setdefault("relative", relative)
    for fit in fits:
        by_engine = table.setdefault(fit.group.operator, {}).setdefault(fit.group.engine, {})
        by_engine[fit.group.dtype] = entry(fit)
    write_table(path, table)


def write_table(path: Path, table: Mapping[str, Any]) -> None:
    """Write a kernels file: plain keys first, operators in order; never half a file."""
    top = {key: value for key, value in table.items() if not isinstance(value, dict)}
    operators = {key: table[key] for key in sorted(table) if key not in top}
    files.write_atomically(path, tomli_w.dumps({**top, **operators}))
