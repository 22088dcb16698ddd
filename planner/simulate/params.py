"""Parameter counts: the weight matrices and biases of a model, summed at TP 1.

Norms, convolutions, vision towers and prediction heads are left out (norms and convolutions: below
0.1 % of any preset).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from planner.inputs.model import Attention, Ffn, ModelSpec
from planner.simulate import linears
from planner.simulate.operators.attention import kinds
from planner.simulate.operators.gemm import Linear


def _count(found: Iterable[Linear]) -> int:
    return round(sum(float(np.asarray(lin.n * lin.k + (lin.n if lin.bias else 0))) for lin in found))


def attention_params(a: Attention, hidden: int) -> int:
    """Parameters of one token-mixing layer.

    >>> from planner.inputs.model import Attention
    >>> llama_8b = Attention(kind="gqa", layers=32, heads=32, kv_heads=8, head_dim=128)
    >>> attention_params(llama_8b, 4096)
    41943040
    """
    return 0 if a.kind == "none" else _count(kinds.layer(a).matrices(hidden, 1))


def expert_params(f: Ffn, hidden: int) -> int:
    """Parameters of ONE routed expert; 0 in a layer without experts.

    >>> expert_params(Ffn(kind="moe", layers=58, width=2048, experts=256, topk=8), 7168)
    44040192
    """
    return _count(linears.expert(f, hidden))


def ffn_params(f: Ffn, hidden: int) -> int:
    """Parameters of one feed-forward layer, all experts counted."""
    return _count(linears.feed_forward(f, hidden, 1)) + f.experts * expert_params(f, hidden)


def embedding_params(spec: ModelSpec) -> int:
    """Input table and output head; one matrix where they are tied."""
    return spec.vocab * spec.hidden * (1 if spec.tied_embeddings else 2)


def total(spec: ModelSpec) -> int:
    """All parameters of the text model, without prediction heads (MTP)."""
    mixing = sum(a.layers * attention_params(a, spec.hidden) for a in spec.attention)
    tables = embedding_params(spec) + round(spec.lookup_params)
    return tables + mixing + sum(f.layers * ffn_params(f, spec.hidden) for f in spec.ffn)


def active(spec: ModelSpec) -> int:
    """Parameters one token visits, both embedding matrices counted, as most publishers do.

    Tables that are only looked up layer by layer are not, as in the names of Gemma's E2B and E4B.

    gpt-oss leaves the input table out of its published count, DeepSeek and Kimi round without it.
    """
    skipped = sum(f.layers * (f.experts - f.topk) * expert_params(f, spec.hidden) for f in spec.ffn)
    return total(spec) - skipped - round(spec.lookup_params)
