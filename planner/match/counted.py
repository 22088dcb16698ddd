"""Matches of pools whose number of instances is given, one of them or both: by enumeration, exact.

A given number k of instances of g GPUs and rate R is one block of ``k g`` GPUs and rate ``k R``, there or
not, so that there are few pools to choose among. The other pool has any number of instances up to those that
the budget holds and that the given one can use:

    n <= (budget - k g) / g'      and      n R' < surplus * k R + R'

(`planner.match.robust.Errors.surplus`), and all pairs of pools are weighed. Pools of more instances than
`MOST_COUNTS` are tried at evenly spread numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.arrays import IntArray
from planner.match.buildable import DECODE, MOST_COUNTS, PREFILL, Buildable
from planner.match.deployment import Deployment, Pools
from planner.match.pareto import prune
from planner.match.rate_match import TIE, Match, instances_for, most_per_size, pool_table
from planner.values import dataclass
from planner.words import Goal

MOST_PAIRS = 2**20  # weighed at once
_ENDLESS = 2**40  # GPUs, where there is no budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Instances that are given; None: any number."""

    prefill: int | None = None
    decode: int | None = None

    @property
    def given(self) -> bool:
        """Whether any number is."""
        return self.prefill is not None or self.decode is not None


ANY_COUNTS = Counts()


