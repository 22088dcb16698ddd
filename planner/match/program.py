"""The integer program itself: what can be built, the model of it, one function for each constraint.

Columns of the model, all at least 0: n_i instances of each candidate (prefill, then decode, then
co-located), without `mix` a binary y_i for each of them, with racks z_j of each system, and r_s, the rate of
the split in each scenario of errors (one, where rates count as known). Rates are in units of
`Program.unit`. Every constraint is a few rows of ``coefficients @ x >= low``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.match.deployment import Deployment as Deployment
from planner.match.deployment import Pools as Pools
from planner.match.pareto import prune
from planner.match.rate_match import TIE, instances_for, pool_table, rate_steps
from planner.match.robust import Errors
from planner.match.room import Filled, Limit, Room, keeps, kinds
from planner.match.solver_output import c_stdout_muted
from planner.values import dataclass

PREFILL, DECODE, COLOCATED = 0, 1, 2  # the pools, in the order of all lists here
# HiGHS accepts rows violated by 1e-6 and stops at an absolute gap of 1e-6. Rates are scaled so that
# their upper bound is this number: both slacks are then 1e-9 of it.
SCALE = 1e3
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the solver returned."""

    plan: Deployment | None
    bound: float  # on the objective; nan when unknown
    proven: bool


Rows = tuple[FloatArray, FloatArray]  # coefficients (rows, columns) and the least value of each (rows,)


