"""The integer program itself: what can be built, the model of it, one function for each constraint.

Columns of the model, all at least 0: n_i instances of each candidate (prefill, then decode, then
co-located), without `mix` a binary y_i for each of them, and r, the rate of the split. Rates are in
units of `Program.unit`. Every constraint is a few rows of ``coefficients @ x >= low``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.match.pareto import prune
from planner.match.rate_match import TIE, instances_for, pool_table, rate_steps
from planner.match.solver_output import c_stdout_muted

PREFILL, DECODE, COLOCATED = 0, 1, 2  # the pools, in the order of all lists here
# HiGHS accepts rows violated by 1e-6 and stops at an absolute gap of 1e-6. Rates are scaled so that
# their upper bound is this number: both slacks are then 1e-9 of it.
SCALE = 1e3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deployment:
    """Whole instances and what they serve."""

    counts: Sequence[IntArray]  # prefill, decode, colocated
    rate: float
    split: float
    gpus: int
    cost: float  # what the goal spends: GPUs, or GPUs weighed by their price


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
    ) -> None:
        """`rate` is less headroom already; `price` is that of one GPU of each candidate."""
        self.mix = mix
        limit = np.inf if budget is None else budget
        cheapest = min((float(p.min()) for p in price if len(p)), default=1.0)
        self.gpus = list(gpus)
        self.price = [p / cheapest for p in price]
        self.cost = [g * p for g, p in zip(self.gpus, self.price, strict=True)]
        self.rate = [
            np.where(np.isfinite(r) & (r > 0) & (g <= limit), r, 0.0)
            for g, r in zip(self.gpus, rate, strict=True)
        ]
        self.one_price = all(bool((p == 1.0).all()) for p in self.price)
        self.ideal = self._ideal(self.gpus)  # requests/s per GPU at perfect balance: no plan has more
        self.ideal_worth = self._ideal(self.cost)  # the same per unit of cost

    def _ideal(self, size: Sequence[IntArray] | Sequence[FloatArray]) -> float:
        best = [float(np.max(r / s, initial=0.0)) for s, r in zip(size, self.rate, strict=True)]
        prefill, decode = best[PREFILL], best[DECODE]
        split = prefill * decode / (prefill + decode) if prefill and decode else 0.0
        return max(split, best[COLOCATED])

    @property
    def smallest(self) -> float:
        """GPUs of the smallest deployment: an instance of each pool of a split, or a co-located one."""
        pools = zip(self.gpus, self.rate, strict=True)
        least = [float(gpus[rate > 0].min()) if rate.any() else np.inf for gpus, rate in pools]
        return min(least[PREFILL] + least[DECODE], least[COLOCATED])

    def plan(self, counts: Sequence[IntArray]) -> Deployment:
        """The deployment with these instances."""
        rates = [float(n @ rate) for n, rate in zip(counts, self.rate, strict=True)]
        gpus = sum(int(n @ gpus) for n, gpus in zip(counts, self.gpus, strict=True))
        cost = sum(float(n @ cost) for n, cost in zip(counts, self.cost, strict=True))
        split = min(rates[PREFILL], rates[DECODE])
        return Deployment(counts=counts, rate=split + rates[COLOCATED], split=split, gpus=gpus, cost=cost)

    def of(self, *chosen: tuple[int, int, int]) -> Deployment:
        """The deployment with n instances of candidate i of pool p for each (p, i, n)."""
        counts = [np.zeros(len(gpus), dtype=np.int64) for gpus in self.gpus]
        for pool, index, n in chosen:
            counts[pool][index] = n
        return self.plan(counts)

    def first_in(self, budget: int, *, per_gpu: bool) -> Deployment | None:
        """Most requests/s (or per GPU) in a budget: one layout per pool or one co-located layout."""
        rate, gpus = rate_steps(*self._of(PREFILL), *self._of(DECODE), budget=budget)
        copies, _ = pool_table(*self._of(COLOCATED), budget)
        rate = np.concatenate((rate, copies))
        gpus = np.concatenate((gpus, np.arange(budget + 1)))
        if not rate.any():
            return None
        worth = rate / np.maximum(gpus, 1) if per_gpu else rate
        return self.first_for(float(rate[np.argmax(worth)]) * (1 - TIE), budget)

    def _of(self, pool: int) -> tuple[IntArray, FloatArray]:
        return self.gpus[pool], self.rate[pool]

    def first_for(self, demand: float, budget: int | None) -> Deployment | None:
        """Least cost for a demand within a budget: one layout per pool or one co-located layout."""
        pools = [self._pools_for(pool, demand) for pool in (PREFILL, DECODE, COLOCATED)]
        limit = np.inf if budget is None else budget
        (p, n_p, gpus_p, cost_p), (d, n_d, gpus_d, cost_d), (c, n_c, gpus_c, _) = pools
        plans = []
        pairs = np.where(gpus_p[:, None] + gpus_d <= limit, cost_p[:, None] + cost_d, np.inf)
        if np.isfinite(pairs).any():
            i, j = np.unravel_index(np.argmin(pairs), pairs.shape)
            plans.append(self.of((PREFILL, int(p[i]), int(n_p[i])), (DECODE, int(d[j]), int(n_d[j]))))
        colocated = np.flatnonzero(gpus_c <= limit)
        if len(colocated):
            plans.append(self.of((COLOCATED, int(c[colocated[0]]), int(n_c[colocated[0]]))))
        return min(plans, key=lambda plan: plan.cost, default=None)

    def _pools_for(self, pool: int, demand: float) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Pools of one layout that serve a demand, no other both cheaper and smaller; the cheapest first.

        Of each the candidate, its instances, GPUs and cost; ties go to the higher rate.
        """
        index = np.flatnonzero(self.rate[pool] > 0)
        instances = instances_for(demand, self.rate[pool][index])
        gpus, cost = instances * self.gpus[pool][index], instances * self.cost[pool][index]
        order = np.lexsort((-instances * self.rate[pool][index], gpus, cost))
        smallest = np.minimum.accumulate(gpus[order]) if len(order) else gpus
        first = np.ones(len(order), dtype=bool)
        first[1:] = smallest[1:] < smallest[:-1]
        kept = order[first]
        return index[kept], instances[kept], gpus[kept], cost[kept]


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
        # An instance that alone exceeds the rate serves no purpose beyond it. Cut there, coefficients
        # stay within the solver's range, and instances of one size that reach it become equal.
        rates = [
            np.minimum(r, most_per_s) * (g <= budget)
            for g, r in zip(buildable.gpus, buildable.rate, strict=True)
        ]
        # a dearer GPU is to a cheaper one as a slower instance is to a faster: no match for it
        self.kept = [
            prune(price, g, r) for price, g, r in zip(buildable.price, buildable.gpus, rates, strict=True)
        ]
        self.pool = np.repeat(np.arange(3), [len(kept) for kept in self.kept])
        self.gpus = self._kept(buildable.gpus)
        self.rate = self._kept(rates) / self.unit
        self.columns = len(self.gpus) * (1 if buildable.mix else 2) + 1
        self.size = self.row(self.gpus)  # GPUs in use
        self.cost = self.row(self._kept(buildable.cost))
        self.total = self.row(np.where(self.pool == COLOCATED, self.rate, 0.0), split=1.0)  # rate, in units

    def _kept(self, of: Sequence[FloatArray] | Sequence[IntArray]) -> FloatArray:
        return np.concatenate([values[kept] for values, kept in zip(of, self.kept, strict=True)])

    def row(self, instances: FloatArray | IntArray, split: float = 0.0) -> FloatArray:
        """A row from the coefficients of the instances and of r."""
        row = np.zeros(self.columns)
        row[: len(instances)] = instances
        row[-1] = split
        return row

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

        upper = self.row(self.most, split=SCALE)
        constraints = [served_by(self, PREFILL), served_by(self, DECODE), within_budget(self)]
        constraints += [(row[None], np.array([low])) for row, low in at_least]
        if not self.buildable.mix:
            upper[len(self.gpus) : -1] = 1
            constraints += [one_layout(self, PREFILL), one_layout(self, DECODE), built_if_chosen(self)]
        rows, lows = (np.concatenate(part) for part in zip(*constraints, strict=True))
        left_s = max(self.deadline - time.perf_counter(), 1e-3)
        with c_stdout_muted():
            result = milp(
                objective,
                integrality=np.r_[np.ones(self.columns - 1), 0],
                bounds=Bounds(np.zeros(self.columns), upper),
                constraints=LinearConstraint(rows, lows, np.inf),
                options={"mip_rel_gap": 0.0, "time_limit": left_s},
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
        return plan if single and plan.gpus <= self.budget and np.all(n >= 0) else None


def served_by(program: Program, pool: int) -> Rows:
    """``r <= sum_pool n_i R_i``: the split serves no more than either of its pools."""
    row = program.row(np.where(program.pool == pool, program.rate, 0.0), split=-1.0)
    return row[None], np.zeros(1)


def within_budget(program: Program) -> Rows:
    """``sum n_i g_i <= budget``: GPUs of all pools."""
    return -program.size[None], np.array([-float(program.budget)])


def one_layout(program: Program, pool: int) -> Rows:
    """``sum_pool y_i <= 1``: a pool has one layout."""
    row = np.zeros(program.columns)
    row[len(program.gpus) : -1] = -(program.pool == pool).astype(float)
    return row[None], np.array([-1.0])


def built_if_chosen(program: Program) -> Rows:
    """``n_i <= floor(budget / g_i) y_i`` for each candidate: instances are of the chosen layout."""
    n = len(program.gpus)
    linked = np.hstack((-np.eye(n), np.diag(program.most.astype(float)), np.zeros((n, 1))))
    return linked, np.zeros(n)
