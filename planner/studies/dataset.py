"""A study's answer on disk: Parquet parts, each written whole or not at all, and what they answer.

A folder holds ``_study.toml`` (the study as it was asked), ``_study.json`` (what it is, how many scenarios)
and ``part-00000.parquet`` and so on. Readers of folders of Parquet pass over names with a ``_``.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.inputs import files
from planner.output.as_json import dumps
from planner.studies import presets
from planner.studies.columns import NUMBER, SCHEMA, Column, kept

ABOUT, ASKED, LOCK = "_study.json", "_study.toml", "_lock"
PART = "part-{:05d}.parquet"
KIND = "ratematch study"
MOST_BYTES = 4 << 30  # of all parts that are read
MISSING = "pip install 'ratematch[study]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a dataset answers."""

    kind: str
    schema: int
    version: str  # of ratematch
    digest: str  # of the study: which scenarios, in which order
    name: str
    note: str
    scenarios: int
    keep: tuple[str, ...]
    axes: tuple[str, ...]
    made: str  # when it was begun, ISO 8601


def pyarrow() -> Any:
    """The library, with its Parquet. Raises InputError saying how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("study", "without pyarrow", MISSING) from None
    return pyarrow


def begin(folder: Path, about: About, text: str) -> None:
    """A new dataset; the folder may exist, but nothing stored in it. Raises InputError, OSError."""
    if parts(folder):
        raise InputError("out", str(folder), "a folder without a study; --resume goes on with the one there")
    if strange := next((path.name for path in _inside(folder) if path.suffix == ".parquet"), ""):
        raise InputError("out", str(folder), f"a folder without Parquet of another; {strange} lies there")
    files.write_atomically(folder / ASKED, text)
    files.write_atomically(folder / ABOUT, dumps(asdict(about)) + "\n")


def about(folder: Path, field: str = "study") -> About:
    """What the dataset in a folder answers. Raises InputError where there is none."""
    if not os.path.lexists(folder):  # which never raises, whatever the name
        made = f"; `ratematch study {folder}` makes it" if str(folder) in presets.known() else ""
        raise InputError(field, str(folder), f"a folder that `ratematch study` wrote; there is none{made}")
    if not os.path.lexists(folder / ABOUT):
        raise InputError(field, str(folder), f"a folder that `ratematch study` wrote; it has no {ABOUT}")
    try:
        found = json.loads(files.read_text(folder / ABOUT, 1 << 20, what=field))
        told = About(**{**found, "keep": tuple(found["keep"]), "axes": tuple(found["axes"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(field, str(folder / ABOUT), "what `ratematch study` writes; this is none") from None
    numbers = type(told.schema) is int and type(told.scenarios) is int
    texts = (told.digest, told.name, told.note, told.version, told.made, *told.keep, *told.axes)
    if told.kind != KIND or not numbers or not all(isinstance(text, str) for text in texts):
        raise InputError(field, str(folder / ABOUT), "what `ratematch study` writes; this is none")
    if told.schema > SCHEMA:
        raise InputError(field, str(folder), f"a dataset of schema {SCHEMA}; this one is of {told.schema}")
    return told


def parts(folder: Path) -> list[Path]:
    """The parts there are, in order."""
    return [path for path in _inside(folder) if path.name.startswith("part-") and path.suffix == ".parquet"]


def _inside(folder: Path) -> list[Path]:
    """What lies in a folder, in order."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError("study", str(folder), f"cannot be read: {files.why(error)}") from None


def done(folder: Path) -> set[int]:
    """The scenarios that are stored. Raises InputError for a part that cannot be read."""
    return {number for part in parts(folder) for number in _read(part, [NUMBER]).column(0).to_pylist()}


def table(folder: Path, columns: Sequence[str] | None = None) -> Any:
    """All rows as a pyarrow table, by number. Raises InputError for what is no dataset of ours."""
    arrow, found = pyarrow(), parts(folder)
    if not found:
        raise InputError("study", str(folder), "a study with at least one stored scenario")
    size = sum(part.stat().st_size for part in found)
    if size > MOST_BYTES:
        raise InputError("study", str(folder), f"at most {MOST_BYTES >> 30} GiB")
    try:
        return arrow.concat_tables([_read(part, columns) for part in found]).sort_by(NUMBER)
    except InputError:
        raise
    except (arrow.ArrowException, ValueError):
        raise InputError("study", str(folder), "parts of one study; these differ") from None


def _read(part: Path, columns: Sequence[str] | None) -> Any:
    arrow = pyarrow()
    try:
        if not stat.S_ISREG(part.stat().st_mode):
            raise OSError("it is not a regular file")
        with part.open("rb") as file:
            found = arrow.parquet.ParquetFile(file)
            if NUMBER not in found.schema_arrow.names:
                raise InputError("study", str(part), f"a part of a study; it has no column {NUMBER}")
            return found.read(columns=None if columns is None else list(columns))
    except InputError:
        raise
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError("study", str(part), f"cannot be read: {reason}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Adds parts to a dataset."""

    folder: Path
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, folder: Path, keep: tuple[str, ...]) -> Writer:
        """A writer of rows with some groups of columns."""
        return cls(folder=folder, columns=kept(keep))

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """One part with some rows, ascending. Raises OSError."""
        if not rows:
            return
        arrow, columns = pyarrow(), list(zip(*sorted(rows, key=lambda row: int(row[0])), strict=True))
        schema = self.schema()
        arrays = [arrow.array(list(of), type=field.type) for of, field in zip(columns, schema, strict=True)]
        sink = arrow.BufferOutputStream()
        arrow.parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
        files.write_atomically(self._next(), sink.getvalue().to_pybytes())

    def schema(self) -> Any:
        """The arrow schema: the scenario's number, then the kept columns with their meaning."""
        arrow = pyarrow()
        types = {
            "integer": arrow.int64(),
            "number": arrow.float64(),
            "text": arrow.string(),
            "flag": arrow.bool_(),
        }
        own = [arrow.field(NUMBER, arrow.int64(), nullable=False)]
        own += [arrow.field(c.name, types[c.type], metadata={"meaning": c.text}) for c in self.columns]
        return arrow.schema(own, metadata={"ratematch.study.schema": str(SCHEMA)})

    def _next(self) -> Path:
        last = parts(self.folder)
        number = int(last[-1].stem.removeprefix("part-")) + 1 if last else 0
        return self.folder / PART.format(number)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other study writes here meanwhile; one that was killed holds nothing. Raises InputError, OSError."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once are the user's to avoid
        yield
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(folder / LOCK, flags, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("out", str(folder), "a folder that no other study is writing to") from None
        yield
    finally:
        os.close(handle)
