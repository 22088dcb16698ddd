"""One forward pass = the sum of its operators, with the breakdown.

A pass has parts that depend on different things, so that a sweep over layouts x batch x chunk
computes each only where it differs. `shared`, `prefill_core` and `decode_core` know of a layout only
its attention TP; `experts` its whole stage; `pace` the pipeline. Arrays broadcast: layouts, batch
and chunk on their own axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from planner.arrays import BoolArray, FloatArray, Real, distinct
from planner.inputs.engine import Abilities, EngineProfile
from planner.inputs.model import Ffn, ModelSpec
from planner.inputs.precision import BF16_BYTES, FORMATS, Format
from planner.simulate import encode, linears
from planner.simulate.memory import stage_share
from planner.simulate.operators import collectives, gemm, moe
from planner.simulate.operators.attention import kinds
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.roofline import NOTHING, Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.space import Layouts
from planner.values import dataclass
from planner.words import Exchange, Vendor

BF16 = FORMATS["bf16"]
# Activations that small fused kernels read and write per token, in units of the hidden width:
# two residual-and-norm pairs (read residual and input, write both), and the gated activation.
SMALL_KERNEL_WIDTHS = 10.0
EXCHANGE = "exchange"  # the part that interleaved batches hide


@dataclass(slots=True)
class Ledger:
    """Times of all layers of one pass, by part; `head` comes once per pass, outside the layers."""

    parts: dict[str, Cost]
    head: Cost = NOTHING
    halved: bool = False  # it is of batches that run in two halves (see `hide_exchange`)

    def add(self, part: str, cost: Cost, times: float = 1.0) -> None:
        """Enter `times` occurrences of an operator."""
        entry = cost if times == 1.0 else cost * times
        self.parts[part] = self.parts[part] + entry if part in self.parts else entry

    def add_layers(self, parts: Mapping[str, Cost], layers: int) -> None:
        """Enter what one layer costs, by part, for `layers` alike."""
        for part, cost in parts.items():
            self.add(part, cost, layers)

    def __add__(self, other: Ledger) -> Ledger:
        joint = Ledger(dict(self.parts), self.head + other.head)
        for part, cost in other.parts.items():
            joint.add(part, cost)
        return joint

    def layers(self) -> Cost:
        """All layers together."""
        kept, moved = self.apart()
        return kept + moved

    def apart(self) -> tuple[Cost, Cost]:
        """All layers in two: what the GPUs work, and the traffic to experts and back."""
        total = NOTHING
        for part, cost in self.parts.items():
            total = total if part == EXCHANGE else total + cost
        return total, self.parts.get(EXCHANGE, NOTHING)


def _multiply(
    setup: Setup,
    ledger: Ledger,
    part: str,
    found: Iterable[Linear],
    tokens: Real,
    times: float,
    graph: bool,
) -> None:
    for lin in found:
        fmt: Format = BF16 if lin.always_bf16 else setup.precision.gemm
        ledger.add(part, gemm.gemm(setup.machine, fmt, tokens, lin.n, lin.k, graph=graph), times)


def shared(setup: Setup, tp: Real, tokens: Real, sequences: Real, *, graph: bool) -> Ledger:
    """All that sees only tokens and the attention TP width: everything but caches and experts.

    Parameters
    ----------
    tp
        Attention tensor-parallel width.
    tokens
        Tokens in the pass per attention rank.
    sequences
        Sequences per attention rank that need a next token (rows of the output projection).
    graph
        The pass is replayed from a CUDA graph, as decode steps are: launches cost the host nothing.
    """
    model, machine = setup.model, setup.machine
    ledger = Ledger({})
    mixing = kinds.layers(model)
    residual = BF16_BYTES * model.hidden * tokens  # bytes of the hidden states of one rank
    for layer in mixing:
        found = layer.matrices(model.hidden, tp)
        _multiply(setup, ledger, "projections", found, tokens, layer.layers, graph)
    for f in model.ffn:
        found = linears.feed_forward(f, model.hidden, tp)
        _multiply(setup, ledger, "feed-forward", found, tokens, f.layers, graph)
    # attention ends in an all-reduce over its TP group, a dense layer in another
    mixed = sum(layer.layers for layer in mixing)
    reduced = mixed + sum(f.layers for f in model.ffn if f.kind == "dense")
    ledger.add("collectives", collectives.all_reduce(machine, residual, tp), reduced)
    # a layer is a mixing and a feeding half; hybrids publish halves as layers of their own
    halves = mixed + sum(f.layers for f in model.ffn if f.kind != "none")
    small = gemm.elementwise(machine, SMALL_KERNEL_WIDTHS * residual)
    ledger.add("small kernels", small, halves / 2)
    ledger.add("host", Cost(machine.engine.layer_s, 0.0), halves / 2)
    for layer in mixing:
        ledger.add_layers(layer.beside(setup, tp, tokens), layer.layers)
    lin = linears.head(model, tp)
    ledger.head = gemm.gemm(machine, BF16, sequences, lin.n, lin.k, graph=graph)
    return ledger


def experts(
    setup: Setup, stage: Layouts, exchange: Exchange, tokens: Real, too_many: BoolArray | bool = False
) -> Ledger:
    """Routed experts of all layers and the traffic to them; nothing for a dense model.

    Whole experts on ranks with attention DP get their tokens as is faster: by an all-to-all, where the engine
    has one that reaches them (`Abilities.all_to_all`), or gathered, of which a rank then picks its own.
    Batches that run in halves keep the all-to-all, as engines run them; of instances that are launched once
    for two kinds of passes it is told (`Setup.gathers`).

    Parameters
    ----------
    stage
        Layouts of one exchange kind (pipeline depth does not matter here).
    exchange
        How tokens reach their experts, see `Layouts.exchange`.
    tokens
        Tokens in the pass per attention rank.
    too_many
        Where the pass has more tokens than the engine's all-to-all takes (see `fits_dispatch`).
    """
    ledger = Ledger({})
    for f in setup.model.ffn:
        if f.kind != "moe":
            continue
        routed, moved = _routed(setup, f, stage, exchange, tokens, too_many)
        ledger.add("experts", routed, f.layers)
        ledger.add(EXCHANGE, moved, f.layers)
    return ledger


def _routed(
    setup: Setup, f: Ffn, stage: Layouts, exchange: Exchange, tokens: Real, too_many: BoolArray | bool
) -> tuple[Cost, Cost]:
    """One layer's routed experts, and the traffic to them as the engine takes it; arguments of `experts`."""
    told = setup.gathers
    if exchange != "all-to-all" or (told is not None and not np.any(told)):
        return _exchanged(setup, f, stage, exchange, tokens)
    gathered = _exchanged(setup, f, stage, "gathered", tokens)
    if told is not None and np.all(told):
        return gathered
    sent = _exchanged(setup, f, stage, exchange, tokens)
    where = _gathered(setup, stage, sent, gathered) | too_many if told is None else np.asarray(told)
    return _either(where, gathered[0], sent[0]), _either(where, gathered[1], sent[1])


