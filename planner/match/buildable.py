"""What can be built of a problem's candidates, and the exact search over one layout per pool."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.match.deployment import Deployment, Pools
from planner.match.rate_match import TIE, instances_for, pool_table, rate_steps
from planner.match.robust import Errors
from planner.match.room import Filled, Limit, Room

PREFILL, DECODE, COLOCATED = 0, 1, 2  # the pools, in the order of all lists here
MOST_COUNTS = 2048  # of one layout in the search for a demand; beyond, one more changes next to nothing
MOST_STEPS = 512  # sizes of a pool in the search for the most per GPU: a larger fleet repeats what it finds


class Buildable:
    """Instances that can be built: GPUs, cost and rate less headroom, a list of the three pools each.

    The cost of an instance is its GPUs, each weighed by its price over that of the cheapest: where all
    GPUs cost the same it is their number, to the last bit.
    """

    def __init__(
        self,
        gpus: Sequence[IntArray],
        rate: Sequence[FloatArray],
        price: Sequence[FloatArray],
        *,
        budget: int | None,
        mix: bool,
        errors: Errors,
        prove: bool,
        gap: float = 0.0,
        room: Room | None = None,
        limits: Sequence[Limit] = (),
        racks: Filled | None = None,
    ) -> None:
        """`rate` is less headroom already; `price` is that of one GPU of each candidate.

        With a `room`, which takes the budget's place, the GPUs of a pool are of one price.
        """
        self.mix, self.errors, self.gap, self.room = mix, errors, gap, room
        self.limits, self.racks = limits, racks  # of a mix alone
        limit = np.inf if budget is None else budget
        mosts: list[float] = [limit] * 3 if room is None else [room.prefill, room.decode, 0]
        cheapest = min((float(p.min()) for p in price if len(p)), default=1.0)
        self.gpus = list(gpus)
        self.price = [p / cheapest for p in price]
        self.cost = [g * p for g, p in zip(self.gpus, self.price, strict=True)]
        self.rate = [
            np.where(np.isfinite(r) & (r > 0) & (g <= most), r, 0.0)
            for g, r, most in zip(self.gpus, rate, mosts, strict=True)
        ]
        self.one_price = all(bool((p == 1.0).all()) for p in self.price)
        self.ideal, _ = self._ideal(self.gpus)  # requests/s per GPU at the best balance: no plan has more
        self.ideal_worth, self.balance = self._ideal(self.cost)  # per unit of cost; decode over prefill rate
        # whether the search over one layout per pool is all that there is, exact and enough
        self.searched = room is not None or (not mix and self.one_price and not prove)
        self._tables: dict[tuple[int, int], FloatArray] = {}  # by pool and GPUs

    def _ideal(self, size: Sequence[IntArray] | Sequence[FloatArray]) -> tuple[float, float]:
        best = [float(np.max(r / s, initial=0.0)) for s, r in zip(size, self.rate, strict=True)]
        worth, balance = self.errors.best(best[PREFILL], best[DECODE])
        return max(worth, best[COLOCATED]), balance

    def any_in(self, budget: int | None) -> bool:
        """Whether there is room for any deployment: an instance of each pool, or a co-located one."""
        pools = zip(self.gpus, self.rate, strict=True)
        least = [int(gpus[rate > 0].min()) if rate.any() else 0 for gpus, rate in pools]
        limit = math.inf if budget is None else budget
        split = least[PREFILL] and least[DECODE] and self._fit(least[PREFILL], least[DECODE], limit)
        return bool(split or 0 < least[COLOCATED] <= limit)

    def _fit(self, prefill: IntArray | int, decode: IntArray | int, limit: float) -> BoolArray:
        """Whether pools of so many GPUs have room beside each other."""
        if self.room is None:
            return np.asarray(prefill + decode <= limit)
        return self.room.fits(np.asarray(prefill), np.asarray(decode))

    def plan(self, counts: Sequence[IntArray]) -> Deployment:
        """The deployment with these instances."""
        rates = [float(n @ rate) for n, rate in zip(counts, self.rate, strict=True)]
        gpus = sum(int(n @ gpus) for n, gpus in zip(counts, self.gpus, strict=True))
        cost = sum(float(n @ cost) for n, cost in zip(counts, self.cost, strict=True))
        split = min(rates[PREFILL], rates[DECODE])
        expected = float(self.errors.expected(rates[PREFILL], rates[DECODE]))
        return Deployment(
            counts=counts,
            rate=expected + rates[COLOCATED],
            capacity=split + rates[COLOCATED],
            split=split,
            gpus=gpus,
            cost=cost,
        )

    def of(self, *chosen: tuple[int, int, int]) -> Deployment:
        """The deployment with n instances of candidate i of pool p for each (p, i, n)."""
        counts = [np.zeros(len(gpus), dtype=np.int64) for gpus in self.gpus]
        for pool, index, n in chosen:
            counts[pool][index] = n
        return self.plan(counts)

    def first_in(self, budget: int, *, per_size: bool) -> Deployment | None:
        """Most requests/s (or per GPU, in a room per cost) in a budget: one layout per pool or co-located."""
        rate, size = self._steps(budget, per_size=per_size)
        rate = np.concatenate((rate, self._table(COLOCATED, budget)))
        size = np.concatenate((size, np.arange(budget + 1, dtype=np.float64)))
        if not rate.any():
            return None
        worth = rate / np.maximum(size, 1) if per_size else rate
        return self.first_for(float(rate[np.argmax(worth)]) * (1 - TIE), budget)

    def most_in(self, budget: int, among: BoolArray | None = None) -> float:
        """Most requests/s in a budget, of one layout per pool or one co-located layout.

        `among` is a mask over the prefill candidates, of which no others are built then.
        """
        rate, _ = self._steps(budget, per_size=False, among=among)
        return float(max(rate.max(initial=0.0), self._table(COLOCATED, budget)[-1]))

    def _table(self, pool: int, most: int) -> FloatArray:
        """`pool_table` of a pool, found once: that of decode serves one choice of prefill after another."""
        if (pool, most) not in self._tables:
            self._tables[pool, most] = pool_table(*self._of(pool), most)[0]
        return self._tables[pool, most]

    def _steps(
        self, budget: int, *, per_size: bool, among: BoolArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Expected rates that one layout per pool can serve in a budget, the best among them, and sizes.

        A size is the GPUs; in a room, where those of either pool have a price, the cost.
        """
        gpus, rates = self._of(PREFILL)
        if among is not None:
            gpus, rates = gpus[among], rates[among]
        if self.errors.none and self.room is None:
            rate, sizes = rate_steps(gpus, rates, *self._of(DECODE), budget=budget)
            return rate, sizes.astype(np.float64)
        room = Room.shared(budget) if self.room is None else self.room
        prefill = (
            self._table(PREFILL, room.prefill) if among is None else pool_table(gpus, rates, room.prefill)[0]
        )
        decode = self._table(DECODE, room.decode)
        if not per_size:
            rate = self.errors.expected(prefill, decode[room.decode_beside])
            return rate, np.full(len(rate), float(budget))
        x, y = (np.flatnonzero(np.diff(table, prepend=0.0))[:MOST_STEPS] for table in (prefill, decode))
        fit = self._fit(x[:, None], y, budget)
        rate = np.where(fit, self.errors.expected(prefill[x][:, None], decode[y]), 0.0)
        prices = tuple(float(self.price[pool].max(initial=1.0)) for pool in (PREFILL, DECODE))
        each = prices if self.room is not None else (1.0, 1.0)
        size = each[0] * x[:, None] + each[1] * y
        return rate.ravel(), size.ravel()

    def _of(self, pool: int) -> tuple[IntArray, FloatArray]:
        return self.gpus[pool], self.rate[pool]

    def first_for(self, demand: float, budget: int | None) -> Deployment | None:
        """Least cost for a demand within a budget: one layout per pool or one co-located layout."""
        limit = math.inf if budget is None else budget
        split = self._pair_for if self.errors.none else self._expected_pair_for
        plans = list(filter(None, [split(demand, limit)]))
        pools = self._pools_for(COLOCATED, demand)
        colocated = np.flatnonzero(pools.gpus <= limit)
        if len(colocated):
            at = colocated[0]
            plans.append(self.of((COLOCATED, int(pools.candidate[at]), int(pools.instances[at]))))
        return min(plans, key=lambda plan: plan.cost, default=None)

    def _pair_for(self, demand: float, limit: float) -> Deployment | None:
        """The cheapest pair of pools each of which serves a demand."""
        prefill, decode = self._pools_for(PREFILL, demand), self._pools_for(DECODE, demand)
        fits = self._fit(prefill.gpus[:, None], decode.gpus, limit)
        pairs = np.where(fits, prefill.cost[:, None] + decode.cost, np.inf)
        if not np.isfinite(pairs).any():
            return None
        i, j = np.unravel_index(np.argmin(pairs), pairs.shape)
        return self._pair(prefill, int(i), decode, int(j))

    def _expected_pair_for(self, demand: float, limit: float) -> Deployment | None:
        """The cheapest pair of pools that is expected to serve a demand; of such, the fastest.

        Exact where all GPUs cost the same, but for pools of more than `MOST_COUNTS` instances. Where they do
        not and the cheap ones are too many, the pair of the fewest GPUs.
        """
        pair = self._least_pair_for(demand, limit, self.cost)
        return pair if pair or self.one_price else self._least_pair_for(demand, limit, self.gpus)

    def _least_pair_for(
        self, demand: float, limit: float, size: Sequence[FloatArray] | Sequence[IntArray]
    ) -> Deployment | None:
        """The pair of pools of the least size, cost or GPUs, that is expected to serve a demand."""
        prefill, decode = (self._pools_around(pool, demand, size[pool]) for pool in (PREFILL, DECODE))
        needed = self.errors.decode_for(prefill.rate, demand) * (1 - TIE)
        j = np.searchsorted(decode.rate, needed)
        i = np.flatnonzero(j < len(decode.rate))
        j = j[i]
        within = self._fit(prefill.gpus[i], decode.gpus[j], limit)
        i, j = i[within], j[within]
        if not len(i):
            return None
        cost = prefill.cost[i] + decode.cost[j]
        tied = np.flatnonzero(cost <= cost.min() * (1 + TIE))
        expected = self.errors.expected(prefill.rate[i[tied]], decode.rate[j[tied]])
        at = tied[np.argmax(expected)]
        return self._pair(prefill, int(i[at]), decode, int(j[at]))

    def _pair(self, prefill: Pools, i: int, decode: Pools, j: int) -> Deployment:
        return self.of(
            (PREFILL, int(prefill.candidate[i]), int(prefill.instances[i])),
            (DECODE, int(decode.candidate[j]), int(decode.instances[j])),
        )

    def _pools_around(self, pool: int, demand: float, size: FloatArray | IntArray) -> Pools:
        """Pools of one layout with any rate that a split with this expected rate could use, by size.

        None of them is both larger and no faster than another, so their rates ascend too. `size` is that of
        an instance of each candidate, cost or GPUs.
        """
        index = np.flatnonzero(self.rate[pool] > 0)
        rate = self.rate[pool][index]
        least = instances_for(demand, rate)
        most = instances_for(demand * self.errors.surplus, rate)
        # every count where there are few, else evenly spread ones
        steps = np.minimum(most - least, MOST_COUNTS - 1)
        which = np.repeat(np.arange(len(index)), steps + 1)
        at = np.arange(len(which)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
        share = at / np.maximum(steps, 1)[which]
        instances = least[which] + np.rint(share * (most - least)[which]).astype(np.int64)
        gpus, cost = instances * self.gpus[pool][index][which], instances * self.cost[pool][index][which]
        served = instances * rate[which]
        order = np.lexsort((-served, instances * size[index][which]))
        fastest = np.maximum.accumulate(served[order]) if len(order) else served
        first = np.ones(len(order), dtype=bool)
        first[1:] = fastest[1:] > fastest[:-1]
        kept = order[first]
        return Pools(
            candidate=index[which[kept]],
            instances=instances[kept],
            gpus=gpus[kept],
            cost=cost[kept],
            rate=served[kept],
        )

    def _pools_for(self, pool: int, demand: float) -> Pools:
        """Pools of one layout that serve a demand, no other both cheaper and smaller; the cheapest first.

        Ties go to the higher rate.
        """
        index = np.flatnonzero(self.rate[pool] > 0)
        instances = instances_for(demand, self.rate[pool][index])
        gpus, cost = instances * self.gpus[pool][index], instances * self.cost[pool][index]
        order = np.lexsort((-instances * self.rate[pool][index], gpus, cost))
        smallest = np.minimum.accumulate(gpus[order]) if len(order) else gpus
        first = np.ones(len(order), dtype=bool)
        first[1:] = smallest[1:] < smallest[:-1]
        kept = order[first]
        return Pools(
            candidate=index[kept],
            instances=instances[kept],
            gpus=gpus[kept],
            cost=cost[kept],
            rate=np.asarray(instances[kept] * self.rate[pool][index[kept]], dtype=np.float64),
        )
