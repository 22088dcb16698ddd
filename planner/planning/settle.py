"""Where the pools of a plan run: every placement on the systems of a fleet, and the best of either way.

With one system there is one placement. With several, prefill and decode may each be on any of them:

    on one       both pools share its GPUs, its domain and its links
    on two       each pool has the GPUs of its own, the cache crosses the network

Points are swept once for each system. Each placement is matched as if it were the only one, exactly, so that
the best of them is never worse than the best on any one system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.match import pareto
from planner.planning import frontiers, solve, thrift, weigh, why_not
from planner.planning.alone import Alone
from planner.planning.deadline import Deadline
from planner.planning.demand import Held
from planner.planning.in_time import tries
from planner.planning.inventory import across, on_each
from planner.planning.placed import Placed, beside, place
from planner.planning.result import Frontier, Infeasible, Reason, Relaxation, Serving
from planner.planning.sweep import Sweeps
from planner.words import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The placement of the best split and that of the best co-located serving."""

    split: Placed
    colocated: Placed
    alone: tuple[Alone, ...] = ()  # the best on each system of several


def placements(
    scenario: Scenario,
    catalog: Catalog,
    held: Held | None = None,
    should_stop: Callable[[], bool] | None = None,
    sweeps: Sweeps | None = None,
) -> tuple[Placed, ...]:
    """Every placement on the fleet of a scenario: each system alone first, then each pair of two.

    What `sweeps` knows is not swept again.

    Raises InputError for what cannot be used, Stopped when told to stop.
    """
    swept = None
    if sweeps is not None:
        swept = partial(sweeps.run, scenario=scenario, catalog=catalog, should_stop=should_stop)
    questions = on_each(scenario, catalog, held)
    each = [place(question.remembering(), should_stop, swept) for question in questions]
    pairs: list[Placed] = []
    for first in each:
        for then in each:
            if first is not then and (both := across(first.question, then.question, catalog)) is not None:
                pairs.append(beside(both, first.sweep, then.sweep))
    return (*each, *pairs)


def settle(placed: Sequence[Placed], deadline: Deadline) -> Settled:
    """The best placements for the scenario's goal, limits and caps.

    Raises Stopped when told to stop.
    """
    if len(placed) == 1:
        return Settled(split=placed[0], colocated=placed[0])
    for by in zip(
        *map(tries, placed), strict=True
    ):  # by what is expected; as predicted where that is too little
        found, serves = _settled(by, deadline)
        if serves:
            break
    return found


def _settled(placed: Sequence[Placed], deadline: Deadline) -> tuple[Settled, bool]:
    """The best placements by the rates that their points have, and whether there is any."""
    splits: list[tuple[Placed, Serving]] = []
    others: list[tuple[Placed, Serving]] = []
    alone: list[Alone] = []
    curves = thrift.Curves()
    for at in placed:
        split, colocated = solve.weighed(at, deadline, curves)
        splits += [] if split is None else [(at, split[0])]
        others += [] if colocated is None else [(at, colocated[0])]
        if len(at.systems) == 1:
            question, ways = at.question, [None if way is None else way[0] for way in (split, colocated)]
            choice = weigh.choice(weigh.finding(question.scenario, question.bands, *ways))
            of = split if choice == "disaggregated" else colocated
            pools, serving = ((), None) if of is None else (of[1], of[0])
            gpus = question.scenario.fleet.gpus
            kv = question.pools["decode"].setup.precision.kv
            alone.append(
                Alone(system=at.systems[0], choice=choice, gpus=gpus, pools=pools, serving=serving, kv=kv)
            )
    split_at, colocated_at = _best(splits) or placed[0], _best(others) or placed[0]
    return Settled(split=split_at, colocated=colocated_at, alone=tuple(alone)), bool(splits or others)


def _best(found: Sequence[tuple[Placed, Serving]]) -> Placed | None:
    """The placement whose serving is best in what the goal counts; the first of equal ones."""
    best: tuple[Placed, Serving] | None = None
    for at, serving in found:
        if best is None or weigh.gain(at.question.scenario, serving, best[1]) > 1 + weigh.SAME:
            best = at, serving
    return best[0] if best else None