class Program:
    """The model of some buildable instances."""

    def __init__(self, buildable: Buildable, budget: int, most_per_s: float, deadline: float) -> None:
        """`most_per_s` is a rate beyond which no plan can or need go."""
        self.buildable, self.budget, self.deadline = buildable, budget, deadline
        self.unit = most_per_s / SCALE
        self.errors = errors = buildable.errors
        # An instance that alone exceeds the rate serves no purpose beyond it, but for what errors take.
        # Cut there, coefficients stay within the solver's range, and instances of one size that reach it
        # become equal.
        self.beyond = 1.0 if errors.none else errors.surplus / float(errors.expected(1.0, 1.0))
        rates = [
            np.minimum(r, most_per_s * beyond) * (g <= budget)
            for g, r, beyond in zip(
                buildable.gpus, buildable.rate, (self.beyond, self.beyond, 1.0), strict=True
            )
        ]
        # a dearer GPU is to a cheaper one as a slower instance is to a faster: no match for it
        self.kept = [
            _unbeaten(kind, g, r) if buildable.limits else prune(kind, g, r)
            for kind, g, r in zip(
                kinds(buildable.price, buildable.limits), buildable.gpus, rates, strict=True
            )
        ]
        self.pool = np.repeat(np.arange(3), [len(kept) for kept in self.kept])
        self.gpus = self._kept(buildable.gpus)
        self.rate = self._kept(rates) / self.unit
        self.scenarios = len(errors.prefill)
        racks = 0 if buildable.racks is None else len(buildable.racks.gpus)
        self.columns = len(self.gpus) * (1 if buildable.mix else 2) + racks + self.scenarios
        self.size = self.row(self.gpus)  # GPUs in use
        self.cost = self.row(self._kept(buildable.cost))
        # expected rate, in units: the mean of the split's over the scenarios
        alone = np.where(self.pool == COLOCATED, self.rate, 0.0)
        self.total = self.row(alone, split=1.0 / self.scenarios)

    def _kept(self, of: Sequence[FloatArray] | Sequence[IntArray]) -> FloatArray:
        return np.concatenate([values[kept] for values, kept in zip(of, self.kept, strict=True)])

    def row(self, instances: FloatArray | IntArray, split: float = 0.0) -> FloatArray:
        """A row from the coefficients of the instances and of each r_s."""
        row = np.zeros(self.columns)
        row[: len(instances)] = instances
        row[self.columns - self.scenarios :] = split
        return row

    @property
    def _widest(self) -> float:
        """The largest factor of a scenario."""
        return float(max(self.errors.prefill.max(), self.errors.decode.max()))

    @property
    def most(self) -> FloatArray:
        """The most instances of each candidate that the budget holds."""
        return self.budget // self.gpus

    @property
    def late(self) -> bool:
        """Whether the time for programs is over."""
        return time.perf_counter() >= self.deadline

    def minimise(self, objective: FloatArray, *at_least: tuple[FloatArray, float]) -> Answer:
        """The plan with the least ``objective @ x`` under the model and ``row @ x >= low`` of each pair."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        upper = self.row(self.most, split=SCALE * self.beyond * self._widest)
        constraints = [served_by(self, PREFILL), served_by(self, DECODE), within_budget(self)]
        constraints += [within_limit(self, limit) for limit in self.buildable.limits]
        if (racks := self.buildable.racks) is not None:
            upper[len(self.gpus) : -self.scenarios] = racks.most
            constraints += [in_racks(self, racks)]
        constraints += [(row[None], np.array([low])) for row, low in at_least]
        if not self.buildable.mix:
            upper[len(self.gpus) : -self.scenarios] = 1
            constraints += [one_layout(self, PREFILL), one_layout(self, DECODE), built_if_chosen(self)]
        rows, lows = (np.concatenate(part) for part in zip(*constraints, strict=True))
        left_s = max(self.deadline - time.perf_counter(), 1e-3)
        with c_stdout_muted():
            result = milp(
                objective,
                integrality=np.r_[np.ones(self.columns - self.scenarios), np.zeros(self.scenarios)],
                bounds=Bounds(np.zeros(self.columns), upper),
                constraints=LinearConstraint(rows, lows, np.inf),
                options={"mip_rel_gap": self.buildable.gap, "time_limit": left_s},
            )
        bound = result.get("mip_dual_bound")
        return Answer(
            plan=None if result.x is None else self._plan(result.x),
            bound=np.nan if bound is None else float(bound),
            proven=result.status in (0, 2),  # optimal, infeasible
        )

    def _plan(self, x: FloatArray) -> Deployment | None:
        """The plan of a solution, its numbers made whole; None where that broke the model."""
        n = np.rint(x[: len(self.gpus)]).astype(np.int64)
        counts = [np.zeros(len(gpus), dtype=np.int64) for gpus in self.buildable.gpus]
        for p, kept in enumerate(self.kept):
            counts[p][kept] = n[self.pool == p]
        plan = self.buildable.plan(counts)
        single = self.buildable.mix or all(np.count_nonzero(c) <= 1 for c in counts)
        limits, racks = self.buildable.limits, self.buildable.racks
        fits = plan.gpus <= self.budget and keeps(counts, self.buildable.gpus, limits, racks)
        return plan if single and fits and np.all(n >= 0) else None


def _unbeaten(kind: FloatArray, gpus: IntArray, rate: FloatArray) -> IntArray:
    """The candidates worth matching of each kind of GPU, none of which stands in for another."""
    of_each = [np.flatnonzero(kind == one) for one in np.unique(kind)]
    kept = [at[prune(np.zeros(len(at)), gpus[at], rate[at])] for at in of_each]
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)


def served_by(program: Program, pool: int) -> Rows:
    """``r_s <= e_s sum_pool n_i R_i``: the split serves no more than either of its pools, in no scenario."""
    rate = program.row(np.where(program.pool == pool, program.rate, 0.0))
    factors = program.errors.prefill if pool == PREFILL else program.errors.decode
    rows = factors[:, None] * rate
    rows[:, program.columns - program.scenarios :] = -np.eye(program.scenarios)
    return rows, np.zeros(program.scenarios)


def within_budget(program: Program) -> Rows:
    """``sum n_i g_i <= budget``: GPUs of all pools."""
    return -program.size[None], np.array([-float(program.budget)])


def within_limit(program: Program, limit: Limit) -> Rows:
    """``sum n_i g_i w_i <= most``: what all GPUs take of something, each w_i."""
    taken = program.gpus * program._kept(limit.each) / limit.most
    return -program.row(taken)[None], np.array([-1.0])


def in_racks(program: Program, racks: Filled) -> Rows:
    """``sum_j n_i g_i / r_j <= z_j`` of the GPUs of each system j, and ``sum z_j <= racks``: whole ones."""
    n, systems = len(program.gpus), len(racks.gpus)
    rows = np.zeros((systems + 1, program.columns))
    on = program._kept(racks.system)
    of_each = np.arange(systems)[:, None] == on
    rows[:systems, :n] = -np.where(of_each, program.gpus / racks.gpus[:, None], 0.0)
    rows[:systems, n : n + systems] = np.eye(systems)
    rows[systems, n : n + systems] = -1.0
    return rows, np.append(np.zeros(systems), -float(racks.most))


def one_layout(program: Program, pool: int) -> Rows:
    """``sum_pool y_i <= 1``: a pool has one layout."""
    row = np.zeros(program.columns)
    row[len(program.gpus) : -program.scenarios] = -(program.pool == pool).astype(float)
    return row[None], np.array([-1.0])


def built_if_chosen(program: Program) -> Rows:
    """``n_i <= floor(budget / g_i) y_i`` for each candidate: instances are of the chosen layout."""
    n = len(program.gpus)
    linked = np.hstack((-np.eye(n), np.diag(program.most.astype(float)), np.zeros((n, program.scenarios))))
    return linked, np.zeros(n)
