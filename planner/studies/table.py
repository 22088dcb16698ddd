"""A study's answer in memory: columns as arrays, what varies, and which rows a reader asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.errors import InputError, printable, unknown
from planner.inputs import fields
from planner.inputs.field import Field
from planner.inputs.scenario import Scenario
from planner.studies import dataset
from planner.studies.columns import BY_NAME, NUMBER, VERDICTS, Column
from planner.studies.dataset import About

Texts: TypeAlias = npt.NDArray[np.object_]
LONGEST = 60  # characters of a text from a dataset
INPUTS: Mapping[str, Field] = {field.key.replace("-", "_"): field for field in fields.FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The values of an input that occur, ascending, and which of them each row has."""

    field: Field
    values: tuple[Any, ...]
    of_row: IntArray  # shape (rows,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as a form shows them."""
        return tuple(printable(self.field.format(value), LONGEST) for value in self.values)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of a dataset, by number; columns have shape ``(rows,)``."""

    about: About
    columns: Mapping[str, Any]  # FloatArray of numbers (nan where empty), Texts of the rest (None there)
    stored: int  # rows of the whole dataset

    def __len__(self) -> int:
        return len(self.columns[NUMBER])

    @property
    def axes(self) -> tuple[str, ...]:
        """The inputs that vary, as columns, in the study's order."""
        names = [key.replace("-", "_") for axis in self.about.axes for key in axis.split("+")]
        return tuple(name for name in names if name in self.columns and name in INPUTS)

    def numbers(self, name: str) -> FloatArray:
        """A column of numbers. Raises InputError for one of texts, or one that was not kept."""
        column = _column(name)
        if column.type not in ("integer", "number"):
            raise InputError("value", name, "a column of numbers, or verdict")
        found: FloatArray = self._kept(column)
        return found

    def texts(self, name: str) -> Texts:
        """A column of texts or flags; None where it is empty."""
        found: Texts = self._kept(_column(name))
        return found

    @property
    def verdicts(self) -> IntArray:
        """Of each row, the index into `planner.studies.columns.VERDICTS`."""
        known = {name: i for i, name in enumerate(VERDICTS)}
        found = self.texts("verdict")
        return np.array([known.get(verdict, len(VERDICTS) - 1) for verdict in found], dtype=np.int64)

    def levels(self, name: str) -> Levels:
        """The values of an input. Raises InputError for what is no input."""
        column = _column(name)
        if column.name not in INPUTS:
            raise InputError("axis", name, f"an input, such as {' or '.join(self.axes[:2]) or 'isl'}")
        field, found = INPUTS[column.name], self._kept(column)
        if column.type in ("text", "flag"):
            # presets in the order they come in, which is that of the study file
            values = list(dict.fromkeys(found.tolist()))
            place = {value: i for i, value in enumerate(values)}
            at = np.array([place[value] for value in found], dtype=np.int64)
            return Levels(field=field, values=tuple(values), of_row=at)
        distinct, at = np.unique(found, return_inverse=True)  # nan, which is None, comes last
        whole = column.type == "integer"
        values = [None if v != v else round(v) if whole else v for v in distinct.tolist()]
        return Levels(field=field, values=tuple(values), of_row=at.ravel().astype(np.int64))

    def scenario(self, row: int) -> Scenario:
        """What was asked in a row. Raises InputError for values that no scenario has."""
        scenario = Scenario()
        for name, field in INPUTS.items():
            value = self.columns[name][row] if name in self.columns else field.get(scenario)
            if isinstance(value, np.generic):
                value = value.item()  # a scenario holds plain values
            if isinstance(value, float):
                value = None if value != value else round(value) if field.integer else value
            scenario = field.set(scenario, value)
        return fields.check(scenario)

    def take(self, rows: BoolArray) -> Table:
        """Some of the rows."""
        return replace(self, columns={name: column[rows] for name, column in self.columns.items()})

    def where(self, name: str, typed: str) -> Table:
        """The rows in which an input, or the verdict, is what was typed.

        Raises InputError for a value that no row has, with those that some have.
        """
        column = _column(name)
        if column.name == "verdict":
            if typed not in VERDICTS:
                raise unknown("where", typed, VERDICTS)
            return self.take(
                np.array([verdict == typed for verdict in self.texts("verdict")], dtype=np.bool_)
            )
        levels = self.levels(name)
        value: Any = typed.strip().lower().replace("_", "-")
        if not levels.field.catalog:
            value = levels.field.parse(typed, [v for v in levels.values if isinstance(v, str)])
        at = next((i for i, level in enumerate(levels.values) if _same(level, value)), None)
        if at is None:
            known = ", ".join(levels.labels[:12]) + (" and others" if len(levels) > 12 else "")
            raise InputError(f"where {levels.field.key}", typed, f"one of those in it: {known}")
        return self.take(levels.of_row == at)

    def _kept(self, column: Column) -> Any:
        if column.name not in self.columns:
            raise InputError("value", column.name, "a column that this study kept")
        return self.columns[column.name]


def read(folder: Path) -> Table:
    """The dataset in a folder. Raises InputError for what is none."""
    dataset.pyarrow()
    about = dataset.about(folder)
    found = dataset.table(folder)
    columns: dict[str, Any] = {}
    for name in found.schema.names:
        column, values = BY_NAME.get(name), found.column(name)
        if name != NUMBER and column is None:
            continue  # of a later version
        try:
            if column is None or column.type in ("integer", "number"):
                columns[name] = values.to_numpy().astype(np.float64)
            else:
                columns[name] = np.array([_text(v) for v in values.to_pylist()], dtype=np.object_)
        except (ValueError, TypeError):
            raise InputError("study", str(folder), f"numbers in the column {name}") from None
    for name in ("verdict", "gain"):
        if name not in columns:
            raise InputError("study", str(folder), f"a dataset with the column {name}")
    return Table(about=about, columns=columns, stored=len(columns[NUMBER]))


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else printable(str(value), LONGEST * 5)


def _same(level: Any, value: Any) -> bool:
    if isinstance(level, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return abs(level - value) <= 1e-9 * max(abs(level), abs(value))
    return bool(level == value)


def _column(name: str) -> Column:
    """A column, by its own name or by a field's alias. Raises InputError with the nearest known one."""
    plain = name.strip().lower().replace("-", "_")
    if plain in BY_NAME:
        return BY_NAME[plain]
    try:
        return BY_NAME[fields.lookup(name).key.replace("-", "_")]
    except InputError:
        raise unknown("column", name, BY_NAME) from None
