"""Fitted constants of an operator: a frozen dataclass whose fields state their legal range.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class GemmConstants:
        compute: float = share(0.7)      # of the data-sheet peak
        floor_s: float = seconds(4e-6)

The range is what calibration may fit and what the tests draw from: within it no operator may
beat light or fall when its work grows. One end of it is the constant's ideal, that of a perfect kernel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from planner.values import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Legal range and where a fit starts; all positive, for the fit works on logarithms."""

    low: float
    high: float
    start: float
    ideal: float  # of a perfect kernel: the end of the range at which it takes least time


def bounded(
    low: float, high: float, start: float, default: float | None = None, *, ideal: float | None = None
) -> Any:
    """A constant in [low, high] that is a cost, ideally at its least, unless another `ideal` is named.

    With a `default`, one that a kernels file may leave out.
    """
    metadata = {"bounds": Bounds(low, high, start, low if ideal is None else ideal)}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(metadata=metadata, default=default)


def share(start: float, low: float = 0.02, default: float | None = None) -> Any:
    """A share of a data-sheet peak, in (0, 1]; ideally all of it."""
    return bounded(low, 1.0, start, default, ideal=1.0)


def serial(start: float = 0.2) -> Any:
    """The share of the shorter of two times that does not hide behind the longer, in [0, 1]; ideally none."""
    return bounded(1e-4, 1.0, start)


def seconds(start: float, high: float = 1e-3) -> Any:
    """A fixed time; ideally none."""
    return bounded(1e-9, high, start)


def bounds(kind: type) -> Mapping[str, Bounds]:
    """Field name to legal range of a constants dataclass."""
    return {f.name: f.metadata["bounds"] for f in dataclasses.fields(kind) if "bounds" in f.metadata}
