"""What fits: bytes of weights, cache and activations on the fullest GPU of an instance."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from planner.arrays import BoolArray, FloatArray, Real
from planner.inputs.model import Ffn, ModelSpec
from planner.inputs.precision import BF16_BYTES, Precision
from planner.simulate import linears
from planner.simulate.operators.attention import kinds
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.machine import Machine
from planner.simulate.space import Layouts
from planner.values import dataclass

LOGIT_BYTES = 2.0 + 4.0 + 4.0 + 4.0 + 8.0  # of a word of the vocabulary: see `reserve_bytes`
LARGE_GPU_BYTES = 70 * 2.0**30  # smaller GPUs start with a quarter of the sequences (vLLM: 1024, then 256)
STAGGER_SIGMAS = 3.0  # capacity for the sum of output lengths so far, in standard deviations


def stage_share(layers: int, pp: Real) -> Real:
    """Share of the layers on the fullest pipeline stage.

    >>> float(stage_share(61, 32.0) * 61)
    2.0
    """
    return np.ceil(layers / pp) / layers


def _weights(found: Iterable[Linear], precision: Precision) -> Real:
    """Bytes of matrices on one GPU; their biases, below 0.1 %, are left out."""
    total: Real = 0.0
    for lin in found:
        per = BF16_BYTES if lin.always_bf16 else precision.gemm.weight_bytes
        total = total + per * (lin.n * lin.k)
    return total


def _feed_forward_bytes(f: Ffn, hidden: int, precision: Precision, at: Layouts) -> Real:
    """One feed-forward layer on the fullest GPU of a stage."""
    held = np.ceil(f.experts / at.moe_ep) / at.moe_tp
    one = sum(lin.n * lin.k for lin in linears.expert(f, hidden))
    beside = _weights(linears.feed_forward(f, hidden, at.tp), precision)
    return beside + precision.moe.weight_bytes * one * held


def prediction_bytes(model: ModelSpec, precision: Precision, at: Layouts, mtp: int) -> Real:
    """What `mtp` drafted tokens a step add to the weights of a GPU: the prediction heads that make them.

    A head is a layer of the model's last kind, sharded as those are, and a projection that joins two
    hidden states. A model has `mtp_layers` of them; the last drafts all tokens beyond (DeepSeek-V3 has
    one, which engines run again for each token).
    """
    mixing, feeding = linears.prediction_head(model)
    head = _weights([linears.joining(model, at.tp)], precision)
    for layer in mixing:
        head = head + _weights(layer.matrices(model.hidden, at.tp), precision)
    for f in feeding:
        head = head + _feed_forward_bytes(f, model.hidden, precision, at)
    return min(mtp, model.mtp_layers) * head


def drafter(model: ModelSpec, mtp: int) -> float:
    """What a draft model beside one without prediction heads makes of its weights and its cache."""
    return 1.0 + model.draft_share if mtp and not model.mtp_layers else 1.0


def weight_bytes(model: ModelSpec, precision: Precision, at: Layouts, mtp: int = 0) -> FloatArray:
    """Weights on the fullest GPU: the fullest stage's layers, embedding or head, prediction heads.

    Experts that do not divide the EP width leave one more on the fullest rank. `mtp` is the number of
    drafted tokens, see `prediction_bytes` and `drafter`.
    """
    layers: Real = 0.0
    for layer in kinds.layers(model):
        layers = layers + layer.layers * _weights(layer.matrices(model.hidden, at.tp), precision)
    for f in model.ffn:
        layers = layers + f.layers * _feed_forward_bytes(f, model.hidden, precision, at)
    table = BF16_BYTES * model.vocab * model.hidden / at.tp
    ends = np.where((at.pp > 1) | model.tied_embeddings, 1.0, 2.0)
    held = layers * stage_share(model.layers, at.pp) + table * ends
    if model.lookup_params:
        held = held + model.lookup_bytes * model.lookup_params / at.stage_gpus
    if mtp:
        held = held * drafter(model, mtp) + prediction_bytes(model, precision, at, mtp)
    return np.asarray(held + model.beside_bytes if model.beside_bytes else held)


def kv_bytes(model: ModelSpec, precision: Precision, at: Layouts, tokens: Real) -> Real:
    """Cache of ONE sequence of `tokens` tokens on each GPU of its rank (fullest stage).

    Bytes; sliding windows stop growing, linear attention holds a state of fixed size.
    """
    total: Real = 0.0
    for layer in kinds.layers(model):
        total = total + layer.layers * layer.cache_bytes(precision, at.tp, tokens)
    return total * stage_share(model.layers, at.pp)


def distinct_kv_bytes(model: ModelSpec, precision: Precision, tokens: float) -> float:
    """Cache of one sequence counted once, however many GPUs hold copies: what a transfer moves."""
    return sum(layer.layers * float(layer.cache_bytes(precision, 1, tokens)) for layer in kinds.layers(model))


def growing_kv_bytes(model: ModelSpec, precision: Precision) -> float:
    """Cache that one token more adds to a long context, counted once: beyond windows, without states.

    >>> from planner.inputs.catalog import load
    >>> from planner.inputs.precision import FORMATS
    >>> fp8 = Precision(gemm=FORMATS["fp8"], moe=FORMATS["fp8"], kv="fp8")
    >>> growing_kv_bytes(load().model("deepseek-v3.2"), fp8)  # 61 layers of 656 + 132
    48068.0
    """
    long = 2.0**40
    return (distinct_kv_bytes(model, precision, 2 * long) - distinct_kv_bytes(model, precision, long)) / long


def token_bytes(model: ModelSpec, at: Layouts, *, worst_routing: bool = False) -> FloatArray:
    """Peak of live activations for each token of a pass per attention rank, bf16.

    The residual, its normalised copy, and the widest intermediate of any layer. Tokens at the
    experts are those routed to one GPU of the stage, in and out, or where `worst_routing` all of them.
    """
    widest: Real = 0.0
    for layer in kinds.layers(model):
        widest = np.maximum(widest, sum(lin.n for lin in layer.matrices(model.hidden, at.tp)))
    for f in model.ffn:
        if f.kind == "dense":
            widest = np.maximum(widest, f.matrices * f.width / at.tp)
        elif f.kind == "moe":
            # token-expert pairs at a GPU: those of its own stage, over the EP ranks
            pairs = f.topk * at.attention_dp / (1 if worst_routing else at.moe_ep)
            inner = f.matrices * f.width / at.moe_tp + 2 * (f.latent or model.hidden)
            widest = np.maximum(widest, pairs * inner)
    return np.asarray(BF16_BYTES * (2.0 * model.hidden + widest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What has to hold on a GPU: ``weights + cache / cache_share + live <= total_bytes``.

    Where activations have a part of their own, they count against that alone: ``live <= live_bytes``.
    """

    total_bytes: float
    cache_share: float = 1.0
    live_bytes: float = math.inf  # inf: activations share the room of weights and cache

    def held(self, weights: Real, cache: Real) -> Real:
        """What weights and cache take of the room."""
        return weights + (cache if self.cache_share == 1.0 else cache * (1.0 / self.cache_share))

    def fits(self, held: Real, live: Real) -> BoolArray:
        """Whether activations of `live` bytes have a place beside what is held."""
        if math.isinf(self.live_bytes):
            return np.asarray(held + live <= self.total_bytes)
        return np.asarray((held <= self.total_bytes) & (live <= self.live_bytes))

    def cache_bytes(self, weights: float, live: float) -> float:
        """The cache that an engine makes of the rest: the pool that it logs."""
        taken = weights + (live if math.isinf(self.live_bytes) else 0.0)
        return max((self.total_bytes - taken) * self.cache_share, 0.0)


