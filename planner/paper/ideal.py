"""The same simulator on perfect kernels: data-sheet peaks, no floors, no host.

A finding that holds here and fails on measured kernels is undone by their latencies and
inefficiencies; one that fails here too does not follow from the operators. The study's own simulator
is not public and lies somewhere between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from planner.kernels import Kernels
from planner.simulate.constants import Bounds, bounds
from planner.simulate.machine import Machine

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Perfect(Kernels):
    """Every operator at the ideal end of the range that its constants may take."""

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """All of the peak, none of the rest."""
        return kind(**{name: _best(found) for name, found in bounds(kind).items()})


def _best(found: Bounds) -> float:
    """Shares of a peak (they start at a thousandth or more) to 1, times and paddings to their least.

    >>> _best(Bounds(0.02, 1.0, 0.7)), _best(Bounds(1e-9, 1e-3, 5e-6)), _best(Bounds(1e-4, 1.0, 0.2))
    (1.0, 1e-09, 0.0001)
    """
    return found.high if found.high == 1.0 and found.low >= 1e-3 else found.low


def machine(real: Machine) -> Machine:
    """A machine with perfect kernels and an engine that costs nothing."""
    engine = real.engine.bare()
    return replace(real, engine=engine, kernels=Perfect(engine=engine.name, tables=()))
