"""Measurements as CSV, plain (`gemm.csv`) or compressed (`gemm.csv.gz`): one reader, which checks them."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.inputs import files
from planner.inputs.files import COMPRESSED

MOST_BYTES = 256 << 20  # of one table
LONGEST_NAME = 200  # characters of a cell that names something

MISSING = ("", "nan", "n/a", "na", "-", "none", "null")  # how tables write what is missing
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?\Z")
_WITH_UNIT = re.compile(r"([-+.,\d]+(?:[eE][-+]?\d+)?)\s*([a-zµμ][a-zµμ/]*)\Z", re.IGNORECASE)
_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0}
_RATES = ("tok/s", "tokens/s", "t/s", "tps", "token/s", "req/s", "requests/s", "rps")
_SEPARATORS = ",;\t|"

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The numbers that a column may hold."""

    low: float
    high: float
    whole: bool = False
    blank: float | None = None  # what an empty cell, "nan" or a missing column stands for; None: not allowed

    @property
    def accepted(self) -> str:
        """The end of an error message."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}{', or nothing' if self.blank is not None else ''}"

    def number(self, cell: str) -> float | None:
        """The number in a cell; None if it is none of these."""
        text = cell.strip()
        if self.blank is not None and text.lower() in MISSING:
            return self.blank
        try:
            value = float(text.replace(",", "") if _GROUPED.match(text) else text)
        except ValueError:
            return None
        inside = self.low <= value <= self.high and not (self.whole and value % 1.0)
        return value if inside else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a file by column, and the line that each is on."""

    name: str
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]

    def wrong(self, row: int, column: str, accepted: str) -> InputError:
        """What a user is told of one cell."""
        cell = self.rows[row].get(column, "")
        return InputError(f"{self.name}, line {self.lines[row]}, {column}", cell, accepted)

    def numbers(self, column: str, within: Range) -> FloatArray:
        """A column, shape ``(rows,)``. Raises InputError naming line and column of what is out of range."""
        found = [within.number(plain(row.get(column, ""), column)) for row in self.rows]
        for i, value in enumerate(found):
            if value is None:
                raise self.wrong(i, column, within.accepted)
        return np.array([math.nan if value is None else value for value in found], dtype=np.float64)

    def names(self, column: str) -> None:
        """Check a column of names. Raises InputError for an empty one, or one that no file can hold."""
        for i, row in enumerate(self.rows):
            if not (row[column].strip() and row[column].isprintable() and len(row[column]) <= LONGEST_NAME):
                raise self.wrong(i, column, "a name")


def plain(cell: str, column: str) -> str:
    """A cell in the unit of its column: without the one that stands behind its number, if that fits.

    >>> plain("12.5 ms", "ttft_ms"), plain("0.25s", "ttft_ms"), plain("1,200 tok/s", "output_tokens_per_s")
    ('12.5', '250', '1200')
    >>> plain("12.5 ms", "isl"), plain("8", "tp")
    ('12.5 ms', '8')
    """
    found = _WITH_UNIT.match(cell.strip())
    if found is None:
        return cell
    digits, unit = found[1], found[2].lower()
    own = column.rsplit("_", 1)[-1]
    rate = column.endswith("_per_s")
    if (unit in _RATES) if rate else (unit in _TIMES and own in _TIMES):
        scale = 1.0 if rate else _TIMES[unit] / _TIMES[own]
        try:
            value = float(digits.replace(",", "") if _GROUPED.match(digits) else digits)
        except ValueError:
            return cell
        return f"{value * scale:.12g}"
    return cell


def separator(text: str) -> str:
    """What stands between the cells of a table: the commonest of its first line, a comma in doubt.

    >>> separator("isl;osl;tp"), separator("isl,osl"), separator("model")
    (';', ',', ',')
    """
    head = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    return max(_SEPARATORS, key=head.count)


def find(folder: Path, name: str) -> Path | None:
    """The file `name` in a folder, or its compressed copy; None where there is neither."""
    places = (folder / name, folder / (name + COMPRESSED))
    return next((path for path in places if os.path.lexists(path)), None)


def read(path: Path, columns: Iterable[str] = ()) -> Table:
    """The rows of a CSV file with a header, each with as many cells as that.

    A name that ends in .gz is read as gzip. Raises InputError for what is no such file, has no row, or
    lacks one of `columns`.
    """
    try:
        text = files.read_text(path, MOST_BYTES)
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey=None, delimiter=separator(text))
        rows, lines = [], []
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
        head = reader.fieldnames or ()
    except InputError as error:
        raise InputError("file", str(path), f"a readable CSV file ({error.accepted})") from None
    except csv.Error as error:
        raise InputError("file", str(path), f"a readable CSV file ({error})") from None
    if not rows:
        raise InputError("file", str(path), "a CSV file with a header and at least one row")
    for row, line in zip(rows, lines, strict=True):
        if None in row or None in row.values():
            cells = sum(cell is not None for cell in row.values()) + len(row.get(None, ())) - (None in row)
            raise InputError(f"{path.name}, line {line}", f"{cells} cells", f"{len(head)}, as the header has")
    if len(set(head)) < len(head):
        twice = next(name for name in head if list(head).count(name) > 1)
        raise InputError(path.name, twice, "each column once")
    lacking = [name for name in columns if name not in head]
    if lacking:
        raise InputError(path.name, ", ".join(head), f"the columns {', '.join(lacking)} are missing")
    return Table(name=path.name, rows=tuple(rows), lines=tuple(lines))
