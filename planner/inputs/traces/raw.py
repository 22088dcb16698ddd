"""The columns of a trace as its file has them, before anything is left out, sorted or spread."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.inputs.traces.window import WHOLE, Window
from planner.values import dataclass


def _no_numbers() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raw:
    """Rows of a file; arrays of shape ``(rows,)``, NaN where a cell holds no number."""

    time_s: FloatArray
    isl: FloatArray
    osl: FloatArray
    session: IntArray | None = None  # None: the file knows none
    block_start: IntArray = field(default_factory=_no_numbers)  # shape (rows + 1,), or empty
    blocks: IntArray = field(default_factory=_no_numbers)
    block_tokens: int = 0
    unreadable: int = 0  # lines that are no row
    blocks_unread: int = 0  # rows whose blocks are no list of whole numbers
    in_order: bool = True  # whether its rows are meant to follow each other in time
    notes: tuple[str, ...] = ()  # what the file left open, and how it was drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A trace that was opened: its text, its name in errors, and what to draw where it leaves a choice."""

    name: str
    data: bytes
    seed: int = 0
    window: Window = WHOLE  # only this part is needed
    model: str = ""  # of a file that has several
    lengths: bytes = b""  # another file, of the lengths

    def wrong(self, accepted: str) -> InputError:
        """What a user is told of a file that cannot be used."""
        return InputError("trace", self.name, accepted)

    def lacks(self, found: tuple[str, ...], wanted: str) -> InputError:
        """What a user is told of columns that are missing."""
        return self.wrong(f"{wanted} (its columns: {', '.join(found)[:200]})")


def arrow(source: Source) -> Any:
    """pyarrow, imported when a trace is read. Raises InputError where it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise source.wrong("reading traces needs pyarrow: pip install 'ratematch[traces]'") from None
    return pyarrow
