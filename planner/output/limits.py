"""How a plan stands against its limits: what it uses of each, and what may yet meet them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from planner.output.spelling import named, usd_per_hour
from planner.planning.bands import Range
from planner.planning.survive import racks
from planner.units import format_seconds, three_digits
from planner.values import dataclass
from planner.words import LimitState, Way

if TYPE_CHECKING:
    from planner.arrays import BoolArray, FloatArray
    from planner.planning.result import Plan, PoolPlan, Serving

TIGHT = 0.9  # a limit used to this share is tight: predictions err by more than what is left
SPENT = ("max-usd-per-hour", "max-kw", "max-racks")  # limits of what all GPUs together take
WHOLE = ("gpus", "max-racks")  # limits that count
ROUNDING = 1e-6  # the hair of a share by which two values that should be one may differ
WAYS: tuple[Way, ...] = ("disaggregated", "colocated")
MAY_MEET = "May meet the limits: misses one by less than its error"  # the heading of `may_meet`


@overload
def meets(value: float, limit: float) -> bool: ...


@overload
def meets(value: FloatArray, limit: float) -> BoolArray: ...


def meets(value: float | FloatArray, limit: float) -> bool | BoolArray:
    """Whether a value is within a limit, but for a hair: plans lie on their limits.

    >>> meets(0.02, 0.02), meets(0.02 * (1 + 1e-9), 0.02), meets(0.0201, 0.02)
    (True, True, False)
    """
    return value <= limit * (1 + ROUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """One limit and how much of it a serving uses. SI units."""

    key: str  # of planner.inputs.fields
    value: float
    limit: float
    state: LimitState
    range: Range | None = None  # that holds the value in 80 % of cases; None where nothing was measured
    at: str = ""  # what of a latency it is, where requests queue: `p95`, `mean`

    @property
    def name(self) -> str:
        """`TTL`."""
        return named(self.key)

    @property
    def share(self) -> float:
        """Of the limit."""
        return self.value / self.limit

    @property
    def binds(self) -> bool:
        """Whether it holds the plan back: a full fleet does too, though nothing is wrong with it."""
        return self.share > TIGHT - ROUNDING

    @property
    def text(self) -> str:
        """`18 ms of 20 ms`."""
        if self.key in WHOLE:
            return f"{self.value:,.0f} of {self.limit:,.0f}"
        if self.key in SPENT:
            return f"{three_digits(self.value)} of {three_digits(self.limit)}"
        at = f" at {self.at.upper()}" if self.at.startswith("p") else f" in the {self.at}" if self.at else ""
        return f"{format_seconds(self.value)} of {format_seconds(self.limit)}{at}"


def limits(plan: Plan, serving: Serving) -> list[LimitUse]:
    """What a serving uses of each limit that the scenario has: FTL, TTL, GPUs and caps, in this order."""
    asked = plan.scenario.limits
    queued = serving.load.queued if serving.load else None
    uses = [
        replace(_use(plan, "ftl", serving.ftl_s, asked.ftl_s), at=queued.ftl_at if queued else ""),
        _use(plan, "ttl", serving.ttl_s, asked.ttl_s),
        _use(plan, "gpus", float(serving.gpus), float(plan.scenario.fleet.gpus or math.inf)),
        _use(
            plan, "max-usd-per-hour", usd_per_hour(serving), plan.scenario.fleet.max_usd_per_hour or math.inf
        ),
        _use(plan, "max-kw", serving.watts / 1e3, plan.scenario.fleet.max_kw or math.inf),
        _use(plan, "max-racks", float(racks(serving)), float(plan.scenario.fleet.max_racks or math.inf)),
    ]
    return [use for use in uses if math.isfinite(use.value) and math.isfinite(use.limit)]


def pool_limit(plan: Plan, pool: PoolPlan) -> LimitUse:
    """The latency that a pool answers for: TTL where it makes output tokens, else FTL."""
    asked = plan.scenario.limits
    if math.isfinite(pool.ttl_s):
        return _use(plan, "ttl", pool.ttl_s, asked.ttl_s)
    return _use(plan, "ftl", pool.ftl_s, asked.ftl_s)


def _use(plan: Plan, key: str, value: float, limit: float) -> LimitUse:
    state: LimitState = "ok"
    if not meets(value, limit):
        state = "missed"
    elif value > limit * (TIGHT - ROUNDING) and key not in ("gpus", *SPENT):  # a full fleet is asked for
        state = "tight"
    band = plan.bands.get(plan.way)
    factors = {"ftl": band.ftl, "ttl": band.ttl}.get(key) if band else None
    span = None if factors is None else (value * factors[0], value * factors[1])
    return LimitUse(key=key, value=value, limit=limit, state=state, range=span)


@dataclass(frozen=True, slots=True, kw_only=True)
class MayMeet:
    """A deployment of layouts that miss a limit by less than the error of the prediction. SI units."""

    way: Way
    layouts: str  # `TP2 + DEP16`
    misses: tuple[str, ...]  # keys of planner.inputs.fields
    ftl_s: float
    ttl_s: float
    gpus: int
    tokens_per_s_per_gpu: float


def may_meet(plan: Plan) -> list[MayMeet]:
    """Layouts that may meet the limits though they are predicted to miss one, split and co-located."""
    found: list[MayMeet] = []
    asked = plan.scenario.limits
    for way, front in zip(WAYS, plan.may_meet or (), strict=False):
        columns = (front.prefill, front.decode, front.ftl_s, front.ttl_s, front.gpus)
        for row, (prefill, decode, ftl_s, ttl_s, gpus) in enumerate(zip(*columns, strict=True)):
            missed = (("ftl", ftl_s, asked.ftl_s), ("ttl", ttl_s, asked.ttl_s))
            found.append(
                MayMeet(
                    way=way,
                    layouts=" + ".join(filter(None, (prefill, decode))),
                    misses=tuple(key for key, value, limit in missed if not meets(float(value), limit)),
                    ftl_s=float(ftl_s),
                    ttl_s=float(ttl_s),
                    gpus=int(gpus),
                    tokens_per_s_per_gpu=float(front.tokens_per_s_per_gpu[row]),
                )
            )
    return found
