"""The study over a day: its ratio, what fixed ratios and fixed fleets cost, window by window.

The study varies the latency target and says that traffic varies; its figures have no time. Here DeepSeek-R1
as served today has a made-up day (`planner.inputs.traces.diurnal`): long prompts in the morning, long answers
at night, in windows of a quarter of an hour, planned by `planner.elastic` at three TTL limits with the rates
of the simulator taken as known, as the study takes them. Fleets are those of closed forms; they start and
drain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from planner.arrays import FloatArray
from planner.elastic import over_time, why
from planner.elastic.over_time import OverTime
from planner.elastic.policies import Policy
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.traces.diurnal import diurnal
from planner.inputs.traffic import Traffic
from planner.paper.claims.claim import Part, fact
from planner.paper.dynamic import Same
from planner.paper.scenarios import HEAVY
from planner.words import Way

RATE_PER_S, DAYS, WINDOW_S = 8.0, 1.0, 900.0
TTL_S = (0.05, 0.02, 0.01)  # loose to tight
DRAWN = 1  # of those, whose fleets are drawn
POLICIES: Mapping[str, tuple[Policy, Way]] = {
    "static split": ("static-peak", "disaggregated"),
    "fixed ratio": ("fixed-ratio", "disaggregated"),
    "dynamic ratio, fixed total": ("dynamic-ratio", "disaggregated"),
    "elastic split": ("elastic", "disaggregated"),
    "elastic co-located": ("elastic", "colocated"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """A day at one TTL limit; arrays of shape ``(windows,)``."""

    ttl_s: float
    hour: FloatArray
    ratio: FloatArray  # prefill over decode GPUs of the elastic split
    gpus: Mapping[str, FloatArray]  # taken, by the names of `POLICIES`
    gpu_hours: Mapping[str, float]


def scenario(ttl_s: float) -> Scenario:
    """The study's DeepSeek-R1 with no fleet to keep to."""
    limits: Limits = replace(HEAVY.limits, ttl_s=ttl_s)
    return replace(HEAVY, traffic=Traffic(), limits=limits)


def days(catalog: Catalog) -> tuple[Day, ...]:
    """The day at each limit, once for all that ask."""
    return _days(Same(catalog))


@lru_cache(maxsize=1)
def _days(of: Same) -> tuple[Day, ...]:
    requests = diurnal(RATE_PER_S, DAYS)
    settings = over_time.Settings(window_s=WINDOW_S, settle="off")
    return tuple(_day(over_time.plan(scenario(ttl), of.catalog, requests, settings), ttl) for ttl in TTL_S)


def _day(found: OverTime, ttl_s: float) -> Day:
    of = {name: found.of(policy, way) for name, (policy, way) in POLICIES.items() if way in found.ways}
    return Day(
        ttl_s=ttl_s,
        hour=np.arange(len(found.windows), dtype=np.float64) * (found.windows.window_s / 3600.0),
        ratio=why.ratio(found, of["elastic split"]),
        gpus={name: one.bill.gpus.astype(np.float64) for name, one in of.items()},
        gpu_hours={name: one.bill.gpu_hours for name, one in of.items()},
    )


def _times(catalog: Catalog, name: str, over: str) -> str:
    shares = [day.gpu_hours[name] / day.gpu_hours[over] for day in days(catalog)]
    return f"{', '.join(f'{share:.2f}x' for share in shares)} the GPU hours"


def _ratios(catalog: Catalog) -> Part:
    spans = [f"{np.nanmin(day.ratio):.2g} to {np.nanmax(day.ratio):.2g}" for day in days(catalog)]
    return fact("over a day, TTL 50, 20 and 10 ms", f"ratio {'; '.join(spans)}")


def _held(catalog: Catalog) -> Part:
    return fact("held at the mean ratio over a day", _times(catalog, "fixed ratio", "elastic split"))


def _against(catalog: Catalog) -> Part:
    name = "a held ratio over elastic co-located serving, over a day"
    return fact(name, _times(catalog, "fixed ratio", "elastic co-located"))


def _total(catalog: Catalog) -> Part:
    name = "a fixed total whose ratio moves, over a day"
    return fact(name, _times(catalog, "dynamic ratio, fixed total", "elastic split"))


def _static(catalog: Catalog) -> Part:
    return fact("a static split, over a day", _times(catalog, "static split", "elastic split"))


# what claims say of the latency target alone, over time: decides nothing
FACTS: Mapping[int, Callable[[Catalog], Part]] = {
    13: _ratios,
    14: _held,
    15: _against,
    16: _total,
    22: _static,
}
