"""What a chosen plan keeps of what it promises: within its limits, and as the luckiest of many predictions.

Within the limits
-----------------
A plan is asked for within a TTL. Where a step takes e times what was predicted, its batch is set lower, so
that ``e ttl(batch) <= limit`` still, and it serves ``rate(batch) / e``: on steep curves far less.
So the range of a plan's throughput is that of its layouts with the batch that keeps the TTL, over equally
likely errors of TTL and of the prefill rate (`planner.planning.bands.Band`):

    served(e, f) = min(f P, D(e)),      D(e) = max of rate(batch) / e where e ttl(batch) <= limit

At least one sequence per rank is served, whatever the limit.

The luckiest is not the best
----------------------------
Of N candidates of like worth, whose predictions err independently by s, the best of the predictions is
expected to be s E[max of N standard normals] too good. What errors of one model, GPU and engine share (their
correlation rho) favours none of the candidates, so ``s = spread sqrt(1 - rho)``. Layouts stand for
candidates (batches of one err alike), each counted by how near it comes to the chosen one:

    N    = sum over layouts of exp(-(ln(best / worth) / s)^2 / 2)
    luck = s E[max of N],       E[max of N] = quantile of a standard normal at (N - 0.375) / (N + 0.25)

(Blom, "Statistical Estimates and Transformed Beta-Variables", 1958.) Either pool of a split has its own, both
with the errors of the split's steps. Steps are that much slower, prompts that much later than predicted, in
expectation; what is expected of the plan and its range are those of such pools. Frontiers and the choice
itself are left alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.match.robust import END_OF_80
from planner.planning.resolve import Question
from planner.planning.result import PoolPlan, Serving
from planner.planning.sweep import Sweep
from planner.simulate.points import Points

DRAWS = 15  # equally likely errors of a pool
_NORMAL = NormalDist()
_Z = np.array([_NORMAL.inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])


def luck(own: float, worth: FloatArray, chosen: float) -> float:
    """Expected error, as a logarithm, of the best of candidates.

    Parameters
    ----------
    own
        Standard deviation of the errors that they do not share, logarithms.
    worth
        What each candidate is predicted to be worth, shape ``(candidates,)``.
    chosen
        The same of the chosen one.

    >>> round(luck(0.1, np.array([5.0]), 5.0), 4), round(luck(0.1, np.full(10, 5.0), 5.0), 3)
    (0.0, 0.155)
    """
    worth = worth[worth > 0]
    if not own or not len(worth) or chosen <= 0:
        return 0.0
    behind = np.maximum(np.log(chosen / worth), 0.0) / own
    number = max(float(np.exp(-0.5 * behind**2).sum()), 1.0)
    return own * _NORMAL.inv_cdf((number - 0.375) / (number + 0.25))


def judged(question: Question, sweep: Sweep, serving: Serving | None) -> Serving | None:
    """The serving with its `luck` and the `range` of its throughput; as it is without bands, or if mixed."""
    way = "colocated" if serving is not None and len(serving.pools) == 1 else "disaggregated"
    band = question.bands.get(way)
    if serving is None or band is None or len(serving.pools) > 2:
        return serving
    limits = question.scenario.limits
    own = {name: one.own for name, one in question.alike.items()} if question.scenario.robust else {}
    last = serving.pools[-1]
    points = sweep.colocated if way == "colocated" else sweep.decode
    in_time = points.ttl_s <= limits.ttl_s
    if way == "colocated":
        in_time &= points.ftl_s <= limits.ftl_s
    steps = _Pool.of(points, last, limits.ftl_s)
    slower = luck(own.get(way, 0.0), _worth(points, in_time), _per_gpu(last))
    promised = last.requests_per_s
    prefill_rate, later = math.inf, 0.0
    if way == "disaggregated":
        first = serving.pools[0]
        prefill_rate = first.requests_per_s
        early = _worth(sweep.prefill, sweep.split_ftl_s <= limits.ftl_s)
        later = luck(own.get(way, 0.0), early, _per_gpu(first))
        promised = min(promised, prefill_rate)

    def served(slow: FloatArray, fast: FloatArray) -> FloatArray:
        """Requests/s over promised ones where steps take `slow` times and prefill serves `fast` times."""
        return np.minimum(fast * prefill_rate, steps.within(limits.ttl_s, slow)) / promised

    as_told = float(served(np.ones(1), np.ones(1))[0])
    expected = float(served(np.array([math.exp(slower)]), np.array([math.exp(-later)]))[0])
    slow, fast = _draws(band.ttl, slower), _draws(band.prefill, -later)
    draws = np.sort(served(slow[:, None].repeat(DRAWS, 1).ravel(), np.tile(fast, DRAWS)))
    tail = (1.0 - 0.8) / 2
    low, high = (float(value) for value in np.quantile(draws, [tail, 1.0 - tail]))
    return replace(serving, luck=min(expected / as_told, 1.0) if as_told else 1.0, range=(low, high))


def _draws(factors: tuple[float, float], shift: float) -> FloatArray:
    """Equally likely factors, 80 % of which lie between two, moved by `shift` in the logarithm.

    Half lie on either side of the prediction, as `planner.planning.bands.compare` takes them; of the middle
    of the two where the prediction is outside of them.
    """
    low, high = math.log(factors[0]), math.log(factors[1])
    middle = 0.0 if low <= 0.0 <= high else 0.5 * (low + high)
    wide = np.where(_Z < 0, middle - low, high - middle) / END_OF_80
    return np.asarray(np.exp(middle + shift + wide * _Z))


def _per_gpu(pool: PoolPlan) -> float:
    return pool.requests_per_s / pool.gpus


def _worth(points: Points, usable: BoolArray) -> FloatArray:
    """The best requests/s per GPU of each layout, shape ``(layouts,)``; 0 where none of it is usable."""
    best = np.zeros(len(points.layouts.tp))
    np.maximum.at(best, points.layout[usable], points.requests_per_s[usable] / points.gpus[usable])
    return best


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
        return cls(ttl_s=ttl[order], rate=pool.instances * np.maximum.accumulate(rate[order]))

    def within(self, limit_s: float, slow: FloatArray) -> FloatArray:
        """Requests/s with the batch that keeps the TTL where steps take `slow` times what is predicted."""
        return np.asarray(np.interp(limit_s / slow, self.ttl_s, self.rate) / slow)
