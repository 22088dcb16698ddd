"""DeepSeek sparse attention (DSA): an indexer scores the whole context, MLA attends what it picked.

Prefill and decode run different kernels and have constants of their own; `queries`, the query
tokens that share one sequence's cache, tells how often it must be read at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES, KV_BYTES, KV_RATES
from planner.simulate.operators.constants import bounded, seconds, share
from planner.simulate.operators.gemm import peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost

OPERATORS = {"prefill": "dsa_prefill", "decode": "dsa_decode"}
# vLLM's FlashMLA backend prefills with fewer heads than this through its decode kernel on an fp8 cache
# (MIN_HEADS_FOR_BF16_PREFILL); its rows on H100 and H200 show the step between 16 and 32 heads.
NARROW_HEADS = 32
INDEX_BYTES = 1.0 + 4.0 / 128.0  # fp8 index keys, one float32 scale per 128


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
    index_floor_s: float = seconds(3e-5)
    compute: float = share(0.5)  # of the peak at the cache's rate, attending the picked tokens
    memory: float = share(0.5)  # of HBM bandwidth, gathering them
    floor_s: float = seconds(1e-5)
    pad_heads: float = bounded(0.01, 500.0, 16.0)  # heads that pad a tile, and what gathering it takes
    unfilled: float = bounded(1e-3, 1.0, 0.2)  # share of the work of a filled place that an empty one costs
    # per place of a query where few heads take a kernel made for decode, which works on every place
    narrow_s: float = bounded(1e-14, 1e-8, 1e-10)
    # host time of a whole block outside a CUDA graph, what quantised GEMMs add to it, and what contexts
    # add that are scored in several pieces: calibration only
    host_s: float = seconds(1e-4, high=1e-2)
    host_quantised_s: float = seconds(1e-4, high=1e-2)
    host_pieces_s: float = seconds(1e-4, high=1e-2)


def indexer(
    machine: Machine,
    tokens: Real,
    context: Real,
    heads: Real,
    dim: Real,
    topk: Real,
    *,
    kv: str = "fp8",
    phase: str = "decode",
    queries: Real = 1,
) -> Cost:
    """Scores of `tokens` query tokens against the `context` each looks at, and the best `topk` of them.

        t_c = 2 tokens context heads dim / (index_compute fp8_peak)
        t_m = sequences context key_bytes / (index_memory bandwidth)
        t   = index_floor_s + t_c + t_m + index_split_s sqrt(context)
              + tokens context (index_score_s + index_clear_s sequences)

    Parameters
    ----------
    machine
        Where it runs.
    tokens, context
        Query tokens in total; mean context of one.
    heads, dim, topk
        Index heads and their dimension, all on every GPU; tokens picked. The selection is in the
        time per score, whatever `topk`.
    kv, phase
        Format of the latent cache, "prefill" or "decode": which measured constants apply.
    queries
        Query tokens that share a sequence's index keys: the new tokens of one sequence in prefill.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_memory=1.0, index_score_s=1e-13,
    ...     index_floor_s=2e-5, index_clear_s=0.0, index_split_s=0.0, compute=0.5, memory=0.5, floor_s=1e-5,
    ...     pad_heads=0.0, unfilled=0.0, narrow_s=0.0, host_s=0.0, host_quantised_s=0.0, host_pieces_s=0.0))
    >>> cost = indexer(machine, 64, 65536, 64, 128, 2048)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (205.2, 115.3)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    scores = tokens * context
    light_compute = scores * (heads * dim * (2.0 / peak_flops(machine, "fp8")))
    light_memory = (scores / queries) * (dim * (INDEX_BYTES / machine.gpu.hbm_bytes_per_s))
    taken = (
        light_compute / c.index_compute
        + light_memory / c.index_memory
        + scores * (c.index_score_s + (tokens / queries) * c.index_clear_s)
        + c.index_split_s * np.sqrt(context)
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
    kv: str,
    tokens: Real,
    attended: Real,
    heads: Real,
    latent: Real,
    rope: Real,
    *,
    slots: Real = 0,
    phase: str = "decode",
    queries: Real = 1,
) -> Cost:
    """Absorbed MLA of `tokens` query tokens, each over its own `attended` cached latents.

    `mean_attended` tells how many those are where a prompt's contexts grow past the top k.
    A kernel has `slots` places for the indexer's top k and works on those that are filled, and in part
    on the others. In prefill the latents of neighbouring queries overlap and come from the GPU's own
    cache: `queries` of them read one set.

        worked = attended + unfilled (slots - attended)
        t_c    = 2 tokens worked (heads + pad_heads) (2 latent + rope) / (compute peak)
        t_m    = tokens attended (latent + rope) kv_bytes / (queries memory bandwidth)
        t      = floor_s + t_c + t_m + tokens slots narrow_s

    with `narrow_s` for fewer than 32 heads alone. Gathering and products add up: a fit that lets them
    overlap gains nothing.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_memory=1.0, index_score_s=1e-13,
    ...     index_floor_s=2e-5, index_clear_s=0.0, index_split_s=0.0, compute=0.5, memory=0.5, floor_s=1e-5,
    ...     pad_heads=0.0, unfilled=0.0, narrow_s=0.0, host_s=0.0, host_quantised_s=0.0, host_pieces_s=0.0))
    >>> cost = sparse_mla(machine, "bf16", 64, 2048, 128, 512, 64)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (154.2, 36.9)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    bandwidth = machine.gpu.hbm_bytes_per_s
    width = latent + rope
    flops_s = (width + latent) * (2.0 / peak_flops(machine, KV_RATES[kv]))
    vectors = heads * ((width + latent) * (BF16_BYTES / bandwidth))
    read = tokens * (width * (KV_BYTES[kv] / bandwidth))
    light_compute = tokens * attended * (heads * flops_s)
    light_memory = (read / queries) * attended + tokens * vectors
    worked = attended + c.unfilled * np.maximum(slots - attended, 0.0)
    computed = tokens * worked * ((heads + c.pad_heads) * (flops_s / c.compute))
    narrow = np.less(heads, NARROW_HEADS) * c.narrow_s
    taken = computed + light_memory / c.memory + tokens * slots * narrow + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))