def taken(
    setup: Setup, stage: Layouts, exchange: Exchange, tokens: Real, too_many: BoolArray | bool = False
) -> Exchange:
    """How a pass of one layout takes tokens to their experts; arguments as of `experts`."""
    for f in setup.model.ffn:
        if f.kind == "moe" and exchange == "all-to-all":
            if setup.gathers is not None:
                return "gathered" if np.all(setup.gathers) else exchange
            either = (_exchanged(setup, f, stage, way, tokens) for way in (exchange, "gathered"))
            if np.all(_gathered(setup, stage, *either) | too_many):
                return "gathered"
    return exchange


def fits_dispatch(engine: EngineProfile, batch: Real, queries: float) -> BoolArray:
    """Where a decode step of `batch` sequences, `queries` tokens each, fits into the engine's all-to-all."""
    most = engine.can.dispatched_tokens
    return np.asarray(np.ceil(batch) * queries <= most if most else np.full(np.shape(batch), True))


def _gathered(
    setup: Setup, stage: Layouts, sent: tuple[Cost, Cost], gathered: tuple[Cost, Cost]
) -> BoolArray:
    """Where tokens are gathered, (experts, traffic) each: where that is faster, or the engine has no more.

    Batches in halves keep the all-to-all.
    """
    faster = sum(cost.seconds for cost in gathered) < sum(cost.seconds for cost in sent)
    return np.asarray((faster & ~in_halves(setup, stage, "all-to-all")) | ~reached(setup, stage))


def reached(setup: Setup, stage: Layouts) -> BoolArray:
    """The layouts between whose ranks the engine has an all-to-all."""
    has, fabric = setup.machine.engine.can.all_to_all, setup.machine.fabric
    largest = fabric.scale_up_gpus
    inside, beyond = (collectives.reach(fabric, gpus) in has for gpus in (largest, largest + 1))
    return np.where(stage.stage_gpus > largest, beyond, inside)


