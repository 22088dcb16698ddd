"""The fleet of a replay whose instances follow a schedule, and what a window has to keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.arrays import BoolArray
from planner.elastic.costs import Costs
from planner.elastic.kinds import Pools
from planner.elastic.schedule import Schedule, moves
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.planning.resolve import LATE, Question
from planner.planning.servings import Pick, Rates, bare, pool
from planner.replay import build
from planner.replay.fleet import LEAST, Change, Fleet, Options
from planner.replay.over_time import Windows


def kinds_of(question: Question, pools: Pools, requests: Requests) -> Fleet:
    """One instance of each kind. Raises LookupError as `planner.replay.build`."""
    picks = [Pick(kind.points, kind.row, 1) for kind in pools.kinds]
    serving = bare(question, picks, Rates.known(1.0), question.scenario.limits.ftl_s)
    serving = replace(serving, pools=tuple(pool(question, pick, 0.0) for pick in picks))
    return build.of_serving(question, serving, requests)


def following(one: Fleet, pools: Pools, costs: Costs, schedule: Schedule) -> Fleet:
    """A fleet of these kinds whose instances start, drain and swap as a schedule has it."""
    changed, changes = moves(pools, schedule), []
    for window in range(1, len(schedule.instances)):
        at_s = window * costs.window_s
        for pair, (here, there) in enumerate(pools.swaps):
            swap = Change(
                at_s=at_s, event="swap", pool=here, instance=LEAST, to=there, warm_up_s=costs.swap_s
            )
            changes += [swap] * int(schedule.swaps[window, pair])
        for kind in range(len(pools.kinds)):
            drain = Change(at_s=at_s, event="drain", pool=kind, instance=LEAST)
            changes += [drain] * int(changed.drains[window, kind])
            start_s = float(costs.start_s[kind])
            begin_s = max(at_s - start_s, 0.0) if schedule.ahead else at_s
            start = Change(at_s=begin_s, event="start", pool=kind, warm_up_s=start_s)
            changes += [start] * int(changed.starts[window, kind])
    first = schedule.instances[0]
    return Fleet(
        pools=tuple(replace(p, instances=int(n)) for p, n in zip(one.pools, first, strict=True)),
        changes=tuple(changes),
    )


def options(scenario: Scenario, seed: int = 0) -> Options:
    """How such a fleet is replayed: a plan counts on `cached_share` alone."""
    return Options(
        routing=scenario.traffic.routing,
        seed=seed,
        prefixes=False,
        sessions=False,
        ftl_limit_s=scenario.limits.ftl_s,
        ttl_limit_s=scenario.limits.ttl_s,
    )


def kept(each: Windows, scenario: Scenario) -> BoolArray:
    """Windows that keep their limits: no more of their requests are late than the percentile allows."""
    at = scenario.limits.ftl_at
    late = LATE["auto" if at == "mean" else at]
    return np.asarray(each.good >= np.floor((1.0 - late) * each.arrivals))
