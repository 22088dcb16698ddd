"""A study as maps: one value over two inputs, a map for each value of the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.studies.axes import NAMED
from planner.studies.columns import VERDICTS
from planner.studies.table import INPUTS, Levels, Table

MOST_LEVELS = 64  # of an axis that is drawn
MOST_MAPS = 24
VERDICT, GAIN = "verdict", "gain"
NOTHING = -1  # of a cell without a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """One value over two inputs."""

    title: str  # what is fixed in it: "model deepseek-r1, system h200"
    value: str  # the column drawn, or a verdict: its share of a cell's rows
    x: Levels
    y: Levels
    values: FloatArray  # (y, x): the median of the cell's rows, or a share; nan where none has a value
    verdicts: IntArray  # (y, x): the commonest, an index into VERDICTS; NOTHING without a row
    rows: IntArray  # (y, x): scenarios behind a cell
    first: IntArray  # (y, x): row of the table with the first of them; NOTHING without one


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be drawn: columns by name."""

    x: str
    y: str
    value: str
    by: tuple[str, ...]  # a map for each combination of their values


def asked(table: Table, x: str | None, y: str | None, value: str | None, by: Sequence[str] | None) -> Asked:
    """What is to be drawn, where not all of it is said: the study's first numeric axes over the others.

    Where those make too many maps, the inputs with most values are pooled.

    Raises InputError for a name that is no input or no column, and for two that are the same.
    """
    varied = [name for name in table.axes if len(table.levels(name)) > 1]
    numeric = [name for name in varied if INPUTS[name].kind not in NAMED]
    first = [name for name in (*numeric, *varied, *table.axes) if name]
    known = [None if name is None else _input(table, name) for name in (x, y)]
    for i in range(2):
        if known[i] is None:
            known[i] = next((name for name in first if name not in known), None)
    if known[0] is None or known[1] is None or known[0] == known[1]:
        raise InputError("x", x or "nothing", "two inputs that vary, as --x and --y")
    chosen = [_input(table, name) for name in by] if by is not None else None
    if chosen is None:
        chosen = [name for name in varied if name not in known and _separate(table, name, known)]
        size = {name: len(table.levels(name)) for name in chosen}
        while math.prod(size.values()) > MOST_MAPS:
            del size[max(size, key=size.__getitem__)]  # its values are pooled
        chosen = list(size)
    for name in chosen:
        if name in known:
            raise InputError("by", name, "an input that is not on an axis")
    if value is not None and value not in (VERDICT, *VERDICTS):
        table.numbers(value)
    return Asked(x=known[0], y=known[1], value=value or GAIN, by=tuple(chosen))


def _separate(table: Table, name: str, on_axes: Sequence[str | None]) -> bool:
    """Whether an input says more than one on an axis: what moves together with that would leave holes."""
    own = table.levels(name).of_row
    return not any(
        len(np.unique(np.stack((own, table.levels(axis).of_row)), axis=1)[0]) == len(table.levels(axis))
        for axis in on_axes
        if axis
    )


def _input(table: Table, name: str) -> str:
    return table.levels(name).field.key.replace("-", "_")


def maps(table: Table, what: Asked) -> list[Map]:
    """The maps asked for, in the order of the study.

    Raises InputError for an axis with too many values to be drawn, or too many maps.
    """
    x, y = table.levels(what.x), table.levels(what.y)
    for levels in (x, y):
        if len(levels) > MOST_LEVELS:
            accepted = f"an input with at most {MOST_LEVELS} values; a sample is read by its marginals"
            raise InputError("axis", f"{levels.field.key} with {len(levels):,}", accepted)
    others = [table.levels(name) for name in what.by]
    found: list[Map] = []
    for combination in itertools.product(*(range(len(levels)) for levels in others)):
        rows = np.ones(len(table), dtype=np.bool_)
        for levels, at in zip(others, combination, strict=True):
            rows &= levels.of_row == at
        if not rows.any():
            continue
        if len(found) == MOST_MAPS:
            raise InputError(
                "by", ", ".join(what.by), f"at most {MOST_MAPS} maps; --where key=value keeps some"
            )
        names = [f"{o.field.label} {o.labels[at]}" for o, at in zip(others, combination, strict=True)]
        found.append(_map(table, ", ".join(names), what.value, x, y, np.flatnonzero(rows)))
    return found


def _map(table: Table, title: str, value: str, x: Levels, y: Levels, rows: IntArray) -> Map:
    shape = len(y), len(x)
    cell = y.of_row[rows] * len(x) + x.of_row[rows]
    verdicts = table.verdicts[rows]
    if value in VERDICTS:
        numbers = (verdicts == VERDICTS.index(value)).astype(np.float64)
    else:
        numbers = table.numbers(GAIN if value == VERDICT else value)[rows]
    middle = np.mean if value in VERDICTS else np.median
    count = np.zeros((shape[0] * shape[1], len(VERDICTS)), dtype=np.int64)
    np.add.at(count, (cell, verdicts), 1)
    values = np.full(shape[0] * shape[1], np.nan)
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], np.arange(len(values) + 1))
    for at in np.unique(cell):  # cells, not design points: a few thousand at most
        own = numbers[order[ends[at] : ends[at + 1]]]
        own = own[np.isfinite(own)]
        if len(own):
            values[at] = float(middle(own))
    total = count.sum(axis=1)
    first = np.full(len(values), NOTHING)
    first[cell[::-1]] = rows[::-1]
    commonest = np.where(total > 0, count.argmax(axis=1), NOTHING)
    return Map(
        title=title,
        value=value,
        x=x,
        y=y,
        values=values.reshape(shape),
        verdicts=commonest.reshape(shape),
        rows=total.reshape(shape),
        first=first.reshape(shape),
    )
