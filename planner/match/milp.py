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

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.match.pareto import prune
from planner.match.rate_match import (
    TIE,
    TOLERANCE,
    best_prefill,
    fewest_gpus,
    match_unbounded,
    pool_table,
    rate_steps,
)
from planner.match.solver_output import c_stdout_muted

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
    is "optimal" only when a proven bound is met (within 1e-7), "feasible" when time ran out, with the
    gap that is left, and "infeasible" without instances, with gap 0. (Infeasible with gap inf: a mix for
    a demand that no single layout meets, and time ran out before any was found.) Of a mix, the tie-break
    to fewer GPUs takes only the time that is left and does not change the status.
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
    _check(problem)
    import scipy.optimize  # noqa: F401  the first time it takes half a second, which is not the solver's

    started = time.perf_counter()
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
    gap = abs(found.bound - found.value) / found.value if found.plan else 0.0 if found.proven else np.inf
    optimal = gap <= _GAP
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
    proven: bool = True  # without a plan: that there is none


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

    def first_in(self, budget: int, *, per_gpu: bool) -> _Plan | None:
        """Most requests/s (or per GPU) in a budget: one layout per pool or one co-located layout."""
        rate, gpus = rate_steps(*self._of(0), *self._of(1), budget=budget)
        copies, _ = pool_table(*self._of(2), budget)
        rate = np.concatenate((rate, copies))
        gpus = np.concatenate((gpus, np.arange(budget + 1)))
        if not rate.any():
            return None
        worth = rate / np.maximum(gpus, 1) if per_gpu else rate
        return self.first_for(float(rate[np.argmax(worth)]) * (1 - TIE))

    def _of(self, pool: int) -> tuple[IntArray, FloatArray]:
        return self.gpus[pool], self.rate[pool]

    def first_for(self, demand: float) -> _Plan | None:
        """Fewest GPUs for a demand: one layout per pool or one co-located layout."""
        fewest = [fewest_gpus(g, r, demand) for g, r in zip(self.gpus, self.rate, strict=True)]
        (p, n_p), (d, n_d), (c, n_c) = fewest
        plans = [self.of((0, p, n_p), (1, d, n_d))] if n_p and n_d else []
        plans += [self.of((2, c, n_c))] if n_c else []
        return min(plans, key=lambda plan: plan.gpus, default=None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answer:
    """What the solver returned."""

    plan: _Plan | None
    bound: float  # on the objective; nan when unknown
    proven: bool


class _Program:
    """The model: columns are instances of prefill, decode and co-located candidates, (y), r."""

    def __init__(self, candidates: _Candidates, budget: int, most_per_s: float, deadline: float) -> None:
        """`most_per_s` is a rate beyond which no plan can or need go."""
        self.candidates, self.budget, self.deadline = candidates, budget, deadline
        self.unit = most_per_s / _SCALE
        # An instance that alone exceeds the rate serves no purpose beyond it. Cut there, coefficients
        # stay within the solver's range, and instances of one size that reach it become equal.
        rates = [
            np.minimum(r, most_per_s) * (g <= budget)
            for g, r in zip(candidates.gpus, candidates.rate, strict=True)
        ]
        self.kept = [prune(np.zeros(len(r)), g, r) for g, r in zip(candidates.gpus, rates, strict=True)]
        self.pool = np.repeat(np.arange(3), [len(kept) for kept in self.kept])
        self.gpus = np.concatenate([g[k] for g, k in zip(candidates.gpus, self.kept, strict=True)])
        self.rate = np.concatenate([r[k] for r, k in zip(rates, self.kept, strict=True)]) / self.unit
        self.columns = len(self.gpus) * (1 if candidates.mix else 2) + 1
        self.size = self.row(self.gpus)  # GPUs in use
        self.total = self.row(np.where(self.pool == 2, self.rate, 0.0), split=1.0)  # rate, in units

    def row(self, instances: FloatArray | IntArray, split: float = 0.0) -> FloatArray:
        """A row from the coefficients of the instances and of r."""
        row = np.zeros(self.columns)
        row[: len(instances)] = instances
        row[-1] = split
        return row

    def minimise(self, objective: FloatArray, *at_least: tuple[FloatArray, float]) -> _Answer:
        """The plan with the least ``objective @ x`` under the model and ``row @ x >= low`` of each pair."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        n = len(self.gpus)
        most = self.budget // self.gpus
        rows = [self.row(np.where(self.pool == p, self.rate, 0.0), split=-1.0) for p in (0, 1)]
        rows += [-self.size, *(row for row, _ in at_least)]
        lows = [0.0, 0.0, -float(self.budget), *(low for _, low in at_least)]
        upper = self.row(most, split=_SCALE)
        if not self.candidates.mix:
            upper[n:-1] = 1
            layouts = np.zeros((2, self.columns))
            layouts[:, n:-1] = [-(self.pool == p).astype(float) for p in (0, 1)]
            linked = np.hstack((-np.eye(n), np.diag(most.astype(float)), np.zeros((n, 1))))
            rows += [*layouts, *linked]
            lows += [-1.0, -1.0, *np.zeros(n)]
        left_s = max(self.deadline - time.perf_counter(), 1e-3)
        with c_stdout_muted():
            result = milp(
                objective,
                integrality=np.r_[np.ones(self.columns - 1), 0],
                bounds=Bounds(np.zeros(self.columns), upper),
                constraints=LinearConstraint(np.array(rows), np.array(lows), np.inf),
                options={"mip_rel_gap": 0.0, "time_limit": left_s},
            )
        bound = result.get("mip_dual_bound")
        return _Answer(
            plan=None if result.x is None else self._plan(np.rint(result.x[:n]).astype(np.int64)),
            bound=np.nan if bound is None else float(bound),
            proven=result.status in (0, 2),  # optimal, infeasible
        )

    def _plan(self, n: IntArray) -> _Plan | None:
        """The plan with these whole numbers of instances, None where rounding broke the model."""
        counts = [np.zeros(len(gpus), dtype=np.int64) for gpus in self.candidates.gpus]
        for p, kept in enumerate(self.kept):
            counts[p][kept] = n[self.pool == p]
        plan = self.candidates.plan(counts)
        single = self.candidates.mix or all(np.count_nonzero(c) <= 1 for c in counts)
        return plan if single and plan.gpus <= self.budget and np.all(n >= 0) else None


def _most(candidates: _Candidates, budget: int, deadline: float) -> _Found:
    """Most requests/s in the budget, then the fewest GPUs for them."""
    plan = candidates.first_in(budget, per_gpu=False)
    if not plan:
        return _Found(plan=None)
    most_per_s = candidates.ideal * budget
    program = _Program(candidates, budget, most_per_s, deadline)
    answer = program.minimise(-program.total)
    bound = np.fmin(-answer.bound * program.unit, most_per_s)
    if answer.plan and answer.plan.rate > plan.rate * (1 + TIE):
        plan = answer.plan
    enough = plan.rate * (1 - TIE)
    if candidates.mix:
        program = _Program(candidates, plan.gpus, plan.rate, deadline)
        fewer = program.minimise(program.size, (program.total, enough / program.unit)).plan
    else:
        fewer = candidates.first_for(enough)
    if fewer and fewer.rate >= enough and fewer.gpus < plan.gpus:
        plan = fewer
    return _Found(plan=plan, value=plan.rate, bound=float(bound))


def _fewest(candidates: _Candidates, demand: float, budget: int | None, deadline: float) -> _Found:
    """Fewest GPUs that serve the demand."""
    enough = demand * (1 - TIE)
    plan = candidates.first_for(enough)
    if plan and (budget is None or plan.gpus <= budget):
        budget = plan.gpus  # no more are needed, and a tight budget makes a fast program
    elif budget is None or not candidates.mix or candidates.ideal * budget < enough:
        return _Found(plan=None)
    else:
        plan = None
    program = _Program(candidates, budget, 1.001 * demand, deadline)
    bound, proven = np.nan, True
    for more in (1.0, 1.0 + 4e-6):  # the solver may take 2.999999 instances for 3: then ask for more
        answer = program.minimise(program.size, (program.total, more * enough / program.unit))
        bound = answer.bound if more == 1.0 else bound
        proven = proven and answer.proven
        if not answer.plan or answer.plan.rate >= enough:
            break
    if answer.plan and answer.plan.rate >= enough and (not plan or answer.plan.gpus < plan.gpus):
        plan = answer.plan
    bound = np.ceil(np.fmax(bound, demand / candidates.ideal) - 1e-6)
    return _Found(plan=plan, value=plan.gpus if plan else np.nan, bound=float(bound), proven=proven)


def _cheapest(candidates: _Candidates, budget: int, deadline: float) -> _Found:
    """Most requests/s per GPU in the budget, then as many copies of that as fit."""
    plan = candidates.first_in(budget, per_gpu=True)
    if not plan:
        return _Found(plan=None)
    program = _Program(candidates, budget, candidates.ideal * budget, deadline)
    while True:
        per_gpu = plan.rate / plan.gpus
        answer = program.minimise(per_gpu / program.unit * program.size - program.total)
        if not answer.plan or answer.plan.rate <= per_gpu * (1 + TIE) * answer.plan.gpus:
            break
        plan = answer.plan
    # Some best plan fills more than half of the budget (copies of it do), which bounds its ratio.
    excess = np.maximum(-answer.bound, 0.0) * program.unit / (budget / 2)
    bound = np.fmin(per_gpu + excess, candidates.ideal)
    plan = candidates.plan([n * (budget // plan.gpus) for n in plan.counts])
    return _Found(plan=plan, value=per_gpu, bound=float(bound))


def _near_ideal(candidates: _Candidates, deadline: float) -> _Found:
    """Fewest GPUs with a rate per GPU within 3 % of the ideal, then most requests/s on those."""
    least = (1 - TOLERANCE) * candidates.ideal
    # Algorithm 1 without a latency limit, for every pool; algorithm 2 for the first two.
    p, d, c = (best_prefill(0 * r, g, r, 0.0) for g, r in zip(candidates.gpus, candidates.rate, strict=True))
    plans = [candidates.of((2, c, 1))] if c >= 0 else []
    if p >= 0 and d >= 0:
        gpus, rate = candidates.gpus, candidates.rate
        match = match_unbounded(int(gpus[0][p]), rate[0][p], gpus[1][[d]], rate[1][[d]], osl=2)
        plans.append(candidates.of((0, p, match.n_prefill.item()), (1, d, match.n_decode.item())))
    plans = [x for x in plans if x.gpus <= FREE_GPUS and x.rate >= least * x.gpus * (1 - TIE)]
    if not plans:
        return _cheapest(candidates, FREE_GPUS, deadline)
    plan = min(plans, key=lambda x: x.gpus)
    program = _Program(candidates, plan.gpus, candidates.ideal * plan.gpus, deadline)
    near = program.total - least * (1 - TIE) / program.unit * program.size
    answer = program.minimise(program.size, (near, 0.0), (program.size, 1.0))
    if answer.plan and 0 < answer.plan.gpus < plan.gpus:
        plan = answer.plan
    best = _most(candidates, plan.gpus, deadline)
    bound = np.ceil(np.fmax(answer.bound, 1.0) - 1e-6)
    return _Found(plan=best.plan, value=plan.gpus, bound=float(bound))


def _check(problem: Problem) -> None:
    if problem.goal not in GOALS:
        raise InputError("goal", problem.goal, f"one of {', '.join(GOALS)}")
    if problem.budget is not None and problem.budget < 1:
        raise InputError("gpus", problem.budget, "at least one GPU, or None for no limit")
    if not 0 <= problem.headroom < 1:
        raise InputError("headroom", problem.headroom, "a share from 0 to below 1, such as 0.1")
    if problem.requests_per_s is None and problem.goal == "fewest-gpus":
        raise InputError("rate", None, "the goal fewest-gpus needs a request rate")
    if problem.requests_per_s is not None and not 0 < problem.requests_per_s < np.inf:
        raise InputError("rate", problem.requests_per_s, "a positive request rate")
    if not problem.time_limit_s > 0:
        raise InputError("time-limit", problem.time_limit_s, "a positive time")
    for pool in ("prefill", "decode", "colocated"):
        gpus, rate = getattr(problem, f"{pool}_gpus"), getattr(problem, f"{pool}_rate")
        if np.shape(gpus) != np.shape(rate) or np.any(np.asarray(gpus) < 1):
            raise InputError(f"{pool}_gpus", np.shape(gpus), "one number of GPUs, at least 1, for each rate")
