"""A plan that its replay confirms: where closed forms are too bold, more headroom until the limits hold.

Closed forms of waiting are sure of many instances and constant lengths, less so of one or two, of lengths
that vary and of co-located token intervals. So the replay has the last word: its plan is made with the least
headroom, of a grid in steps of `STEP`, at which every limit holds for the requests themselves. More headroom
is less load on each instance, but may choose other layouts or the other way of serving, which can be the
worse: the grid is gone through from below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario, Traffic
from planner.output import spelling
from planner.planning import demand
from planner.planning.plan import plan
from planner.planning.result import Plan
from planner.replay.fleet import Options
from planner.replay.plans import REQUESTS, Proof, prove
from planner.replay.result import Progress, Result
from planner.words import Arrivals, At

STEP, MOST = 0.05, 0.9  # headroom


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One plan and its replay."""

    headroom: float
    gpus: int
    ftl_s: float  # replayed, as the limit reads it
    ttl_s: float
    meets: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The plan with the least headroom that its replay confirms, or the last one tried."""

    proof: Proof
    headroom: float
    meets: bool
    rounds: tuple[Round, ...]
    static_gpus: dict[str, int | None]  # of requests with mean lengths, by how they come; None: no plan


def settle(
    scenario: Scenario,
    catalog: Catalog,
    options: Options,
    *,
    requests: Requests | None = None,
    count: int = REQUESTS,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Settled | Plan:
    """Plan and replay until the limits hold; the plan alone where none meets them without a replay.

    Raises InputError for a scenario without a rate or a trace: headroom of no demand changes nothing.
    """
    if scenario.traffic.requests_per_s is None and scenario.traffic.trace is None:
        raise InputError("settle", "no rate", "a --rate or a --trace that says what the plan has to serve")
    if options.in_flight is not None:
        raise InputError("settle", f"in-flight {options.in_flight}", "requests that come at a rate")
    grid = [h for h in np.arange(0.0, MOST + STEP / 2, STEP).round(2).tolist() if h > scenario.headroom]
    grid.insert(0, scenario.headroom)
    rounds: list[Round] = []
    last: tuple[Proof, float] | None = None
    for headroom in grid:
        proof = prove(
            replace(scenario, headroom=headroom),
            catalog,
            options,
            requests=requests,
            count=count,
            should_stop=should_stop,
            progress=progress,
        )
        if isinstance(proof, Plan):
            if last is None:
                return proof
            break  # more headroom asks for more than there is
        rounds.append(_round(scenario, headroom, proof))
        last = proof, headroom
        if proof.stopped or rounds[-1].meets:
            break
    assert last is not None
    return Settled(
        proof=last[0],
        headroom=last[1],
        meets=rounds[-1].meets and not last[0].stopped,
        rounds=tuple(rounds),
        static_gpus=static_gpus(scenario, catalog),
    )


def static_gpus(scenario: Scenario, catalog: Catalog) -> dict[str, int | None]:
    """GPUs of a plan for the mean lengths and the mean rate alone: steady, and of Poisson arrivals."""
    asked = demand.of(scenario).scenario.traffic
    found: dict[str, int | None] = {}
    ways: tuple[Arrivals, ...] = ("steady", "poisson")
    for way in ways:
        mean = Traffic(
            isl=asked.isl,
            osl=asked.osl,
            requests_per_s=asked.requests_per_s,
            cached_share=asked.cached_share,
            arrivals=way,
            routing=asked.routing,
        )
        serving = plan(replace(scenario, traffic=mean), catalog).deployed
        found[way] = None if serving is None else serving.gpus
    return found


def at(values: Result, limit: At, what: str) -> float:
    """What a limit reads of a replay: its mean or percentile of "ftl_s" or "ttl_s", seconds.

    Requests that were refused, or did not end, have no latency: infinite.
    """
    each = getattr(values, what)
    if what == "ftl_s":
        each = np.where(np.isfinite(each), each, np.inf)
    else:
        each = np.where(values.finished | np.isfinite(each), each, np.inf)
        each = each[~np.isnan(each)]  # of one token there is no interval
    if not len(each):
        return float("nan")
    if limit == "mean":
        return float(each.mean())
    share = 0.95 if limit == "auto" else float(limit[1:]) / 100.0
    return float(np.quantile(each, share, method="higher"))


def _round(scenario: Scenario, headroom: float, proof: Proof) -> Round:
    limits = scenario.limits
    steady = scenario.traffic.arriving == "steady"
    ftl_at: At = "mean" if steady and limits.ftl_at == "auto" else limits.ftl_at
    ttl_at: At = "mean" if steady and limits.ttl_at == "auto" else limits.ttl_at
    ftl, ttl = at(proof.result, ftl_at, "ftl_s"), at(proof.result, ttl_at, "ttl_s")
    return Round(
        headroom=headroom,
        gpus=proof.serving.gpus,
        ftl_s=ftl,
        ttl_s=ttl,
        meets=not (ftl > limits.ftl_s or ttl > limits.ttl_s),
    )


def to_dict(settled: Settled) -> dict[str, Any]:
    """As plain data: the key `settled` of `replay --settle --json`."""
    return {
        "meets": settled.meets,
        "headroom": settled.headroom,
        "gpus": settled.proof.serving.gpus,
        "static_gpus": settled.static_gpus,
        "rounds": [asdict(one) for one in settled.rounds],
    }


def to_lines(settled: Settled) -> list[str]:
    """What was settled, as sentences."""
    tried = spelling.count(len(settled.rounds), "plan")
    lines = [
        f"the limits hold in the replay with {spelling.percent(settled.headroom)} headroom ({tried} replayed)"
        if settled.meets
        else f"no plan that was replayed meets the limits ({tried}, the last with "
        f"{spelling.percent(settled.headroom)} headroom)"
    ]
    static = settled.static_gpus
    told = [f"{way} {'none' if gpus is None else gpus}" for way, gpus in static.items()]
    lines.append(
        f"GPUs of plans for mean lengths alone: {', '.join(told)}; this: {settled.proof.serving.gpus}"
    )
    return lines
