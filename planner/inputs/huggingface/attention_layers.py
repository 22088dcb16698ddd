"""How one layer of a config mixes tokens by attention: grouped, windowed, latent, folded, crossed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.errors import InputError
from planner.inputs.huggingface import families
from planner.inputs.huggingface.patterns import WINDOW, Mixing
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.model import Attention

MOST_SPARSE = 16  # DeepSeek-V4 folds 4 tokens where it has an indexer, 128 where not
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads", "num_query_heads")
HEADS_BY_LAYER = "num_attention_heads_per_layer"
KV_HEADS = (
    "num_key_value_heads_per_layer",
    "num_key_value_heads",
    "num_kv_heads",
    "n_kv_heads",
    "kv_n_heads",
    "n_head_kv",
    "num_attention_groups",
    "multi_query_group_num",
)
HEAD_DIM = ("head_dim", "attention_head_dim", "kv_channels", "d_head", "d_kv")
CONTEXT = (
    "max_position_embeddings",
    "model_max_length",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "n_ctx",
    "context_length",
    "max_context_length",
)


def attention(c: Config, kind: Mixing, hidden: int) -> Attention:
    """One layer of attention; `c` as that layer sees it. Raises InputError as `Config.whole`."""
    if c.has("kv_lora_rank"):
        return latent(c)
    return grouped(c, kind, hidden)


def grouped(c: Config, kind: Mixing, hidden: int) -> Attention:
    """Grouped-query attention; windowed, global and crossed layers may have heads of their own."""
    heads = c.whole(*((HEADS_BY_LAYER,) if c.has(HEADS_BY_LAYER) else HEADS), low=1)
    c.get(*HEADS)
    kv_heads = _kv_heads(c, heads)
    head_dim = _head_dim(c, hidden, heads)
    v_dim = c.whole("v_head_dim", default=0)
    if kind == "sliding":  # MiMo-V2; Step-3.5 keeps them in a table of their own
        own = _other_setting(c)
        heads = own.get("num_attention_heads") or c.whole("swa_num_attention_heads", default=heads, low=1)
        kv_heads = own.get("num_attention_groups") or c.whole(
            "swa_num_key_value_heads", default=kv_heads, low=1
        )
        head_dim = own.get("head_dim") or c.whole("swa_head_dim", default=head_dim, low=1)
        v_dim = c.whole("swa_v_head_dim", default=v_dim)
    elif c.has("global_head_dim", "num_global_key_value_heads") or c.flag("attention_k_eq_v"):
        head_dim = c.whole("global_head_dim", default=head_dim, low=1)  # Gemma 4
        kv_heads = c.whole("num_global_key_value_heads", default=kv_heads, low=1)
        if c.flag("attention_k_eq_v"):
            # one projection, two cached vectors: keys are rotated, values normalised without
            c.note("global layers reuse keys as values; the projection is counted twice")
    if heads % kv_heads:
        key = c.key(*(("swa_num_key_value_heads",) if kind == "sliding" else ()), *KV_HEADS)
        raise InputError(key, kv_heads, f"a divisor of the {heads} attention heads")
    longest = c.whole(*CONTEXT, default=0)
    window = c.whole(*WINDOW, default=0) if kind == "sliding" else 0
    if kind == "cross":
        c.note("layers of cross-attention hold weights and no cache: text alone, without images")
    topk, index_heads, index_dim = _blocks(c) if kind == "full" else (0, 0, 0)
    return Attention(
        index_topk=topk,
        index_heads=index_heads,
        index_dim=index_dim,
        kind="cross" if kind == "cross" else "gqa",
        layers=1,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        v_dim=v_dim,
        window=0 if longest and window >= longest else window,
        output_gate=c.flag("attn_output_gate", c.kind in families.GATED_ATTENTION),
        q_lora=0 if kind == "cross" else c.whole("share_q_dim", default=0),  # Step3
        reused_kv=_reused(c),
        bias=c.flag("attention_bias", c.kind in families.BIASED) or c.flag("qkv_bias"),
        qk_norm=c.flag("use_qk_norm", c.kind in families.QK_NORMED) or c.flag("normalize_qk_projections"),
    )


def _blocks(c: Config) -> tuple[int, int, int]:
    """Tokens that a layer attends in blocks, index heads, width of an index key (MiniMax-M3); 0: all tokens.

    As a table `sparse_attention_config`, or flat with words for the layers, as transformers saves it.
    """
    table = c.part("sparse_attention_config")
    inner = Config(table)
    flat = ("index_topk_blocks", "index_block_size", "index_local_blocks")
    if table:
        listed = inner.get("sparse_attention_freq")
        here = (
            listed[c.layer]
            if isinstance(listed, list) and c.layer is not None and c.layer < len(listed)
            else 1
        )
        picks = inner.flag("use_sparse_attention", True) and bool(here)
        unvalued = inner.get("sparse_disable_index_value")
        if (
            isinstance(unvalued, list)
            and c.layer is not None
            and picks
            and not all(unvalued[c.layer : c.layer + 1])
        ):
            c.miss("sparse_disable_index_value")
    elif c.has(*flat):
        words = c.get("layer_types")
        listed = words if isinstance(words, list) else []
        picks = c.layer is not None and c.layer < len(listed) and "sparse" in str(listed[c.layer])
        c.get(*flat, "index_n_heads", "index_head_dim")
        inner = c
    else:
        return 0, 0, 0
    topk = inner.whole("sparse_topk_blocks", "index_topk_blocks", default=0)
    size = inner.whole("sparse_block_size", "index_block_size", default=0)
    heads = inner.whole("sparse_num_index_heads", "index_n_heads", default=0)
    dim = inner.whole("sparse_index_dim", "index_head_dim", default=0)
    inner.get("sparse_init_block", "sparse_local_block", "index_local_blocks", "sparse_score_type")
    if table:
        for key in table:
            if key not in inner.used:
                c.miss(f"sparse_attention_config.{key}")
    if not picks:
        return 0, 0, 0
    if not topk * size * heads * dim:
        c.miss("sparse_attention_config")
        return 0, 0, 0
    c.note("no kernel of sparse attention over blocks was measured: it takes what its parts take elsewhere")
    return topk * size, heads, dim


def _kv_heads(c: Config, heads: int) -> int:
    """Heads of keys and values; one where all queries share it, whatever stands beside."""
    c.get("new_decoder_architecture", "multi_query", "multi_query_attention")
    if c.flag("multi_query") and not c.flag("new_decoder_architecture"):
        c.get(*KV_HEADS)
        return 1
    found = c.whole(*KV_HEADS, default=heads, low=1)
    c.get(*KV_HEADS[1:])
    return found


def _head_dim(c: Config, hidden: int, heads: int) -> int:
    if not c.has(*HEAD_DIM) and c.kind not in families.HEAD_DIM and hidden % heads:
        raise InputError(
            HEAD_DIM[0], None, f"a config.json must give it where {heads} heads do not divide {hidden}"
        )
    return c.whole(*HEAD_DIM, default=families.HEAD_DIM.get(c.kind, hidden // heads), low=1)


def _other_setting(c: Config) -> Mapping[str, Any]:
    """What windowed layers have instead, where a table says it."""
    found = c.part("attention_other_setting")
    known = ("num_attention_heads", "num_attention_groups", "head_dim")
    for key in known:
        value = found.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InputError(f"attention_other_setting.{key}", brief(value), "a whole number of at least 1")
    return found


def _reused(c: Config) -> bool:
    """Whether a layer reads the keys and values of an earlier one."""
    shared = c.whole("num_kv_shared_layers", default=0)  # Gemma 3n and 4: the last of them
    factor = c.whole("cla_share_factor", default=1, low=1) if c.flag("use_cla") else 1  # Hunyuan
    if c.layer is None:
        return False
    total = c.whole("num_hidden_layers", default=0)
    return bool(shared and c.layer >= total - shared) or c.layer % factor != 0


def latent(c: Config) -> Attention:
    """One layer of multi-head latent attention, with DeepSeek's sparse indexer if there is one."""
    c.get("num_key_value_heads", "head_dim", "use_qk_norm", "mla_use_nope")  # of no meaning here
    topk = c.whole("index_topk", default=0)
    heads = c.whole(*HEADS, low=1)
    values = c.whole("hidden_size", low=1) // heads if c.kind in families.PLAIN_VALUES else None
    return Attention(
        kind="mla",
        layers=1,
        heads=heads,
        q_lora=c.whole("q_lora_rank", default=0),
        kv_lora=c.whole("kv_lora_rank", low=1),
        nope_dim=c.whole("qk_nope_head_dim", low=1),
        rope_dim=c.whole("qk_rope_head_dim", low=0),
        v_dim=c.whole("v_head_dim", default=values, low=1),
        output_gate=c.flag("mla_use_output_gate"),
        index_topk=topk,
        index_heads=c.whole("index_n_heads", low=1) if topk else 0,
        index_dim=c.whole("index_head_dim", low=1) if topk else 0,
        index_shared=bool(topk) and _shares_index(c),
    )


