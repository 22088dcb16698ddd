"""What is held against a finding: the study's own setting, serving as it is today, perfect kernels.

The study describes a simulator of hardware and kernels: "the model architecture, traffic pattern, and
GPU configuration" go in, latencies of kernels, memory and network are modelled and validated on silicon
(section 3.1; MLSys version, section 4.1). No serving engine is among its inputs, and none of what one
adds: host time, queues, the visible part of a KV transfer ("transferred ... immediately as it becomes
available", section 3.2), experts loaded unevenly. So its findings are judged first where it made them,
on measured kernels and nothing else, and then again as an engine serves the model today.

A finding that fails on perfect kernels too does not follow from the operators; one that holds there and
fails before is undone by the latencies and inefficiencies of kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from planner.kernels import Kernels, deployed
from planner.simulate import moe
from planner.simulate.constants import Bounds, bounds
from planner.simulate.machine import Machine

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One set of assumptions, for all sweeps of a study."""

    name: str
    title: str  # heads its column
    serving: bool = False  # an engine with its host, uneven experts, what links cannot hide of a transfer
    perfect: bool = False  # data-sheet peaks instead of measured kernels
    kv: str = ""  # format of the cache on systems with FP4 units; "" leaves the case's own

    def machine(self, served: Machine) -> Machine:
        """The machine of a scenario as this setting has it."""
        if self.serving:
            return served
        engine = served.engine.bare()
        if self.perfect:
            return replace(served, engine=engine, kernels=Perfect(engine=engine.name, tables=()))
        found = deployed(served.kernels, engine)
        alone = Alone(
            engine=found.engine,
            tables=found.tables,
            floor_share=found.floor_share,
            fused_formats=found.fused_formats,
            borrows=found.borrows,
        )
        return replace(served, engine=engine, kernels=alone)


STUDY = Setting(name="study", title="the study's setting")
SERVED = Setting(name="served", title="as served today", serving=True)
PERFECT = Setting(name="perfect", title="perfect kernels", perfect=True)
# the study says FP4 and does not say whether of the cache too
NARROW = Setting(name="fp4_cache", title="with an FP4 cache", kv="fp4")
SETTINGS = (STUDY, SERVED, PERFECT, NARROW)  # the first gives the verdict


@contextmanager
def even_experts() -> Iterator[None]:
    """Experts loaded evenly, as a simulator without routing has them, until the block ends.

    >>> from planner.simulate.moe import imbalance
    >>> with even_experts():
    ...     float(imbalance(4096, 8, 256, 8))
    1.0
    >>> float(imbalance(4096, 8, 256, 8)) > 1.1
    True
    """
    kept = moe.PLANNING_SKEW, moe.PLANNING_BALANCE
    moe.PLANNING_SKEW = moe.PLANNING_BALANCE = 0.0
    try:
        yield
    finally:
        moe.PLANNING_SKEW, moe.PLANNING_BALANCE = kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone(Kernels):
    """Measured kernels without the host's time for a launch."""

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """As measured, launched at no cost."""
        found = Kernels.constants(self, operator, dtype, kind)
        return replace(found, host_s=0.0) if hasattr(found, "host_s") else found  # type: ignore[type-var]


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
