"""The kernel of prefill, the same for grouped-query attention and for latents expanded to full heads.

Products of activations run at the rate of the KV cache's format, so the speed of light of an fp8
cache is that of the fp8 tensor cores. Times per row are in seconds, not in bytes over bandwidth:
fitted to H100 and H200, which differ in HBM alone, they agree.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES, KV_BYTES, KV_RATES
from planner.simulate.operators.attention.layer import Heads
from planner.simulate.operators.constants import bounded, seconds, share
from planner.simulate.operators.gemm import peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.values import dataclass
from planner.words import CacheFormat

# Reading a long cached prefix during prefill: what decode kernels reach (0.83 to 0.89 of bandwidth).
CACHE_READ_SHARE = 0.85


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


def causal(
    machine: Machine, operator: str, kv: CacheFormat, heads: Heads, sequences: Real, new: Real, past: Real
) -> Cost:
    """Causal attention of `new` tokens in each of `sequences` sequences on top of `past` cached ones.

    ``pairs = sequences new (past + new/2)``, less where a window caps what a query sees;
    ``FLOPs = 2 heads (qk_dim + v_dim) pairs``. The kernel computes `score_pad` more scores per
    query, its last wave as many rows as `tail_rows` on every SM, and each score costs `score_dims`
    dimensions more than the products alone.

    Parameters
    ----------
    machine, operator, kv
        Where it runs; the name its constants stand under; "bf16", "fp8" or "fp4", the cache's format.
    heads
        Of this GPU's shard.
    sequences, new, past
        Sequences in the batch, query tokens of each, tokens each has in its cache.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    Raises LookupError if no kernels file has the operator.
    """
    c = machine.kernels.constants(operator, kv, PrefillConstants)
    peak = peak_flops(machine, KV_RATES[kv])
    dims = heads.dims
    tokens = sequences * new
    total = past + new
    if np.ndim(heads.window) == 0 and not heads.window:
        seen: Real = total
        cut: Real = 0.0
        mean = past + 0.5 * new
    else:
        # a share `rising` of the queries sees more than the one before; the others see a full window
        reach = np.where(np.greater(heads.window, 0), heads.window, np.inf)
        seen, before = np.minimum(total, reach), np.minimum(past, reach)
        rising = (seen - before) / new
        mean = seen - 0.5 * rising * (seen - before)
        cut = c.window_pad * (1.0 - rising)
    light_pair = heads.query * (dims * (2.0 / peak))
    light_compute = tokens * mean * light_pair
    light_memory = (tokens * heads.query * BF16_BYTES + sequences * seen * heads.kv * KV_BYTES[kv]) * (
        dims / machine.gpu.hbm_bytes_per_s
    )
    pair = (dims + c.score_dims) * (2.0 / (peak * c.compute))
    scores = tokens * (mean + (cut + c.score_pad)) * heads.query + seen * (c.tail_rows * machine.gpu.sms)
    rows = tokens * (c.query_s * heads.query + c.key_s * heads.kv) + sequences * (
        c.sequence_rows * c.query_s * heads.query
    )
    taken = np.maximum(scores * pair, light_memory / CACHE_READ_SHARE) + rows + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))
