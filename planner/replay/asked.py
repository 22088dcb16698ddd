"""The replay that a plan asks: bounded, and the same for the same question.

Requests are those of the scenario's trace, of a long one its busiest stretch, or drawn as it has them, for a
large fleet those of a slice of it (`planner.replay.excerpt`). Those that come while the fleet still fills up
are not counted. A prompt finds in a cache what the plan counts on, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from planner.arrays import BoolArray
from planner.inputs.requests import NO_SESSION, Requests
from planner.planning import demand
from planner.planning.asked import Answer, Ask
from planner.planning.resolve import Question
from planner.planning.result import Percentiles, Serving
from planner.replay import build, excerpt
from planner.replay.fleet import Options
from planner.replay.plans import drawn, with_images
from planner.replay.result import REFUSED, Result
from planner.replay.run import Replay
from planner.replay.settle import at
from planner.simulate.points import Stopped
from planner.words import At, Settling

REQUESTS = 4_000  # drawn
MOST = 10_000  # requests of one replay, and `EACH` events for each: those that are not done by then are late
EACH = 20
MOST_ON = 200_000  # where it is asked for
FILLS = 2.0  # times the requests in flight until a fleet is as full as it stays
AT: tuple[At, ...] = ("mean", "p50", "p90", "p95", "p99")
TIMES = 8.0  # as many as those are replayed at least, in a slice of the fleet where that is too many
LEAST_TIMES = 4.0  # where there is no even slice


def asking(how: Settling = "auto") -> Ask | None:
    """Who is asked of a plan's waits; None for "off"."""
    if how == "off":
        return None
    most = MOST if how == "auto" else MOST_ON

    def replays(
        question: Question, serving: Serving, should_stop: Callable[[], bool] | None
    ) -> Answer | None:
        return _replayed(question, serving, most, should_stop)

    def later(question: Question, serving: Serving, should_stop: Callable[[], bool] | None) -> Answer | None:
        recorded = demand.recorded(question.scenario)
        if recorded is None or len(serving.pools) < 2 or not (recorded.session != NO_SESSION).any():
            return None
        return _replayed(question, serving, most, should_stop, later_turns="decode")

    return Ask(replays=replays, later=later, always=how == "on")


def _replayed(
    question: Question,
    serving: Serving,
    most: int,
    should_stop: Callable[[], bool] | None,
    *,
    later_turns: Literal["prefill", "decode"] = "prefill",
) -> Answer | None:
    looked = _looked_at(question, serving, most)
    if looked is None:
        return None
    requests, first, serving = looked.requests, looked.first, looked.serving
    scenario, limits = question.scenario, question.scenario.limits
    asked = scenario.traffic
    options = Options(
        later_turns=later_turns,
        prefixes=asked.reuse != "none" or asked.cached_share > 0,
        routing="prefix-aware" if asked.reuse == "prefix-aware" else asked.routing,
        ftl_limit_s=limits.ftl_s,
        ttl_limit_s=limits.ttl_s,
    )
    try:
        fleet = build.of_serving(question, serving, requests, build.host_memory(asked))
    except LookupError:  # a kernel at a batch or context that was never measured
        return None
    replay = Replay(fleet, requests, options)

    def enough() -> bool:
        return replay.events > EACH * most or (should_stop is not None and should_stop())

    try:
        replay.advance(should_stop=enough)
    except Stopped:
        if should_stop is not None and should_stop():
            raise
    result = replay.result()
    found = _rows(result, slice(first, None))
    ftl, ttl, e2e = (_percentiles(found, what) for what in ("ftl_s", "ttl_s", "e2e_s"))
    return Answer(
        ftl=ftl,
        ttl=ttl,
        e2e=e2e,
        ftl_s=at(found, limits.ftl_at, "ftl_s"),
        ttl_s=at(found, limits.ttl_at, "ttl_s"),
        requests=len(requests),
        refused=int(np.count_nonzero(found.entry == REFUSED)),
        events=result.events,
        of_requests=looked.of_requests,
        share=looked.share,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What is replayed."""

    requests: Requests
    first: int  # of them that counts
    serving: Serving
    of_requests: int  # of a trace that they are a stretch of; else as many as they are
    share: float = 1.0  # of the fleet


def _looked_at(question: Question, serving: Serving, most: int) -> _Looked | None:
    """The requests and the instances that serve them; None where so few requests tell nothing of those."""
    load = serving.load
    assert load is not None
    in_flight = load.requests_in_flight
    recorded = demand.recorded(question.scenario)
    if recorded is not None:
        fills = int(min(FILLS * in_flight, 0.3 * most))
        loads = [pool.utilisation for pool in serving.pools]
        part, first = excerpt.busiest(recorded, most, loads, before=fills)
        seen = serving.encoder.tokens if serving.encoder is not None else 0
        come = with_images(part, seen)
        return _Looked(requests=come, first=first, serving=serving, of_requests=len(recorded))
    share = 1.0
    if TIMES * in_flight > most:
        slice_of = excerpt.sliced(serving, most / (TIMES * in_flight))
        if slice_of is not None:
            serving, share = slice_of.serving, slice_of.share
            in_flight *= share
        elif LEAST_TIMES * in_flight > most:
            return None
    count = min(max(REQUESTS, int(TIMES * in_flight)), most)
    traffic = replace(question.scenario.traffic, requests_per_s=serving.requests_per_s)
    come = drawn(replace(question.scenario, traffic=traffic), serving, count, seed=0)
    first = int(min(max(0.1 * count, FILLS * in_flight), 0.3 * count))
    return _Looked(requests=come, first=first, serving=serving, of_requests=count, share=share)


def _rows(result: Result, rows: slice | BoolArray) -> Result:
    """Some of the requests alone."""
    names = ("arrival_s", "first_s", "end_s", "isl", "osl", "entry", "decode", "found", "computed")
    return replace(result, **{name: getattr(result, name)[rows] for name in names})


def _percentiles(found: Result, what: str) -> Percentiles:
    """Of all requests; the mean of those that are served, for a refused one takes endlessly long."""
    told = Percentiles(*(at(found, of, what) for of in AT))
    if not math.isinf(told.mean):
        return told
    return replace(told, mean=at(_rows(found, found.entry != REFUSED), "mean", what))
