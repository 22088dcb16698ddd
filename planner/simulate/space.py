"""What could be built: layouts of one instance, and the batches and chunks to try on them."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IntArray, distinct
from planner.inputs.engine import Abilities
from planner.inputs.layout_label import Widths, label
from planner.inputs.model import ModelSpec
from planner.simulate.operators.attention import kinds
from planner.values import dataclass
from planner.words import Exchange, Phase

SMALL_DOMAIN_INSTANCE_GPUS = 64  # on smaller domains too: the study behind this reaches TP 64
MIN_EXPERT_SHARD = 64  # columns of an expert per GPU below which no kernel tiles
MAX_STAGES: dict[Phase, int] = {"prefill": 32, "decode": 12, "colocated": 12}
DEPTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 32)  # of pipelines; 3 nodes of 8 GPUs are a common size
WIDE = (12, 24, 48, 72, 96)  # GPUs that spread whole experts beside the widths of all groups
ANY_LAYOUT = Abilities()
EXCHANGES: tuple[Exchange, ...] = ("replicated", "all-to-all", "gathered")  # as `exchange` indexes them


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutChoice:
    """How one instance is sharded."""

    tp: int
    pp: int
    ep: int
    attention_dp: int
    moe_tp: int
    label: str

    @property
    def gpus(self) -> int:
        """GPUs of one instance."""
        return self.tp * self.pp * self.attention_dp


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """How instances are sharded: integer arrays of one shape, usually ``(layouts,)``.

    A pipeline stage has ``tp * attention_dp`` GPUs, and in a mixture of experts also
    ``moe_tp * moe_ep`` of them: the same GPUs seen by attention and by the experts.
    """

    tp: IntArray
    pp: IntArray
    attention_dp: IntArray
    moe_tp: IntArray
    moe_ep: IntArray

    @property
    def stage_gpus(self) -> IntArray:
        """GPUs of one pipeline stage."""
        return self.tp * self.attention_dp

    @property
    def gpus(self) -> IntArray:
        """GPUs of the instance."""
        return self.stage_gpus * self.pp

    def __len__(self) -> int:
        return len(self.tp)

    def take(self, rows: npt.NDArray[np.integer]) -> Layouts:
        """Some of the layouts."""
        return Layouts(
            tp=self.tp[rows],
            pp=self.pp[rows],
            attention_dp=self.attention_dp[rows],
            moe_tp=self.moe_tp[rows],
            moe_ep=self.moe_ep[rows],
        )

    def spread(self, axes: int) -> Layouts:
        """The same with `axes` axes of length one appended, to broadcast against batch and chunk."""
        shape = (-1,) + (1,) * axes
        return Layouts(**{f.name: getattr(self, f.name).reshape(shape) for f in fields(self)})

    def exchange(self) -> npt.NDArray[np.int8]:
        """How tokens reach the experts, as indices into EXCHANGES.

        replicated: attention TP leaves every token on every GPU of the stage; one all-reduce ends
        the layer. all-to-all: attention DP with one group of whole experts. gathered: attention DP
        with sliced experts, an all-gather before and a reduce-scatter after.
        """
        gathered = np.where(self.moe_tp > 1, 2, 1)
        return np.where(self.attention_dp > 1, gathered, 0).astype(np.int8)

    def exchange_of(self, row: int = 0) -> Exchange:
        """How the tokens of one layout reach the experts, whatever the axes of the arrays."""
        return EXCHANGES[int(self.exchange().ravel()[row])]

    def choice(self, row: int, chunked: bool) -> LayoutChoice:
        """One layout as an object with its label."""
        tp, pp, dp, moe_tp, ep = (int(getattr(self, f.name)[row]) for f in fields(self))
        return LayoutChoice(
            tp=tp,
            pp=pp,
            ep=ep,
            attention_dp=dp,
            moe_tp=moe_tp,
            label=label(tp=tp, pp=pp, attention_dp=dp, moe_tp=moe_tp, ep=ep, chunked=chunked),
        )


def instance_limit(scale_up_gpus: int, asked: int | None, budget: int | None, *, moe: bool = True) -> int:
    """GPUs of the largest instance worth trying; only whole experts spread wider than anything else."""
    limit = asked or max(scale_up_gpus, SMALL_DOMAIN_INSTANCE_GPUS, WIDE[-1] if moe else 0)
    return limit if budget is None else min(limit, budget)


def _widths(limit: int, scale_up_gpus: int) -> list[int]:
    """Group widths to try: powers of two, and halves of a domain that is not one (72, 36, 18)."""
    widths = {2**i for i in range(15) if 2**i <= limit}
    part = scale_up_gpus
    while part > 1:
        if part <= limit:
            widths.add(part)
        if part % 2:
            break
        part //= 2
    return sorted(widths)


def _attention_widths(model: ModelSpec, widths: list[int], limit: int) -> list[int]:
    """Attention TP that divides the heads of every layer: the widths of all groups, and other divisors.

    Those others divide what is sharded with them too: key heads (or these divide them, and are copied) and
    the columns of dense layers, as engines demand.
    """
    heads = [layer.heads for layer in kinds.layers(model)]
    shared = math.gcd(*heads) if heads else 1
    dense = [f.width for f in model.ffn if f.kind == "dense"]
    keys = [a.kv_heads for a in model.attention if a.kind == "gqa" and a.kv_heads]

    def other(tp: int) -> bool:
        return not any(k % tp and tp % k for k in keys) and not any(w % tp for w in dense)

    divisors = {d for d in range(1, min(shared, limit) + 1) if shared % d == 0}
    return sorted({tp for tp in widths if not any(h % tp for h in heads)} | set(filter(other, divisors)))


def _expert_splits(model: ModelSpec, stage: int) -> list[tuple[int, int]]:
    """(moe_tp, moe_ep) that split the experts of every MoE layer over a stage of `stage` GPUs."""
    moe = [f for f in model.ffn if f.kind == "moe"]
    if not moe:
        return [(stage, 1)]
    found = []
    for ep in range(1, min(stage, *(f.experts for f in moe)) + 1):
        moe_tp = stage // ep
        if stage % ep or (1 < ep < stage and ep & (ep - 1)):
            continue  # odd partial splits are never deployed
        if all(f.width % moe_tp == 0 and f.width // moe_tp >= MIN_EXPERT_SHARD for f in moe):
            found.append((moe_tp, ep))
    return found


def made(at: Layouts, phase: Phase, experts: int, can: Abilities, mtp: int = 0) -> BoolArray:
    """Which layouts of `phase` the flags of an engine make; shape ``(layouts,)``.

    `experts` are those of a layer, 1 in a dense model; `mtp` the tokens drafted per step.

    >>> at = Layouts(**{name: np.array(row) for name, row in dict(
    ...     tp=[8, 8, 1, 2], pp=[1, 1, 2, 1], attention_dp=[1, 1, 8, 4], moe_tp=[8, 2, 1, 1],
    ...     moe_ep=[1, 4, 8, 8]).items()})
    >>> made(at, "decode", 256, Abilities(expert_tp_with_ep=False, pipelines=("prefill",))).tolist()
    [True, False, False, True]
    """
    kept = np.ones(len(at), dtype=bool)
    if not can.attention_tp_with_dp:
        kept &= (at.tp == 1) | (at.attention_dp == 1)
    if not can.expert_tp_with_ep:
        kept &= (at.moe_tp == 1) | (at.moe_ep == 1)
    if can.uneven_experts == "slots with attention DP":
        kept &= (experts % at.moe_ep == 0) | (at.attention_dp > 1)
    if phase not in can.pipelines or (mtp and phase not in can.drafts_in_pipelines):
        kept &= at.pp == 1
    return kept


def layouts(
    model: ModelSpec,
    phase: Phase,
    *,
    max_gpus: int,
    scale_up_gpus: int,
    can: Abilities = ANY_LAYOUT,
    mtp: int = 0,
) -> Layouts:
    """Every layout of `phase` that divides the model over at most `max_gpus` GPUs and that an engine makes.

    Attention TP divides the heads; experts may not divide the EP width (the fullest rank then
    holds one more, as with redundant experts). Attention DP needs experts to share: without
    them, data parallelism is simply more instances.
    """
    at = _every(model, MAX_STAGES[phase], max_gpus, scale_up_gpus)
    return at.take(np.flatnonzero(made(at, phase, model.experts, can, mtp)))


@lru_cache(maxsize=32)
def _every(model: ModelSpec, stages: int, max_gpus: int, scale_up_gpus: int) -> Layouts:
    """Those of any engine, in pipelines of at most `stages`; kept, for every edit asks for the same."""
    usual = max_gpus if max_gpus > WIDE[-1] else min(max_gpus, max(scale_up_gpus, SMALL_DOMAIN_INSTANCE_GPUS))
    widths = _widths(usual, scale_up_gpus)
    depths = [d for d in DEPTHS if d <= min(stages, model.layers)]
    shapes = [
        (tp, dp)
        for tp in _attention_widths(model, widths, usual)
        for dp in (widths if model.is_moe else (1,))
        if tp * dp <= usual
    ]
    splits = {size: _expert_splits(model, size) for size in {tp * dp for tp, dp in shapes}}
    rows = [
        (tp, pp, dp, moe_tp, ep)
        for tp, dp in shapes
        for moe_tp, ep in splits[tp * dp]
        for pp in depths
        if tp * dp * pp <= usual
    ]
    known = set(rows)
    wide = [
        (1, 1, gpus, 1, gpus) for gpus in WIDE if model.is_moe and gpus <= max_gpus and gpus <= model.experts
    ]
    rows += [row for row in wide if row not in known]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Layouts(tp=table[0], pp=table[1], attention_dp=table[2], moe_tp=table[3], moe_ep=table[4])


def only(widths: Widths) -> Layouts:
    """One layout alone, whatever a sweep would try."""
    tp, pp, dp, moe_tp, ep, _ = (np.array([width], dtype=np.int64) for width in widths)
    return Layouts(tp=tp, pp=pp, attention_dp=dp, moe_tp=moe_tp, moe_ep=ep)


def obstacle(model: ModelSpec, phase: Phase, widths: Widths, can: Abilities, mtp: int = 0) -> str:
    """Why a layout cannot be had of a model and an engine, in a few words; "" where it can.

    >>> from planner.inputs.catalog import load
    >>> from planner.inputs.layout_label import parse
    >>> obstacle(load().model("llama-3.1-70b"), "decode", parse("TP6"), ANY_LAYOUT)
    'a TP that divides 64 attention heads'
    >>> obstacle(load().model("llama-3.1-70b"), "decode", parse("DEP8"), ANY_LAYOUT)
    'TP alone: a dense model has no experts to spread, and more data parallelism is more instances'
    """
    moe = [f for f in model.ffn if f.kind == "moe"]
    if not moe and (widths.attention_dp > 1 or widths.ep > 1):
        return "TP alone: a dense model has no experts to spread, and more data parallelism is more instances"
    for heads in dict.fromkeys(layer.heads for layer in kinds.layers(model)):
        if heads % widths.tp:
            return f"a TP that divides {heads} attention heads"
    if widths.pp > model.layers:
        return f"a pipeline of at most {model.layers} stages, one for each layer"
    for f in moe:
        if widths.ep > f.experts:
            return f"experts over at most {f.experts} GPUs: there are no more"
        if f.width % widths.moe_tp:
            return f"an expert TP that divides {f.width} columns"
    if not made(only(widths), phase, model.experts, can, mtp).all():
        return "a layout that the engine makes: its flags do not make this one"
    return ""


def expert_slots(model: ModelSpec, ep: int, can: Abilities) -> int:
    """Experts that an EP group holds of one layer, copies included; 0 in a dense model.

    >>> from planner.inputs.catalog import load
    >>> expert_slots(load().model("deepseek-r1"), 36, Abilities(uneven_experts="slots"))
    288
    """
    if not model.is_moe:
        return 0
    return model.experts if can.uneven_experts == "as they are" else -(-model.experts // ep) * ep


BATCH_RATIO = 1.09  # of one batch to the next, beyond the small ones


def batches(largest: int, dense: int = 16, ratio: float = BATCH_RATIO) -> FloatArray:
    """Batch sizes per attention rank to try: every one up to `dense`, then in small steps.

    >>> batches(40, dense=4, ratio=1.5).tolist()
    [1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0, 30.0, 40.0]
    """
    grid = [float(b) for b in range(1, min(dense, largest) + 1)]
    b = float(dense)
    while b < largest:
        b *= ratio
        grid.append(min(round(b), largest))
    return distinct(np.array(grid, dtype=float))


def chunk_counts(isl: int, smallest: int = 256) -> FloatArray:
    """Numbers of equal chunks to cut a prompt into: chunks from the whole prompt down to `smallest`.

    >>> chunk_counts(4096, 512).tolist()
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0]
    """
    counts = [2**i * odd for i in range(24) for odd in (1, 3)]
    return np.array(sorted(c for c in counts if c == 1 or isl / c >= smallest), dtype=float)
