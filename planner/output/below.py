"""Where a plan lies below its own frontier, and why.

A frontier is of what is predicted: the most of a budget at each TTL. A plan is chosen by what is expected of
its layouts, within a slack for an earlier first token, and lies on the hosts that there are. So it may be
predicted at less than the frontier at its limit: never more, and never without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from planner.output.spelling import percent
from planner.units import format_seconds, three_digits
from planner.values import dataclass

if TYPE_CHECKING:
    from planner.planning.result import Frontier, Plan, Serving

TOLD = 0.005  # a share below which the two look the same on a chart
Why: TypeAlias = Literal["first-token", "expected", "hosts"]
_WHY: dict[Why, str] = {
    "expected": "of its layouts more is expected, errors considered",
    "hosts": "its instances lie on the hosts that there are",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The frontier at a plan's TTL limit, and how far below it the plan is predicted."""

    share: float  # of the frontier's tokens/s that the plan is predicted to lack; 0 on it
    tokens_per_s_per_gpu: float  # of the frontier there
    layouts: tuple[str, ...]  # prefill and decode, or the one of co-located instances
    ftl_s: float
    why: tuple[Why, ...]  # () on the frontier


def below(plan: Plan) -> Below | None:
    """How far below the frontier of its way of serving a plan is predicted at its limits.

    None where it is not to reach it: for a demand, a goal other than throughput, any number of GPUs, a mix,
    several systems, or where the frontier counts other arrivals than the plan's.
    """
    scenario, serving = plan.scenario, plan.chosen
    traffic, goodput = scenario.traffic, scenario.traffic.arriving != "steady"
    elsewhere = scenario.frontier != "auto" and (scenario.frontier == "goodput") != goodput
    asked = scenario.goal == "throughput" and traffic.requests_per_s is None
    if serving is None or not asked or elsewhere or scenario.fleet.gpus is None or scenario.mix or plan.alone:
        return None
    front = plan.frontier_disaggregated if plan.choice == "disaggregated" else plan.frontier_colocated
    within = np.flatnonzero(front.ttl_s <= scenario.limits.ttl_s * (1 + 1e-9))
    if not len(within):
        return None
    worth = front.tokens_per_s_per_gpu * front.gpus
    at = int(within[np.argmax(worth[within])])
    share = max(1.0 - serving.tokens_per_s_per_gpu * serving.gpus / float(worth[at]), 0.0)
    return Below(
        share=share,
        tokens_per_s_per_gpu=float(front.tokens_per_s_per_gpu[at]),
        layouts=tuple(label for label in (front.prefill[at], front.decode[at]) if label),
        ftl_s=float(front.ftl_s[at]),
        why=_why(plan, serving, front, at) if share > TOLD else (),
    )


def _why(plan: Plan, serving: Serving, front: Frontier, at: int) -> tuple[Why, ...]:
    """What the plan has instead of the frontier's point."""
    found: list[Why] = []
    if serving.knee is not None and serving.knee.costs > 0 and serving.ftl_s < front.ftl_s[at]:
        found.append("first-token")
    study = plan.study if plan.choice == "disaggregated" else None
    if plan.scenario.robust and (
        (study is None and not found)
        or (study is not None and study.expected_requests_per_s < serving.expected_requests_per_s)
    ):
        found.append("expected")
    if plan.whole_hosts:
        found.append("hosts")
    return tuple(found)


def below_note(plan: Plan) -> str:
    """`predicted 5.4 % below the frontier at its limits (1,020 tokens/s/GPU with CPP3xTP1 + DEP24): ...`.

    "" where it is on the frontier, or is not to be.
    """
    found, serving = below(plan), plan.chosen
    if found is None or serving is None or not found.why:
        return ""
    said = {
        **_WHY,
        "first-token": f"its first token comes after {format_seconds(serving.ftl_s)}, "
        f"not {format_seconds(found.ftl_s)}",
    }
    return (
        f"predicted {percent(found.share)} below the frontier at its limits "
        f"({three_digits(found.tokens_per_s_per_gpu)} tokens/s/GPU with {' + '.join(found.layouts)}): "
        f"{'; '.join(said[why] for why in found.why)}"
    )


def below_data(plan: Plan) -> dict[str, Any] | None:
    """The same for programs."""
    found = below(plan)
    if found is None:
        return None
    return {
        "share": found.share,
        "frontier_tokens_per_s_per_gpu": found.tokens_per_s_per_gpu,
        "layouts": list(found.layouts),
        "ftl_s": found.ftl_s,
        "why": list(found.why),
    }
