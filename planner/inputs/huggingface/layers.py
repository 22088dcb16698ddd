"""Layers of a Hugging Face config, one `Attention` and one `Ffn` for each, by every convention in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.errors import InputError
from planner.inputs.huggingface import reader
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.model import Attention, Ffn

MOST_SPARSE = 16  # DeepSeek-V4 folds 4 tokens where it has an indexer, 128 where not


def read(c: Config, hidden: int, layers: int) -> tuple[Sequence[Attention], Sequence[Ffn]]:
    """Token mixing and feed-forward part of each layer, in order.

    Raises InputError where an essential number is missing or makes no sense.
    """
    if c.get("block_configs") is not None:
        return _searched(c, hidden, layers)
    if c.get("hybrid_override_pattern") is not None:
        return _hybrid(c, hidden, layers)
    attention: Sequence[Attention]
    if c.get("compress_ratios") is not None:
        attention = _compressed(c, hidden, layers)
    elif c.get("kv_lora_rank") is not None:
        attention = [_latent(c)] * layers
    else:
        attention = [_mixing(c, kind, hidden) for kind in _layer_kinds(c, layers)]
    return attention, _ffn_layers(c, hidden, layers)


def _layer_kinds(c: Config, layers: int) -> Sequence[str]:
    """What each layer mixes tokens by: full, sliding or linear attention."""
    given = c.series("layer_types", layers)
    linear_every = c.whole("full_attention_interval", default=0)
    chunk = c.whole("attention_chunk_size", default=0)
    pattern = c.whole("sliding_window_pattern", "_sliding_window_pattern", default=0)
    if given is not None:
        return [_known_kind(c, kind) for kind in given]
    if linear_every:
        return ["full" if (i + 1) % linear_every == 0 else "linear" for i in range(layers)]
    if chunk:  # Llama 4: chunks where positions are rotated, everything where they are not
        rotated = c.series("no_rope_layers", layers)
        every = c.whole("no_rope_layer_interval", default=4, low=1)
        flags = rotated if rotated is not None else [(i + 1) % every for i in range(layers)]
        return ["sliding" if flag else "full" for flag in flags]
    window = c.get("sliding_window")
    if not c.flag("use_sliding_window", True) or not window:
        return ["full"] * layers
    if not pattern and c.kind in reader.ALTERNATING:
        pattern = reader.ALTERNATING[c.kind]
    if pattern:
        return ["full" if (i + 1) % pattern == 0 else "sliding" for i in range(layers)]
    if c.get("use_sliding_window"):  # Qwen: only the layers from max_window_layers on
        first = c.whole("max_window_layers", default=0)
        return ["sliding" if i >= first else "full" for i in range(layers)]
    return ["sliding"] * layers


def _known_kind(c: Config, kind: object) -> str:
    known = {
        "full_attention": "full",
        "attention": "full",
        "sliding_attention": "sliding",
        "chunked_attention": "sliding",
        "linear_attention": "linear",
    }
    if str(kind) not in known:
        c.miss(f"layer_types {kind}")
    return known.get(str(kind), "full")


def _mixing(c: Config, kind: str, hidden: int) -> Attention:
    """One layer of grouped-query or linear attention."""
    if kind == "linear":
        return Attention(
            kind="linear",
            layers=1,
            k_heads=c.whole("linear_num_key_heads", low=1),
            k_dim=c.whole("linear_key_head_dim", low=1),
            v_heads=c.whole("linear_num_value_heads", low=1),
            v_dim=c.whole("linear_value_head_dim", low=1),
            conv_width=c.whole("linear_conv_kernel_dim", default=0),
        )
    heads = c.whole("num_attention_heads", "n_head", "n_heads", low=1)
    default_kv = 1 if c.flag("multi_query") else heads
    kv_heads = c.whole("num_key_value_heads", "num_kv_heads", "n_kv_heads", default=default_kv, low=1)
    head_dim = c.whole("head_dim", "kv_channels", default=hidden // heads, low=1)
    window = c.whole("sliding_window", "attention_chunk_size", default=0) if kind == "sliding" else 0
    longest = c.whole("max_position_embeddings", default=0)
    if kind == "full":  # Gemma 4 has other heads in its global layers
        head_dim = c.whole("global_head_dim", default=head_dim, low=1)
        kv_heads = c.whole("num_global_key_value_heads", default=kv_heads, low=1)
        if c.flag("attention_k_eq_v"):
            # one projection, two cached vectors: keys are rotated, values normalised without
            c.notes.append("global layers reuse keys as values; the projection is counted twice")
            c.notes = list(dict.fromkeys(c.notes))
    if heads % kv_heads:
        raise InputError("num_key_value_heads", kv_heads, f"a divisor of the {heads} attention heads")
    return Attention(
        kind="gqa",
        layers=1,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        v_dim=c.whole("v_head_dim", default=0),
        window=0 if longest and window >= longest else window,
        output_gate=c.flag("attn_output_gate"),
        bias=c.flag("attention_bias", c.kind in reader.BIASED) or c.flag("qkv_bias"),
        qk_norm=c.flag("use_qk_norm", c.kind in reader.QK_NORMED),
    )


def _latent(c: Config) -> Attention:
    """One layer of multi-head latent attention, with DeepSeek's sparse indexer if there is one."""
    c.get("num_key_value_heads", "head_dim", "use_qk_norm")  # published, but of no meaning here
    topk = c.whole("index_topk", default=0)
    return Attention(
        kind="mla",
        layers=1,
        heads=c.whole("num_attention_heads", low=1),
        q_lora=c.whole("q_lora_rank", default=0),
        kv_lora=c.whole("kv_lora_rank", low=1),
        nope_dim=c.whole("qk_nope_head_dim", low=1),
        rope_dim=c.whole("qk_rope_head_dim", low=0),
        v_dim=c.whole("v_head_dim", low=1),
        index_topk=topk,
        index_heads=c.whole("index_n_heads", low=1) if topk else 0,
        index_dim=c.whole("index_head_dim", low=1) if topk else 0,
    )


