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
from dataclasses import dataclass, field, replace
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
# One chip on two boards
BOARDS = {"b200": "gb200", "gb200": "b200", "b300": "gb300", "gb300": "b300"}
# and one with two kinds of memory, whose constants are shares of each one's own bandwidth
SISTERS = {**BOARDS, "h100": "h200", "h200": "h100"}
SISTERS_MAY_COST = 0.05  # of the left-out error, for constants that sister GPUs share
POOR = 0.15  # left-out error beyond which a table is held to its sister's
BETTER = 0.8  # of it that the sister's constants must leave to stand in
MIN_ROWS = 12  # fewer measurements than this do not support a fit
USABLE_SHARE = 0.75

# Constants that sister GPUs do not share: what host and clocks add, whatever the work
OWN = (
    "floor_s",
    "first_s",
    "two_shot_s",
    "bulk_s",
    "index_floor_s",
    "host_s",
    "host_quantised_s",
    "host_pieces_s",
)

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
    sisters: tuple[str, ...] = ()  # systems that it was fitted together with
    as_on: str = ""  # the sister whose constants these are


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A group, where it was measured, and constants of operators that its own calls upon."""

    group: Group
    system: System
    others: Mapping[str, Any] = field(default_factory=dict)  # in the format of a kernels file

    def seconds(self, constants: Mapping[str, float]) -> FloatArray:
        """Predicted times of its rows."""
        return np.broadcast_to(self._cost(constants).seconds, self.group.measured_s.shape)

    def usable(self, constants: Mapping[str, float]) -> npt.NDArray[np.bool_]:
        """Rows no faster than light: a warm cache is nothing that constants explain."""
        return np.asarray(self.group.measured_s > self._cost(constants).light_s)

    def _cost(self, constants: Mapping[str, float]) -> Cost:
        return self.group.predict(trial_machine(self.system, self.group, constants, self.others))


def fit_group(
    group: Group, system: System, others: Mapping[str, Any] = NO_OTHERS, folds: int = FOLDS
) -> Fit | None:
    """Constants of one group, or None where too few rows are left. See `fit_together`."""
    return fit_together([Member(group=group, system=system, others=others)], folds)[0]


def fit_together(members: Sequence[Member], folds: int = FOLDS) -> list[Fit | None]:
    """Constants of one group, or of the same kernels on sister GPUs.

    Sisters are one chip on different boards: they share every constant but those of `OWN`, the fixed
    latencies that hang on host and clocks. All of a table's rows then tell the shared ones.

    Rows that beat the speed of light (a warm cache) are dropped: no constant can explain them. Where
    they are more than a quarter, the rows measure something else and none is used. `folds` is the number
    of parts of the cross-validation, each left out once (a layer's `fold` in `planner.inputs.model` is
    another thing). The errors are each group's own.

    Returns
    -------
    list
        The fit of each member; None where too few of its rows are left.
    """
    legal = bounds(members[0].group.kind)

    def begin(group: Group) -> dict[str, float]:
        return {name: group.fixed.get(name, group.start.get(name, b.start)) for name, b in legal.items()}

    masks = [member.usable(begin(member.group)) for member in members]
    kept = [i for i, mask in enumerate(masks) if mask.sum() >= max(MIN_ROWS, USABLE_SHARE * mask.size)]
    found: list[Fit | None] = [None] * len(members)
    if not kept:
        return found
    members, masks = [members[i] for i in kept], [masks[i] for i in kept]
    # each free constant stands once, and once for each member where it is the member's own
    slots: list[tuple[str, int]] = []
    places: list[dict[str, int]] = []
    for i, member in enumerate(members):
        places.append({})
        for name in legal:
            if name not in member.group.fixed:
                slot = (name, i if name in OWN else 0)
                if slot not in slots:
                    slots.append(slot)
                places[i][name] = slots.index(slot)
    start = np.log([begin(members[i].group)[name] for name, i in slots])
    low = np.log([legal[name].low for name, _ in slots])
    high = np.log([legal[name].high for name, _ in slots])

    def constants(i: int, x: FloatArray) -> dict[str, float]:
        fixed = members[i].group.fixed
        return {n: float(fixed[n] if n in fixed else np.exp(x[places[i][n]])) for n in legal}

    def predict(x: FloatArray) -> FloatArray:
        return np.concatenate([member.seconds(constants(i, x)) for i, member in enumerate(members)])

    measured_s = np.concatenate([member.group.measured_s for member in members])
    log_measured = np.log(measured_s)
    usable = np.concatenate(masks)

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

    keys = [key for member in members for key in member.group.keys]
    part_of = np.array([zlib.crc32(key.encode()) % folds for key in keys])
    x = solve(usable, start)
    left_out = np.full(measured_s.shape, np.nan)
    for fold in range(folds):
        part = usable & (part_of == fold)
        if part.any():
            left_out[part] = predict(solve(usable & (part_of != fold), x))[part]
    errors = np.abs(left_out / measured_s - 1.0)
    ends = np.cumsum([len(member.group.keys) for member in members])[:-1]
    for i, (at, own) in enumerate(zip(kept, np.split(errors, ends), strict=True)):
        error = own[masks[i]]
        found[at] = Fit(
            group=members[i].group,
            constants={name: significant(value) for name, value in constants(i, x).items()},
            n=int(masks[i].sum()),
            dropped=int((~masks[i]).sum()),
            mape=float(error.mean()),
            median_ape=float(np.median(error)),
            sisters=tuple(m.system.name for m in members if m is not members[i]),
        )
    return found


def fit_sisters(members: Sequence[Member]) -> list[Fit | None]:
    """Constants of the same kernels on sister GPUs: together, unless that makes them too much worse.

    A table of a hundred rows leaves directions in which its constants slide: shared, they cannot part.
    Where sharing costs more than `SISTERS_MAY_COST` of the error on points left out, the boards do differ
    (another number of ranks was measured), and each keeps its own. A poor table that its sister explains
    better by far (`as_on_sister`) has no say in the constants of both.
    """
    own = [fit_together([member])[0] for member in members]
    some = [i for i, fit in enumerate(own) if fit is not None]
    if len(some) < 2:
        return own
    held = [as_on_sister(own, members, i) for i in range(len(own))]
    if any(fit is not None and fit.as_on for fit in held):
        return held
    shared = fit_together([members[i] for i in some])
    apart_ape, shared_ape = (
        sum(fit.n * fit.mape for fit in fits if fit is not None) for fits in ([own[i] for i in some], shared)
    )
    if shared_ape > (1.0 + SISTERS_MAY_COST) * apart_ape:
        return own
    return [shared[some.index(i)] if i in some else fit for i, fit in enumerate(own)]


def as_on_sister(own: Sequence[Fit | None], members: Sequence[Member], i: int) -> Fit | None:
    """A poor fit, or in its place the constants of a sister that do much better.

    Rows of which some were timed on a slowed-down GPU tell less of a kernel than the rows of another board
    with the same cores: its constants, which have not seen them, then predict them better than their own
    fit does those left out.
    """
    fit, member = own[i], members[i]
    if fit is None or fit.mape <= POOR:
        return fit
    for other, sister in zip(own, members, strict=True):
        if other is None or other is fit or other.mape >= fit.mape:
            continue
        usable = member.usable(other.constants)
        error = np.abs(member.seconds(other.constants) / fit.group.measured_s - 1.0)[usable]
        if usable.mean() >= USABLE_SHARE and error.mean() < BETTER * fit.mape:
            return replace(
                fit,
                constants=other.constants,
                n=int(usable.sum()),
                dropped=int((~usable).sum()),
                mape=float(error.mean()),
                median_ape=float(np.median(error)),
                as_on=sister.system.name,
            )
    return fit


def significant(value: float, digits: int = 4) -> float:
    """A number rounded to significant digits.

    >>> significant(0.0000123456)
    1.235e-05
    """
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) and value else value


def entry(fit: Fit) -> dict[str, Any]:
    """What a kernels file says about one fit."""
    together = {"sisters": list(fit.sisters)} if fit.sisters else {}
    return {
        "constants": dict(fit.constants),
        "n": fit.n,
        **together,
        **({"as_on": fit.as_on} if fit.as_on else {}),
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
