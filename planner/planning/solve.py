"""The certified choice at the asked limits: the integer program on the points that meet them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import IndexArray
from planner.match import milp
from planner.planning import servings
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


def choose(question: Question, sweep: Sweep, kept: Candidates) -> Choice:
    """Solve split, co-located and mixed for the scenario's limits, budget and goal."""
    ttl = question.scenario.limits.ttl_s
    in_time = Candidates(
        prefill=kept.prefill,
        decode=kept.decode[sweep.decode.ttl_s[kept.decode] <= ttl],
        colocated=kept.colocated[sweep.colocated.ttl_s[kept.colocated] <= ttl],
    )
    split = _solve(question, sweep, replace(in_time, colocated=NO_ROWS), mix=False)
    colocated = _colocated(question, sweep.colocated, in_time.colocated)
    mixed = _solve(question, sweep, in_time, mix=True)
    return Choice(
        disaggregated=split,
        colocated=colocated,
        mix=None if mixed is None else Mix(serving=mixed, gain=_gain(mixed, split, colocated)),
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


def _solve(question: Question, sweep: Sweep, kept: Candidates, *, mix: bool) -> Serving | None:
    """The integer program's deployment of some candidates; None where none meets the question."""
    scenario = question.scenario
    pools: Sequence[tuple[Points, IndexArray]] = (
        (sweep.prefill, kept.prefill),
        (sweep.decode, kept.decode),
        (sweep.colocated, kept.colocated),
    )
    gpus = [points.gpus[rows] for points, rows in pools]
    rates = [points.requests_per_s[rows] for points, rows in pools]
    usd = [question.pools[points.phase].usd_per_gpu_hour for points, _ in pools]
    # GPUs that all cost nothing are ranked by their number, as equal prices rank them
    usd = usd if any(usd) else [1.0] * len(usd)
    prices = [np.full(len(rows), price) for (_, rows), price in zip(pools, usd, strict=True)]
    solution = milp.solve(
        milp.Problem(
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
            time_limit_s=scenario.time_limit_s,
        )
    )
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
    solver = SolverReport(status="optimal", gap=0.0, seconds=0.0)
    served = float(needed[best] * rate[best])
    pick = Pick(points, int(rows[best]), int(needed[best]))
    return servings.colocated_serving(question, [pick], served, solver)
