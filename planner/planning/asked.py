"""A plan that asks a replay where closed forms of waiting are not sure of it.

Closed forms are near a replay for many instances and equal lengths, less so for one or two, for lengths that
vary and where prompts and output tokens share the GPUs (docs/accuracy-waits.md). There the plan has its own
requests replayed: percentiles are then the replay's, and where it misses a limit the same points are matched
again with more headroom, in steps of `STEP`, until it keeps both. More headroom is less load on each
instance, so steps are doubled until one holds and then halved.

The way that is chosen is asked first. More headroom never makes a way better, so the other need not be asked
while it is worse as closed forms have it; where the answer makes it the better one, it is asked in its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.planning import weigh
from planner.planning.deadline import Deadline
from planner.planning.judge import Judgement, judge, unsure, weighed
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.result import LaterTurns, Percentiles, Plan, Replayed, Serving
from planner.values import dataclass
from planner.words import Finding, Way

STEP, MOST = 0.05, 0.9  # headroom
EVENTS = 300_000  # of the replays of one way, after which no other is begun: seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a replay tells of a serving."""

    ftl: Percentiles
    ttl: Percentiles
    e2e: Percentiles
    ftl_s: float  # as its limit reads it
    ttl_s: float
    requests: int
    events: int  # that the replay went through
    of_requests: int = 0  # of the trace that they are the busiest stretch of; 0: all there are
    refused: int = 0  # of those that count: longer than any instance has room for; means leave them out
    share: float = 1.0  # of the fleet, that served so much of the rate


