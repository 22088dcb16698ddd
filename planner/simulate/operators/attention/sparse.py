"""Multi-head latent attention over a part of its cache: sparse, windowed or folded.

DeepSeek sparse attention (DSA): an indexer scores the whole context, MLA attends what it picked.
DeepSeek-V4 folds: one latent stands for `fold` tokens, and the last `window` tokens are kept besides.
DeepSeek-V4.1 shares: some layers keep nothing but their window, and look at an earlier layer's entries.

Prefill and decode run different kernels and have constants of their own; `queries`, the query
tokens that share one sequence's cache, tells how often it must be read at least.
"""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, INDEX_BYTES, KV_BYTES, KV_RATES, Precision
from planner.simulate.operators.attention import mla
from planner.simulate.operators.attention.layer import ATTENTION, Parts
from planner.simulate.operators.attention.mla import LatentHeads, MultiHeadLatent
from planner.simulate.operators.constants import bounded, seconds, share
from planner.simulate.operators.gemm import Linear, peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.values import dataclass
from planner.words import CacheFormat, Pass

OPERATORS: dict[Pass, str] = {"prefill": "dsa_prefill", "decode": "dsa_decode"}
# vLLM's FlashMLA backend prefills with fewer heads than this through its decode kernel on an fp8 cache
# (MIN_HEADS_FOR_BF16_PREFILL); its rows on H100 and H200 show the step between 16 and 32 heads.
NARROW_HEADS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseConstants:
    """Both kernels of one phase; they are measured together, inside a whole attention block."""

    index_compute: float = share(0.5)  # of the fp8 peak, scoring index keys
    # of HBM bandwidth, collecting a sequence's index keys: prefill brings them into one piece first
    index_memory: float = share(0.2, low=0.001)
    index_score_s: float = bounded(1e-15, 1e-9, 1e-11)  # per score: written, then scanned for the top k
    # per score and sequence: prefill clears a table of all its queries against all sequences' keys
    index_clear_s: float = bounded(1e-16, 1e-10, 1e-13)
    index_split_s: float = bounded(1e-10, 1e-5, 1e-7)  # per square root of context: split, then merged
    # per token of context, whatever the sequences: the best of a sequence's scores are found by one block
    index_token_s: float = bounded(1e-15, 1e-8, 1e-11, default=0.0)
    index_floor_s: float = seconds(3e-5)
    compute: float = share(0.5)  # of the peak at the cache's rate, attending the picked tokens
    memory: float = share(0.5)  # of HBM bandwidth, gathering them
    floor_s: float = seconds(1e-5)
    pad_heads: float = bounded(0.01, 500.0, 16.0)  # heads that pad a tile, and what gathering it takes
    # The kernel has a slot for each of the top k tokens; a context shorter than that leaves some empty.
    # Work on an empty slot over that on a filled one: 0 skips it, 1 computes it and throws it away.
    empty_slot_work: float = bounded(1e-3, 1.0, 0.2)
    # per slot of a query where few heads take a kernel made for decode, which works on every slot
    narrow_s: float = bounded(1e-14, 1e-8, 1e-10)
    # host time of a whole block outside a CUDA graph, what quantised GEMMs add to it, and what contexts
    # add that are scored in several pieces: calibration only
    host_s: float = seconds(1e-4, high=1e-2)
    host_quantised_s: float = seconds(1e-4, high=1e-2)
    host_pieces_s: float = seconds(1e-4, high=1e-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The indexer's heads, all on every GPU, and the dimension of its one key; numbers or arrays."""

    heads: Real
    dim: Real


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseLatent(MultiHeadLatent):
    """MLA whose queries see the entries that an indexer picks, a window, or one entry for many tokens."""

    window: int  # tokens kept one by one at the end of a sequence
    fold: int  # tokens that one entry stands for
    index_topk: int  # entries that the indexer picks; 0: no indexer
    index_heads: int
    index_dim: int
    index_shared: bool  # an earlier layer's picks serve: no indexer here
    reused_kv: bool  # an earlier layer's entries serve, and its indexer's keys: only a window is kept here

    @classmethod
    def of(cls, row: Attention) -> SparseLatent:
        """From a preset's row."""
        dense = MultiHeadLatent.of(row)
        return cls(
            **{name: getattr(dense, name) for name in _LATENT},
            window=row.window,
            fold=row.fold,
            index_topk=row.index_topk,
            index_heads=row.index_heads,
            index_dim=row.index_dim,
            index_shared=row.index_shared,
            reused_kv=row.reused_kv,
        )

    @property
    def kv_elements(self) -> float:
        """The latent, the rotary key and the indexer's key, by token."""
        latent = self.kv_lora + self.rope_dim
        if self.reused_kv:
            return float(latent) if self.window else 0.0
        return (latent + (self.index_dim if self._indexes else 0)) / self.fold

    @property
    def growing_elements(self) -> float:
        """None where a window is all there is."""
        return 0.0 if self._nearby or self.reused_kv else self.kv_elements

    @property
    def _nearby(self) -> bool:
        """Whether a window is all that there is."""
        return bool(self.window) and self.fold == 1 and not self.index_topk

    @property
    def _indexes(self) -> bool:
        """Whether these layers have an indexer of their own."""
        return bool(self.index_topk) and not self.index_shared

    def folded(self, tokens: Real) -> Real:
        """Entries for the whole of a sequence: one for `fold` tokens, none where a window is all there is."""
        return 0.0 * tokens if self._nearby else tokens / self.fold

    def entries(self, tokens: Real) -> Real:
        """Entries kept of `tokens` tokens: what a query at the end sees where none is picked."""
        return self.folded(tokens) + np.minimum(tokens, self.window)

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Those of MLA; of the indexer: queries from their latent, key and head weights."""
        found = MultiHeadLatent.matrices(self, hidden, tp)
        if self._indexes:
            keys = 0 if self.reused_kv else self.index_dim
            found += [
                Linear("index_q", self.index_heads * self.index_dim, self.q_lora or hidden),
                Linear("index_k", keys + self.index_heads, hidden, always_bf16=True),
            ]
        return found

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """Latents, and the indexer's keys: one for every entry beside the window."""
        if self.reused_kv:
            return self.entry_bytes(precision) * np.minimum(tokens, self.window)
        kept = self.entry_bytes(precision) * self.entries(tokens)
        if self._indexes:
            kept = kept + tokens / self.fold * self.index_dim * INDEX_BYTES
        return kept

    def entry_bytes(self, precision: Precision) -> float:
        """Of one cached entry. In fp8 the rotary key stays in bf16 and the latent has scales.

        Those are float32 for every 128 elements in DeepSeek-V3.2 and GLM-5 (656 bytes), and one byte for
        every 64, filled up to 8, in DeepSeek-V4 (584): `fp8_ds_mla` of vLLM, FlashMLA's sparse layouts.
        """
        if precision.kv != "fp8":
            return (self.kv_lora + self.rope_dim) * precision.kv_bytes
        scales = 8 * math.ceil(self.kv_lora / 64 / 8) if self.window else 4 * math.ceil(self.kv_lora / 128)
        return self.kv_lora + scales + self.rope_dim * BF16_BYTES

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """Absorbed attention of each prompt token over what it sees."""
        return {ATTENTION: self._seen(setup, tp, sequences, new, past + new / 2, "prefill")}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """As in prefill; the kernel of dense MLA where nothing is picked."""
        if self.index_topk:
            return {ATTENTION: self._seen(setup, tp, batch, float(queries), context, "decode")}
        heads, kept = self.absorbed(tp), self.entries(context)
        return {ATTENTION: mla.decode(setup.machine, setup.precision.kv, heads, batch, kept, queries)}

    def _seen(self, setup: Setup, tp: Real, sequences: Real, new: Real, context: Real, phase: Pass) -> Cost:
        """The indexer scores the whole context; attention reads what it picked, and the last tokens.

        In a folded layer both look at one entry for `fold` tokens; without an indexer attention reads all.
        """
        machine, kv, tokens = setup.machine, setup.precision.kv, sequences * new
        heads = self.absorbed(tp)
        if not self.index_topk:
            kept = self.entries(context)
            return sparse_mla(machine, kv, heads, tokens, kept, phase=phase, queries=new)
        whole = self.folded(context)
        index = Indexer(heads=self.index_heads, dim=self.index_dim)
        picked = mean_attended(whole, float(self.index_topk), new / self.fold)
        attended = sparse_mla(
            machine,
            kv,
            heads,
            tokens,
            picked + np.minimum(context, self.window),
            slots=self.index_topk + self.window,
            phase=phase,
            queries=new,
        )
        if self.index_shared:
            return attended
        return indexer(machine, kv, index, tokens, whole, phase=phase, queries=new) + attended


_LATENT = tuple(f.name for f in fields(MultiHeadLatent))


def indexer(
    machine: Machine,
    kv: CacheFormat,
    index: Indexer,
    tokens: Real,
    context: Real,
    *,
    phase: Pass = "decode",
    queries: Real = 1,
) -> Cost:
    """Scores of `tokens` query tokens against the `context` each looks at, and the best of them.

        t_c = 2 tokens context heads dim / (index_compute fp8_peak)
        t_m = sequences context key_bytes / (index_memory bandwidth)
        t   = index_floor_s + t_c + t_m + index_split_s sqrt(context) + index_token_s context
              + tokens context (index_score_s + index_clear_s sequences)

    Parameters
    ----------
    machine
        Where it runs.
    kv, phase
        Format of the latent cache, "prefill" or "decode": which measured constants apply.
    index
        Index heads and their dimension.
    tokens, context
        Query tokens in total; mean context of one. The selection is in the time per score, however
        many are picked.
    queries
        Query tokens that share a sequence's index keys: the new tokens of one sequence in prefill.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_memory=1.0, index_score_s=1e-13,
    ...     index_floor_s=2e-5, index_clear_s=0.0, index_split_s=0.0, compute=0.5, memory=0.5, floor_s=1e-5,
    ...     pad_heads=0.0, empty_slot_work=0.0, narrow_s=0.0, host_s=0.0, host_quantised_s=0.0,
    ...     host_pieces_s=0.0))
    >>> cost = indexer(machine, "fp8", Indexer(heads=64, dim=128), 64, 65536)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (205.2, 115.3)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    scores = tokens * context
    light_compute = scores * (index.heads * index.dim * (2.0 / peak_flops(machine, "fp8")))
    light_memory = (scores / queries) * (index.dim * (INDEX_BYTES / machine.gpu.hbm_bytes_per_s))
    taken = (
        light_compute / c.index_compute
        + light_memory / c.index_memory
        + scores * (c.index_score_s + (tokens / queries) * c.index_clear_s)
        + c.index_split_s * np.sqrt(context)
        + c.index_token_s * context
        + c.index_floor_s
    )
    return Cost(taken, np.maximum(light_compute, light_memory))


def mean_attended(context: Real, topk: Real, queries: Real = 1) -> Real:
    """Tokens that one of `queries` consecutive queries attends, whose mean context is `context`.

    The mean of the lesser of its context and `topk`: below the lesser of the means where a prompt
    passes `topk` on its way.

    >>> float(mean_attended(2048.0, 2048, 4096.0)), float(mean_attended(8192.0, 2048))
    (1536.0, 2048.0)
    """
    last = context + 0.5 * queries
    over = np.clip((last - topk) / queries, 0.0, 1.0)  # share of the queries beyond `topk`
    below = np.minimum(last, topk) - 0.5 * (1.0 - over) * queries
    return over * topk + (1.0 - over) * below


def sparse_mla(
    machine: Machine,
    kv: CacheFormat,
    heads: LatentHeads,
    tokens: Real,
    attended: Real,
    *,
    slots: Real = 0,
    phase: Pass = "decode",
    queries: Real = 1,
) -> Cost:
    """Absorbed MLA of `tokens` query tokens, each over its own `attended` cached latents.

    `mean_attended` tells how many those are where a prompt's contexts grow past the top k.
    A kernel has `slots` for the indexer's top k and works on those that are filled, and in part on the
    empty ones. In prefill the latents of neighbouring queries overlap and come from the GPU's own
    cache: `queries` of them read one set.

        worked = attended + empty_slot_work (slots - attended)
        t_c    = 2 tokens worked (heads + pad_heads) (2 latent + rope) / (compute peak)
        t_m    = tokens attended (latent + rope) kv_bytes / (queries memory bandwidth)
        t      = floor_s + t_c + t_m + tokens slots narrow_s

    with `narrow_s` for fewer than 32 heads alone. Gathering and products add up: a fit that lets them
    overlap gains nothing.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_memory=1.0, index_score_s=1e-13,
    ...     index_floor_s=2e-5, index_clear_s=0.0, index_split_s=0.0, compute=0.5, memory=0.5, floor_s=1e-5,
    ...     pad_heads=0.0, empty_slot_work=0.0, narrow_s=0.0, host_s=0.0, host_quantised_s=0.0,
    ...     host_pieces_s=0.0))
    >>> cost = sparse_mla(machine, "bf16", LatentHeads(query=128, latent=512, rope=64), 64, 2048)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (154.2, 36.9)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    bandwidth = machine.gpu.hbm_bytes_per_s
    flops_s = heads.dims * (2.0 / peak_flops(machine, KV_RATES[kv]))
    vectors = heads.query * (heads.dims * (BF16_BYTES / bandwidth))
    read = tokens * (heads.width * (KV_BYTES[kv] / bandwidth))
    light_compute = tokens * attended * (heads.query * flops_s)
    light_memory = (read / queries) * attended + tokens * vectors
    worked = attended + c.empty_slot_work * np.maximum(slots - attended, 0.0)
    computed = tokens * worked * ((heads.query + c.pad_heads) * (flops_s / c.compute))
    narrow = np.less(heads.query, NARROW_HEADS) * c.narrow_s
    taken = computed + light_memory / c.memory + tokens * slots * narrow + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))
