"""The worst loss of a part of a fleet, on the way through a replay, and what requests see after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.inputs.scenario import Scenario
from planner.planning import survive
from planner.planning.result import Serving
from planner.replay.fleet import Change, Fleet
from planner.replay.result import Result, spread
from planner.words import At, Loss, Stage

AFTER = 1 / 3  # of the span of the arrivals, where not told


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is lost, and when."""

    loss: Loss
    at_s: float
    lost: dict[Stage, int]  # instances


def failing(serving: Serving, fleet: Fleet, loss: Loss, at_s: float) -> tuple[Fleet, Failure]:
    """The fleet that loses at a time what the worst single loss takes by the plan's places."""
    struck = survive.worst(loss, serving, survive.nodes_of(serving))
    changes = tuple(
        Change(at_s=at_s, event="fail", pool=pool, instance=index) for pool, index in sorted(struck)
    )
    lost = dict(Counter(survive.stage_of(serving, pool) for pool, _ in struck))
    return replace(fleet, changes=(*fleet.changes, *changes)), Failure(loss=loss, at_s=at_s, lost=lost)


def after(result: Result, failure: Failure) -> dict[str, Any]:
    """What the requests see that come after the loss, and how many began again."""
    late = result.arrival_s >= failure.at_s
    return {
        "loss": failure.loss,
        "at_s": failure.at_s,
        "instances": dict(failure.lost),
        "restarts": result.restarts,
        "requests": int(late.sum()),
        "ftl_s": spread(np.where(late, result.ftl_s, np.nan)),
        "ttl_s": spread(np.where(late, result.ttl_s, np.nan)),
        "good_share": float(result.good[late].mean()) if late.any() else None,
    }


def holds(found: dict[str, Any], scenario: Scenario) -> dict[str, bool]:
    """Whether what each limit binds is within it after the loss, by "ftl" and "ttl"."""
    limits = scenario.limits

    def at(of: At) -> str:
        if of != "auto":
            return of
        return "mean" if scenario.traffic.arriving == "steady" else "p95"

    return {
        "ftl": found["ftl_s"][at(limits.ftl_at)] <= limits.ftl_s,
        "ttl": found["ttl_s"][at(limits.ttl_at)] <= limits.ttl_s,
    }
