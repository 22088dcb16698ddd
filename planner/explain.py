"""Why nothing fits, and the smallest single change that would make it fit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from planner import fields, units
from planner.question import Question
from planner.result import Infeasible, Relaxation
from planner.simulate.roofline import FloatArray
from planner.sweep import Sweep


def infeasible(question: Question, sweep: Sweep, wide: Callable[[], Sweep]) -> Infeasible:
    """Count points by the first limit that stops them, and relax one limit at a time.

    Parameters
    ----------
    sweep
        The points within the GPU budget.
    wide
        Sweeps the same question with no budget: called only to see what more GPUs would bring.
    """
    scenario = question.scenario
    limits, budget = scenario.limits, scenario.fleet.gpus
    reasons = _reasons(question, sweep)
    relax: list[Relaxation] = []
    ftl = _least_ftl(sweep, limits.ttl_s, budget)
    ttl = _least_ttl(sweep, limits.ftl_s, budget)
    if math.isfinite(ttl) and ttl > limits.ttl_s:
        relax.append(_relaxation(question, "ttl", ttl))
    if math.isfinite(ftl) and ftl > limits.ftl_s:
        relax.append(_relaxation(question, "ftl", ftl))
    if budget is not None:
        gpus = _least_gpus(wide(), limits.ftl_s, limits.ttl_s)
        if math.isfinite(gpus) and gpus > budget:
            relax.append(_relaxation(question, "gpus", gpus))
    return Infeasible(reasons=reasons, relax=tuple(relax))


def _relaxation(question: Question, key: str, value: float) -> Relaxation:
    field = fields.BY_KEY[key]
    now = field.get(question.scenario)
    if field.kind == "seconds":
        value = _round_up(value)
        change = f" ({value / now - 1:+.0%})"
    else:
        value, change = round(value), ""
    text = f"{field.label} {field.format(now)} -> {field.format(value)}{change}"
    return Relaxation(field=key, value=value, text=text)


def _round_up(value: float) -> float:
    """To three digits, never below.

    >>> _round_up(0.0123401)
    0.0124
    """
    digits = 2 - math.floor(math.log10(value))
    scale = 10.0**digits
    return math.ceil(value * scale * (1 - 1e-12)) / scale


def _reasons(question: Question, sweep: Sweep) -> tuple[tuple[str, int, str], ...]:
    limits = question.scenario.limits
    refused = sweep.prefill.out_of_memory + sweep.decode.out_of_memory + sweep.colocated.out_of_memory
    found: list[tuple[str, int, str]] = []
    if refused:
        memory = units.format_si(question.setup.machine.gpu.memory_bytes, "B")
        found.append(("memory", refused, f"{refused:,} do not fit in {memory} per GPU"))
    slow = np.concatenate((sweep.split_ftl_s, sweep.colocated.ftl_s))
    late = slow > limits.ftl_s
    if late.any():
        best = units.format_seconds(float(slow.min()))
        limit = units.format_seconds(limits.ftl_s)
        count = int(late.sum())
        found.append(("ftl", count, f"{count:,} fit but miss FTL {limit} (best {best})"))
    rest = np.concatenate((sweep.decode.ttl_s, sweep.colocated.ttl_s[sweep.colocated.ftl_s <= limits.ftl_s]))
    sluggish = rest > limits.ttl_s
    if sluggish.any():
        best = units.format_seconds(float(rest.min()))
        limit = units.format_seconds(limits.ttl_s)
        count = int(sluggish.sum())
        found.append(("ttl", count, f"{count:,} miss TTL {limit} (best {best})"))
    return tuple(found)


def _least(values: FloatArray) -> float:
    return float(values.min()) if len(values) else math.inf


def _least_ttl(sweep: Sweep, ftl_limit_s: float, budget: int | None) -> float:
    """Lowest TTL of any plan that meets the FTL limit within the budget."""
    room = math.inf if budget is None else float(budget)
    smallest = _least(sweep.prefill.gpus[sweep.split_ftl_s <= ftl_limit_s])
    split = sweep.decode.ttl_s[sweep.decode.gpus <= room - smallest]
    both = sweep.colocated.ttl_s[(sweep.colocated.ftl_s <= ftl_limit_s) & (sweep.colocated.gpus <= room)]
    return min(_least(split), _least(both))


def _least_ftl(sweep: Sweep, ttl_limit_s: float, budget: int | None) -> float:
    """Lowest FTL of any plan that meets the TTL limit within the budget."""
    room = math.inf if budget is None else float(budget)
    smallest = _least(sweep.decode.gpus[sweep.decode.ttl_s <= ttl_limit_s])
    split = sweep.split_ftl_s[sweep.prefill.gpus <= room - smallest]
    both = sweep.colocated.ftl_s[(sweep.colocated.ttl_s <= ttl_limit_s) & (sweep.colocated.gpus <= room)]
    return min(_least(split), _least(both))


def _least_gpus(sweep: Sweep, ftl_limit_s: float, ttl_limit_s: float) -> float:
    """Fewest GPUs of any plan that meets both limits."""
    split = _least(sweep.prefill.gpus[sweep.split_ftl_s <= ftl_limit_s]) + _least(
        sweep.decode.gpus[sweep.decode.ttl_s <= ttl_limit_s]
    )
    both = sweep.colocated
    return min(split, _least(both.gpus[(both.ftl_s <= ftl_limit_s) & (both.ttl_s <= ttl_limit_s)]))
