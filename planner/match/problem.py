"""What the integer program is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.match.counted import ANY_COUNTS, Counts
from planner.match.robust import KNOWN, Errors
from planner.match.room import Filled, Limit, Room
from planner.values import dataclass
from planner.words import Goal, Status

GOALS = get_args(Goal)
FREE_GPUS = 4096  # largest deployment considered when the budget is "any"


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
    # price of one GPU of each candidate, (n,); only the goal cost reads it. None: all cost the same
    prefill_usd_per_gpu_hour: FloatArray | None = None
    decode_usd_per_gpu_hour: FloatArray | None = None
    colocated_usd_per_gpu_hour: FloatArray | None = None
    budget: int | None  # GPUs over all pools; None: no limit
    goal: Goal = "throughput"
    requests_per_s: float | None = None  # demand; the goal throughput ignores it
    headroom: float = 0.0  # share of each pool's capacity kept free, in [0, 1)
    mix: bool = False  # several layouts per pool, co-located instances beside the split
    time_limit_s: float = 10.0
    errors: Errors = KNOWN  # of the rates of the split's pools
    gap: float = 0.0  # to the bound at which the solver may stop; above 0 it breaks no ties either
    room: Room | None = None  # of pools on systems of their own; then `budget` is all of it, and no `mix`
    limits: Sequence[Limit] = ()  # of a `mix` on several systems
    racks: Filled | None = None  # that it may fill
    counts: Counts = ANY_COUNTS  # instances that are given; then without `mix`, and a program is not needed
    prove: bool = True  # the solver proves the exact search's answer as well, where that is the answer


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
    requests_per_s: float  # in total, headroom kept, every rate as predicted
    split_requests_per_s: float  # the part that the prefill and decode pools serve
    expected_requests_per_s: float  # in total, with the errors of the rates
    gpus: int
    status: Status
    # |bound - value| / value of what the goal counts: rate, GPUs or rate per GPU. Near the ideal, of the
    # GPUs or of the rate on them, whichever is farther from proven
    gap: float
    seconds: float


def check(problem: Problem) -> None:
    """Raise InputError where a problem makes no sense."""
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
        price = getattr(problem, f"{pool}_usd_per_gpu_hour")
        if price is not None and (np.shape(price) != np.shape(gpus) or not np.all(np.asarray(price) > 0)):
            raise InputError(f"{pool}_usd_per_gpu_hour", price, "one price above 0 for each candidate")
