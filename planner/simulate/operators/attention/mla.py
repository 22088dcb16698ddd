"""Multi-head latent attention (MLA): one latent per token is cached, which all heads share.

Prefill expands keys and values from it, one per head; decode absorbs the expansion into queries and
outputs and attends the latents themselves.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, KV_BYTES, KV_RATES, Precision
from planner.simulate.operators.attention.causal import causal
from planner.simulate.operators.attention.layer import ATTENTION, Heads, Layer, Parts
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.gemm import Linear, gemm, peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max
from planner.simulate.operators.setup import Setup
from planner.values import dataclass
from planner.words import CacheFormat

PREFILL, DECODE = "mla_prefill", "mla_decode"

# Blackwell's kernels score a tile of 16 heads, or of 64 shared by two cores. 32 heads are neither: in both
# formats and on both B200 and GB200 they take 1.45 times as long as 16 or 64 over the same latents.
SMALL_TILE, LARGE_TILE = 16.0, 64.0


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
    reread: float = bounded(1e-4, 1.0, 0.1, default=0.0)  # of the latents, by heads between two tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentHeads:
    """One GPU's heads over latents that it holds whole; scalars, or arrays that broadcast."""

    query: Real
    latent: Real  # dimensions of a latent: kv_lora_rank
    rope: Real  # rotary dimensions cached beside it

    @property
    def width(self) -> Real:
        """Elements of a cached entry."""
        return self.latent + self.rope

    @property
    def dims(self) -> Real:
        """Multiplications of a score and of what it adds to the output."""
        return self.width + self.latent


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiHeadLatent(Layer):
    """Dense MLA: every query attends all latents before it."""

    q_lora: int  # 0 means the query projection is not factored
    kv_lora: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    output_gate: bool  # a gate as wide as the heads' values (Kimi-K3)

    @classmethod
    def of(cls, row: Attention) -> MultiHeadLatent:
        """From a preset's row."""
        return cls(
            layers=row.layers,
            heads=row.heads,
            kv_heads=1,
            q_lora=row.q_lora,
            kv_lora=row.kv_lora,
            nope_dim=row.nope_dim,
            rope_dim=row.rope_dim,
            v_dim=row.value_dim,
            output_gate=row.output_gate,
        )

    @property
    def kv_elements(self) -> float:
        """The latent and the rotary key."""
        return float(self.kv_lora + self.rope_dim)

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Down- and up-projections of query and latent, output."""
        heads = self.heads / tp
        query = heads * (self.nope_dim + self.rope_dim)
        latent = self.kv_lora + self.rope_dim
        found = (
            [Linear("qkv_a", self.q_lora + latent, hidden), Linear("q_b", query, self.q_lora)]
            if self.q_lora
            else [Linear("q", query, hidden), Linear("kv_a", latent, hidden)]
        )
        # as an up-projection in prefill; absorbed into query and output in decode: the same work
        up = Linear("kv_b", heads * (self.nope_dim + self.v_dim), self.kv_lora)
        if self.output_gate:
            found.append(Linear("gate", heads * self.v_dim, hidden))
        return [*found, up, Linear("o", hidden, heads * self.v_dim)]

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """Every GPU holds all latents, whatever the TP."""
        return (self.kv_lora + self.rope_dim) * precision.kv_bytes * tokens

    def expanded(self, tp: Real) -> Heads:
        """One GPU's heads with keys and values expanded from the latent."""
        heads = self.heads / tp
        return Heads(query=heads, kv=heads, qk_dim=self.nope_dim + self.rope_dim, v_dim=self.v_dim)

    def absorbed(self, tp: Real) -> LatentHeads:
        """One GPU's heads over the latents themselves."""
        return LatentHeads(query=self.heads / tp, latent=self.kv_lora, rope=self.rope_dim)

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """Expanded attention, and the cached latents' expansion again unless the engine keeps it."""
        heads = self.expanded(tp)
        parts = {ATTENTION: prefill(setup.machine, setup.precision.kv, heads, sequences, new, past)}
        if not setup.mla_cache:
            up = heads.kv * (self.nope_dim + self.v_dim)
            parts["re-projection"] = gemm(
                setup.machine, setup.precision.gemm, sequences * past, up, self.kv_lora
            )
        return parts

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """Absorbed attention over all latents."""
        cost = decode(setup.machine, setup.precision.kv, self.absorbed(tp), batch, context, queries)
        return {ATTENTION: cost}


def prefill(machine: Machine, kv: CacheFormat, heads: Heads, sequences: Real, new: Real, past: Real) -> Cost:
    """The core of MLA in prefill: keys and values expanded from the latent, one per head.

    Attention with as many KV heads as heads; the up-projection of the latent is a GEMM apart.
    Parameters and result as in `causal.causal`.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(mla_prefill=dict(compute=0.6, floor_s=1e-5, score_dims=0.0, score_pad=0.0,
    ...     window_pad=0.0, tail_rows=0.0, query_s=0.0, key_s=0.0, sequence_rows=0.0))
    >>> cost = prefill(machine, "bf16", Heads(query=128, kv=128, qk_dim=192, v_dim=128), 1, 8192, 0)
    >>> round(float(cost.seconds) * 1e3, 2), round(float(cost.light_s) * 1e3, 2)
    (4.64, 2.78)
    """
    return causal(machine, PREFILL, kv, heads, sequences, new, past)


def decode(
    machine: Machine, kv: CacheFormat, heads: LatentHeads, batch: Real, context: Real, queries: Real = 1
) -> Cost:
    """The core of absorbed MLA: all heads of a sequence score one latent of `latent + rope` per token.

        t_m = batch context (latent + rope) kv_bytes (1 + reread, between two tiles) / (memory bandwidth)
        t_c = 2 batch context (heads + pad_heads) queries (2 latent + rope) / (compute peak)
        t   = floor_s + soft_max(soft_max(t_m, t_c), t_r) + split_s sqrt(context) + token_s context

    with ``t_r = batch (query_s heads queries + sequence_s)``. Parameters and result as in `gqa.decode`.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(mla_decode=dict(compute=0.6, memory=0.9, serial=0.0, floor_s=1e-5, pad_heads=0.0,
    ...     query_s=0.0, sequence_s=0.0, split_s=0.0, token_s=0.0))
    >>> cost = decode(machine, "bf16", LatentHeads(query=128, latent=512, rope=64), 64, 4096)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (133.0, 73.8)
    """
    c = machine.kernels.constants(DECODE, kv, LatentConstants)
    peak = peak_flops(machine, KV_RATES[kv])
    bandwidth = machine.gpu.hbm_bytes_per_s
    asked = heads.query * queries
    scored = batch * context
    light_memory = scored * (heads.width * (KV_BYTES[kv] / bandwidth)) + batch * (
        asked * (heads.dims * (BF16_BYTES / bandwidth))
    )
    flops_s = heads.dims * (2.0 / peak)
    light_compute = scored * (asked * flops_s)
    between = (np.asarray(heads.query) > SMALL_TILE) & (np.asarray(heads.query) < LARGE_TILE)
    read = light_memory * ((1.0 + c.reread * between) / c.memory)
    computed = scored * ((asked + c.pad_heads * queries) * (flops_s / c.compute))
    taken = (
        soft_max(
            soft_max(read, computed, c.serial),
            batch * (c.query_s * asked + c.sequence_s),
            c.serial,
        )
        + c.split_s * np.sqrt(context)
        + c.token_s * context
        + c.floor_s
    )
    return Cost(taken, np.maximum(light_memory, light_compute))
