"""What the integer program is asked of some candidates, and the instances that a solution of it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.arrays import FloatArray
from planner.match.problem import Problem, Solution
from planner.match.robust import Errors
from planner.planning import weigh
from planner.planning.frontiers import Candidates, counts_of
from planner.planning.options import Options
from planner.planning.resolve import Question
from planner.planning.servings import Pick


def problem_of(
    question: Question,
    kept: Candidates,
    *,
    mix: bool,
    errors: Errors,
    time_limit_s: float,
    prove: bool = True,
    gap: float = 0.0,
) -> Problem:
    """What the integer program is asked of some candidates."""
    scenario = question.scenario
    pools = _pools(kept)
    gpus = [pool.gpus for pool in pools]
    rates = [pool.weighed_per_s for pool in pools]
    usd = [question.pools[pool.points.phase].usd_per_gpu_hour for pool in pools]
    prices: list[FloatArray | None] = [None] * len(pools)
    if weigh.by_price(scenario.goal, usd):
        prices = [np.full(len(pool), price) for pool, price in zip(pools, usd, strict=True)]
    return Problem(
        prefill_gpus=gpus[0],
        prefill_rate=rates[0],
        decode_gpus=gpus[1],
        decode_rate=rates[1],
        colocated_gpus=gpus[2],
        colocated_rate=rates[2],
        prefill_usd_per_gpu_hour=prices[0],
        decode_usd_per_gpu_hour=prices[1],
        colocated_usd_per_gpu_hour=prices[2],
        budget=question.most_gpus,
        room=question.room,
        goal=scenario.goal,
        requests_per_s=scenario.traffic.requests_per_s,
        headroom=scenario.headroom,
        counts=counts_of(question),
        mix=mix,
        time_limit_s=time_limit_s,
        errors=errors,
        prove=prove,
        gap=gap,
    )


def picks_of(kept: Candidates, solution: Solution) -> list[list[Pick]]:
    """The instances of a solution: prefill, decode, co-located."""
    counts = (solution.prefill, solution.decode, solution.colocated)
    return [
        [pool.pick(int(i), int(count[i])) for i in np.flatnonzero(count)]
        for pool, count in zip(_pools(kept), counts, strict=True)
    ]


def _pools(kept: Candidates) -> Sequence[Options]:
    return (kept.prefill, kept.decode, kept.colocated)
