"""A plan put to the proof: its own pools, replayed on a trace or on requests drawn at its rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.inputs.traces.generate import Lengths, Sharing, bursty
from planner.planning.caches import held_of
from planner.planning.demand import Held
from planner.planning.inventory import on_each
from planner.planning.plan import plan
from planner.planning.resolve import Question, encoded_apart
from planner.planning.result import Plan, Serving
from planner.replay import build, failing
from planner.replay.failing import Failure
from planner.replay.fleet import Fleet, Options
from planner.replay.result import Progress, Result
from planner.replay.run import Replay
from planner.simulate.points import Stopped
from planner.words import Arrivals, Loss

UNSAID_LOAD = 0.85  # of the plan's capacity, where neither trace nor rate says what comes
REQUESTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A plan and what became of the requests."""

    plan: Plan
    serving: Serving
    fleet: Fleet
    requests_per_s: float  # that came, mean
    result: Result
    arrivals: Arrivals
    unsaid: bool = False  # nothing says how much comes: it is `UNSAID_LOAD` of the capacity
    stopped: bool = False  # before the last request ended
    failure: dict[str, Any] | None = None  # `planner.replay.failing.after`, and "holds"; None without one

    @property
    def planned(self) -> dict[str, dict[str, float]]:
        """What the plan says of ftl_s, ttl_s and e2e_s as requests come; {} for a closed loop."""
        return {} if self.result.options.in_flight is not None else planned(self.serving)


def planned(serving: Serving) -> dict[str, dict[str, float]]:
    """What a plan says of ftl_s, ttl_s and e2e_s where requests queue; {} where they do not."""
    queued = serving.queued
    if queued is None:
        return {}
    return {name: asdict(getattr(queued, name[:3])) for name in ("ftl_s", "ttl_s", "e2e_s")}


def _held(found: Plan) -> Held | None:
    """The caches that a plan counts on."""
    caches = found.caches
    return None if caches is None else held_of(caches)


def drawn(scenario: Scenario, serving: Serving, count: int, seed: int) -> Requests:
    """Requests as the scenario has them, at its rate or `UNSAID_LOAD` of the capacity."""
    traffic = scenario.traffic
    seen = serving.encoder.tokens if serving.encoder is not None else 0
    cv = {"steady": 0.0, "bursty": traffic.burstiness}.get(arrivals(scenario), 1.0)
    come = bursty(
        traffic.requests_per_s or UNSAID_LOAD * serving.capacity_requests_per_s,
        count,
        Lengths(mean=traffic.isl, cv=traffic.isl_spread),
        Lengths(mean=traffic.osl, cv=traffic.osl_spread),
        cv=cv,
        sharing=Sharing(share=traffic.cached_share),
        seed=seed,
    )
    return with_images(come, seen)


def with_images(requests: Requests, tokens: int) -> Requests:
    """The same requests with so many tokens of images behind what caches may hold of each."""
    return replace(requests, isl=requests.isl + tokens) if tokens else requests


def arrivals(scenario: Scenario) -> Arrivals:
    """How requests come where no trace says: Poisson, if the scenario leaves it open."""
    asked = scenario.traffic.arrivals
    return asked if asked in ("steady", "bursty") else "poisson"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Started:
    """A plan's replay before its first event."""

    serving: Serving
    fleet: Fleet
    requests: Requests
    replay: Replay
    unsaid: bool = False  # as of `Proof`
    failure: Failure | None = None  # on the way

    @property
    def requests_per_s(self) -> float:
        """That come, mean; nan where all come at once."""
        span = self.requests.seconds
        return len(self.requests) / span if span else float("nan")


def started(
    found: Plan,
    scenario: Scenario,
    catalog: Catalog,
    options: Options,
    *,
    requests: Requests | None = None,
    count: int = REQUESTS,
    fail: Loss = "none",
    fail_at_s: float | None = None,
) -> Started | None:
    """The replay of a plan that is there, `scenario` being what it answers; None where it has no serving.

    `fail` and when it strikes as of `prove`. Raises InputError.
    """
    serving = found.deployed
    if serving is None:
        return None
    each = [_encoding(one, serving).remembering() for one in on_each(scenario, catalog, _held(found))]
    on = {one.pools["decode"].system.name: one for one in each}
    question = each[0]
    unsaid = requests is None and not scenario.traffic.requests_per_s and options.in_flight is None
    if requests is None:
        requests = drawn(scenario, serving, count, options.seed)
    elif serving.encoder is not None:
        requests = with_images(requests, serving.encoder.tokens)
    host = options.host or build.host_memory(scenario.traffic)
    fleet, failure = build.of_serving(question, serving, requests, host, on), None
    if fail != "none":
        at_s = failing.AFTER * requests.seconds if fail_at_s is None else fail_at_s
        fleet, failure = failing.failing(serving, fleet, fail, at_s)
    replay = Replay(fleet, requests, options)
    return Started(
        serving=serving, fleet=fleet, requests=requests, replay=replay, unsaid=unsaid, failure=failure
    )


def _encoding(question: Question, serving: Serving) -> Question:
    """The question with its images encoded where the serving does."""
    if serving.encoder is None or not serving.encoder.instances:
        return question
    apart = encoded_apart(question)
    return next(one for one in apart if one.encoder and one.encoder.batch == serving.encoder.batch)


def prove(
    scenario: Scenario,
    catalog: Catalog,
    options: Options,
    *,
    requests: Requests | None = None,
    count: int = REQUESTS,
    fail: Loss = "none",
    fail_at_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Proof | Plan:
    """Plan the scenario and replay the plan; the plan alone where none meets the limits.

    With `fail` the worst such loss strikes, a third of the way if not told when. Stopping on the way leaves a
    proof of the requests that have ended. Raises InputError.
    """
    found = plan(scenario, catalog, should_stop=should_stop)
    begun = started(
        found, scenario, catalog, options, requests=requests, count=count, fail=fail, fail_at_s=fail_at_s
    )
    if begun is None:
        return found
    replay = begun.replay
    stopped = False
    try:
        replay.advance(should_stop=should_stop, progress=progress)
    except Stopped:
        stopped = True
    result = replay.result()
    told = None
    if begun.failure is not None:
        told = failing.after(result, begun.failure)
        told["holds"] = failing.holds(told, found.scenario)
    return Proof(
        plan=found,
        serving=begun.serving,
        fleet=begun.fleet,
        requests_per_s=begun.requests_per_s,
        result=result,
        arrivals=arrivals(scenario),
        unsaid=begun.unsaid,
        stopped=stopped,
        failure=told,
    )