def _compressed(c: Config, hidden: int, layers: int) -> list[Attention]:
    """DeepSeek-V4: one latent vector that all heads share, kept for the last tokens and folded before.

    Layers that fold few tokens into one entry pick some of them by an indexer, those that fold many
    read all; those with ratio 0 have their window alone. The output projection has two factors and
    the latent no up-projection: the value width is chosen so that the weights are as many. The
    compressors' own weights and the streams of its residual are left out.
    """
    ratios = c.series("compress_ratios", layers) or [0] * layers
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
    found = []
    for ratio in ratios:
        if not isinstance(ratio, int) or ratio < 0:
            raise InputError("compress_ratios", brief(ratio), "whole numbers, 0 or more")
        layer = sparse if 0 < ratio <= MOST_SPARSE else plain
        found.append(replace(layer, fold=max(ratio, 1), window=near))
    return found


# --- feed-forward


def _activation_matrices(c: Config) -> int:
    """3 where the feed-forward unit is gated, 2 where it is not."""
    act = str(c.get("mlp_hidden_act", "hidden_act", "hidden_activation", "activation_function") or "")
    return 2 if act.startswith("relu") or c.kind in reader.NOT_GATED else 3


def _ffn_layers(c: Config, hidden: int, layers: int) -> list[Ffn]:
    """Each layer's feed-forward part."""
    experts = c.whole("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", default=0)
    if not c.flag("enable_moe_block", True):
        experts = 0
    routed = [bool(experts) and flag for flag in _routed_layers(c, layers)]
    default_width = 4 * hidden if c.kind in reader.NOT_GATED else None
    keys = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
    if not all(routed):
        width = c.whole("intermediate_size_mlp", *keys, default=default_width, low=1)
        dense = Ffn(
            kind="dense", layers=1, width=width, matrices=_activation_matrices(c), bias=c.flag("mlp_bias")
        )
    c.get("intermediate_size_mlp", "mlp_bias", *keys)  # also where every layer has experts
    moe = _experts(c, experts) if any(routed) else None
    return [moe if flag and moe else dense for flag in routed]


def _routed_layers(c: Config, layers: int) -> list[bool]:
    """Which layers have experts, by every convention in use."""
    kinds = c.series("mlp_layer_types", layers)
    listed = c.places("moe_layers")  # Llama 4
    first = c.whole("first_k_dense_replace", default=0)
    step = c.whole("decoder_sparse_step", "interleave_moe_layer_step", default=1, low=1)
    skip = c.places("mlp_only_layers")
    freq = c.get("moe_layer_freq")
    if kinds is not None:
        return [kind != "dense" for kind in kinds]
    if listed:
        return [i in listed for i in range(layers)]
    flags = c.series("moe_layer_freq", layers) if isinstance(freq, list) else None
    if flags is not None:
        return [bool(flag) for flag in flags]
    every = 1 if freq == [] else c.whole("moe_layer_freq", default=1, low=1)
    return [i >= first and (i + 1) % step == 0 and i % every == 0 and i not in skip for i in range(layers)]


