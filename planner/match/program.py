"""The integer program itself: the model of what can be built, one function for each constraint.

Columns of the model, all at least 0: n_i instances of each candidate (prefill, then decode, then
co-located), without `mix` a binary y_i for each of them, with racks z_j of each system, and r_s, the rate of
the split in each scenario of errors (one, where rates count as known). Rates are in units of
`Program.unit`. Every constraint is a few rows of ``coefficients @ x >= low``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.match.buildable import COLOCATED, DECODE, PREFILL, Buildable
from planner.match.deployment import Deployment
from planner.match.pareto import prune
from planner.match.room import Filled, Limit, keeps, kinds
from planner.match.solver_output import c_stdout_muted
from planner.values import dataclass

# HiGHS accepts rows violated by 1e-6 and stops at an absolute gap of 1e-6. Rates are scaled so that
# their upper bound is this number: both slacks are then 1e-9 of it.
SCALE = 1e3


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
