"""What a match is made of: whole instances, and pools of one layout."""

from __future__ import annotations

from collections.abc import Sequence

from planner.arrays import FloatArray, IntArray
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deployment:
    """Whole instances and what they serve."""

    counts: Sequence[IntArray]  # prefill, decode, colocated
    rate: float  # expected
    capacity: float  # as predicted; the same, where rates count as known
    split: float  # of that, what the prefill and decode pools serve
    gpus: int
    cost: float  # what the goal spends: GPUs, or GPUs weighed by their price


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """Pools of one layout, arrays (n,)."""

    candidate: IntArray
    instances: IntArray
    gpus: IntArray
    cost: FloatArray
    rate: FloatArray
