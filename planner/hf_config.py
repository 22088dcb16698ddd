"""A Hugging Face `config.json` as a `ModelSpec`, and what in it was not understood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from planner import hf_keys
from planner.errors import InputError
from planner.model import Attention, Ffn, ModelSpec

MAX_LAYERS = 10_000  # more is a mistake, and would only fill memory here

T = TypeVar("T", Attention, Ffn)


class _Config:
    """The text part of a config, and a record of the keys that were read."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}
        part: object = config
        while isinstance(part, Mapping):
            self.values.update(part)
            part = next((part[k] for k in hf_keys.NESTED if isinstance(part.get(k), Mapping)), None)
        self.used: set[str] = {"model_type", *hf_keys.NESTED}
        self.kind = str(self.values.get("model_type") or "missing")
        self.missed: list[str] = []
        self.notes: list[str] = []

    def get(self, *keys: str) -> Any:
        """The first of these keys that has a value; all count as read."""
        self.used.update(keys)
        return next((self.values[k] for k in keys if self.values.get(k) is not None), None)

    def whole(self, *keys: str, default: int | None = None, low: int = 0) -> int:
        """A whole number. Raises InputError if it is missing without a default, or below `low`."""
        value = self.get(*keys)
        if value is None and default is not None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 2**53:
            raise InputError(
                keys[0], _brief(value), f"a config.json must give a whole number of at least {low} here"
            )
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.get(key)
        return default if value is None else bool(value)

    def series(self, key: str, layers: int, kind: type = list) -> Sequence[Any] | None:
        """One entry per layer (more belong to prediction heads); None if absent or empty."""
        value = self.get(key)
        if value is None or value == kind():
            return None
        if not isinstance(value, kind) or len(value) < layers:  # type: ignore[arg-type]
            raise InputError(key, _brief(value), f"a config.json must give one entry for each of {layers} layers")
        found: Sequence[Any] = value[:layers]  # type: ignore[index]
        return found

    def miss(self, what: str) -> None:
        """Note something that was not understood, once."""
        if what not in self.missed:
            self.missed.append(what)

    def miss_unread(self) -> None:
        """Note the keys with a value that nothing has read and that look architectural."""
        for key, value in self.values.items():
            trivial = value is None or value in (False, 0, "", [], {})
            if not trivial and key not in self.used and not hf_keys.is_plain(key):
                self.miss(key)


def from_hf_config(config: Mapping[str, Any], name: str) -> tuple[ModelSpec, tuple[str, ...]]:
    """The architecture in a config, and the names of what was not understood.

    Parameters
    ----------
    config
        The parsed JSON object; configs of multimodal models hold the text part nested.
    name
        Name of the model in the catalog.

    Returns
    -------
    spec
        Layers of equal shape grouped, in order of first appearance.
    not_understood
        Keys that look architectural and are not modelled, and model types read by the rules of
        llama-like models. Empty for an architecture that is wholly known.

    Raises
    ------
    InputError
        If it is not an object, or an essential number is missing or makes no sense.
    """
    if not isinstance(config, Mapping):
        raise InputError("config.json", _brief(config), "a JSON object that describes a model")
    c = _Config(config)
    layers = c.whole("num_hidden_layers", "n_layer", "num_layers", "n_layers", low=1)
    if layers > MAX_LAYERS:
        raise InputError("num_hidden_layers", layers, f"at most {MAX_LAYERS}")
    hidden = c.whole("hidden_size", "n_embd", "d_model", low=1)
    vocab = c.whole("vocab_size", low=1)

    attention: Sequence[Attention]
    ffn: Sequence[Ffn]
    if c.get("block_configs") is not None:
        attention, ffn = _searched(c, hidden, layers)
    elif c.get("hybrid_override_pattern") is not None:
        attention, ffn = _hybrid(c, hidden, layers)
    else:
        if c.get("compress_ratios") is not None:
            attention = _compressed(c, layers)
        elif c.get("kv_lora_rank") is not None:
            attention = [_latent(c)] * layers
        else:
            attention = [_mixing(c, kind, hidden) for kind in _layer_kinds(c, layers)]
        ffn = _ffn_layers(c, hidden, layers)

    if c.kind not in hf_keys.FAMILIES:
        c.miss(f"model_type {c.kind}")
    if any(key.startswith(("vision_", "audio_", "vit_")) for key in config):
        c.notes.append("text model only: the parts that see and hear are left out")
    spec = ModelSpec(
        name=name,
        label=name,
        family=hf_keys.FAMILIES.get(c.kind, c.kind),
        hidden=hidden,
        vocab=vocab,
        layers=layers,
        attention=_grouped(attention),
        ffn=_grouped(ffn),
        tied_embeddings=c.flag("tie_word_embeddings", c.kind.startswith(hf_keys.TIED)),
        max_context=c.whole("max_position_embeddings", "n_positions", "max_seq_len", default=0),
        mtp_layers=_prediction_heads(c),
        checkpoint=_checkpoint(c),
    )
    c.miss_unread()
    if c.missed:
        c.notes.append(f"not modelled: {', '.join(c.missed)}")
    return replace(spec, notes=tuple(c.notes)), tuple(c.missed)


