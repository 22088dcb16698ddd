"""The integer program: how many instances of which layouts, under a GPU budget.

Rate matching as a mixed-integer linear program, solved by HiGHS (Huangfu and Hall, "Parallelizing the
dual revised simplex method", 2018) through `scipy.optimize.milp`. Whole instances n_i of g_i GPUs and
request rate R_i; r is the rate of the split, limited by either pool; h is the headroom:

    r <= (1 - h) * sum_prefill n_i R_i         r <= (1 - h) * sum_decode n_i R_i
    sum n_i g_i <= budget                      total = r + (1 - h) * sum_colocated n_i R_i

Without `mix` a binary y_i per layout holds each pool to one layout, ``n_i <= floor(budget / g_i) y_i``
and ``sum y_i <= 1``, and there are no co-located instances.

Goals
-----
throughput
    Most requests/s in the budget; then the fewest GPUs for that rate.
fewest-gpus; cost when a demand is given
    Fewest GPUs with ``total >= demand``. One price per GPU: fewest GPUs cost least.
cost without a demand
    Most requests/s per GPU in the budget by Dinkelbach's iteration ("On nonlinear fractional
    programming", 1967): maximise ``total - k * GPUs``, set k to the ratio found, until nothing beats k.
    The cheapest deployment is then repeated as often as the budget holds it.
throughput or cost without a budget and without a demand
    The fewest GPUs, up to `FREE_GPUS`, whose rate per GPU is within 3 % of that of perfectly balanced
    pools of any size, then the best rate on those. Algorithm 2's deployment meets the 3 %, so this is
    its integer program. If none in `FREE_GPUS` does: most requests/s per GPU.

A first plan comes from the exact search over one layout per pool (`planner.match.rate_match`): the
solver has to beat it or to prove that nothing does, and when time runs out there is always an answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.match.frontier import IntArray, prune
from planner.match.rate_match import (
    TIE,
    TOLERANCE,
    best_prefill,
    colocated_budget,
    fewest_gpus,
    match_budget,
    match_unbounded,
)
from planner.simulate.roofline import FloatArray

GOALS = ("throughput", "fewest-gpus", "cost")
FREE_GPUS = 4096  # largest deployment considered when the budget is "any"
_GAP = 1e-7  # a plan this close to the proven bound is optimal; see _SCALE
# HiGHS accepts rows violated by 1e-6 and stops at an absolute gap of 1e-6. Rates are scaled so that
# their upper bound is this number: both slacks are then 1e-9 of it.
_SCALE = 1e3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Candidates and the question. Rates are requests/s of one instance; arrays (n,) may be empty.

    Candidates must meet the latency limits already. Those with a rate that is not finite or not
    positive are never built.
    """

    prefill_gpus: IntArray
    prefill_rate: FloatArray
    decode_gpus: IntArray
    decode_rate: FloatArray
    colocated_gpus: IntArray  # only `mix` reads the co-located candidates
    colocated_rate: FloatArray
    budget: int | None  # GPUs over all pools; None: no limit
    goal: str = "throughput"
    requests_per_s: float | None = None  # demand; the goal throughput ignores it
    headroom: float = 0.0  # share of each pool's capacity kept free, in [0, 1)
    mix: bool = False  # several layouts per pool, co-located instances beside the split
    time_limit_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """Instances of every candidate, in the order of the problem's arrays.

    Rates follow from the whole instances; a number of the solver's is never reported as one. `status`
    is "optimal" only when the solver proved it (within 1e-7), "feasible" when time ran out, with the
    gap that is left, and "infeasible" without instances and with gap nan. Of a mix, the tie-break to
    fewer GPUs takes only the time that is left and does not change the status.
    """

    prefill: IntArray
    decode: IntArray
    colocated: IntArray
    requests_per_s: float  # in total, headroom kept
    split_requests_per_s: float  # the part that the prefill and decode pools serve
    gpus: int
    status: str  # optimal, feasible, infeasible
    gap: float  # |bound - value| / value of what the goal counts: rate, GPUs or rate per GPU
    seconds: float