def _experts(c: Config, experts: int) -> Ffn:
    """One layer of experts, with those that every token visits."""
    width = c.whole("moe_intermediate_size", "intermediate_size", low=1)
    topk = c.whole("num_experts_per_tok", "top_k_experts", "experts_per_token", "moe_topk", low=1)
    if topk > experts:
        raise InputError("num_experts_per_tok", topk, f"at most the {experts} experts there are")
    count = c.whole("n_shared_experts", "num_shared_experts", default=0)
    shared = c.whole(
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        default=count * width,
    )
    if c.kind.startswith(("llama4", "gemma4")):  # one expert, or the dense unit, beside the routed ones
        shared = c.whole("intermediate_size", low=1)
    return Ffn(
        kind="moe",
        layers=1,
        width=width,
        matrices=_activation_matrices(c),
        experts=experts,
        topk=topk,
        shared_width=shared,
        latent=c.whole("moe_latent_size", default=0),
        bias=c.kind == "gpt_oss",
    )


# --- stacks with their own layer lists

NO_MIXING = Attention(kind="none", layers=1)
NO_FFN = Ffn(kind="none", layers=1)


def _hybrid(c: Config, hidden: int, layers: int) -> tuple[list[Attention], list[Ffn]]:
    """Nemotron-H: one letter per layer, M Mamba-2, * attention, E experts, - a dense unit."""
    pattern = c.series("hybrid_override_pattern", layers, str) or ""
    attention, ffn = [], []
    inner_heads = c.whole("mamba_num_heads", low=1) if "M" in pattern else 0
    for letter in pattern:
        if letter not in "M*E-":
            raise InputError("hybrid_override_pattern", letter, "a pattern of M, *, E and -")
        attention.append(NO_MIXING)
        ffn.append(NO_FFN)
        if letter == "M":
            head, groups = c.whole("mamba_head_dim", low=1), c.whole("n_groups", low=1)
            state = c.whole("ssm_state_size", low=1)
            attention[-1] = Attention(
                kind="linear",
                layers=1,
                k_heads=groups,
                k_dim=state,
                v_heads=inner_heads,
                v_dim=head,
                conv_width=c.whole("conv_kernel", default=0),
                # gate and input, the two state projections of each group, a step per head
                in_width=2 * inner_heads * head + 2 * groups * state + inner_heads,
            )
        elif letter == "*":
            attention[-1] = _mixing(c, "full", hidden)
        elif letter == "E":
            ffn[-1] = _experts(c, c.whole("n_routed_experts", "num_experts", low=1))
        else:
            width = c.whole("intermediate_size", low=1)
            ffn[-1] = Ffn(kind="dense", layers=1, width=width, matrices=_activation_matrices(c))
    c.get("expand", "intermediate_size", "n_routed_experts")  # said again by the numbers above
    return attention, ffn


def _searched(c: Config, hidden: int, layers: int) -> tuple[list[Attention], list[Ffn]]:
    """Nemotron-NAS: each layer has its own attention (or none) and its own width (or none)."""
    heads = c.whole("num_attention_heads", low=1)
    dense = Ffn(kind="dense", layers=1, matrices=_activation_matrices(c), bias=c.flag("mlp_bias"))
    c.get("num_key_value_heads", "intermediate_size")  # each layer has its own
    attention, ffn = [], []
    for block in c.series("block_configs", layers) or []:
        mixing, unit = _part(block, "attention"), _part(block, "ffn")
        for part in (mixing, unit):
            if part.flag("replace_with_linear"):
                c.miss("replace_with_linear")
        if mixing.flag("no_op") or mixing.flag("replace_with_linear"):
            attention.append(NO_MIXING)
        else:
            group = mixing.whole("n_heads_in_group", default=1, low=1)
            attention.append(
                Attention(
                    kind="gqa",
                    layers=1,
                    heads=heads,
                    kv_heads=max(heads // group, 1),
                    head_dim=c.whole("head_dim", default=hidden // heads, low=1),
                    window=mixing.whole("window_length", default=0),
                    bias=c.flag("attention_bias"),
                )
            )
        if unit.flag("no_op") or unit.flag("replace_with_linear"):
            ffn.append(NO_FFN)
        else:
            width = _multiple_width(unit, hidden)
            ffn.append(replace(dense, width=width))
    return attention, ffn


def _part(block: object, name: str) -> Config:
    part = block.get(name) if isinstance(block, Mapping) else None
    if not isinstance(part, Mapping):
        raise InputError("block_configs", brief(block), f"entries that each have an object {name}")
    return Config(part)


def _multiple_width(unit: Config, hidden: int) -> int:
    """Width of a layer given as a multiple: two thirds of it, rounded up to 256."""
    if unit.get("ffn_mult") is None:
        return unit.whole("intermediate_size", low=1)
    times = unit.get("ffn_mult")
    if not isinstance(times, (int, float)) or not 0 < times < 1000:
        raise InputError("ffn_mult", brief(times), "a number above 0")
    return math.ceil(int(2 * times * hidden / 3) / 256) * 256
