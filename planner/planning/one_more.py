"""What one more kilowatt, dollar per hour or rack buys where the GPUs in use are capped: by planning it.

A plan moves in steps, of GPUs and of whole instances, so that a cap may have to rise by several units before
anything is bought: the rise is doubled until something is, and what it buys stands beside the rise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from planner.errors import InputError
from planner.inputs import fields
from planner.planning import survive, what_if
from planner.planning.result import Plan
from planner.planning.what_if import PlanFn
from planner.values import dataclass

RISES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # units: kW, $ per hour, racks
WORTH = 0.0005  # share of the yardstick: less is nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class OneMore:
    """What a higher cap buys."""

    field: str  # the cap: key of planner.inputs.fields
    rise: float  # by which it had to go up, kW, $ per hour or racks; all that was tried where nothing came
    gain: float  # share by which the yardstick of the goal gets better; 0 where nothing is bought
    value: float  # of the yardstick there

    @property
    def each(self) -> float:
        """The gain for one unit."""
        return self.gain / self.rise


def told(plan: Plan, ask: PlanFn) -> Plan:
    """The plan with what more of each of its caps buys; as it is where it has none, or nothing fits."""
    if not plan.scenario.fleet.capped or plan.deployed is None:
        return plan
    return replace(plan, one_more=tuple(_found(plan, ask)))


def _found(plan: Plan, ask: PlanFn) -> Iterator[OneMore]:
    measure, scenario = what_if.yardstick(plan.scenario), plan.scenario
    for key in what_if.CAPS:
        field = fields.BY_KEY[key]
        cap = field.get(scenario)
        if cap is None or not _near(plan, key, cap):
            continue
        gain, value, rise = 0.0, measure.of(plan), 0.0
        for rise in RISES:
            if rise > max(cap, 1.0):
                break
            try:
                other = ask(field.set(scenario, field.check(cap + rise)))
            except InputError:  # beyond what a cap may be
                break
            gain, value = measure.gain(other, plan), measure.of(other)
            if gain > WORTH:
                break
        bought = math.isfinite(gain) and gain > WORTH
        yield OneMore(field=key, rise=rise, gain=gain if bought else 0.0, value=value)


def _near(plan: Plan, key: str, cap: float) -> bool:
    """Whether a cap may bind: at least half of it is spent."""
    best = plan.deployed
    assert best is not None
    if key == "max-racks":
        return survive.racks(best) >= 0.5 * cap
    tokens_per_s = best.tokens_per_s_per_gpu * best.gpus
    per_hour = best.usd_per_million_tokens * 1e-6 * tokens_per_s * 3600.0
    spent = best.watts / 1e3 if key == "max-kw" else per_hour
    return spent >= 0.5 * cap