def _shares_index(c: Config) -> bool:
    """Whether a layer takes the picks of an earlier layer's indexer (GLM-5.2): it has none of its own."""
    c.get("index_share_for_mtp_iteration", "index_topk_pattern", "index_skip_topk_offset", "index_topk_freq")
    kinds = c.get("indexer_types")
    if not isinstance(kinds, list) or c.layer is None or c.layer >= len(kinds):
        return False
    return str(kinds[c.layer]) == "shared"


def ratios(c: Config, layers: int) -> Sequence[int] | None:
    """Tokens that each layer of a DeepSeek-V4 folds into one entry; None where nothing is folded."""
    found: Sequence[Any] | None
    rates = c.part("compress_rates")  # as transformers 5 saves them: by the words of layer_types
    if rates:
        found = [rates.get(str(kind), 0) for kind in c.series("layer_types", layers) or []]
    elif c.has("compress_ratios"):
        found = c.series("compress_ratios", layers) or [0] * layers
    else:
        return None
    for ratio in found:
        if not isinstance(ratio, int) or ratio < 0:
            raise InputError(
                "compress_rates" if rates else "compress_ratios", brief(ratio), "whole numbers, 0 or more"
            )
    return found


def folded(c: Config, hidden: int, folds: Sequence[int]) -> list[Attention]:
    """DeepSeek-V4: one latent vector that all heads share, kept for the last tokens and folded before.

    Layers that fold few tokens into one entry pick some of them by an indexer, those that fold many
    read all; those with ratio 0 have their window alone. The output projection has two factors and
    the latent no up-projection: the value width is chosen so that the weights are as many. The
    compressors' own weights and the streams of its residual are left out.

    In DeepSeek-V4.1 only some layers keep entries (`kv_source_layer_ids`) or score them
    (`index_source_layer_ids`); those that follow look at the same ones. That later indexers score
    candidates alone is not modelled, nor that a prompt need not pass its second half: engines do both in
    full so far.
    """
    near = c.whole("sliding_window", default=0)
    heads, head_dim = c.whole("num_attention_heads", low=1), c.whole("head_dim", low=1)
    rope = c.whole("qk_rope_head_dim", default=0)
    nope = max(head_dim - rope, 1)
    rank = c.whole("o_lora_rank", default=0)
    output = rank * (heads * head_dim + c.whole("o_groups", default=1) * hidden)
    fitting = round((output / heads - nope * nope) / (hidden + nope))
    plain = Attention(
        kind="mla",
        layers=1,
        heads=heads,
        q_lora=c.whole("q_lora_rank", default=0),
        kv_lora=nope,
        nope_dim=nope,
        rope_dim=rope,
        v_dim=fitting if 0 < fitting < head_dim else head_dim,
    )
    sparse = replace(
        plain,
        index_topk=c.whole("index_topk", low=1),
        index_heads=c.whole("index_n_heads", low=1),
        index_dim=c.whole("index_head_dim", low=1),
    )
    c.get("num_key_value_heads")
    keeping, scoring = c.places("kv_source_layer_ids"), c.places("index_source_layer_ids")
    c.get("candidate_source_layer_id", "candidate_topk_blocks", "candidate_block_size")
    found = []
    for i, ratio in enumerate(folds):
        layer = sparse if 0 < ratio <= MOST_SPARSE else plain
        found.append(
            replace(
                layer,
                fold=max(ratio, 1),
                window=near,
                reused_kv=bool(keeping) and ratio > 0 and i not in keeping,
                index_shared=bool(scoring) and bool(layer.index_topk) and i not in scoring,
            )
        )
    return found