def _either(first: BoolArray, one: Cost, other: Cost) -> Cost:
    """The cost `one` where `first`, else the `other`."""
    return Cost(
        np.where(first, one.seconds, other.seconds),
        np.where(first, one.light_s, other.light_s),
    )


def either(first: BoolArray, one: Ledger, other: Ledger) -> Ledger:
    """Passes that cost `one` where `first`, else the `other`: of the same parts."""
    return Ledger({part: _either(first, cost, other.parts[part]) for part, cost in one.parts.items()})


def _exchanged(setup: Setup, f: Ffn, stage: Layouts, exchange: Exchange, tokens: Real) -> tuple[Cost, Cost]:
    """One layer's routed experts, and the traffic to them by one kind of exchange."""
    machine, fmt = setup.machine, setup.precision.moe
    width = f.latent or setup.model.hidden
    group = tokens * stage.attention_dp
    routed = moe.grouped_gemm(
        machine,
        fmt,
        moe.Experts(hidden=width, width=f.width, matrices=f.matrices, topk=f.topk, count=f.experts),
        group,
        tp=stage.moe_tp,
        ep=stage.moe_ep,
        skew=setup.skew,
        evened=exchange != "replicated",
        dispatched=exchange == "all-to-all",
    )
    if exchange == "replicated":
        return routed, collectives.all_reduce(machine, BF16_BYTES * width * tokens, stage.tp)
    if exchange == "all-to-all":
        # the ranks of an attention TP group hold the same tokens: each sends its share
        sent = tokens / stage.tp
        gpus = stage.stage_gpus
        there, back = (
            collectives.Exchanged(tokens=sent, hidden=width, topk=f.topk, bytes_per_element=size)
            for size in (fmt.activation_bytes, BF16_BYTES)
        )
        moved = collectives.dispatch(machine, there, gpus) + collectives.combine(machine, back, gpus)
        return routed, moved + collectives.all_gather(machine, BF16_BYTES * width * tokens, stage.tp)
    gathered = fmt.activation_bytes * width * group
    moved = collectives.all_gather(machine, gathered, stage.stage_gpus)
    return routed, moved + collectives.reduce_scatter(machine, BF16_BYTES * width * group, stage.stage_gpus)


def in_halves(setup: Setup, at: Layouts, exchange: Exchange, too_many: BoolArray | bool = False) -> BoolArray:
    """Which layouts may run their batches in two halves: those that dispatch tokens beyond the domain.

    Where the engine has a flag for it and knows the model. Within a domain the exchange is too short to pay
    for reading all weights twice. Instances that compute prompts and decode do not: all ranks must have
    passes of one kind at a time. Arguments as of `experts`.
    """
    if exchange != "all-to-all" or setup.gathers is not None or not _cut_in_two(setup):
        return np.zeros(at.tp.shape, dtype=bool)
    beyond = reached(setup, at) & (at.stage_gpus > setup.machine.fabric.scale_up_gpus)
    return np.asarray(beyond & ~np.asarray(too_many))


def _cut_in_two(setup: Setup) -> bool:
    return cuts_in_two(setup.machine.engine.can, setup.machine.vendor, setup.model)


def cuts_in_two(can: Abilities, vendor: Vendor, model: ModelSpec) -> bool:
    """Whether an engine has a flag to run batches of a model in halves."""
    known = can.two_batch_models
    if vendor not in can.two_batches:
        return False
    layers = [a for a in model.attention if a.kind != "none"]
    return not known or all(a.kind in known.get(model.family, ()) and a.fold == 1 for a in layers)


def second_reading(setup: Setup, stage: Layouts, exchange: Exchange) -> Cost:
    """What a second pass costs before its tokens: weights and launches of all layers."""
    beside = shared(setup, stage.tp, 1.0, 1.0, graph=True).layers()
    return beside + experts(setup, stage, exchange, 1.0).apart()[0]


def overlapped(work: Cost, moved: Cost, second: Cost, split: BoolArray) -> Cost:
    """All layers of a batch that runs as two halves where `split` and that is faster, else as one.

    ``min(work + moved, max(work + second, moved))``: while one half is on the wire the other computes,
    and `second` (see `second_reading`) is what the second reading of all weights adds. Light is the longer of
    the two, whichever way it runs.
    """
    halves = np.maximum(work.seconds + second.seconds, moved.seconds)
    whole = work.seconds + moved.seconds
    return Cost(
        np.where(split, np.minimum(whole, halves), whole),
        np.where(split, np.maximum(work.light_s, moved.light_s), work.light_s + moved.light_s),
    )


