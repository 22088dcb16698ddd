"""Weight matrices of a layer as one GPU holds them: the GEMM shapes and the weight bytes alike.

Every function returns `Linear`s: y[tokens, n] = x[tokens, k] w[k, n], with n and k as floats or
arrays of the layouts' shape. Summed at TP 1 they are the model's parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention, Ffn, ModelSpec


class Linear(NamedTuple):
    """One weight matrix of one layer on one GPU."""

    name: str
    n: Real
    k: Real
    always_bf16: bool = False  # routers and indexer gates are never quantised


def kv_heads_per_gpu(a: Attention, tp: Real) -> Real:
    """KV heads a GPU holds: above TP = kv_heads the cache is duplicated."""
    return np.maximum(a.kv_heads / tp, 1.0)


def attention(a: Attention, hidden: int, tp: Real) -> list[Linear]:
    """Projections of one token-mixing layer, sharded over `tp` GPUs by heads."""
    if a.kind == "none":
        return []
    if a.kind == "linear":
        inner = a.v_heads * a.value_dim
        # queries, keys, values and their gate, and two scalars per value head
        width = a.in_width or 2 * a.k_heads * a.k_dim + 2 * inner + 2 * a.v_heads
        return [Linear("in_proj", width / tp, hidden), Linear("out_proj", hidden, inner / tp)]
    heads = a.heads / tp
    if a.kind == "mla":
        query = heads * (a.nope_dim + a.rope_dim)
        latent = a.kv_lora + a.rope_dim
        found = (
            [Linear("qkv_a", a.q_lora + latent, hidden), Linear("q_b", query, a.q_lora)]
            if a.q_lora
            else [Linear("q", query, hidden), Linear("kv_a", latent, hidden)]
        )
        # as an up-projection in prefill; absorbed into query and output in decode: the same work
        found.append(Linear("kv_b", heads * (a.nope_dim + a.value_dim), a.kv_lora))
        if a.index_topk:
            found += [
                Linear("index_q", a.index_heads * a.index_dim, a.q_lora or hidden),
                Linear("index_k", a.index_dim + a.index_heads, hidden, True),
            ]
        return [*found, Linear("o", hidden, heads * a.value_dim)]
    kv = kv_heads_per_gpu(a, tp) * (a.head_dim + (0 if a.shared_kv else a.value_dim))
    query = heads * a.head_dim * (2 if a.output_gate else 1)
    return [Linear("qkv", query + kv, hidden), Linear("o", hidden, heads * a.value_dim)]


def dense(f: Ffn, hidden: int, tp: Real) -> list[Linear]:
    """A dense feed-forward layer, sharded over `tp` GPUs by columns."""
    return [
        Linear("up", (f.matrices - 1) * f.width / tp, hidden),
        Linear("down", hidden, f.width / tp),
    ]


def beside_experts(f: Ffn, hidden: int, tp: Real) -> list[Linear]:
    """What every token passes in an expert layer: router, shared experts, latent projections."""
    found = [Linear("router", float(f.experts), hidden, True)]
    if f.shared_width:
        shared = (f.shared_matrices or f.matrices) - 1
        found += [
            Linear("shared_up", shared * f.shared_width / tp, hidden),
            Linear("shared_down", hidden, f.shared_width / tp),
        ]
    if f.latent:
        found += [Linear("latent_in", f.latent, hidden), Linear("latent_out", hidden, f.latent)]
    return found


def expert_elements(f: Ffn, hidden: int) -> float:
    """Weights of ONE routed expert."""
    return float(f.matrices * f.width * (f.latent or hidden))


def head(model: ModelSpec, tp: Real) -> Linear:
    """The output projection, sharded over `tp` GPUs by vocabulary."""
    return Linear("lm_head", model.vocab / tp, model.hidden, True)
