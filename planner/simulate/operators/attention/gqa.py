"""Grouped-query attention; multi-head and multi-query are its ends. Layers may have a sliding window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, KV_BYTES, KV_RATES, Precision
from planner.simulate.operators.attention.causal import causal
from planner.simulate.operators.attention.layer import ATTENTION, Heads, Layer, Parts
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.gemm import Linear, elementwise, peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max
from planner.simulate.operators.setup import Setup
from planner.values import dataclass
from planner.words import CacheFormat

if TYPE_CHECKING:
    from typing_extensions import Self

PREFILL, DECODE = "attention_prefill", "attention_decode"

# With more query heads than this per KV head TensorRT-LLM decodes in a kernel without tensor cores.
WIDEST_GROUP = 32


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
class GroupedQuery(Layer):
    """Layers whose query heads share KV heads in groups."""

    head_dim: int
    v_dim: int
    window: int  # tokens a query may look back at; 0 means all
    output_gate: bool  # a gate as wide as the query projection
    shared_kv: bool  # keys serve as values
    reused_kv: bool  # an earlier layer's serve: nothing is projected or cached here
    bias: bool
    qk_norm: bool
    q_lora: int = 0  # width that queries come from (Step3); 0 means hidden

    @classmethod
    def of(cls, row: Attention) -> Self:
        """From a preset's row."""
        return cls(**cls.values(row))

    @classmethod
    def values(cls, row: Attention) -> dict[str, Any]:
        """The fields of a row, by name; kinds with more of them add theirs."""
        return {
            "layers": row.layers,
            "heads": row.heads,
            "kv_heads": row.kv_heads,
            "head_dim": row.head_dim,
            "v_dim": row.value_dim,
            "window": row.window,
            "output_gate": row.output_gate,
            "shared_kv": row.shared_kv,
            "reused_kv": row.reused_kv,
            "bias": row.bias,
            "qk_norm": row.qk_norm,
            "q_lora": row.q_lora,
        }

    @property
    def _kv_dim(self) -> int:
        """Elements of a KV head's projection and of its cache, per token."""
        return self.head_dim + (0 if self.shared_kv else self.v_dim)

    @property
    def kv_elements(self) -> float:
        """Keys and values of all heads."""
        return 0.0 if self.reused_kv else float(self.kv_heads * self._kv_dim)

    @property
    def growing_elements(self) -> float:
        """None beyond a window."""
        return 0.0 if self.window else self.kv_elements

    def shard(self, tp: Real) -> Heads:
        """One GPU's heads; above TP = kv_heads the cache is duplicated."""
        return Heads(
            query=self.heads / tp,
            kv=np.maximum(self.kv_heads / tp, 1.0),
            qk_dim=self.head_dim,
            v_dim=self.v_dim,
            window=self.window,
        )

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Queries (their gate), keys and values in one; output."""
        heads = self.shard(tp)
        query = heads.query * self.head_dim * (2 if self.output_gate else 1)
        cached = 0.0 if self.reused_kv else heads.kv * self._kv_dim
        first = self.q_lora or query  # every GPU makes what all its queries come from
        factor = [Linear("q_b", query, self.q_lora)] if self.q_lora else []
        return [
            Linear("qkv", first + cached, hidden, bias=self.bias),
            *factor,
            Linear("o", hidden, heads.query * self.v_dim, bias=self.bias),
        ]

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """Keys and values of the shard's heads, of the window where there is one."""
        if self.reused_kv:
            return 0.0 * tp * tokens
        kept = np.minimum(tokens, self.window) if self.window else tokens
        return self.shard(tp).kv * self._kv_dim * precision.kv_bytes * kept

    def beside(self, setup: Setup, tp: Real, tokens: Real) -> Parts:
        """Norms of queries and keys: each read and written once; the engine counts the kernels."""
        if not self.qk_norm:
            return {}
        heads = self.shard(tp)
        normed = elementwise(
            setup.machine, 2 * BF16_BYTES * self.head_dim * (heads.query + heads.kv) * tokens
        )
        return {"small kernels": normed, "host": Cost(setup.machine.engine.qk_norm_s, 0.0)}

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """See `prefill`."""
        cost = prefill(setup.machine, setup.precision.kv, self.shard(tp), sequences, new, past)
        return {ATTENTION: cost}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """See `decode`."""
        cost = decode(setup.machine, setup.precision.kv, self.shard(tp), batch, context, queries)
        return {ATTENTION: cost}


def prefill(machine: Machine, kv: CacheFormat, heads: Heads, sequences: Real, new: Real, past: Real) -> Cost:
    """The kernel of prefill, see `causal.causal`.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(attention_prefill=dict(compute=0.6, floor_s=1e-5, score_dims=0.0, score_pad=0.0,
    ...     window_pad=0.0, tail_rows=0.0, query_s=0.0, key_s=0.0, sequence_rows=0.0))
    >>> cost = prefill(machine, "bf16", Heads(query=64, kv=8, qk_dim=128, v_dim=128), 1, 8192, 0)
    >>> round(float(cost.seconds) * 1e3, 2), round(float(cost.light_s) * 1e3, 2)
    (1.86, 1.11)
    """
    return causal(machine, PREFILL, kv, heads, sequences, new, past)


def decode(
    machine: Machine, kv: CacheFormat, heads: Heads, batch: Real, context: Real, queries: Real = 1
) -> Cost:
    """Attention of `queries` new tokens in each of `batch` sequences over `context` cached ones.

        t_m = batch context kv_heads (qk_dim + v_dim) kv_bytes / (memory bandwidth)
        t_r = batch (query_s heads queries + sequence_s kv_heads)
        t   = floor_s + soft_max(t_m, t_r) + split_s sqrt(context) + token_s context

    Parameters
    ----------
    machine, kv
        Where it runs; "bf16", "fp8" or "fp4", the format of the cache.
    heads
        Of this GPU's shard.
    batch, context, queries
        Sequences, tokens each has in its cache, new tokens of each.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(attention_decode=dict(memory=0.85, serial=0.0, floor_s=8e-6, query_s=0.0,
    ...     sequence_s=0.0, split_s=0.0, token_s=0.0, window_leak=0.0, wide_query_s=0.0, wide_score_s=0.0))
    >>> cost = decode(machine, "bf16", Heads(query=64, kv=8, qk_dim=128, v_dim=128), 64, 4096)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (271.7, 224.1)
    """
    c = machine.kernels.constants(DECODE, kv, DecodeConstants)
    dims = heads.dims
    bandwidth = machine.gpu.hbm_bytes_per_s
    if np.ndim(heads.window) == 0 and not heads.window:
        seen = read = context
    else:
        seen = np.minimum(context, np.where(np.greater(heads.window, 0), heads.window, np.inf))
        read = seen + c.window_leak * (context - seen)
    asked = heads.query * queries
    cache = heads.kv * (dims * (KV_BYTES[kv] / bandwidth))
    vectors = asked * (dims * (BF16_BYTES / bandwidth))
    light_memory = batch * (seen * cache + vectors)
    light_compute = batch * seen * (asked * (dims * (2.0 / peak_flops(machine, KV_RATES[kv]))))
    rows = c.query_s * asked + c.sequence_s * heads.kv
    wide = np.greater(heads.query, WIDEST_GROUP * heads.kv) * asked
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
