"""Of the plans that are nearly the best, the one with the earliest first token, then the fewest GPUs.

The best plan often spends a whole latency limit for a last per cent. So a share of what the goal counts,
the slack, may be given up: first the value of the best plan is found, then the lowest first-token latency
(FTL) with which a plan is still worth ``1 - slack`` of that, by bisection over the candidates' FTLs (more
candidates are never worth less), then the fewest GPUs with it. Each step is exact where the match is.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, distinct
from planner.match import milp
from planner.match.problem import Problem, Solution
from planner.match.rate_match import TIE
from planner.values import dataclass

_LEAST_S = 1e-3  # of time for a solve: a limit has to be above 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """A solution, and what its FTL costs against the best plan."""

    solution: Solution
    best: Solution  # were there no slack
    best_ftl_s: float  # of the best plan without slack; nan where nothing meets the question
    best_per_s: float  # expected requests/s of that plan
    costs: float  # share of the best plan's value that is given up for the lower FTL


def solve(
    problem: Problem,
    prefill_ftl_s: FloatArray,
    colocated_ftl_s: FloatArray,
    slack: float,
) -> Choice:
    """The match of a problem's candidates within a slack of the best.

    Parameters
    ----------
    prefill_ftl_s, colocated_ftl_s
        FTL of a request that is served there, seconds, of the problem's candidates.
    slack
        Share of the best plan's value that may be given up; 0 gives the best plan itself.

    Raises
    ------
    InputError
        As `planner.match.milp.solve`.
    """
    started = time.perf_counter()

    def within(ftl_s: float) -> Problem:
        """The problem without the candidates of a later first token, on the time that is left."""
        left_s = problem.time_limit_s - (time.perf_counter() - started)
        return replace(
            problem,
            prefill_rate=np.where(prefill_ftl_s <= ftl_s, problem.prefill_rate, 0.0),
            colocated_rate=np.where(colocated_ftl_s <= ftl_s, problem.colocated_rate, 0.0),
            time_limit_s=max(left_s, _LEAST_S),
            prove=False,
        )

    def ftl(of: Solution) -> float:
        return float(
            max(
                prefill_ftl_s[of.prefill > 0].max(initial=0), colocated_ftl_s[of.colocated > 0].max(initial=0)
            )
        )

    best = milp.solve(problem)
    if best.status == "infeasible" or not slack:
        nothing = best.status == "infeasible"
        return Choice(
            solution=best,
            best=best,
            best_ftl_s=np.nan if nothing else ftl(best),
            best_per_s=best.expected_requests_per_s,
            costs=0.0,
        )
    in_all = problem.goal == "throughput" and problem.budget is not None  # a rate is what counts
    most = _value(problem, best)
    least = most - abs(most) * (slack + TIE)
    if in_all and problem.requests_per_s is not None:  # a demand is met within the slack too
        least = min(max(least, problem.requests_per_s), most * (1 - TIE))

    # whether one is worth enough shows before it is found
    most_among = milp.most_among(problem) if in_all and not problem.mix else None

    def enough(some: Problem) -> Solution | None:
        """A solution without late candidates that is worth enough; None where none is."""
        if in_all:
            some = replace(some, goal="fewest-gpus", requests_per_s=least)
        found = milp.answer(some)
        if found.status == "infeasible":
            return None
        return found if in_all or _value(some, found) >= least else None

    every = distinct(np.concatenate((prefill_ftl_s, colocated_ftl_s)))
    every = every[every <= ftl(best)]
    low, high, chosen = 0, len(every) - 1, None  # the last is enough: the best is one of them
    while low < high and time.perf_counter() - started < problem.time_limit_s:
        middle = (low + high) // 2
        ftl_s = float(every[middle])
        found = None if most_among else enough(within(ftl_s))
        if found is not None or (most_among and most_among(prefill_ftl_s <= ftl_s) >= least):
            chosen, high = found, middle
        else:
            low = middle + 1
    ftl_s = float(every[high])
    narrow = within(ftl_s)
    if chosen is None and (most_among is None or most_among(prefill_ftl_s <= ftl_s) >= least):
        chosen = enough(narrow)
    chosen = chosen or best
    value = chosen.expected_requests_per_s if in_all else _value(narrow, chosen)
    return Choice(
        solution=replace(
            chosen,
            status=best.status if chosen.status == "optimal" else chosen.status,
            gap=max(best.gap, chosen.gap),
            seconds=time.perf_counter() - started,
        ),
        best=best,
        best_ftl_s=ftl(best),
        best_per_s=best.expected_requests_per_s,
        costs=max((most - value) / abs(most), 0.0),
    )


def _value(problem: Problem, of: Solution) -> float:
    """What the goal counts, the more the better: expected rate, cost below zero, or rate per cost."""
    if problem.goal != "throughput" and problem.requests_per_s is not None:
        return -milp.cost(problem, of)
    if (
        problem.budget is None and not problem.counts.given
    ):  # a smaller fleet may come less close to it: what fleets of any size reach
        return milp.ideal_worth(problem)
    if problem.goal == "throughput" and problem.budget is not None:
        return of.expected_requests_per_s
    return of.expected_requests_per_s / milp.cost(problem, of)
