"""What plans are compared by: what the goal of a scenario counts."""

from __future__ import annotations

import math
from collections.abc import Callable

from planner.inputs.scenario import Scenario
from planner.planning.result import Plan
from planner.values import dataclass

HELD = "tok/s/GPU held"  # of all GPUs of a budget, used or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a plan is judged by; gains are positive where it gets better."""

    name: str
    unit: str
    higher: bool
    of: Callable[[Plan], float]

    def gain(self, plan: Plan, base: Plan) -> float:
        """Better by this share; nan where either has no answer."""
        now, before = self.of(plan), self.of(base)
        if not (now > 0 and before > 0):
            return math.nan
        return now / before - 1 if self.higher else before / now - 1


def per_gpu(plan: Plan) -> float:
    """Output tokens/s per GPU of the budget (of the GPUs in use where there is none); nan without a plan.

    The measure of a fleet that is paid for whether it works or not.
    """
    serving = plan.deployed
    if serving is None:
        return math.nan
    budget = plan.scenario.fleet.gpus
    used = 1.0 if budget is None else serving.gpus / budget
    return serving.capacity_tokens_per_s_per_gpu * used


def in_all(plan: Plan) -> float:
    """Output tokens/s of all GPUs in use; nan without a plan. The measure of a fleet of unlike GPUs."""
    serving = plan.deployed
    return math.nan if serving is None else serving.capacity_tokens_per_s_per_gpu * serving.gpus


def _kw(plan: Plan) -> float:
    best = plan.deployed
    return math.nan if best is None or best.power is None else best.power.watts / 1e3


def _per_joule(plan: Plan) -> float:
    best = plan.deployed
    return math.nan if best is None or best.power is None else 1.0 / best.power.joules_per_token


def yardstick(scenario: Scenario) -> Yardstick:
    """What the goal of a scenario asks for."""
    if scenario.goal == "fewest-gpus":
        return Yardstick(
            name="GPUs",
            unit="GPUs",
            higher=False,
            of=lambda plan: float(plan.deployed.gpus) if plan.deployed else math.nan,
        )
    if scenario.goal == "cost":
        return Yardstick(
            name="cost",
            unit="$/Mtok",
            higher=False,
            of=lambda plan: plan.deployed.usd_per_million_tokens if plan.deployed else math.nan,
        )
    if scenario.goal == "watts":
        return Yardstick(name="GPU power", unit="kW", higher=False, of=_kw)
    if scenario.goal == "tokens-per-watt":
        return Yardstick(name="tokens per joule", unit="tok/J", higher=True, of=_per_joule)
    if scenario.fleet.systems is not None or scenario.fleet.capped:
        return Yardstick(name="throughput", unit="tok/s", higher=True, of=in_all)
    unit = "tok/s/GPU" if scenario.fleet.gpus is None else HELD  # not to be taken for that of the plan
    return Yardstick(name="throughput", unit=unit, higher=True, of=per_gpu)
