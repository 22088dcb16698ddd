"""A layout in words: what its name says, one piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.inputs.layout_label import Widths, label
from planner.output.spelling import count

if TYPE_CHECKING:
    from planner.planning.result import LayoutChoice, PoolPlan

# the legend below plans, in README and in the application: a piece of a name, and what it says
LEGEND: tuple[tuple[str, str], ...] = (
    ("TP8", "tensor parallel: every layer is cut over 8 GPUs"),
    ("PP4x...", "4 pipeline stages, each a quarter of the layers, on GPUs of its own"),
    ("CPP4x...", "the same in prefill, with a prompt's chunks following each other through the stages"),
    ("DP8-...", "attention data parallel: 8 ranks, each with requests and a cache of its own"),
    ("EP16", "expert parallel: the experts of a layer are spread over 16 groups of GPUs"),
    ("EP4TP2", "experts over 4 groups, each expert cut over the 2 GPUs of its group"),
    ("TEP8", "attention cut over 8 GPUs, whole experts spread over the same 8"),
    ("DEP16", "16 attention ranks with requests of their own, whole experts spread over the same 16 GPUs"),
)


def legend(labels: tuple[str, ...] = ()) -> list[str]:
    """One line for each piece of a name; with labels, for those that occur in them alone.

    >>> [line.split(":")[0] for line in legend(("CPP4xTP1", "DEP8"))]
    ['TP8', 'CPP4x...', 'DEP16']
    """
    kept = [
        (piece, text) for piece, text in LEGEND if not labels or any(_occurs(piece, name) for name in labels)
    ]
    return [f"{piece}: {text}" for piece, text in kept]


def _occurs(piece: str, name: str) -> bool:
    stem = piece.rstrip(".x-").rstrip("0123456789")
    pipeline, cross, stage = name.rpartition("x")
    if piece.endswith("x..."):
        return bool(cross) and pipeline.rstrip("0123456789") == stem
    attention, dash, experts = stage.partition("-")
    if piece == "EP4TP2":
        return "EP" in experts and "TP" in experts
    if piece == "EP16":
        return "EP" in attention[1:] and not attention.startswith(("TEP", "DEP"))
    if stem == "DP":
        return "DP" in attention
    if stem == "TP":
        return attention.startswith("TP") or (bool(dash) and experts.startswith("TP"))
    return attention.startswith(stem)


def sentences(at: Widths, *, is_moe: bool = True) -> list[str]:
    """What one instance of a layout is, attention and experts apart."""
    stage = at.tp * at.attention_dp
    lines = [f"{label(**at._asdict())} is one instance on {count(at.gpus, 'GPU')}."]
    if at.pp > 1:
        chunks = (
            " Prompts are cut into chunks that follow each other through the stages (CPP)."
            if at.chunked
            else ""
        )
        lines.append(
            f"Pipeline: {at.pp} stages of {count(stage, 'GPU')}, each with a part of the layers.{chunks}"
        )
    where = "of a stage" if at.pp > 1 else "of the instance"
    cut = (
        f"every matrix and the heads are cut over {count(at.tp, 'GPU')}" if at.tp > 1 else "whole on each GPU"
    )
    if at.attention_dp > 1:
        lines.append(
            f"Attention: {at.attention_dp} ranks of {count(at.tp, 'GPU')}, each with requests and a cache of "
            f"its own (attention DP); {cut}."
        )
    else:
        lines.append(f"Attention: {cut}" + (" (TP)." if at.tp > 1 else "."))
    if is_moe and stage > 1:
        if at.ep == 1:
            experts = f"every expert is cut over the {stage} GPUs {where} (TP {at.moe_tp})"
        elif at.moe_tp == 1:
            experts = f"whole, spread over the {stage} GPUs {where} (EP {at.ep})"
        else:
            experts = f"spread over {at.ep} groups, each expert cut over the {at.moe_tp} GPUs of its group"
        lines.append(f"Experts: {experts}.")
        exchange = "stay where they are: one all-reduce ends a layer"
        if at.attention_dp > 1:
            whole = at.moe_tp == 1
            exchange = (
                "travel to their experts and back (all-to-all), or are gathered where that is faster"
                if whole
                else "are gathered and summed up"
            )
        lines.append(f"Tokens {exchange}.")
    return lines


def pool_phrases(pool: PoolPlan) -> tuple[str, ...]:
    """What a pool is, in words, for places of any width, the longest first; its name and label go before.

    `8 instances of 4 GPUs, a 4-stage chunked pipeline`.
    """
    at = pool.layout
    several = pool.instances > 1
    each = f"{count(at.gpus, 'GPU')} each" if several else f"on {count(at.gpus, 'GPU')}"
    full = f"{count(pool.instances, 'instance')} of {count(at.gpus, 'GPU')}"
    return (f"{full}, {kind(at)}", f"{each}, {kind(at)}", f"{each}, {brief_kind(at)}", brief_kind(at), each)


def kind(at: LayoutChoice) -> str:
    """How one instance is cut, in a few words: `a 4-stage chunked pipeline`, `tensor parallel`."""
    stage = at.tp * at.attention_dp
    parts = []
    if at.pp > 1:
        an = "an" if at.pp in (8, 11, 18) else "a"
        parts.append(f"{an} {at.pp}-stage {'chunked ' if _chunked(at) else ''}pipeline")
    if stage > 1:
        where = "all" if at.pp == 1 else f"the {stage} of a stage"
        if at.ep == 1:
            experts = ""
        elif at.ep == stage:
            experts = f"whole experts spread over {where}"
        else:
            experts = f"experts over {at.ep} groups"
        if at.attention_dp > 1:
            parts.append("data-parallel attention" + (f" of TP {at.tp}" if at.tp > 1 else ""))
            parts.append(experts or "the rest tensor parallel")
        elif experts:
            parts += ["tensor-parallel attention", experts]
        else:
            parts.append("tensor parallel" + (f" over {stage} each" if at.pp > 1 else ""))
    return ", ".join(parts) or "the whole model on each"


def brief_kind(at: LayoutChoice) -> str:
    """The same in fewer: `4 chunked stages`, `attention DP, experts EP`."""
    parts = []
    if at.pp > 1:
        parts.append(f"{at.pp} {'chunked ' if _chunked(at) else ''}stages")
    if at.tp * at.attention_dp > 1:
        parts.append("attention DP" if at.attention_dp > 1 else "TP" if at.ep == 1 else "attention TP")
        parts += ["experts EP"] if at.ep > 1 else []
    return ", ".join(parts) or "whole model each"


def _chunked(at: LayoutChoice) -> bool:
    return at.label.startswith("CPP")