def best(
    buildable: Buildable, counts: Counts, goal: Goal, demand: float | None, budget: int | None
) -> Deployment | None:
    """The best split with the given numbers of instances; None where none serves.

    The most expected requests/s in a budget, then the fewest GPUs; with a `demand` the least cost that serves
    it; else the most per cost.
    """
    prefill, decode = _pools(buildable, counts, budget)
    if not len(prefill.rate) or not len(decode.rate):
        return None
    limit = _ENDLESS if budget is None else budget
    in_all = goal == "throughput" and budget is not None and demand is None
    found: tuple[float, float, int, int] | None = None
    rows = max(MOST_PAIRS // len(decode.rate), 1)
    for start in range(0, len(prefill.rate), rows):
        part = slice(start, start + rows)
        rate = buildable.errors.expected(prefill.rate[part, None], decode.rate)
        gpus = prefill.gpus[part, None] + decode.gpus
        cost = prefill.cost[part, None] + decode.cost
        fits = (gpus <= limit) & (rate > 0)
        if demand is not None:
            fits &= rate >= demand * (1 - TIE)
        if not fits.any():
            continue
        worth = -cost if demand is not None else rate if in_all else rate / cost
        worth = np.where(fits, worth, -np.inf)
        tied = np.flatnonzero(worth >= worth.max() - abs(worth.max()) * TIE)
        second = rate.ravel() if demand is not None else -gpus.ravel().astype(float)
        at = tied[np.argmax(second[tied])]
        i, j = divmod(int(at), len(decode.rate))
        new = (float(worth.ravel()[at]), float(second[at]), start + i, j)
        found = new if found is None or new[:2] > found[:2] else found
    if found is None:
        return None
    _, _, i, j = found
    return buildable.of(
        (PREFILL, int(prefill.candidate[i]), int(prefill.instances[i])),
        (DECODE, int(decode.candidate[j]), int(decode.instances[j])),
    )


def _pools(buildable: Buildable, counts: Counts, budget: int | None) -> tuple[Pools, Pools]:
    """All pools worth weighing of either phase."""
    given = {PREFILL: counts.prefill, DECODE: counts.decode}
    made: dict[int, Pools] = {
        pool: _given(buildable, pool, count) for pool, count in given.items() if count is not None
    }
    for pool in given:
        if pool not in made:
            made[pool] = _any(buildable, pool, made[DECODE if pool == PREFILL else PREFILL], budget)
    return made[PREFILL], made[DECODE]


def _given(buildable: Buildable, pool: int, count: int) -> Pools:
    index = np.flatnonzero(buildable.rate[pool] > 0)
    return _worth_weighing(buildable, pool, index, np.full(len(index), count, dtype=np.int64))


def _any(buildable: Buildable, pool: int, other: Pools, budget: int | None) -> Pools:
    index = np.flatnonzero(buildable.rate[pool] > 0)
    if not len(index) or not len(other.rate):
        return _worth_weighing(buildable, pool, index[:0], index[:0])
    room = _ENDLESS if budget is None else budget - int(other.gpus.min())
    most = instances_for(float(other.rate.max()) * buildable.errors.surplus, buildable.rate[pool][index])
    most = np.maximum(np.minimum(most, room // buildable.gpus[pool][index]), 0)
    steps = np.minimum(most, MOST_COUNTS)
    which = np.repeat(np.arange(len(index)), steps)
    at = np.arange(len(which)) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    instances = np.rint(at * (most / np.maximum(steps, 1))[which]).astype(np.int64)
    return _worth_weighing(buildable, pool, index[which], instances)


def _worth_weighing(buildable: Buildable, pool: int, index: IntArray, instances: IntArray) -> Pools:
    """Pools without those that another of no more GPUs (of the same price) beats."""
    gpus = instances * buildable.gpus[pool][index]
    rate = instances * buildable.rate[pool][index]
    kept = prune(buildable.price[pool][index], gpus, rate, packed=False)
    return Pools(
        candidate=index[kept],
        instances=instances[kept],
        gpus=gpus[kept],
        cost=instances[kept] * buildable.cost[pool][index[kept]],
        rate=np.asarray(rate[kept], dtype=np.float64),
    )


def match(
    prefill_gpus: npt.ArrayLike,
    prefill_rate: npt.ArrayLike,
    decode_gpus: npt.ArrayLike,
    decode_rate: npt.ArrayLike,
    counts: Counts,
    *,
    budget: int | None,
    headroom: float = 0.0,
) -> Match:
    """The best split for every decode candidate, with the given numbers of instances; rates as known.

    Parameters as of `planner.match.rate_match.match_budget`. The most requests/s in the budget, then the
    fewest GPUs; without a budget the most requests/s per GPU.

    >>> found = match([2], [1.0], [4], [3.0], Counts(prefill=4), budget=64)
    >>> found.n_prefill.item(), found.n_decode.item(), found.requests_per_s.item(), found.gpus.item()
    (4, 2, 4.0, 16)
    """
    p_gpus, d_gpus = (np.asarray(size, dtype=np.int64) for size in (prefill_gpus, decode_gpus))
    p_rate, d_rate = (np.asarray(rate, dtype=np.float64) for rate in (prefill_rate, decode_rate))
    limit = _ENDLESS if budget is None else budget
    some = np.flatnonzero(np.isfinite(d_rate) & (d_rate > 0))
    size, rate = d_gpus[some], d_rate[some]
    tries: list[tuple[IntArray, IntArray, IntArray]] = []  # prefill candidate, its instances, decode ones
    if counts.prefill is not None:
        for i in prune(np.zeros(len(p_gpus)), p_gpus, p_rate, packed=False):
            fixed = np.full(len(some), counts.prefill, dtype=np.int64)
            block = counts.prefill * p_rate[i]
            if counts.decode is not None:
                numbers = [np.full(len(some), counts.decode, dtype=np.int64)]
            else:
                room = np.maximum(limit - counts.prefill * int(p_gpus[i]), 0) // size
                enough = np.minimum(instances_for(block, rate), room)
                numbers = [enough] if budget is not None else [enough, enough - 1]
            tries += [(np.full(len(some), i, dtype=np.int64), fixed, n) for n in numbers]
    elif counts.decode is not None and len(p_gpus):
        fixed = np.full(len(some), counts.decode, dtype=np.int64)
        served = counts.decode * rate
        if budget is None:
            one = most_per_size(p_gpus, p_rate)
            if one >= 0:
                enough = instances_for(served, np.full(len(some), p_rate[one]))
                which = np.full(len(some), one, dtype=np.int64)
                tries = [(which, enough, fixed), (which, enough - 1, fixed)]
        else:
            table, of = pool_table(p_gpus, p_rate, budget)
            rest = budget - counts.decode * size
            reached = np.minimum(served, np.where(rest >= 0, table[np.maximum(rest, 0)], 0.0))
            x = np.searchsorted(table, reached * (1 - TIE))
            which = np.maximum(of[x], 0)
            tries = [(which, x // p_gpus[which], fixed)]
    n = len(d_gpus)
    found = Match(
        prefill=np.full(n, -1, dtype=np.int64),
        n_prefill=np.zeros(n, dtype=np.int64),
        n_decode=np.zeros(n, dtype=np.int64),
        gpus=np.zeros(n, dtype=np.int64),
        requests_per_s=np.zeros(n),
    )
    best_worth, best_gpus = np.zeros(len(some)), np.zeros(len(some), dtype=np.int64)
    for candidate, n_prefill, n_decode in tries:
        gpus = n_prefill * p_gpus[candidate] + n_decode * size
        reached = (1 - headroom) * np.minimum(n_prefill * p_rate[candidate], n_decode * rate)
        worth = np.where(gpus <= limit, reached, 0.0)
        if budget is None:
            worth = worth / np.maximum(gpus, 1)
        better = worth > best_worth * (1 + TIE)
        better |= (worth > 0) & (worth >= best_worth * (1 - TIE)) & (gpus < best_gpus)
        best_worth, best_gpus = np.where(better, worth, best_worth), np.where(better, gpus, best_gpus)
        at = some[better]
        found.prefill[at] = candidate[better]
        found.n_prefill[at], found.n_decode[at] = n_prefill[better], n_decode[better]
        found.gpus[at], found.requests_per_s[at] = gpus[better], reached[better]
    return found
