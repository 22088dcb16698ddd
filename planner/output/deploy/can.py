"""What of a layout an engine has no flag for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.inputs.engine import Abilities
from planner.inputs.layout_label import Widths, label
from planner.output.spelling import named
from planner.planning.result import LayoutChoice
from planner.simulate import space
from planner.simulate.space import Layouts
from planner.words import Phase


def choice(at: Widths) -> LayoutChoice:
    """The layout behind a name."""
    return LayoutChoice(
        tp=at.tp,
        pp=at.pp,
        ep=at.ep,
        attention_dp=at.attention_dp,
        moe_tp=at.moe_tp,
        label=label(**at._asdict()),
    )


def cannot(layout: LayoutChoice, phase: Phase, can: Abilities, name: str, *, experts: int, mtp: int) -> str:
    """Why an engine cannot run a layout; "" where it can.

    Parameters
    ----------
    can, name
        Of the engine.
    experts
        Of a layer of the model, 0 in a dense one.
    mtp
        Tokens drafted per step.
    """
    one = np.ones(1, dtype=np.int64)
    at = Layouts(
        tp=layout.tp * one,
        pp=layout.pp * one,
        attention_dp=layout.attention_dp * one,
        moe_tp=(layout.moe_tp if experts else layout.tp) * one,
        moe_ep=layout.ep * one,
    )

    def without(one_ability: Abilities) -> bool:
        return not space.made(at, phase, max(experts, 1), one_ability, mtp)[0]

    anything = Abilities()
    if without(replace(anything, attention_tp_with_dp=can.attention_tp_with_dp)):
        return f"{name} has attention TP or attention DP, not one inside the other"
    if without(replace(anything, expert_tp_with_ep=can.expert_tp_with_ep)):
        return f"{name} spreads whole experts or cuts all of them, nothing between"
    if without(replace(anything, uneven_experts=can.uneven_experts)):
        return f"{name} needs EP to divide {experts} experts, or attention DP with copies"
    if without(replace(anything, pipelines=can.pipelines)):
        return f"{name} has no pipeline stages in {named(phase)} instances"
    if without(replace(anything, drafts_in_pipelines=can.drafts_in_pipelines)):
        return f"{name} drafts no tokens beside pipeline stages of {named(phase)} instances"
    if phase == "prefill" and layout.label.startswith("C") and not can.chunked_pipelines:
        return f"{name} does not let chunks follow each other through the stages"
    return ""