def solve(problem: Problem) -> Solution:
    """The best deployment of a problem's candidates.

    Raises
    ------
    InputError
        For an unknown goal, a budget below one GPU, a headroom outside [0, 1), a demand or time limit
        that is not positive, the goal fewest-gpus without a demand, arrays of unequal length.

    >>> ints, floats = np.array([4]), np.array([2.0])
    >>> plan = solve(Problem(prefill_gpus=ints, prefill_rate=floats, decode_gpus=np.array([8, 2]),
    ...     decode_rate=np.array([6.0, 1.0]), colocated_gpus=ints[:0], colocated_rate=floats[:0], budget=20))
    >>> plan.prefill.tolist(), plan.decode.tolist(), plan.requests_per_s, plan.status
    ([3], [1, 0], 6.0, 'optimal')
    """
    started = time.perf_counter()
    _check(problem)
    candidates = _Candidates(problem)
    deadline = started + problem.time_limit_s
    demand = None if problem.goal == "throughput" else problem.requests_per_s
    if not candidates.ideal:
        found = _Found(plan=None)
    elif demand is not None:
        found = _fewest(candidates, demand, problem.budget, deadline)
    elif problem.budget is None:
        found = _near_ideal(candidates, deadline)
    elif problem.goal == "throughput":
        found = _most(candidates, problem.budget, deadline)
    else:
        found = _cheapest(candidates, problem.budget, deadline)
    plan = found.plan or candidates.of()
    gap = abs(found.bound - found.value) / found.value if found.plan else np.nan
    optimal = found.proven and gap <= _GAP
    return Solution(
        prefill=plan.counts[0],
        decode=plan.counts[1],
        colocated=plan.counts[2] if problem.mix else np.zeros(len(problem.colocated_gpus), dtype=np.int64),
        requests_per_s=plan.rate,
        split_requests_per_s=plan.split,
        gpus=plan.gpus,
        status="infeasible" if not found.plan else "optimal" if optimal else "feasible",
        gap=0.0 if optimal else float(gap),
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """Whole instances and what they serve."""

    counts: Sequence[IntArray]  # prefill, decode, colocated
    rate: float
    split: float
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """A plan, its value of what the goal counts and the bound that no plan can pass."""

    plan: _Plan | None
    value: float = np.nan
    bound: float = np.nan
    proven: bool = True  # the solver ran to its end


class _Candidates:
    """Instances that can be built: GPUs and rate less headroom per pool (prefill, decode, colocated)."""

    def __init__(self, problem: Problem) -> None:
        self.mix = problem.mix
        none: list[float] = []
        pools = (
            (problem.prefill_gpus, problem.prefill_rate),
            (problem.decode_gpus, problem.decode_rate),
            (problem.colocated_gpus, problem.colocated_rate) if problem.mix else (none, none),
        )
        limit = np.inf if problem.budget is None else problem.budget
        self.gpus = [np.asarray(gpus, dtype=np.int64) for gpus, _ in pools]
        self.rate = []
        for gpus, (_, rates) in zip(self.gpus, pools, strict=True):
            rate = (1 - problem.headroom) * np.asarray(rates, dtype=np.float64)
            self.rate.append(np.where(np.isfinite(rate) & (rate > 0) & (gpus <= limit), rate, 0.0))
        best = [float(np.max(r / g, initial=0.0)) for g, r in zip(self.gpus, self.rate, strict=True)]
        split = best[0] * best[1] / (best[0] + best[1]) if best[0] and best[1] else 0.0
        self.ideal = max(split, best[2])  # requests/s per GPU at perfect balance: no plan has more

    def plan(self, counts: Sequence[IntArray]) -> _Plan:
        """The plan with these instances."""
        rates = [float(n @ rate) for n, rate in zip(counts, self.rate, strict=True)]
        gpus = sum(int(n @ gpus) for n, gpus in zip(counts, self.gpus, strict=True))
        split = min(rates[0], rates[1])
        return _Plan(counts=counts, rate=split + rates[2], split=split, gpus=gpus)

    def of(self, *chosen: tuple[int, int, int]) -> _Plan:
        """The plan with n instances of candidate i of pool p for each (p, i, n)."""
        counts = [np.zeros(len(gpus), dtype=np.int64) for gpus in self.gpus]
        for pool, index, n in chosen:
            counts[pool][index] = n
        return self.plan(counts)

    def first_in(self, budget: int) -> _Plan | None:
        """Most requests/s, ties to fewer GPUs: one layout per pool or one co-located layout."""
        split = match_budget(self.gpus[0], self.rate[0], self.gpus[1], self.rate[1], budget=budget)
        copies = colocated_budget(self.gpus[2], self.rate[2], budget=budget)
        plans = []
        if split.gpus.any():
            d = int(np.argmax(split.requests_per_s))
            p = int(split.prefill[d])
            plans.append(self.of((0, p, int(split.n_prefill[d])), (1, d, int(split.n_decode[d]))))
        if copies.gpus.any():
            c = int(np.argmax(copies.requests_per_s))
            plans.append(self.of((2, c, int(copies.instances[c]))))
        trimmed = [trim for plan in plans if (trim := self.first_for(plan.rate * (1 - TIE)))]
        return min(trimmed, key=lambda plan: plan.gpus, default=None)

    def first_for(self, demand: float) -> _Plan | None:
        """Fewest GPUs for a demand: one layout per pool or one co-located layout."""
        fewest = [fewest_gpus(g, r, demand) for g, r in zip(self.gpus, self.rate, strict=True)]
        (p, n_p), (d, n_d), (c, n_c) = fewest
        plans = [self.of((0, p, n_p), (1, d, n_d))] if n_p and n_d else []
        plans += [self.of((2, c, n_c))] if n_c else []
        return min(plans, key=lambda plan: plan.gpus, default=None)
