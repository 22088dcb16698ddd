"""The best mix of instances on several systems, each with GPUs of its own: the program with its limits.

As `planner.match.milp` has it, with a row for each limit, of GPUs of one system, dollars or kilowatts, and
whole racks z_j of each system, of r_j GPUs each:

    sum n_i g_i w_i <= most        sum over system j of n_i g_i <= r_j z_j        sum z_j <= racks

Nothing is known before the solver starts, since no single layout needs to be on one system.
"""

from __future__ import annotations

import numpy as np

from planner.match import room
from planner.match.buildable import Buildable
from planner.match.deployment import Deployment
from planner.match.program import Program
from planner.match.rate_match import TIE
from planner.words import Goal

ROUNDS = 20  # of Dinkelbach's iteration, which takes three or four


def value(plan: Deployment, goal: Goal, demand: float | None) -> float:
    """What the goal counts of a plan: rate, cost, or rate per cost."""
    if demand is not None:
        return plan.cost
    return plan.rate if goal == "throughput" else plan.rate / plan.cost


def best(
    buildable: Buildable, goal: Goal, demand: float | None, deadline: float
) -> tuple[Deployment | None, float, bool]:
    """The best mix, the bound on its value, and whether there is none where none was found."""
    budget = _most_gpus(buildable)
    top = buildable.ideal * budget
    if budget < 1 or not top:
        return None, np.nan, True
    if demand is not None:
        program = Program(buildable, budget, 1.001 * demand, deadline)
        for more in (1.0, 1.0 + 4e-6):  # the solver may take 2.999999 instances for 3: then ask for more
            answer = program.minimise(program.cost, (program.total, more * demand * (1 - TIE) / program.unit))
            if answer.plan is None or answer.plan.rate >= demand * (1 - TIE):
                break
        return answer.plan, answer.bound, answer.proven
    program = Program(buildable, budget, top, deadline)
    answer = program.minimise(-program.total)
    plan = answer.plan
    if plan is not None and not plan.rate:  # no room for an instance of each pool
        return None, np.nan, answer.proven
    if plan is None or goal == "throughput":
        if plan is not None and not program.late:
            enough = plan.rate * (1 - TIE) / program.unit
            fewer = program.minimise(program.size, (program.total, enough)).plan
            if fewer is not None and fewer.rate >= plan.rate * (1 - TIE) and fewer.gpus < plan.gpus:
                plan = fewer
        return plan, -answer.bound * program.unit, answer.proven
    worth = plan.rate / plan.cost
    for _ in range(ROUNDS):
        answer = program.minimise(worth / program.unit * program.cost - program.total)
        if answer.plan is None or answer.plan.rate <= worth * (1 + TIE) * answer.plan.cost:
            return plan, worth, answer.proven
        plan, worth = answer.plan, answer.plan.rate / answer.plan.cost
        if program.late:
            break
    return plan, buildable.ideal_worth, False


def _most_gpus(buildable: Buildable) -> int:
    """More GPUs than any plan within the limits has: what each kind could have alone, all together."""
    kinds: dict[float, float] = {}
    for pool, of in enumerate(room.kinds(buildable.price, buildable.limits)):
        for i, kind in enumerate(of.tolist()):
            takes = [(limit.most, float(limit.each[pool][i])) for limit in buildable.limits]
            kinds[kind] = min(most / each for most, each in takes if each > 0)
    return int(sum(kinds.values()))