def _brief(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= 40 else value[:37] + "..."
    return value if value is None or isinstance(value, (int, float)) else type(value).__name__


def _grouped(layers: Sequence[T]) -> tuple[T, ...]:
    """Equal layers as one entry with their count."""
    counts: dict[T, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(replace(layer, layers=count) for layer, count in counts.items())


# --- token mixing


def _layer_kinds(c: _Config, layers: int) -> Sequence[str]:
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
    if not c.flag("use_sliding_window", True) or not c.get("sliding_window"):
        return ["full"] * layers
    if not pattern and c.kind in hf_keys.ALTERNATING:
        pattern = hf_keys.ALTERNATING[c.kind]
    if pattern:
        return ["full" if (i + 1) % pattern == 0 else "sliding" for i in range(layers)]
    if c.get("use_sliding_window"):  # Qwen: only the layers from max_window_layers on
        first = c.whole("max_window_layers", default=0)
        return ["sliding" if i >= first else "full" for i in range(layers)]
    return ["sliding"] * layers


def _known_kind(c: _Config, kind: object) -> str:
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


def _mixing(c: _Config, kind: str, hidden: int) -> Attention:
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
        bias=c.flag("attention_bias", c.kind in hf_keys.BIASED) or c.flag("qkv_bias"),
    )


def _latent(c: _Config) -> Attention:
    """One layer of multi-head latent attention, with DeepSeek's sparse indexer if there is one."""
    c.get("num_key_value_heads", "head_dim")  # published, but of no meaning here
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


def _compressed(c: _Config, layers: int) -> list[Attention]:
    """DeepSeek-V4, as near as a `ModelSpec` gets: one shared latent vector per token and layer.

    Layers that fold 4 tokens into one entry become sparse attention over all tokens; those that
    fold 128 become a window as long as their entries at full context. Both hold more than the
    real cache, so memory and time come out too large at long contexts; the caller is told.
    """
    ratios = c.series("compress_ratios", layers) or [0] * layers
    head_dim, rope = c.whole("head_dim", low=1), c.whole("qk_rope_head_dim", default=0)
    near = c.whole("sliding_window", default=0)
    longest = c.whole("max_position_embeddings", default=0)
    plain = Attention(
        kind="mla",
        layers=1,
        heads=c.whole("num_attention_heads", low=1),
        q_lora=c.whole("q_lora_rank", default=0),
        kv_lora=max(head_dim - rope, 1),
        nope_dim=max(head_dim - rope, 1),
        rope_dim=rope,
        v_dim=head_dim,
    )
    sparse = replace(
        plain,
        index_topk=c.whole("index_topk", low=1) + near,
        index_heads=c.whole("index_n_heads", low=1),
        index_dim=c.whole("index_head_dim", low=1),
    )
    c.get("num_key_value_heads")
    c.used.difference_update({"compress_ratios"})  # read, but not understood
    found = []
    for ratio in ratios:
        if not isinstance(ratio, int) or ratio < 0:
            raise InputError("compress_ratios", _brief(ratio), "whole numbers, 0 or more")
        folded = replace(plain, window=near + (math.ceil(longest / ratio) if ratio else 0))
        found.append(sparse if 0 < ratio <= 16 else folded)
    return found


# --- feed-forward


def _activation_matrices(c: _Config) -> int:
    """3 where the feed-forward unit is gated, 2 where it is not."""
    act = str(c.get("mlp_hidden_act", "hidden_act", "hidden_activation", "activation_function") or "")
    return 2 if act.startswith("relu") or c.kind in hf_keys.NOT_GATED else 3


def _ffn_layers(c: _Config, hidden: int, layers: int) -> list[Ffn]:
    """Each layer's feed-forward part."""
    experts = c.whole("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", default=0)
    if not c.flag("enable_moe_block", True):
        experts = 0
    routed = [bool(experts) and flag for flag in _routed_layers(c, layers)]
    default_width = 4 * hidden if c.kind in hf_keys.NOT_GATED else None
    keys = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
    if not all(routed):
        width = c.whole("intermediate_size_mlp", *keys, default=default_width, low=1)
        dense = Ffn(
            kind="dense", layers=1, width=width, matrices=_activation_matrices(c), bias=c.flag("mlp_bias")
        )
    c.get("intermediate_size_mlp", "mlp_bias", *keys)  # also where every layer has experts
    moe = _experts(c, experts) if any(routed) else None
    return [moe if flag and moe else dense for flag in routed]


def _routed_layers(c: _Config, layers: int) -> list[bool]:
    """Which layers have experts, by every convention in use."""
    kinds = c.series("mlp_layer_types", layers)
    listed = c.get("moe_layers")  # Llama 4
    first = c.whole("first_k_dense_replace", default=0)
    step = c.whole("decoder_sparse_step", "interleave_moe_layer_step", default=1, low=1)
    skip = c.get("mlp_only_layers") or []
    freq = c.get("moe_layer_freq")
    if kinds is not None:
        return [kind != "dense" for kind in kinds]
    if isinstance(listed, list) and listed:
        return [i in listed for i in range(layers)]
    if isinstance(freq, list):
        flags = c.series("moe_layer_freq", layers) or []
        return [bool(flag) for flag in flags]
    every = c.whole("moe_layer_freq", default=1, low=1)
    return [
        i >= first and (i + 1) % step == 0 and i % every == 0 and i not in skip for i in range(layers)
    ]


def _experts(c: _Config, experts: int) -> Ffn:
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


def _hybrid(c: _Config, hidden: int, layers: int) -> tuple[list[Attention], list[Ffn]]:
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


def _searched(c: _Config, hidden: int, layers: int) -> tuple[list[Attention], list[Ffn]]:
    """Nemotron-NAS: each layer has its own attention (or none) and its own width (or none)."""
    heads = c.whole("num_attention_heads", low=1)
    attention, ffn = [], []
    for block in c.series("block_configs", layers) or []:
        parts = [block.get(k) if isinstance(block, Mapping) else None for k in ("attention", "ffn")]
        if not all(isinstance(part, Mapping) for part in parts):
            raise InputError("block_configs", _brief(block), "entries with an attention and an ffn part")
        mixing, unit = _Config(parts[0]), _Config(parts[1])
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
            ffn.append(Ffn(kind="dense", layers=1, width=_multiple_width(unit, hidden), bias=c.flag("mlp_bias")))
    return attention, ffn


def _multiple_width(unit: _Config, hidden: int) -> int:
    """Width of a layer given as a multiple: two thirds of it, rounded up to 256."""
    if unit.get("ffn_mult") is None:
        return unit.whole("intermediate_size", low=1)
    times = unit.get("ffn_mult")
    if not isinstance(times, (int, float)) or not 0 < times < 1000:
        raise InputError("ffn_mult", _brief(times), "a number above 0")
    return math.ceil(int(2 * times * hidden / 3) / 256) * 256


# --- the rest


def _prediction_heads(c: _Config) -> int:
    """Layers that predict further tokens."""
    heads = c.whole("num_nextn_predict_layers", "mtp_num_hidden_layers", default=0)
    if c.flag("use_mtp"):
        heads = c.whole("num_mtp_modules", default=heads)
    if c.whole("mtp_transformer_layers", default=1) != 1:
        c.miss("mtp_transformer_layers")
    c.get("num_mtp_modules", "mtp_use_dedicated_embeddings")
    return heads


def _checkpoint(c: _Config) -> str:
    """Format of the published weights."""
    quantised = c.get("quantization_config")
    if not isinstance(quantised, Mapping):
        return "bf16"
    method = str(quantised.get("quant_method", quantised.get("quant_algo", ""))).lower()
    algorithm = str(quantised.get("quant_algo", "")).lower()
    if "mxfp4" in (method, algorithm):
        return "mxfp4"
    if "nvfp4" in algorithm:
        return "nvfp4"
    if method == "fp8" or algorithm == "fp8":
        return "fp8_block" if quantised.get("weight_block_size") else "fp8"
    bits, kind = _weight_bits(quantised)
    if bits == 4:
        return "nvfp4" if kind == "float" else "int4_wo"
    if bits == 8 and kind == "float":
        return "fp8"
    c.miss("quantization_config")
    return "bf16"


def _weight_bits(quantised: Mapping[str, Any]) -> tuple[object, object]:
    """Bits and number kind of compressed-tensors, AWQ and GPTQ checkpoints."""
    groups = quantised.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            return weights.get("num_bits"), weights.get("type", "int")
    return quantised.get("bits", quantised.get("w_bit")), "int"
