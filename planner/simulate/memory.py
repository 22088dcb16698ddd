"""What fits: bytes of weights, cache and activations on the fullest GPU of an instance."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from planner.arrays import FloatArray, Real
from planner.inputs.model import Ffn, ModelSpec
from planner.inputs.precision import BF16_BYTES, Precision
from planner.simulate import linears
from planner.simulate.operators.attention import kinds
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.machine import Machine
from planner.simulate.space import Layouts

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


def weight_bytes(model: ModelSpec, precision: Precision, at: Layouts, mtp: int = 0) -> FloatArray:
    """Weights on the fullest GPU: the fullest stage's layers, embedding or head, prediction heads.

    Experts that do not divide the EP width leave one more on the fullest rank. `mtp` is the number of
    drafted tokens, see `prediction_bytes`.
    """
    layers: Real = 0.0
    for layer in kinds.layers(model):
        layers = layers + layer.layers * _weights(layer.matrices(model.hidden, at.tp), precision)
    for f in model.ffn:
        layers = layers + f.layers * _feed_forward_bytes(f, model.hidden, precision, at)
    table = BF16_BYTES * model.vocab * model.hidden / at.tp
    ends = np.where((at.pp > 1) | model.tied_embeddings, 1.0, 2.0)
    held = layers * stage_share(model.layers, at.pp) + table * ends
    return np.asarray(held + prediction_bytes(model, precision, at, mtp) if mtp else held)


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


def token_bytes(model: ModelSpec, at: Layouts) -> FloatArray:
    """Peak of live activations for each token of a pass per attention rank, bf16.

    The residual, its normalised copy, and the widest intermediate of any layer. Tokens at the
    experts are those routed to one GPU of the stage, in and out.
    """
    widest: Real = 0.0
    for layer in kinds.layers(model):
        widest = np.maximum(widest, sum(lin.n for lin in layer.matrices(model.hidden, at.tp)))
    for f in model.ffn:
        if f.kind == "dense":
            widest = np.maximum(widest, f.matrices * f.width / at.tp)
        elif f.kind == "moe":
            # token-expert pairs at a GPU: those of its own stage, over the EP ranks
            pairs = f.topk * at.attention_dp / at.moe_ep
            inner = f.matrices * f.width / at.moe_tp + 2 * (f.latent or model.hidden)
            widest = np.maximum(widest, pairs * inner)
    return np.asarray(BF16_BYTES * (2.0 * model.hidden + widest))


def budget_bytes(machine: Machine) -> float:
    """Memory that weights, cache and activations may fill."""
    return machine.gpu.memory_bytes * machine.engine.memory_fraction - machine.engine.reserve_bytes


def decode_tokens(batch: Real, isl: float, osl: float) -> Real:
    """Cached tokens of `batch` sequences at random points of their output.

    Mean ``batch (isl + osl / 2)`` plus three standard deviations of a sum of uniforms, never more
    than all of them at their full length.

    >>> float(decode_tokens(1.0, 1000, 500)), round(float(decode_tokens(256.0, 1000, 500)) / 256)
    (1500.0, 1277)
    """
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
) -> FloatArray:
    """Sequences per attention rank and stage that surely do not fit any more: an upper bound.

    Ignores activations and stagger, so the exact check still has to be made point by point.
    """
    free = budget_bytes(machine) - weight_bytes(model, precision, at, mtp)
    one = np.maximum(np.asarray(kv_bytes(model, precision, at, isl + osl / 2)), 1.0)
    return np.asarray(np.clip(np.floor(free / one), 0, machine.engine.max_batch))
