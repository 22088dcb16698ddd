"""Attention kernels: prefill and decode, grouped-query (GQA) and multi-head latent (MLA).

Head counts are one GPU's. Products of activations run at the rate of the KV cache's format, so the
speed of light of an fp8 cache is that of the fp8 tensor cores. Times per row are in seconds, not in
bytes over bandwidth: fitted to H100 and H200, which differ in HBM alone, they agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES, KV_BYTES, KV_RATES
from planner.simulate.operators.attention.sparse import indexer, sparse_mla
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.gemm import peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max

__all__ = ("decode", "indexer", "mla_decode", "mla_prefill", "prefill", "sparse_mla")

PREFILL, DECODE = "attention_prefill", "attention_decode"
MLA_PREFILL, MLA_DECODE = "mla_prefill", "mla_decode"

# Reading a long cached prefix during prefill: what decode kernels reach (0.83 to 0.89 of bandwidth).
CACHE_READ_SHARE = 0.85
# Beyond this many query heads per KV head TensorRT-LLM leaves the tensor-core decode kernel.
WIDEST_GROUP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillConstants:
    """Causal attention over many query tokens."""

    compute: float = share(0.6)  # of the tensor-core peak
    floor_s: float = seconds(1e-5)
    # softmax and bookkeeping per score, counted as head dimensions: exponentials do not shrink with them
    score_dims: float = bounded(0.1, 1000.0, 50.0)
    score_pad: float = bounded(0.1, 3000.0, 50.0)  # scores per query beyond the causal ones (diagonal blocks)
    window_pad: float = bounded(0.1, 1000.0, 50.0)  # the same where a sliding window cuts
    tail_rows: float = bounded(0.1, 5000.0, 100.0)  # query rows per SM that the last wave still computes
    query_s: float = bounded(1e-13, 1e-8, 2e-10)  # per token and query head: rotary, output
    key_s: float = bounded(1e-14, 1e-7, 1e-10)  # per token and KV head: cache write, conversion
    sequence_rows: float = bounded(0.01, 500.0, 16.0)  # rows that pad a sequence to its last tile


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConstants:
    """Attention of one or a few query tokens per sequence over its cache."""

    memory: float = share(0.85)  # of HBM bandwidth, reading the cache
    serial: float = serial(0.2)  # share of the shorter of reading and row work that does not hide
    floor_s: float = seconds(9e-6)
    query_s: float = bounded(1e-13, 1e-7, 2e-10)  # per sequence and query head
    sequence_s: float = bounded(1e-13, 1e-6, 1e-8)  # per sequence and KV head: one block's own latency
    split_s: float = bounded(1e-10, 1e-5, 3e-8)  # per square root of context: split over SMs and merged
    token_s: float = bounded(1e-14, 1e-7, 1e-11)  # per token of context where it is not split
    window_leak: float = bounded(1e-4, 1.0, 0.01)  # share of the tokens beyond a window that are still read
    wide_query_s: float = bounded(1e-13, 1e-6, 1e-9)  # per sequence and query head in groups beyond 32
    wide_score_s: float = bounded(1e-14, 1e-8, 1e-12)  # the same, per token of context


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentConstants:
    """Absorbed MLA: every head scores the same latent, so it computes as much as it reads."""

    compute: float = share(0.6)
    memory: float = share(0.85)
    serial: float = serial(0.2)
    floor_s: float = seconds(1e-5)
    pad_heads: float = bounded(0.01, 200.0, 8.0)  # heads that pad a tile of queries
    query_s: float = bounded(1e-13, 1e-7, 5e-10)
    sequence_s: float = bounded(1e-13, 1e-6, 3e-8)
    split_s: float = bounded(1e-10, 1e-5, 5e-8)
    token_s: float = bounded(1e-14, 1e-7, 1e-11)


def prefill(
    machine: Machine,
    kv: str,
    sequences: Real,
    new: Real,
    past: Real,
    heads: Real,
    kv_heads: Real,
    head_dim: Real,
    v_dim: Real,
    window: Real = 0,
) -> Cost:
    """Causal attention of `new` tokens in each of `sequences` sequences on top of `past` cached ones.

    ``pairs = sequences new (past + new/2)``, less where a `window` > 0 caps what a query sees;
    ``FLOPs = 2 heads (head_dim + v_dim) pairs``. The kernel computes `score_pad` more scores per
    query, its last wave as many rows as `tail_rows` on every SM, and each score costs `score_dims`
    dimensions more than the products alone.

    Parameters
    ----------
    machine, kv
        Where it runs; "bf16", "fp8" or "fp4", the format of the cache.
    sequences, new, past
        Sequences in the batch, query tokens of each, tokens each has in its cache.
    heads, kv_heads, head_dim, v_dim
        Of this GPU's shard; dimensions of queries and keys, and of values.
    window
        Tokens a query attends at most; 0: all.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(attention_prefill=dict(compute=0.6, floor_s=1e-5, score_dims=0.0, score_pad=0.0,
    ...     window_pad=0.0, tail_rows=0.0, query_s=0.0, key_s=0.0, sequence_rows=0.0))
    >>> cost = prefill(machine, "bf16", 1, 8192, 0, 64, 8, 128, 128)
    >>> round(float(cost.seconds) * 1e3, 2), round(float(cost.light_s) * 1e3, 2)
    (1.86, 1.11)
    """
    return _prefill(machine, PREFILL, kv, sequences, new, past, heads, kv_heads, head_dim, v_dim, window)


def mla_prefill(
    machine: Machine,
    kv: str,
    sequences: Real,
    new: Real,
    past: Real,
    heads: Real,
    qk_dim: Real,
    v_dim: Real,
) -> Cost:
    """The core of MLA in prefill: keys and values expanded from the latent, one per head.

    Attention with as many KV heads as heads; the up-projection of the latent is a GEMM apart.
    Parameters and result as in `prefill`.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(mla_prefill=dict(compute=0.6, floor_s=1e-5, score_dims=0.0, score_pad=0.0,
    ...     window_pad=0.0, tail_rows=0.0, query_s=0.0, key_s=0.0, sequence_rows=0.0))
    >>> cost = mla_prefill(machine, "bf16", 1, 8192, 0, 128, 192, 128)
    >>> round(float(cost.seconds) * 1e3, 2), round(float(cost.light_s) * 1e3, 2)
    (4.64, 2.78)
    """
    return _prefill(machine, MLA_PREFILL, kv, sequences, new, past, heads, heads, qk_dim, v_dim, 0)


def _prefill(
    machine: Machine,
    operator: str,
    kv: str,
    sequences: Real,
    new: Real,
    past: Real,
    heads: Real,
    kv_heads: Real,
    qk_dim: Real,
    v_dim: Real,
    window: Real,
) -> Cost:
    c = machine.kernels.constants(operator, kv, PrefillConstants)
    peak = peak_flops(machine, KV_RATES[kv])
    dims = qk_dim + v_dim
    tokens = sequences * new
    total = past + new
    if np.ndim(window) == 0 and not window:
        seen: Real = total
        cut: Real = 0.0
        mean = past + 0.5 * new
    else:
        # a share `rising` of the queries sees more than the one before; the others see a full window
        reach = np.where(np.greater(window, 0), window, np.inf)
        seen, before = np.minimum(total, reach), np.minimum(past, reach)
        rising = (seen - before) / new
        mean = seen - 0.5 * rising * (seen - before)
        cut = c.window_pad * (1.0 - rising)
    light_pair = heads * (dims * (2.0 / peak))
    light_compute = tokens * mean * light_pair
    light_memory = (tokens * heads * BF16_BYTES + sequences * seen * kv_heads * KV_BYTES[kv]) * (
        dims / machine.gpu.hbm_bytes_per_s
    )
    pair = (dims + c.score_dims) * (2.0 / (peak * c.compute))
    computed = (tokens * (mean + (cut + c.score_pad)) * heads + seen * (c.tail_rows * machine.gpu.sms)) * pair
    rows = tokens * (c.query_s * heads + c.key_s * kv_heads) + sequences * (
        c.sequence_rows * c.query_s * heads
    )
    taken = np.maximum(computed, light_memory / CACHE_READ_SHARE) + rows + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))


def decode(
    machine: Machine,
    kv: str,
    batch: Real,
    context: Real,
    heads: Real,
    kv_heads: Real,
    head_dim: Real,
    v_dim: Real,
    window: Real = 0,
    queries: Real = 1,
) -> Cost:
    """Attention of `queries` new tokens in each of `batch` sequences over `context` cached ones.

        t_m = batch context kv_heads (head_dim + v_dim) kv_bytes / (memory bandwidth)
        t_r = batch (query_s heads queries + sequence_s kv_heads)
        t   = floor_s + soft_max(t_m, t_r) + split_s sqrt(context) + token_s context

    Parameters as in `prefill`; returns seconds of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(attention_decode=dict(memory=0.85, serial=0.0, floor_s=8e-6, query_s=0.0,
    ...     sequence_s=0.0, split_s=0.0, token_s=0.0, window_leak=0.0, wide_query_s=0.0, wide_score_s=0.0))
    >>> cost = decode(machine, "bf16", 64, 4096, 64, 8, 128, 128)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (271.7, 224.1)
    """
    c = machine.kernels.constants(DECODE, kv, DecodeConstants)
    dims = head_dim + v_dim
    bandwidth = machine.gpu.hbm_bytes_per_s
    if np.ndim(window) == 0 and not window:
        seen = read = context
    else:
        seen = np.minimum(context, np.where(np.greater(window, 0), window, np.inf))
        read = seen + c.window_leak * (context - seen)
    asked = heads * queries
    cache = kv_heads * (dims * (KV_BYTES[kv] / bandwidth))
    vectors = asked * (dims * (BF16_BYTES / bandwidth))
    light_memory = batch * (seen * cache + vectors)
    light_compute = batch * seen * (asked * (dims * (2.0 / peak_flops(machine, KV_RATES[kv]))))
    rows = c.query_s * asked + c.sequence_s * kv_heads
    wide = np.greater(heads, WIDEST_GROUP * kv_heads) * asked
    taken = (
        soft_max(
            np.maximum(batch * (read * cache + vectors) / c.memory, light_compute),
            batch * (rows + wide * (c.wide_query_s + c.wide_score_s * seen)),
            c.serial,
        )
        + c.split_s * np.sqrt(read)
        + c.token_s * read
        + c.floor_s
    )
    return Cost(taken, np.maximum(light_memory, light_compute))


def mla_decode(
    machine: Machine,
    kv: str,
    batch: Real,
    context: Real,
    heads: Real,
    latent: Real,
    rope: Real,
    queries: Real = 1,
) -> Cost:
    """The core of absorbed MLA: all heads of a sequence score one latent of `latent + rope` per token.

        t_m = batch context (latent + rope) kv_bytes / (memory bandwidth)
        t_c = 2 batch context (heads + pad_heads) queries (2 latent + rope) / (compute peak)
        t   = floor_s + soft_max(soft_max(t_m, t_c), t_r) + split_s sqrt(context) + token_s context

    with ``t_r = batch (query_s heads queries + sequence_s)``. Parameters as in `decode`; `latent` is
    kv_lora_rank, `rope` the rotary dimensions.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(mla_decode=dict(compute=0.6, memory=0.9, serial=0.0, floor_s=1e-5, pad_heads=0.0,
    ...     query_s=0.0, sequence_s=0.0, split_s=0.0, token_s=0.0))
    >>> cost = mla_decode(machine, "bf16", 64, 4096, 128, 512, 64)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (133.0, 73.8)
    """
    c = machine.kernels.constants(MLA_DECODE, kv, LatentConstants)
    peak = peak_flops(machine, KV_RATES[kv])
    bandwidth = machine.gpu.hbm_bytes_per_s
    width = latent + rope
    asked = heads * queries
    scored = batch * context
    light_memory = scored * (width * (KV_BYTES[kv] / bandwidth)) + batch * (
        asked * ((width + latent) * (BF16_BYTES / bandwidth))
    )
    flops_s = (width + latent) * (2.0 / peak)
    light_compute = scored * (asked * flops_s)
    computed = scored * ((asked + c.pad_heads * queries) * (flops_s / c.compute))
    taken = (
        soft_max(
            soft_max(light_memory / c.memory, computed, c.serial),
            batch * (c.query_s * asked + c.sequence_s),
            c.serial,
        )
        + c.split_s * np.sqrt(context)
        + c.token_s * context
        + c.floor_s
    )
    return Cost(taken, np.maximum(light_memory, light_compute))
