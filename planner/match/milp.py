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
    Least cost with ``total >= demand``: of fewest-gpus the GPUs, of cost the GPUs times their price.
cost without a demand
    Most requests/s per cost in the budget by Dinkelbach's iteration ("On nonlinear fractional
    programming", 1967): maximise ``total - k * cost``, set k to the ratio found, until nothing beats k.
    The cheapest deployment is then repeated as often as the budget holds it.
throughput or cost without a budget and without a demand
    The least cost, up to `FREE_GPUS`, whose rate per cost is within 3 % of that of perfectly balanced
    pools of any size, then the best rate on those GPUs (where all cost the same). Algorithm 2's
    deployment meets the 3 %, so this is its integer program. If none in `FREE_GPUS` does: most
    requests/s per cost.

Cost counts GPUs, each weighed by its price over that of the cheapest candidate's, as Melange does
(Griggs and others, "Melange: Cost Efficient Large Language Model Serving by Exploiting GPU
Heterogeneity", 2024): where all cost the same it is the number of GPUs.

With errors of the rates (`planner.match.robust`) the rate is the expected one, the mean of a rate r_s for
each scenario s of factors e_s on either pool, and so wherever a rate is named above:

    r_s <= (1 - h) * e_s * sum_prefill n_i R_i      and alike for decode        r = mean of r_s

A first plan comes from the exact search over one layout per pool (`planner.match.buildable.Buildable`).
The solver has to beat it or to prove that nothing does, and when time runs out there is always an answer.
Without `mix`, and where all GPUs cost the same, nothing else can be built, and `prove` may be left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.arrays import BoolArray
from planner.match import counted, mixed, packed
from planner.match.buildable import COLOCATED, DECODE, PREFILL, Buildable
from planner.match.deployment import Deployment
from planner.match.problem import FREE_GPUS, Problem, Solution, check
from planner.match.program import Program
from planner.match.rate_match import TIE, TOLERANCE, match_unbounded, most_per_size
from planner.values import dataclass

_GAP = 1e-7  # a plan this close to the proven bound is optimal; see planner.match.program.SCALE


def load() -> None:
    """Import the solver: the first time it takes half a second, which is not the solver's."""
    import scipy.optimize  # noqa: F401


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
    check(problem)
    buildable = _buildable(problem)
    if not buildable.searched and not _packs(problem, buildable):
        load()
    return _answer(problem, buildable)


def _packs(problem: Problem, buildable: Buildable) -> bool:
    """Whether the most in a budget is found by dynamic programming, without a program."""
    throughput = problem.goal == "throughput" and problem.budget is not None
    return throughput and packed.solvable(buildable, problem.budget or 0)


def answer(problem: Problem) -> Solution:
    """As `solve`, of a problem that is known to be sound: one more of many."""
    return _answer(problem, _buildable(problem))


def _answer(problem: Problem, buildable: Buildable) -> Solution:
    started = time.perf_counter()
    deadline = started + problem.time_limit_s
    demand = None if problem.goal == "throughput" else problem.requests_per_s
    if not buildable.ideal:
        found = _Found(plan=None)
    elif problem.counts.given:
        plan = counted.best(buildable, problem.counts, problem.goal, demand, problem.budget)
        found = _Found(plan=plan, value=1.0, bound=1.0)
    elif problem.limits:
        mix, bound, proven = mixed.best(buildable, problem.goal, demand, deadline)
        value = np.nan if mix is None else mixed.value(mix, problem.goal, demand)
        found = _Found(plan=mix, value=value, bound=bound, proven=proven)
    elif demand is not None:
        found = _least(buildable, demand, problem.budget, deadline)
    elif problem.budget is None:
        found = _near_ideal(buildable, deadline)
    elif problem.goal == "throughput":
        found = _most(buildable, problem.budget, deadline)
    else:
        found = _cheapest(buildable, problem.budget, deadline)
    plan = found.plan or buildable.of()
    gap = found.gap if found.plan else 0.0 if found.proven else np.inf
    optimal = gap <= _GAP
    return Solution(
        prefill=plan.counts[0],
        decode=plan.counts[1],
        colocated=plan.counts[2] if problem.mix else np.zeros(len(problem.colocated_gpus), dtype=np.int64),
        requests_per_s=plan.capacity,
        split_requests_per_s=plan.split,
        expected_requests_per_s=plan.rate,
        gpus=plan.gpus,
        status="infeasible" if not found.plan else "optimal" if optimal else "feasible",
        gap=0.0 if optimal else float(gap),
        seconds=time.perf_counter() - started,
    )


def cost(problem: Problem, of: Solution) -> float:
    """What a solution spends: GPUs, of the goal cost weighed by their price."""
    counts = (of.prefill, of.decode, of.colocated if problem.mix else np.empty(0, dtype=np.int64))
    return _buildable(problem).plan(counts).cost


def ideal_worth(problem: Problem) -> float:
    """Most expected requests/s per cost of any fleet, however large."""
    return _buildable(problem).ideal_worth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """A plan, its value of what the goal counts and the bound that no plan can pass."""

    plan: Deployment | None
    value: float = np.nan
    bound: float = np.nan
    proven: bool = True  # without a plan: that there is none

    @property
    def gap(self) -> float:
        """How far the value is from the bound, as a share of it; with a plan."""
        return abs(self.bound - self.value) / self.value


def exists(problem: Problem) -> bool:
    """Whether there is a deployment, as `solve` would find one: by enumeration, fast.

    Only a mix for a demand that no single layout meets takes a program, and the time limit. Raises InputError
    as `solve` does.

    >>> ints, floats = np.array([4]), np.array([2.0])
    >>> asked = dict(prefill_gpus=ints, prefill_rate=floats, decode_gpus=ints, decode_rate=floats,
    ...              colocated_gpus=ints[:0], colocated_rate=floats[:0], goal="cost", requests_per_s=3.0)
    >>> exists(Problem(budget=16, **asked)), exists(Problem(budget=15, **asked))
    (True, False)
    """
    check(problem)
    buildable, demand = _buildable(problem), problem.requests_per_s
    if problem.counts.given:
        wanted = None if problem.goal == "throughput" else demand
        return counted.best(buildable, problem.counts, problem.goal, wanted, problem.budget) is not None
    if problem.goal == "throughput" or demand is None:
        return buildable.any_in(problem.budget)
    if buildable.first_for(demand * (1 - TIE), problem.budget) is not None:
        return True
    return problem.mix and bool(buildable.ideal) and solve(problem).status != "infeasible"


def most(problem: Problem) -> float:
    """The most expected requests/s of a single layout per pool in the budget: exact, by enumeration."""
    check(problem)
    assert problem.budget is not None
    if problem.counts.given:
        found = counted.best(_buildable(problem), problem.counts, "throughput", None, problem.budget)
        return found.rate if found else 0.0
    return _buildable(problem).most_in(problem.budget)


def most_among(problem: Problem) -> Callable[[BoolArray], float]:
    """`most` of those prefill candidates that a mask keeps, for one mask after another; without a mix.

    >>> ints, floats = np.array([4, 4]), np.array([2.0, 3.0])
    >>> asked = dict(prefill_gpus=ints, prefill_rate=floats, decode_gpus=ints, decode_rate=floats,
    ...              colocated_gpus=ints[:0], colocated_rate=floats[:0], goal="throughput", budget=8)
    >>> found = most_among(Problem(**asked))
    >>> found(np.array([True, False])), found(np.array([True, True]))
    (2.0, 3.0)
    """
    check(problem)
    budget, buildable = problem.budget, _buildable(problem)
    assert budget is not None and not problem.mix

    def found(prefill: BoolArray) -> float:
        if problem.counts.given:
            return most(replace(problem, prefill_rate=np.where(prefill, problem.prefill_rate, 0.0)))
        return buildable.most_in(budget, prefill)

    return found


def _buildable(problem: Problem) -> Buildable:
    none = np.empty(0)
    pools = (
        (problem.prefill_gpus, problem.prefill_rate, problem.prefill_usd_per_gpu_hour),
        (problem.decode_gpus, problem.decode_rate, problem.decode_usd_per_gpu_hour),
        (problem.colocated_gpus, problem.colocated_rate, problem.colocated_usd_per_gpu_hour)
        if problem.mix
        else (none, none, none),
    )
    priced = problem.goal == "cost"  # the other goals count GPUs, whatever they cost
    return Buildable(
        gpus=[np.asarray(gpus, dtype=np.int64) for gpus, _, _ in pools],
        rate=[(1 - problem.headroom) * np.asarray(rate, dtype=np.float64) for _, rate, _ in pools],
        price=[
            np.ones(len(gpus)) if price is None or not priced else np.asarray(price, dtype=np.float64)
            for gpus, _, price in pools
        ],
        budget=problem.budget,
        mix=problem.mix,
        errors=problem.errors,
        prove=problem.prove,
        gap=problem.gap,
        room=problem.room,
        limits=problem.limits,
        racks=problem.racks,
    )


def _most(buildable: Buildable, budget: int, deadline: float, known: Deployment | None = None) -> _Found:
    """Most requests/s in the budget, at least those of a `known` plan; then the fewest GPUs for them."""
    plan = buildable.first_in(budget, per_size=False)
    if known and (not plan or known.rate > plan.rate):
        plan = known
    if not plan:
        return _Found(plan=None)
    if buildable.searched:
        return _Found(plan=plan, value=plan.rate, bound=plan.rate)
    if packed.solvable(buildable, budget):
        mixed = packed.most(buildable, budget)
        if mixed and (mixed.rate, -mixed.gpus) > (plan.rate * (1 + TIE), -plan.gpus):
            plan = mixed
        if mixed and mixed.gpus < plan.gpus and mixed.rate >= plan.rate * (1 - TIE):
            plan = mixed
        return _Found(plan=plan, value=plan.rate, bound=plan.rate)
    most_per_s = buildable.ideal * budget
    program = Program(buildable, budget, most_per_s, deadline)
    answer = program.minimise(-program.total)
    bound = np.fmin(-answer.bound * program.unit, most_per_s)
    if answer.plan and answer.plan.rate > plan.rate * (1 + TIE):
        plan = answer.plan
    enough = plan.rate * (1 - TIE)
    if buildable.gap:
        fewer = None
    elif buildable.mix:
        program = Program(buildable, plan.gpus, plan.rate, deadline)
        fewer = program.minimise(program.size, (program.total, enough / program.unit)).plan
    else:
        fewer = buildable.first_for(enough, None)
    if fewer and fewer.rate >= enough and fewer.gpus < plan.gpus:
        plan = fewer
    return _Found(plan=plan, value=plan.rate, bound=float(bound))


def _least(buildable: Buildable, demand: float, budget: int | None, deadline: float) -> _Found:
    """Least cost that serves the demand: the fewest GPUs, where all cost the same."""
    enough = demand * (1 - TIE)
    plan = buildable.first_for(enough, budget)
    if buildable.searched:
        cost = plan.cost if plan else np.nan
        return _Found(plan=plan, value=cost, bound=cost)
    if plan:
        # no more are needed (none costs less than one unit), and a tight budget makes a fast program
        needed = math.floor(plan.cost * (1 + TIE))
        budget = needed if budget is None else min(budget, needed)
    elif budget is None or not buildable.mix or buildable.ideal * budget < enough:
        return _Found(plan=None)
    program = Program(buildable, budget, 1.001 * demand, deadline)
    bound, proven = np.nan, True
    for more in (1.0, 1.0 + 4e-6):  # the solver may take 2.999999 instances for 3: then ask for more
        answer = program.minimise(program.cost, (program.total, more * enough / program.unit))
        bound = answer.bound if more == 1.0 else bound
        proven = proven and answer.proven
        if not answer.plan or answer.plan.rate >= enough:
            break
    if answer.plan and answer.plan.rate >= enough and (not plan or answer.plan.cost < plan.cost):
        plan = answer.plan
    bound = np.fmax(bound, demand / buildable.ideal_worth)
    if buildable.one_price:
        bound = np.ceil(bound - 1e-6)  # GPUs are whole
    return _Found(plan=plan, value=plan.cost if plan else np.nan, bound=float(bound), proven=proven)


def _cheapest(buildable: Buildable, budget: int, deadline: float) -> _Found:
    """Most requests/s per unit of cost in the budget, then as many copies of that as fit."""
    plan = buildable.first_in(budget, per_size=True)
    if not plan:
        return _Found(plan=None)
    if buildable.room is not None:
        value, sizes = plan.rate / plan.cost, zip(plan.counts, buildable.gpus, strict=True)
        prefill, decode, _ = (int(n @ gpus) for n, gpus in sizes)
        copies = buildable.room.copies(prefill, decode)
        return _Found(plan=buildable.plan([n * copies for n in plan.counts]), value=value, bound=value)
    program = Program(buildable, budget, buildable.ideal * budget, deadline)
    while True:
        worth = plan.rate / plan.cost
        answer = program.minimise(worth / program.unit * program.cost - program.total)
        if not answer.plan or answer.plan.rate <= worth * (1 + TIE) * answer.plan.cost:
            break
        plan = answer.plan
        if program.late:
            break
    # No plan has more than this over `worth` times its cost. Some best plan fills more than half of the
    # budget (copies of it do), and no GPU costs less than one unit, which bounds its ratio.
    excess = np.maximum(-answer.bound, 0.0) * program.unit / (budget / 2)
    bound = np.fmin(worth + excess, buildable.ideal_worth)
    value = plan.rate / plan.cost
    plan = buildable.plan([n * (budget // plan.gpus) for n in plan.counts])
    return _Found(plan=plan, value=value, bound=float(np.fmax(bound, value)))


def _near_ideal(buildable: Buildable, deadline: float) -> _Found:
    """Least cost with a rate per cost within 3 % of the ideal, then most requests/s on those GPUs."""
    least = (1 - TOLERANCE) * buildable.ideal_worth
    # The instance that is worth most of every pool; of the first two, as many as algorithm 2 matches.
    p, d, c = (most_per_size(size, r) for size, r in zip(buildable.cost, buildable.rate, strict=True))
    plans = [buildable.of((COLOCATED, c, 1))] if c >= 0 else []
    if p >= 0 and d >= 0:
        gpus, rate = buildable.gpus, buildable.rate
        balanced = rate[0][p] * buildable.balance  # the decode rate that suits one prefill instance
        match = match_unbounded(int(gpus[0][p]), balanced, gpus[1][[d]], rate[1][[d]], osl=2)
        counts = (PREFILL, p, match.n_prefill.item()), (DECODE, d, match.n_decode.item())
        plans.append(buildable.of(*counts))
    plans = [x for x in plans if x.cost <= FREE_GPUS and x.rate >= least * x.cost * (1 - TIE)]
    if not plans:
        return _cheapest(buildable, FREE_GPUS, deadline)
    plan = min(plans, key=lambda x: x.cost)
    budget = math.floor(plan.cost * (1 + TIE))
    program = Program(buildable, budget, buildable.ideal * budget, deadline)
    near = program.total - least * (1 - TIE) / program.unit * program.cost
    answer = program.minimise(program.cost, (near, 0.0), (program.size, 1.0))
    if answer.plan and 0 < answer.plan.cost < plan.cost:
        plan = answer.plan
    if not buildable.one_price:
        return _Found(plan=plan, value=plan.cost, bound=float(np.fmax(answer.bound, 1.0)))
    best = _most(buildable, plan.gpus, deadline, plan)
    fewest = _Found(plan=best.plan, value=plan.gpus, bound=float(np.ceil(np.fmax(answer.bound, 1.0) - 1e-6)))
    # of the two programs, the one that is farther from its proof
    return max(fewest, best, key=lambda found: found.gap)
