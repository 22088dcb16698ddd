"""Why nothing fits, and the smallest single change that would make it fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner import units
from planner.arrays import BoolArray, FloatArray, IndexArray
from planner.errors import InputError
from planner.inputs import fields, precision
from planner.match.rate_match import TIE
from planner.planning import frontiers, options, solve
from planner.planning.deadline import Deadline
from planner.planning.resolve import Question, with_weights
from planner.planning.result import Infeasible, Reason, Relaxation
from planner.planning.sweep import Sweep, run
from planner.simulate import space
from planner.simulate.points import Points
from planner.values import dataclass
from planner.words import Weights

MOST_SWEEPS = 3  # to find how many GPUs it takes
FIRST_STEP = 0.02  # of a limit that turns out to take more


def infeasible(question: Question, sweep: Sweep, deadline: Deadline) -> Infeasible:
    """Count points by the first limit that stops them, and relax one limit at a time.

    Each change, narrower weights among them, is a promise: it lies in its field's range, and the question
    with it has a plan, found as `planner.planning.plan.plan` finds one.

    Parameters
    ----------
    sweep
        The points within the GPU budget.
    deadline
        Ends the programs of mixes, and the search for what would help: changes found by then are told, of
        which a latency or a number of GPUs may be more than the least that is enough. When told to stop,
        the sweeps that show what more GPUs would bring end with Stopped.
    """
    scenario, sweep = question.scenario, _asked(question, sweep)
    limits, budget = scenario.limits, scenario.fleet.gpus
    most = _most(question, sweep, deadline)
    reasons = _stopped(question, sweep, most)
    if most:
        relax = [_served(question, most, sweep, deadline), _more_gpus(question, deadline)]
    else:
        needed = _Needed.of(question, sweep)
        ttl, ftl = needed.least_ttl(limits.ftl_s, budget), needed.least_ftl(limits.ttl_s, budget)
        relax = [
            _latency(question, "ttl", ttl, sweep, deadline),
            _latency(question, "ftl", ftl, sweep, deadline),
            _more_gpus(question, deadline) if budget is not None else None,
        ]
    relax.append(_narrower(question, deadline))
    return Infeasible(reasons=reasons, relax=tuple(change for change in relax if change is not None))


def reasons(question: Question, sweep: Sweep, deadline: Deadline) -> tuple[Reason, ...]:
    """What stops the design points of a question without a plan, and no word on what would help."""
    return _stopped(question, sweep, _most(question, sweep, deadline))


def _most(question: Question, sweep: Sweep, deadline: Deadline) -> float:
    """Requests/s that a budget serves within the limits; 0 where they cannot be met, or without one."""
    if question.scenario.fleet.gpus is None:
        return 0.0
    return solve.most(question, sweep, deadline)


def _stopped(question: Question, sweep: Sweep, most_per_s: float) -> tuple[Reason, ...]:
    """The limits can be met where some requests/s are served: then it is the demand on the fleet."""
    if not most_per_s:
        return _reasons(question, sweep)
    return (Reason(limit="rate", points=0, best=most_per_s),)


def _run(question: Question, budget: int | None, deadline: Deadline) -> Sweep:
    return _asked(question, run(question, budget, deadline.should_stop))


def _asked(question: Question, sweep: Sweep) -> Sweep:
    """The points of the way of serving that is asked for: of both, unless a part of one is given."""
    way = question.scenario.deployment.way
    if way is None:
        return sweep
    if way == "disaggregated":
        return replace(sweep, colocated=_none(sweep.colocated))
    nothing = np.empty(0)
    return replace(sweep, prefill=_none(sweep.prefill), decode=_none(sweep.decode), split_ftl_s=nothing)


def _none(points: Points) -> Points:
    return replace(points.take(np.empty(0, dtype=np.intp)), out_of_memory=0)


def _narrower(question: Question, deadline: Deadline) -> Relaxation | None:
    """The widest format of weights, narrower than what is asked for, that has a plan."""
    pool, budget = question.pools["decode"], question.scenario.fleet.gpus
    now = _weight_bits(question)
    four: Weights = "fp4" if "fp4" in pool.setup.machine.gpu.peak_flops else "int4"
    alone = replace(question, scenario=replace(question.scenario, mix=False))
    formats: tuple[Weights, ...] = ("fp8", four)
    for name in formats:
        if deadline.over:
            return None
        try:
            changed = with_weights(alone, name)
            if _weight_bits(changed) >= now:
                continue
            points = _run(changed, budget, deadline)
        except InputError:  # the engine has no kernels for it, or none was measured
            continue
        limits = question.scenario.limits
        if _Needed.of(changed, points).least_ttl(limits.ftl_s, budget) > limits.ttl_s:
            continue
        if solve.exists(changed, points, deadline):
            return Relaxation(field="weights", value=name)
    return None


def _weight_bits(question: Question) -> int:
    """Bits of the widest weights that matter: of experts, where there are any."""
    setup = question.pools["decode"].setup
    used = setup.precision.moe if setup.model.is_moe else setup.precision.gemm
    return precision.bits(used.name)


def _more_gpus(question: Question, deadline: Deadline) -> Relaxation | None:
    """The fewest GPUs beyond the budget that have a plan."""
    limits, budget = question.scenario.limits, question.scenario.fleet.gpus
    assert budget is not None
    if deadline.over:
        return None
    every = _run(_with(question, "gpus", None), None, deadline)
    least = max(_Needed.of(question, every).least_gpus(limits.ftl_s, limits.ttl_s), budget + 1.0)
    points, swept = _within(question, every), _largest(question, None)
    for _ in range(MOST_SWEEPS):
        found = _least_enough(question, "gpus", least, points, deadline)
        if found is None:
            return None
        if _largest(question, round(found)) != swept:
            # batches are tried up to the largest of any layout, so that fewer layouts have other points
            swept = _largest(question, round(found))
            points = _within(question, _run(_with(question, "gpus", round(found)), round(found), deadline))
            if not _exists(question, "gpus", round(found), points, deadline):
                least = found + 1
                continue
        return Relaxation(field="gpus", value=round(found))
    return None


def _within(question: Question, sweep: Sweep) -> Sweep:
    """The points that a plan within the limits could take, whatever its demand and budget: few of a sweep."""
    limits = question.scenario.limits

    def kept(points: Points, first_token_s: FloatArray, late: BoolArray) -> IndexArray:
        rows = np.flatnonzero(~late)
        if question.queues and points.phase != "decode":
            return options.usable(question, points, rows, first_token_s[rows])
        return frontiers.worth_matching(points, rows, np.zeros(len(rows)), question)

    prompts, copies = sweep.split_ftl_s, sweep.colocated
    prefill = kept(sweep.prefill, prompts, prompts > limits.ftl_s)
    decode = kept(sweep.decode, sweep.decode.ftl_s, sweep.decode.ttl_s > limits.ttl_s)
    late = (copies.ftl_s > limits.ftl_s) | (copies.ttl_s > limits.ttl_s)
    return replace(
        sweep,
        prefill=sweep.prefill.take(prefill),
        decode=sweep.decode.take(decode),
        colocated=copies.take(kept(copies, copies.ftl_s, late)),
        split_ftl_s=prompts[prefill],
    )


def _largest(question: Question, budget: int | None) -> tuple[int, ...]:
    """GPUs of the largest instances that a sweep tries: the same ones, the same points."""
    asked = question.scenario.fleet.instance_gpus
    return tuple(
        space.instance_limit(setup.machine.fabric.scale_up_gpus, asked, budget, moe=setup.model.is_moe)
        for setup in (pool.setup for pool in question.pools.values())
    )


def _with(question: Question, key: str, value: float | None) -> Question:
    return replace(question, scenario=fields.BY_KEY[key].set(question.scenario, value))


def _exists(question: Question, key: str, value: float, points: Sweep, deadline: Deadline) -> bool:
    changed = _with(question, key, value)
    return solve.exists(changed, points, deadline)


def _served(question: Question, most_per_s: float, points: Sweep, deadline: Deadline) -> Relaxation | None:
    """The demand that is met, if it may be asked for and has a plan."""
    field = fields.BY_KEY["rate"]
    value = max(units.rounded(most_per_s, math.floor), field.low)
    found = _exists(question, "rate", value, points, deadline)
    return Relaxation(field="rate", value=value) if found else None


def _latency(
    question: Question, key: str, least: float, points: Sweep, deadline: Deadline
) -> Relaxation | None:
    """A limit on latency that is enough, where `least` is beyond the one asked."""
    if least <= fields.BY_KEY[key].get(question.scenario):
        return None
    found = _least_enough(question, key, least, points, deadline)
    return None if found is None else Relaxation(field=key, value=found)


def _least_enough(
    question: Question, key: str, least: float, points: Sweep, deadline: Deadline
) -> float | None:
    """The least value of a limit, not below `least`, that may be asked for and has a plan, found in time.

    The GPUs that a demand takes are counted as if no pool fell short of its rate, so that it may take more
    than the least: the steps upwards double, then halve. Single layouts are asked alone, of a mix too: they
    are enumerated.
    """
    field = fields.BY_KEY[key]
    if not field.low <= least <= field.high:
        return None
    alone = replace(question, scenario=replace(question.scenario, mix=False))

    def asked(value: float) -> float:
        """As it is shown, and within the field."""
        return min(math.ceil(value) if field.integer else units.rounded(value, math.ceil), field.high)

    def enough(value: float) -> bool:
        return _exists(alone, key, value, points, deadline)

    found, short, step = asked(least), 0.0, FIRST_STEP
    while not enough(found):
        if found >= field.high or deadline.over:
            return None
        short, found, step = found, asked(found * (1 + step)), 2 * step
    while short and not deadline.over and short < (middle := asked(math.sqrt(short * found))) < found:
        short, found = (short, middle) if enough(middle) else (middle, found)
    return found


def _reasons(question: Question, sweep: Sweep) -> tuple[Reason, ...]:
    limits = question.scenario.limits
    refused = sweep.prefill.out_of_memory + sweep.decode.out_of_memory + sweep.colocated.out_of_memory
    reasons: list[Reason] = []
    if refused:
        sizes = {pool.setup.machine.gpu.memory_bytes for pool in question.pools.values()}
        reasons.append(Reason(limit="memory", points=refused, memory_bytes=tuple(sorted(sizes))))
    slow = np.concatenate((sweep.split_ftl_s, sweep.colocated.ftl_s))
    late = slow > limits.ftl_s
    if late.any():
        reasons.append(Reason(limit="ftl", points=int(late.sum()), best=_least(slow)))
    rest = np.concatenate((sweep.decode.ttl_s, sweep.colocated.ttl_s[sweep.colocated.ftl_s <= limits.ftl_s]))
    sluggish = rest > limits.ttl_s
    if sluggish.any():
        reasons.append(Reason(limit="ttl", points=int(sluggish.sum()), best=_least(rest)))
    return tuple(reasons)


def _least(values: FloatArray) -> float:
    return float(values.min()) if len(values) else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needed:
    """GPUs for the whole demand (or of one instance, where none is asked) of each swept point, (points,)."""

    sweep: Sweep
    prefill: FloatArray
    decode: FloatArray
    colocated: FloatArray

    @classmethod
    def of(cls, question: Question, sweep: Sweep) -> _Needed:
        scenario = question.scenario
        demand = scenario.traffic.requests_per_s

        def gpus(points: Points) -> FloatArray:
            given = scenario.deployment.instances(points.phase)
            if demand is None:
                return points.gpus.astype(float) * (given or 1)
            rate = (1 - scenario.headroom) * points.requests_per_s
            if given is not None:
                enough = given * rate >= demand * (1 - TIE)
                return np.where(enough, points.gpus * float(given), np.inf)
            return np.asarray(points.gpus * np.ceil(demand / rate * (1 - TIE)))

        return cls(
            sweep=sweep,
            prefill=gpus(sweep.prefill),
            decode=gpus(sweep.decode),
            colocated=gpus(sweep.colocated),
        )

    def least_ttl(self, ftl_limit_s: float, budget: int | None) -> float:
        """Lowest TTL of any plan that meets the FTL limit within the budget."""
        room: float = math.inf if budget is None else budget
        smallest = _least(self.prefill[self.sweep.split_ftl_s <= ftl_limit_s])
        split = self.sweep.decode.ttl_s[self.decode <= room - smallest]
        points = self.sweep.colocated
        colocated = points.ttl_s[(points.ftl_s <= ftl_limit_s) & (self.colocated <= room)]
        return min(_least(split), _least(colocated)) if smallest < math.inf else _least(colocated)

    def least_ftl(self, ttl_limit_s: float, budget: int | None) -> float:
        """Lowest FTL of any plan that meets the TTL limit within the budget."""
        room: float = math.inf if budget is None else budget
        smallest = _least(self.decode[self.sweep.decode.ttl_s <= ttl_limit_s])
        split = self.sweep.split_ftl_s[self.prefill <= room - smallest]
        points = self.sweep.colocated
        colocated = points.ftl_s[(points.ttl_s <= ttl_limit_s) & (self.colocated <= room)]
        return min(_least(split), _least(colocated)) if smallest < math.inf else _least(colocated)

    def least_gpus(self, ftl_limit_s: float, ttl_limit_s: float) -> float:
        """Fewest GPUs of any plan that meets both limits; inf where no plan does."""
        points = self.sweep.colocated
        prefill = self.prefill[self.sweep.split_ftl_s <= ftl_limit_s]
        decode = self.decode[self.sweep.decode.ttl_s <= ttl_limit_s]
        colocated = self.colocated[(points.ftl_s <= ftl_limit_s) & (points.ttl_s <= ttl_limit_s)]
        return min(_least(prefill) + _least(decode), _least(colocated))
