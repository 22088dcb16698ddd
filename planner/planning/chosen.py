"""What a chosen plan keeps of what it promises: the range of its throughput within its limits.

Over equally likely errors of TTL and of the prefill rate (`planner.planning.bands.Band`, as wide as each
pool's layout asks for), moved by its luck (`planner.planning.expected`):

    served(e, f) = min(f P, D(e)),      D(e) = max of rate(batch) / e where e ttl(batch) <= limit

over what the largest batch within the limits serves as predicted: the plan's, or more than that of one that
gives throughput up for an earlier first token.

P and rate(batch) are what the pools sustain where queues or a loss take part of their capacity
(`planner.planning.options`): the same share of it, whatever the error.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, quantiles
from planner.planning.bands import Band
from planner.planning.expected import DRAWS, draws
from planner.planning.placed import Placed
from planner.planning.result import PoolPlan, Serving
from planner.simulate.points import Points
from planner.values import dataclass
from planner.words import Way


def judged(placed: Placed, serving: Serving | None) -> Serving | None:
    """The serving with the `range` of its throughput; as it is without bands, or if mixed."""
    if serving is None or len(serving.pools) > 2:
        return serving
    question, sweep, limits = placed.question, placed.sweep, placed.question.scenario.limits
    way: Way = "colocated" if len(serving.pools) == 1 else "disaggregated"
    if way not in question.levels:
        return serving

    def band(pool: PoolPlan) -> Band:
        """As wide as its layout asks for."""
        return question.levels[way][pool.evidence.level if pool.evidence else question.bands[way].level]

    def shift(pool: PoolPlan) -> float:
        return 0.0 if placed.expected is None else placed.expected.shifts[pool.phase][band(pool).level]

    last = serving.pools[-1]
    steps = _Pool.of(sweep.colocated if way == "colocated" else sweep.decode, last, limits.ftl_s)
    slow, fast = draws(band(last).ttl, shift(last)), np.ones(1)
    promised, prefill_rate = steps.most(limits.ttl_s), math.inf
    if way == "disaggregated":
        first = serving.pools[0]
        prefill_rate = first.served_per_s
        fast = draws(band(first).prefill, -shift(first))
        promised = min(promised, prefill_rate)
    served = np.minimum(
        np.tile(fast, DRAWS) * prefill_rate, steps.within(limits.ttl_s, slow).repeat(len(fast))
    )
    tail = (1.0 - 0.8) / 2
    low, high = quantiles(served / promised, (tail, 1.0 - tail))
    return replace(serving, range=(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """Instances of one layout at any batch: TTL ascending, and the most requests/s up to each, shape (n,)."""

    ttl_s: FloatArray
    rate: FloatArray

    @classmethod
    def of(cls, points: Points, pool: PoolPlan, ftl_limit_s: float) -> _Pool:
        """The points of the pool's layout (and mode, and first token) around the chosen one."""
        rows = points.rows_of(pool.layout, pool.mode)
        if points.phase == "colocated":
            rows = rows[points.ftl_s[rows] <= ftl_limit_s]
        ttl, rate = points.ttl_s[rows], points.requests_per_s[rows]
        order = np.argsort(ttl, kind="stable")
        kept = pool.served_per_s / pool.requests_per_s if pool.requests_per_s else 1.0
        return cls(ttl_s=ttl[order], rate=kept * pool.instances * np.maximum.accumulate(rate[order]))

    def most(self, limit_s: float) -> float:
        """Requests/s with the largest batch of those that were tried within the TTL."""
        return float(self.rate[np.searchsorted(self.ttl_s, limit_s, side="right") - 1])

    def within(self, limit_s: float, slow: FloatArray) -> FloatArray:
        """Requests/s with the batch that keeps the TTL where steps take `slow` times what is predicted."""
        return np.asarray(np.interp(limit_s / slow, self.ttl_s, self.rate) / slow)
