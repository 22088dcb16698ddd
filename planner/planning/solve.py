"""The certified choice at the asked limits: the integer program on the points that meet them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import IndexArray
from planner.match import milp
from planner.planning import servings
from planner.planning.deadline import Deadline
from planner.planning.frontiers import Candidates
from planner.planning.resolve import Question
from planner.planning.result import Mix, Serving, SolverReport
from planner.planning.servings import Pick
from planner.planning.sweep import Sweep
from planner.simulate.points import Points

NO_ROWS = np.empty(0, dtype=np.intp)  # of candidates: a phase that is not to be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best plan of each kind; None where no plan of the kind meets the limits."""

    disaggregated: Serving | None
    colocated: Serving | None
    mix: Mix | None


def choose(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> Choice:
    """Solve split, co-located and mixed for the scenario's limits, budget and goal.

    All programs end at one deadline. A mix that was not asked for takes what the split leaves of the time,
    one that was at least half of it. Raises Stopped when told to stop; asked between programs.
    """
    in_time = _in_time(question, sweep, kept)
    deadline.check()
    first = deadline.share(0.5) if question.scenario.mix else deadline
    split = _solve(question, sweep, replace(in_time, colocated=NO_ROWS), mix=False, deadline=first)
    colocated = _colocated(question, sweep.colocated, in_time.colocated)
    deadline.check()
    mixed = _solve(question, sweep, in_time, mix=True, deadline=deadline)
    return Choice(
        disaggregated=split,
        colocated=colocated,
        mix=None if mixed is None else Mix(serving=mixed, gain=_gain(mixed, split, colocated)),
    )


def exists(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> bool:
    """Whether `choose` finds a plan among the same points: by enumeration, as exact as the programs.

    Only a mix for a demand that no single layout meets takes a program, and time.
    """
    in_time = _in_time(question, sweep, kept)
    if _copies(question, sweep.colocated, in_time.colocated) is not None:
        return True
    if milp.exists(_problem(question, sweep, in_time, mix=False, time_limit_s=deadline.left_s)):
        return True
    mixed = _problem(question, sweep, in_time, mix=True, time_limit_s=deadline.left_s)
    return question.scenario.mix and not deadline.over and milp.exists(mixed)


def most(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> float:
    """The most requests/s that the budget serves within the limits, in the ways that are asked for."""
    scenario, in_time = question.scenario, _in_time(question, sweep, kept)
    other = replace(question, scenario=replace(scenario, goal="throughput"))
    whole = _problem(other, sweep, in_time, mix=True, time_limit_s=deadline.left_s)
    if scenario.mix and not deadline.over:
        return milp.solve(whole).requests_per_s
    return milp.most(whole)


def _in_time(question: Question, sweep: Sweep, kept: Candidates) -> Candidates:
    """Those of the candidates, all within the FTL limit, that meet the TTL limit too."""
    ttl = question.scenario.limits.ttl_s
    return Candidates(
        prefill=kept.prefill,
        decode=kept.decode[sweep.decode.ttl_s[kept.decode] <= ttl],
        colocated=kept.colocated[sweep.colocated.ttl_s[kept.colocated] <= ttl],
    )


def better(question: Question, a: Serving | None, b: Serving | None) -> Serving | None:
    """The one that serves the goal better; the first when they are equal."""
    if a is None or b is None:
        return a or b
    scenario = question.scenario
    if scenario.goal == "throughput" and scenario.fleet.gpus is not None:
        return a if a.requests_per_s >= b.requests_per_s else b
    if scenario.goal == "fewest-gpus":
        return a if a.gpus <= b.gpus else b
    if a.usd_per_million_tokens == b.usd_per_million_tokens:  # nothing, where the GPUs are free
        return a if a.tokens_per_s_per_gpu >= b.tokens_per_s_per_gpu else b
    return a if a.usd_per_million_tokens < b.usd_per_million_tokens else b


def _gain(mixed: Serving, *others: Serving | None) -> float:
    """Throughput of the mix over the best plan without it, minus one."""
    best = max((s.requests_per_s for s in others if s is not None), default=0.0)
    return mixed.requests_per_s / best - 1.0 if best else float("inf")


def _pools(sweep: Sweep, kept: Candidates) -> Sequence[tuple[Points, IndexArray]]:
    return (
        (sweep.prefill, kept.prefill),
        (sweep.decode, kept.decode),
        (sweep.colocated, kept.colocated),
    )


def _problem(
    question: Question, sweep: Sweep, kept: Candidates, *, mix: bool, time_limit_s: float
) -> milp.Problem:
    """What the integer program is asked of some candidates."""
    scenario, pools = question.scenario, _pools(sweep, kept)
    gpus = [points.gpus[rows] for points, rows in pools]
    rates = [points.requests_per_s[rows] for points, rows in pools]
    usd = [question.pools[points.phase].usd_per_gpu_hour for points, _ in pools]
    # GPUs that all cost nothing are ranked by their number, as equal prices rank them
    usd = usd if any(usd) else [1.0] * len(usd)
    prices = [np.full(len(rows), price) for (_, rows), price in zip(pools, usd, strict=True)]
    return milp.Problem(
        prefill_gpus=gpus[0],
        prefill_rate=rates[0],
        decode_gpus=gpus[1],
        decode_rate=rates[1],
        colocated_gpus=gpus[2],
        colocated_rate=rates[2],
        prefill_usd_per_gpu_hour=prices[0],
        decode_usd_per_gpu_hour=prices[1],
        colocated_usd_per_gpu_hour=prices[2],
        budget=scenario.fleet.gpus,
        goal=scenario.goal,
        requests_per_s=scenario.traffic.requests_per_s,
        headroom=scenario.headroom,
        mix=mix,
        time_limit_s=time_limit_s,
    )


def _solve(
    question: Question, sweep: Sweep, kept: Candidates, *, mix: bool, deadline: Deadline
) -> Serving | None:
    """The integer program's deployment of some candidates; None where none meets the question."""
    pools = _pools(sweep, kept)
    solution = milp.solve(_problem(question, sweep, kept, mix=mix, time_limit_s=deadline.left_s))
    if solution.status == "infeasible":
        return None
    counts = (solution.prefill, solution.decode, solution.colocated)
    picks = [
        [Pick(points, int(rows[i]), int(count[i])) for i in np.flatnonzero(count)]
        for (points, rows), count in zip(pools, counts, strict=True)
    ]
    solver = SolverReport(status=solution.status, gap=solution.gap, seconds=solution.seconds)
    if not picks[0] and not picks[1]:
        return servings.colocated_serving(question, picks[2], solution.requests_per_s, solver)
    return servings.split_serving(
        question,
        prefills=picks[0],
        decodes=picks[1],
        colocated=picks[2],
        split_ftl_s=sweep.split_ftl_s,
        split_rate=solution.split_requests_per_s,
        total_rate=solution.requests_per_s,
        solver=solver,
    )


def _colocated(question: Question, points: Points, rows: IndexArray) -> Serving | None:
    """Copies of one instance: the best by enumeration, which is exact."""
    found = _copies(question, points, rows)
    if found is None:
        return None
    pick, served = found
    solver = SolverReport(status="optimal", gap=0.0, seconds=0.0)
    return servings.colocated_serving(question, [pick], served, solver)


def _copies(question: Question, points: Points, rows: IndexArray) -> tuple[Pick, float] | None:
    """The best copies of one instance and the requests/s they serve."""
    scenario = question.scenario
    budget, demand = scenario.fleet.gpus, scenario.traffic.requests_per_s
    gpus = points.gpus[rows]
    rate = points.requests_per_s[rows] * (1.0 - scenario.headroom)
    copies = np.ones(len(rows)) if budget is None else np.floor(budget / gpus)
    needed = copies
    if demand is not None and scenario.goal != "throughput":
        needed = np.ceil(demand / rate * (1 - 1e-12))
    usable = np.flatnonzero((copies >= 1) & ((needed <= copies) | (budget is None)))
    if not len(usable):
        return None
    # lexsort: last key first
    if scenario.goal == "throughput" and budget is not None:
        order = (needed * gpus, -needed * rate)
    elif scenario.goal == "fewest-gpus" or demand is not None:
        order = (-needed * rate, needed * gpus)
    else:
        order = (-needed * rate, -rate / gpus)
    best = usable[np.lexsort(tuple(key[usable] for key in order))[0]]
    return Pick(points, int(rows[best]), int(needed[best])), float(needed[best] * rate[best])
