"""Why nothing fits, and the smallest single change that would make it fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner import units
from planner.arrays import BoolArray, FloatArray, IntArray
from planner.inputs import fields
from planner.planning import frontiers, solve
from planner.planning.resolve import Question
from planner.planning.result import Infeasible, Reason, Relaxation, Serving
from planner.planning.sweep import Sweep, run
from planner.words import Goal


def infeasible(question: Question, sweep: Sweep, should_stop: Callable[[], bool] | None = None) -> Infeasible:
    """Count points by the first limit that stops them, and relax one limit at a time.

    Parameters
    ----------
    sweep
        The points within the GPU budget.
    should_stop
        Ends the sweep without a budget that shows what more GPUs would bring.
    """

    def wide() -> Sweep:
        return run(_unbounded(question), None, should_stop)

    scenario = question.scenario
    limits, budget = scenario.limits, scenario.fleet.gpus
    relax: list[Relaxation] = []
    within = _best(question, sweep, goal="throughput")
    if within is not None:
        # the limits can be met: what fails is the demand on the fleet
        demand = scenario.traffic.requests_per_s
        most, served = (fields.BY_KEY["rate"].format(r) for r in (within.requests_per_s, demand))
        reason = f"{budget} GPUs serve at most {most} of {served} requests/s within the limits"
        relax.append(_relaxation(question, "rate", within.requests_per_s))
        more = _best(_unbounded(question), wide(), goal=scenario.goal)
        if more is not None and more.gpus <= fields.BY_KEY["gpus"].high:
            relax.append(_relaxation(question, "gpus", more.gpus))
        return Infeasible(reasons=(Reason(limit="rate", points=0, text=reason),), relax=tuple(relax))
    ftl = _least_ftl(sweep, limits.ttl_s, budget)
    ttl = _least_ttl(sweep, limits.ftl_s, budget)
    if math.isfinite(ttl) and ttl > limits.ttl_s:
        relax.append(_relaxation(question, "ttl", ttl))
    if math.isfinite(ftl) and ftl > limits.ftl_s:
        relax.append(_relaxation(question, "ftl", ftl))
    if budget is not None:
        gpus = _least_gpus(wide(), limits.ftl_s, limits.ttl_s)
        if gpus is not None and budget < gpus <= fields.BY_KEY["gpus"].high:
            relax.append(_relaxation(question, "gpus", gpus))
    return Infeasible(reasons=_reasons(question, sweep), relax=tuple(relax))


def _unbounded(question: Question) -> Question:
    fleet = replace(question.scenario.fleet, gpus=None)
    return replace(question, scenario=replace(question.scenario, fleet=fleet))


def _best(question: Question, sweep: Sweep, goal: Goal) -> Serving | None:
    """The best plan for another goal on the same points."""
    other = replace(question, scenario=replace(question.scenario, goal=goal))
    choice = solve.choose(other, sweep, frontiers.candidates(other, sweep))
    return solve.better(other, choice.disaggregated, choice.colocated)


def _relaxation(question: Question, key: str, value: float) -> Relaxation:
    field = fields.BY_KEY[key]
    now = field.get(question.scenario)
    change = ""
    if field.kind == "seconds":
        value = units.rounded(value, math.ceil)
        change = f" ({_times(value / now)})"
    elif field.kind == "rate":
        value = units.rounded(value, math.floor)
        change = f" ({_times(value / now)})"
    else:
        value = round(value)
    text = f"{field.label} {field.format(now)} -> {field.format(value)}{change}"
    return Relaxation(field=key, value=value, text=text)


def _times(ratio: float) -> str:
    """A ratio as a percentage, a large one as a factor.

    >>> _times(1.12), _times(0.8), _times(12.4), _times(0.01)
    ('+12%', '-20%', '12.4×', '1/100')
    """
    if 0.1 <= ratio < 3:
        return f"{ratio - 1:+.0%}"
    return f"{units.three_digits(ratio)}×" if ratio > 1 else f"1/{units.three_digits(1 / ratio)}"


def _reasons(question: Question, sweep: Sweep) -> tuple[Reason, ...]:
    limits = question.scenario.limits
    refused = sweep.prefill.out_of_memory + sweep.decode.out_of_memory + sweep.colocated.out_of_memory
    reasons: list[Reason] = []
    if refused:
        sizes = {pool.setup.machine.gpu.memory_bytes for pool in question.pools.values()}
        memory = " or ".join(units.format_memory(size) for size in sorted(sizes))
        text = f"{refused:,} do not fit in {memory} per GPU"
        reasons.append(Reason(limit="memory", points=refused, text=text))
    slow = np.concatenate((sweep.split_ftl_s, sweep.colocated.ftl_s))
    late = slow > limits.ftl_s
    if late.any():
        reasons.append(_missed("ftl", "fit but miss", late, slow, limits.ftl_s))
    rest = np.concatenate((sweep.decode.ttl_s, sweep.colocated.ttl_s[sweep.colocated.ftl_s <= limits.ftl_s]))
    sluggish = rest > limits.ttl_s
    if sluggish.any():
        reasons.append(_missed("ttl", "miss", sluggish, rest, limits.ttl_s))
    return tuple(reasons)


def _missed(key: str, verb: str, over: BoolArray, seconds: FloatArray, limit_s: float) -> Reason:
    """The points over a latency limit, and the best of all."""
    field, points = fields.BY_KEY[key], int(over.sum())
    limit, best = field.format(limit_s), field.format(float(seconds.min()))
    text = f"{points:,} {verb} {key.upper()} {limit} (best {best})"
    return Reason(limit=key, points=points, text=text)


def _least(values: FloatArray | IntArray) -> float:
    return float(values.min()) if len(values) else math.inf


def _least_ttl(sweep: Sweep, ftl_limit_s: float, budget: int | None) -> float:
    """Lowest TTL of any plan that meets the FTL limit within the budget."""
    room: float = math.inf if budget is None else budget
    smallest = _least(sweep.prefill.gpus[sweep.split_ftl_s <= ftl_limit_s])
    split = sweep.decode.ttl_s[sweep.decode.gpus <= room - smallest]
    points = sweep.colocated
    colocated = points.ttl_s[(points.ftl_s <= ftl_limit_s) & (points.gpus <= room)]
    return min(_least(split), _least(colocated))


def _least_ftl(sweep: Sweep, ttl_limit_s: float, budget: int | None) -> float:
    """Lowest FTL of any plan that meets the TTL limit within the budget."""
    room: float = math.inf if budget is None else budget
    smallest = _least(sweep.decode.gpus[sweep.decode.ttl_s <= ttl_limit_s])
    split = sweep.split_ftl_s[sweep.prefill.gpus <= room - smallest]
    points = sweep.colocated
    colocated = points.ftl_s[(points.ttl_s <= ttl_limit_s) & (points.gpus <= room)]
    return min(_least(split), _least(colocated))


def _least_gpus(sweep: Sweep, ftl_limit_s: float, ttl_limit_s: float) -> int | None:
    """Fewest GPUs of any plan that meets both limits; None where no plan does."""
    points = sweep.colocated
    prefill = sweep.prefill.gpus[sweep.split_ftl_s <= ftl_limit_s]
    decode = sweep.decode.gpus[sweep.decode.ttl_s <= ttl_limit_s]
    colocated = points.gpus[(points.ftl_s <= ftl_limit_s) & (points.ttl_s <= ttl_limit_s)]
    found = [int(prefill.min()) + int(decode.min())] if len(prefill) and len(decode) else []
    found += [int(colocated.min())] if len(colocated) else []
    return min(found, default=None)
