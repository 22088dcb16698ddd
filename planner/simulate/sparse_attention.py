"""DeepSeek sparse attention (DSA): an indexer scores the whole context, MLA attends what it picked.

Prefill and decode run different kernels and have constants of their own; `queries`, the query
tokens that share one sequence's cache, tells how often it must be read at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.precision import BF16_BYTES, KV_BYTES
from planner.simulate.constants import bounded, seconds, share
from planner.simulate.gemm import peak_flops
from planner.simulate.machine import Machine
from planner.simulate.roofline import Cost, Real

OPERATORS = {"prefill": "dsa_prefill", "decode": "dsa_decode"}
INDEX_BYTES = 1.0 + 4.0 / 128.0  # fp8 index keys, one float32 scale per 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseConstants:
    """Both kernels of one phase; they are measured together, inside a whole attention block."""

    index_compute: float = share(0.5)  # of the fp8 peak, scoring index keys
    index_score_s: float = bounded(1e-15, 1e-9, 1e-11)  # per score: written, then scanned for the top k
    # per score and sequence: prefill clears a table of all its queries against all sequences' keys
    index_clear_s: float = bounded(1e-16, 1e-10, 1e-13)
    index_split_s: float = bounded(1e-10, 1e-5, 1e-7)  # per square root of context: split, then merged
    index_floor_s: float = seconds(3e-5)
    compute: float = share(0.5)  # of the peak at the cache's rate, attending the picked tokens
    memory: float = share(0.5)  # of HBM bandwidth, gathering them
    floor_s: float = seconds(1e-5)
    pad_heads: float = bounded(0.01, 200.0, 16.0)  # heads that pad a tile of queries
    host_s: float = seconds(
        1e-4, high=1e-2
    )  # host time of a whole block outside a CUDA graph: calibration only


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
        t   = index_floor_s + max(t_c, t_m) + index_split_s sqrt(context)
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

    >>> from planner.simulate.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_score_s=1e-13, index_floor_s=2e-5,
    ...     index_clear_s=0.0, index_split_s=0.0,
    ...     compute=0.5, memory=0.5, floor_s=1e-5, pad_heads=0.0, host_s=0.0))
    >>> cost = indexer(machine, 64, 65536, 64, 128, 2048)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (135.8, 115.3)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    scores = tokens * context
    light_compute = scores * (heads * dim * (2.0 / peak_flops(machine, "fp8")))
    light_memory = (scores / queries) * (dim * (INDEX_BYTES / machine.gpu.hbm_bytes_per_s))
    taken = (
        np.maximum(light_compute / c.index_compute, light_memory)
        + scores * (c.index_score_s + (tokens / queries) * c.index_clear_s)
        + c.index_split_s * np.sqrt(context)
        + c.index_floor_s
    )
    return Cost(taken, np.maximum(light_compute, light_memory))


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

    The kernel computes on `slots` places (the indexer's top k), filled or not, and reads those
    filled. In prefill the latents of neighbouring queries overlap and come from the GPU's own
    cache: `queries` of them read one set.

        t_c = 2 tokens slots (heads + pad_heads) (2 latent + rope) / (compute peak)
        t_m = tokens attended (latent + rope) kv_bytes / (queries memory bandwidth)
        t   = floor_s + max(t_c, t_m)

    >>> from planner.simulate.example import h200
    >>> machine = h200(dsa_decode=dict(index_compute=0.5, index_score_s=1e-13, index_floor_s=2e-5,
    ...     index_clear_s=0.0, index_split_s=0.0,
    ...     compute=0.5, memory=0.5, floor_s=1e-5, pad_heads=0.0, host_s=0.0))
    >>> cost = sparse_mla(machine, "bf16", 64, 2048, 128, 512, 64)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (83.8, 36.9)
    """
    c = machine.kernels.constants(OPERATORS[phase], kv, SparseConstants)
    bandwidth = machine.gpu.hbm_bytes_per_s
    width = latent + rope
    flops_s = (width + latent) * (2.0 / peak_flops(machine, kv))
    vectors = heads * ((width + latent) * (BF16_BYTES / bandwidth))
    read = tokens * (width * (KV_BYTES[kv] / bandwidth))
    light_compute = tokens * attended * (heads * flops_s)
    light_memory = (read / queries) * attended + tokens * vectors
    worked = np.maximum(attended, slots)
    computed = tokens * worked * ((heads + c.pad_heads) * (flops_s / c.compute))
    taken = np.maximum(computed, light_memory / c.memory) + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))