def room(machine: Machine, model: ModelSpec) -> Room:
    """What an engine lets weights, cache and activations fill of a GPU; f is its memory fraction.

    everything           weights + cache + activations <= f memory - reserve (vLLM)
    weights and cache    weights + cache <= f (memory - reserve), activations the rest of it (SGLang)
    cache                cache <= f (memory - reserve - weights - activations) (TensorRT-LLM)

    Room for logits and samples of all sequences that may come is part of the reserve.
    """
    engine = machine.engine
    share, memory = engine.memory_fraction, machine.gpu.memory_bytes
    reserve = reserve_bytes(machine, model)
    if engine.memory_rule == "everything":
        return Room(total_bytes=share * memory - reserve)
    free = memory - reserve
    if engine.memory_rule == "cache":
        return Room(total_bytes=free, cache_share=share)
    return Room(total_bytes=share * free, live_bytes=(1.0 - share) * free)


def reserve_bytes(machine: Machine, model: ModelSpec) -> float:
    """What an engine keeps of a GPU for itself, and for the logits of a model's whole batch.

    For each sequence and word: logits in bf16 and in float32, probabilities, and both sorted with their
    order, as a sampler with top-k or top-p holds them.
    """
    engine = machine.engine
    rows = engine.logit_rows if machine.gpu.memory_bytes >= LARGE_GPU_BYTES else engine.logit_rows / 4
    return engine.reserve_bytes + rows * model.vocab * LOGIT_BYTES


def decode_tokens(batch: Real, isl: float, osl: float, *, whole: bool = False) -> Real:
    """Tokens of cache that `batch` sequences at random points of their output take.

    Mean ``batch (isl + osl / 2)`` plus three standard deviations of a sum of uniforms, never more
    than all of them at their full length; that where an engine keeps room for it (`whole`).

    >>> float(decode_tokens(1.0, 1000, 500)), round(float(decode_tokens(256.0, 1000, 500)) / 256)
    (1500.0, 1277)
    """
    if whole:
        return batch * (isl + osl)
    spread = STAGGER_SIGMAS * osl / math.sqrt(12.0) * np.sqrt(batch)
    return np.minimum(batch * (isl + osl / 2) + spread, batch * (isl + osl))


def largest_batch(
    machine: Machine,
    model: ModelSpec,
    precision: Precision,
    at: Layouts,
    *,
    isl: int,
    osl: int,
    mtp: int = 0,
    live: Real = 0.0,
) -> FloatArray:
    """Sequences that an attention rank holds at most: an upper bound, and what the engine takes.

    Ignores stagger, and activations beyond `live` bytes, so the exact check still has to be made point by
    point.
    """
    at_most = room(machine, model)
    beside = weight_bytes(model, precision, at, mtp) + (live if math.isinf(at_most.live_bytes) else 0.0)
    free = (at_most.total_bytes - beside) * at_most.cache_share
    length = isl + osl if machine.engine.whole_lengths else isl + osl / 2
    one = np.maximum(np.asarray(kv_bytes(model, precision, at, length)), 1.0)
    return np.asarray(np.clip(np.floor(free / one), 0, machine.engine.max_batch))
