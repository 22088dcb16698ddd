"""Parameter counts by part: what the memory of weights and the check against published sizes stand on.

Weight matrices and biases; norms, convolutions, vision towers and prediction heads are left out
(norms and convolutions: below 0.1 % of any preset).
"""

from __future__ import annotations

from planner.inputs.model import Attention, Ffn, ModelSpec


def attention_params(a: Attention, hidden: int) -> int:
    """Parameters of one token-mixing layer.

    gqa     ``h (q + k + v) + o h``; an output gate doubles q
    mla     down- and up-projections of query and latent, output; with DSA its indexer
    linear  joint input projection and output projection

    >>> from planner.inputs.model import Attention
    >>> llama_8b = Attention(kind="gqa", layers=32, heads=32, kv_heads=8, head_dim=128)
    >>> attention_params(llama_8b, 4096)
    41943040
    """
    if a.kind == "none":
        return 0
    if a.kind == "linear":
        inner = a.v_heads * a.value_dim
        # a delta net projects q, k, v and the gate z, and two scalars per value head
        width = a.in_width or 2 * a.k_heads * a.k_dim + 2 * inner + 2 * a.v_heads
        return hidden * width + inner * hidden
    if a.kind == "mla":
        query = a.heads * (a.nope_dim + a.rope_dim)
        q = hidden * a.q_lora + a.q_lora * query if a.q_lora else hidden * query
        kv = hidden * (a.kv_lora + a.rope_dim) + a.kv_lora * a.heads * (a.nope_dim + a.value_dim)
        return q + kv + a.heads * a.value_dim * hidden + _indexer_params(a, hidden)
    q = a.heads * a.head_dim * (2 if a.output_gate else 1)
    kv = a.kv_heads * (a.head_dim + (0 if a.shared_kv else a.value_dim))
    out = a.heads * a.value_dim
    return hidden * (q + kv + out) + (q + kv + hidden if a.bias else 0)


def _indexer_params(a: Attention, hidden: int) -> int:
    """DSA's indexer: its queries from the query latent, its key and head weights from the hidden state."""
    if not a.index_topk:
        return 0
    return (a.q_lora or hidden) * a.index_heads * a.index_dim + hidden * (a.index_dim + a.index_heads)


def _unit_params(f: Ffn, outer: int) -> int:
    """One feed-forward unit: `matrices` of outer x width, and biases on each of its outputs."""
    return f.matrices * outer * f.width + ((f.matrices - 1) * f.width + outer if f.bias else 0)


def expert_params(f: Ffn, hidden: int) -> int:
    """Parameters of ONE routed expert; 0 in a layer without experts.

    >>> expert_params(Ffn(kind="moe", layers=58, width=2048, experts=256, topk=8), 7168)
    44040192
    """
    return _unit_params(f, f.latent or hidden) if f.kind == "moe" else 0


def shared_params(f: Ffn, hidden: int) -> int:
    """Parameters beside the routed experts that every token passes: shared experts, latent projections."""
    if f.kind != "moe":
        return 0
    shared = (f.shared_matrices or f.matrices) * hidden * f.shared_width
    return shared + 2 * hidden * f.latent


def router_params(f: Ffn, hidden: int) -> int:
    """Parameters of one layer's router."""
    return f.experts * (hidden + (1 if f.bias else 0)) if f.kind == "moe" else 0


def dense_params(f: Ffn, hidden: int) -> int:
    """Parameters of one dense feed-forward layer; 0 in a layer with experts."""
    return _unit_params(f, hidden) if f.kind == "dense" else 0


def ffn_params(f: Ffn, hidden: int) -> int:
    """Parameters of one feed-forward layer, all experts counted."""
    routed = f.experts * expert_params(f, hidden)
    return routed + shared_params(f, hidden) + router_params(f, hidden) + dense_params(f, hidden)


def embedding_params(spec: ModelSpec) -> int:
    """Input table and output head; one matrix where they are tied."""
    return spec.vocab * spec.hidden * (1 if spec.tied_embeddings else 2)


def total(spec: ModelSpec) -> int:
    """All parameters of the text model, without prediction heads (MTP)."""
    mixing = sum(a.layers * attention_params(a, spec.hidden) for a in spec.attention)
    return embedding_params(spec) + mixing + sum(f.layers * ffn_params(f, spec.hidden) for f in spec.ffn)


def active(spec: ModelSpec) -> int:
    """Parameters one token visits, both embedding matrices counted, as most publishers do.

    gpt-oss leaves the input table out of its published count, DeepSeek and Kimi round without it.
    """
    skipped = sum(f.layers * (f.experts - f.topk) * expert_params(f, spec.hidden) for f in spec.ffn)
    return total(spec) - skipped


def mtp_params(spec: ModelSpec) -> int:
    """Parameters of ONE multi-token-prediction head: a layer of the last kind and its joining projection.

    Embedding and head are shared with the model. 0 for a model without such heads.
    """
    if not spec.mtp_layers:
        return 0
    mixing = [attention_params(a, spec.hidden) for a in spec.attention if a.kind in ("gqa", "mla")]
    ffn = [ffn_params(f, spec.hidden) for f in spec.ffn if f.kind != "none"]
    return sum(mixing[-1:]) + sum(ffn[-1:]) + 2 * spec.hidden * spec.hidden