def drawn(placed: Sequence[Placed]) -> Sequence[Placed]:
    """The placements as their frontiers are asked for: at saturation, or as goodput.

    Goodput is what is served within the first token's limit where requests come at their own time, at Poisson
    gaps where the scenario has none. Drawn as the plan's own requests come, they are those of the plan.
    """
    asked = placed[0].question.scenario
    queues = {"auto": placed[0].question.queues, "saturation": False, "goodput": True}[asked.frontier]
    if queues == placed[0].question.queues:
        return placed
    traffic = replace(asked.traffic, arrivals="poisson" if queues else "steady")
    return [
        Placed.of(replace(at.question, scenario=replace(at.question.scenario, traffic=traffic)), at.sweep)
        for at in placed
    ]


def split_frontier(placed: Sequence[Placed]) -> Frontier:
    """The best split at each TTL, wherever its pools run."""
    return _merged(placed, [frontiers.split(at.question, at.sweep, at.kept) for at in placed])


def colocated_frontier(placed: Sequence[Placed]) -> Frontier:
    """The best co-located serving at each TTL, on whichever system."""
    alone = [at for at in placed if len(at.systems) == 1]
    return _merged(alone, [frontiers.colocated(at.question, at.sweep, at.kept) for at in alone])


def _merged(placed: Sequence[Placed], fronts: Sequence[Frontier]) -> Frontier:
    """One frontier of several, with the systems of each point.

    Rows of points say nothing then: each system has points of its own.
    """
    if len(fronts) == 1:
        return fronts[0]
    names = ("ttl_s", "tokens_per_s_per_gpu", "ctx_gen_ratio", "gpus", "ftl_s", "usd_per_million_tokens")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(front, name) for front in fronts]) for name in names
    }
    per_gpu, gpus = columns["tokens_per_s_per_gpu"], columns["gpus"]
    budgeted = placed[0].question.whole_gpus is not None
    at = pareto.pareto(-columns["ttl_s"], per_gpu * gpus if budgeted else per_gpu)
    for name in ("prefill", "decode"):
        columns[name] = np.array([label for front in fronts for label in getattr(front, name)], dtype=object)
    systems = [one.systems for one, front in zip(placed, fronts, strict=True) for _ in range(len(front))]
    ttl_s, worth = frontiers.thin(
        np.concatenate([front.cloud_ttl_s for front in fronts]),
        np.concatenate([front.cloud_tokens_per_s_per_gpu for front in fronts]),
    )
    taken: dict[str, Any] = {
        name: tuple(column[at]) if column.dtype == object else column[at] for name, column in columns.items()
    }
    return Frontier(
        **taken,
        prefill_row=np.full(len(at), -1),
        decode_row=np.full(len(at), -1),
        systems=tuple(systems[i] for i in at),
        cloud_ttl_s=ttl_s,
        cloud_tokens_per_s_per_gpu=worth,
    )


def infeasible(placed: Sequence[Placed], deadline: Deadline) -> Infeasible:
    """Why nothing fits on any system, and what would: for a fleet, what the least change of a limit brings.

    Raises Stopped when told to stop.
    """
    each = [why_not.infeasible(at.question, at.sweep, deadline) for at in placed if len(at.systems) == 1]
    if len(each) == 1:
        return each[0]
    reasons: dict[Stop, Reason] = {}
    for one in (reason for why in each for reason in why.reasons):
        seen = reasons.get(one.limit, replace(one, points=0))
        best = max(seen.best, one.best) if one.limit == "rate" else min(seen.best, one.best)
        memory = tuple(sorted({*seen.memory_bytes, *one.memory_bytes}))
        reasons[one.limit] = replace(one, points=seen.points + one.points, best=best, memory_bytes=memory)
    relax: dict[str, Relaxation] = {}
    for change in (change for why in each for change in why.relax):
        if change.field == "gpus":  # a fleet's are of its systems
            continue
        before = relax.get(change.field)
        nearer = max if change.field == "rate" else min
        if before is None or (
            isinstance(before.value, float)
            and isinstance(change.value, float)
            and nearer(before.value, change.value) != before.value
        ):
            relax[change.field] = change
    return Infeasible(reasons=tuple(reasons.values()), relax=tuple(relax.values()))