def hide_exchange(
    setup: Setup, at: Layouts, exchange: Exchange, ledger: Ledger, too_many: BoolArray | bool = False
) -> Ledger:
    """The ledger of a pass of layouts `at` with what `overlapped` leaves to be seen of its exchange.

    Other arguments as of `experts`.
    """
    split = in_halves(setup, at, exchange, too_many)
    if split.any():
        work, moved = ledger.apart()
        whole = overlapped(work, moved, second_reading(setup, at, exchange), split)
        seen = whole.seconds - work.seconds
        ledger.halved = bool(np.all(seen < moved.seconds))
        ledger.parts[EXCHANGE] = Cost(seen, np.minimum(whole.light_s - work.light_s, seen))
    return ledger


def prefill_core(setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Ledger:
    """Attention of `new` prompt tokens of each of `sequences` sequences on top of `past` cached ones.

    Images that are encoded in place come with the tokens: so many with each.
    """
    ledger = Ledger({})
    for layer in kinds.layers(setup.model):
        ledger.add_layers(layer.prefill(setup, tp, sequences, new, past), layer.layers)
    if setup.images is not None:
        count = sequences * new * setup.images.per_token
        ledger.add(
            encode.ENCODER, encode.in_place(setup.machine, setup.images, setup.model.hidden, count, tp)
        )
    return ledger


def decode_core(setup: Setup, tp: Real, batch: Real, context: float, queries: int = 1) -> Ledger:
    """Attention of one step: `queries` new tokens of each of `batch` sequences over `context` tokens."""
    ledger = Ledger({})
    for layer in kinds.layers(setup.model):
        ledger.add_layers(layer.decode(setup, tp, batch, context, queries), layer.layers)
    return ledger


def pace(
    setup: Setup,
    at: Layouts,
    layers: Cost,
    head: Cost,
    tokens: Real,
    sequences: Real,
    stretch: float = 1.0,
) -> Cost:
    """Time that one batch occupies the slowest pipeline stage, which sets the rate of a full pipeline.

    The fullest stage has ``ceil(layers / pp)`` layers; the head is one more load to balance. Each
    stage hands its hidden states on, and each pass has its host overhead: a scheduler looks through all
    requests that it has in flight, those of the other stages' batches too. `stretch` is the engine's time for
    a pass over the sum of its kernels.
    """
    engine = setup.machine.engine
    share = stage_share(setup.model.layers, at.pp)
    even = 1.0 / at.pp
    taken = np.maximum(layers.seconds * share, (layers.seconds + head.seconds) * even)
    if stretch != 1.0:
        taken = taken * stretch
    if np.any(at.pp > 1):
        taken = taken + _handing_on_s(setup, at, tokens)
    return Cost(
        taken + (engine.step_s + engine.request_s * sequences * at.pp),
        np.maximum(layers.light_s * share, (layers.light_s + head.light_s) * even)
        if setup.machine.light
        else 0.0,
    )


def _handing_on_s(setup: Setup, at: Layouts, tokens: Real) -> FloatArray:
    """Time to bring the hidden states of a pass to the next stage; none where there is but one.

    Each rank of a stage hands its share to its peer. Layouts of one TP width differ only in whether that is
    within the domain: each such case is computed once, where tokens are no layout's own.
    """
    across = at.gpus > setup.machine.fabric.scale_up_gpus
    if np.ndim(tokens) and np.shape(tokens)[0] > 1:
        own = BF16_BYTES * setup.model.hidden * tokens / at.tp
        return np.asarray(collectives.send(setup.machine, own, across).seconds * (at.pp > 1))
    own_case = (4 * at.tp + 2 * across + (at.pp > 1)).ravel()
    cases = distinct(own_case)
    of_case = np.searchsorted(cases, own_case)
    cases = cases.reshape(-1, *(1,) * (at.tp.ndim - 1))
    moved = BF16_BYTES * setup.model.hidden * tokens / (cases // 4)
    sent = collectives.send(setup.machine, moved, cases // 2 % 2).seconds * (cases % 2)
    return np.asarray(sent[of_case])
