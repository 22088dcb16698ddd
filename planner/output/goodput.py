"""What a frontier counts per GPU: output tokens/s, or as goodput the requests/s that meet both limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Frontier, Plan

TOKENS, REQUESTS = "tokens/s per GPU", "requests/s per GPU"


def tokens_of_one(scenario: Scenario) -> float:
    """Output tokens that decode makes for one of what is counted; `scenario` as its plan has it.

    >>> from planner import Scenario
    >>> tokens_of_one(Scenario()), tokens_of_one(Scenario(frontier="goodput"))
    (1.0, 1023.0)
    """
    return float(max(scenario.traffic.osl - 1, 1)) if scenario.frontier == "goodput" else 1.0


def unit(scenario: Scenario) -> str:
    """The unit of the axis."""
    return REQUESTS if scenario.frontier == "goodput" else TOKENS


def counted(plan: Plan, front: Frontier) -> Frontier:
    """A plan's frontier with what it counts in place of tokens/s per GPU, to be drawn."""
    tokens = tokens_of_one(plan.scenario)
    if tokens == 1.0:
        return front
    return replace(front, tokens_per_s_per_gpu=front.tokens_per_s_per_gpu / tokens)