# of a serving and the question it answers, and when to stop; None where it would take too long
Replays: TypeAlias = Callable[[Question, Serving, Callable[[], bool] | None], Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who replays, and when that is asked."""

    replays: Replays
    later: Replays | None = None  # with later turns of conversations on decode; None where there are none
    always: bool = False  # also where closed forms are sure


def proven(
    first: Judgement,
    placed: Placed,
    catalog: Catalog,
    deadline: Deadline,
    ask: Ask,
    *,
    alone: Placed | None = None,
) -> Judgement:
    """The judgement with what the replays of its ways say: of the chosen one, and of those that become it.

    Raises Stopped when told to stop.
    """
    made: dict[float, Judgement] = {placed.question.scenario.headroom: first}

    def at(headroom: float) -> Judgement:
        if headroom not in made:
            deadline.check()
            other = None if alone is None else _keeping(alone, headroom)
            made[headroom] = judge(_keeping(placed, headroom), catalog, deadline, alone=other, offers=False)
        return made[headroom]

    judgement, asked = first, dict[Way, bool]()  # whether it meets the limits
    while (way := weigh.choice(judgement.found)) and way not in asked:
        serving = _of(judgement, way)
        if not (unsure(serving) or (ask.always and _queued(serving))):
            break
        here = alone if way == "colocated" and alone is not None else placed
        found = _settled(way, here.question, at, ask, deadline)
        asked[way] = found is None or _meets(found)
        if found is None:
            break
        ways = {"disaggregated": judgement.split, "colocated": judgement.colocated, way: found}
        judgement = weighed(placed, catalog, first.choice, *ways.values(), alone=alone)
        if not placed.question.scenario.deployment.way:
            judgement = replace(judgement, found=_able(judgement.found, ways, asked))
    return judgement


def asks(plan: Plan) -> bool:
    """Whether closed forms are not sure of what a plan deploys."""
    return unsure(plan.chosen)


def alike(base: Plan, plan: Callable[[Scenario], Plan]) -> Callable[[Scenario], Plan]:
    """Plans to hold against one that asked its replay: they keep as much headroom as it had to."""
    queued = None if base.chosen is None else base.chosen.queued
    replayed = None if queued is None else queued.replayed
    if replayed is None:
        return plan
    least = replayed.headroom
    return lambda scenario: plan(replace(scenario, headroom=max(scenario.headroom, least)))


def _able(found: Finding, ways: dict[Way, Serving | None], asked: dict[Way, bool]) -> Finding:
    """A way whose replay misses the limits is left for the other, if that is not known to miss them."""
    able = [way for way, serving in ways.items() if serving is not None and asked.get(way, True)]
    return weigh.given(able[0], ways) if len(able) == 1 else found


def _of(judgement: Judgement, way: Way) -> Serving | None:
    return judgement.split if way == "disaggregated" else judgement.colocated


def _queued(serving: Serving | None) -> bool:
    return serving is not None and serving.queued is not None


def _meets(serving: Serving) -> bool:
    replayed = None if serving.queued is None else serving.queued.replayed
    return replayed is None or replayed.meets


def _keeping(placed: Placed, headroom: float) -> Placed:
    question = placed.question
    more = replace(question, scenario=replace(question.scenario, headroom=headroom))
    return Placed.of(more, placed.sweep, drawn=False)


def _settled(
    way: Way, question: Question, at: Callable[[float], Judgement], ask: Ask, deadline: Deadline
) -> Serving | None:
    """The serving of a way with the least headroom that its replay confirms, or the nearest that was tried.

    None where it cannot be replayed.
    """
    scenario = question.scenario
    grid = [h for h in np.arange(0.0, MOST + STEP / 2, STEP).round(2).tolist() if h > scenario.headroom]
    grid = [scenario.headroom] if scenario.deployment.complete else [scenario.headroom, *grid]
    told: dict[Any, tuple[Serving, Answer, float]] = {}  # by what is deployed
    low, high, column = -1, len(grid), 0  # low does not hold, high does or has no plan
    best: tuple[Serving, Answer, float] | None = None
    while high - low > 1 and sum(answer.events for _, answer, _ in told.values()) < EVENTS:
        serving = _of(at(grid[column]), way)
        if serving is None or not _queued(serving):
            high = column
        else:
            key = _deployed(serving)
            if key not in told:
                answer = ask.replays(question, serving, deadline.should_stop)
                if answer is None:
                    break
                told[key] = serving, answer, grid[column]
            if _late(question, told[key][1]) <= 1.0:
                high, best = column, told[key]
            else:
                low = column
        # doubled steps, until one holds
        column = (low + high) // 2 if high < len(grid) else min(2 * low + 1, len(grid) - 1)
    if not told:
        return None
    if best is None:
        best = min(told.values(), key=lambda one: _late(question, one[1]))
        if not np.isfinite(best[1].ftl.mean):  # what was replayed did not come to an end
            return None
    later = ask.later(question, best[0], deadline.should_stop) if ask.later is not None else None
    return _telling(question, *best, later, plans=len(told))


def _late(question: Question, answer: Answer) -> float:
    """The worse of both latencies, over their limits."""
    limits = question.scenario.limits
    return max(answer.ftl_s / limits.ftl_s, _known(answer.ttl_s) / limits.ttl_s)


def _known(ttl_s: float) -> float:
    """A token interval; nothing where each answer is of one token."""
    return 0.0 if np.isnan(ttl_s) else ttl_s


def _deployed(serving: Serving) -> tuple[Any, ...]:
    pools = (
        (pool.phase, pool.system, pool.layout.label, pool.mode, pool.batch, pool.chunk_tokens, pool.instances)
        for pool in serving.pools
    )
    return serving.requests_per_s, *pools


def _telling(
    question: Question,
    serving: Serving,
    answer: Answer,
    headroom: float,
    later: Answer | None,
    *,
    plans: int,
) -> Serving:
    """The serving with the percentiles of its replay."""
    assert serving.load is not None and serving.load.queued is not None
    turns = None
    if later is not None:
        turns = LaterTurns(ftl=later.ftl, ttl=later.ttl, meets=_late(question, later) <= 1.0)
    told = Replayed(
        requests=answer.requests,
        of_requests=max(answer.of_requests, answer.requests),
        share=answer.share,
        plans=plans,
        headroom=headroom,
        meets=_late(question, answer) <= 1.0,
        refused=answer.refused,
        later_turns=turns,
    )
    queued = replace(
        serving.load.queued, ftl=answer.ftl, ttl=answer.ttl, e2e=answer.e2e, sure=True, replayed=told
    )
    load = replace(
        serving.load,
        requests_in_flight=serving.load.requests_per_s * answer.e2e.mean,
        ftl_s=answer.ftl.mean,
        ttl_s=answer.ttl.mean,
        queued=queued,
    )
    ttl_s = max(serving.ttl_s, _known(answer.ttl_s))
    return replace(serving, ftl_s=answer.ftl_s, ttl_s=ttl_s, load=load)
