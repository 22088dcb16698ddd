"""Layers of a Hugging Face config, one `Attention` and one `Ffn` for each, by every convention in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.errors import InputError
from planner.inputs.huggingface import attention_layers, families, feed_forward, patterns, state_layers
from planner.inputs.huggingface.patterns import Mixing
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.model import Attention, Ffn

NO_MIXING = Attention(kind="none", layers=1)
NO_FFN = Ffn(kind="none", layers=1)


def read(c: Config, hidden: int, layers: int) -> tuple[Sequence[Attention], Sequence[Ffn]]:
    """Token mixing and feed-forward part of each layer, in order.

    A layer that mixes tokens in two ways at once has two rows, the second `beside` the first.

    Raises InputError where an essential number is missing or makes no sense.
    """
    if c.get("block_configs") is not None:
        return _searched(c, hidden, layers)
    folds = attention_layers.ratios(c, layers)
    if folds is not None:
        return attention_layers.folded(c, hidden, folds), feed_forward.layers_of(c, hidden, layers)
    kinds = patterns.mixing(c, layers)
    if c.has("layer_types") and not {"mamba", "linear", "both"} & set(kinds):
        c.get(*state_layers.MAMBA)  # of a kind of layer that there is none of (Granite 4.0 Micro)
    if feed_forward.words(kinds):
        return _one_part_each(c, kinds, hidden)
    attention: list[Attention] = []
    for i, kind in enumerate(kinds):
        seen = c.at(i)
        attention.append(_mixing(seen, kind, hidden))
        if kind == "both":
            attention.append(replace(state_layers.mamba(seen, hidden), beside=True))
    if c.kind in families.STATE_ALONE:
        c.get("intermediate_size", *feed_forward.ACTIVATION)
        return attention, [NO_FFN] * layers
    return attention, feed_forward.layers_of(c, hidden, layers)


def _mixing(c: Config, kind: Mixing, hidden: int) -> Attention:
    """How one layer mixes tokens."""
    if kind == "linear":
        return state_layers.linear(c, hidden)
    if kind == "mamba":
        return state_layers.mamba(c, hidden)
    if kind == "conv":
        return state_layers.short_conv(c, hidden)
    if kind == "recurrent":
        return state_layers.gated_recurrence(c, hidden)
    return attention_layers.attention(c, "full" if kind == "both" else kind, hidden)


def _one_part_each(c: Config, kinds: Sequence[Mixing], hidden: int) -> tuple[list[Attention], list[Ffn]]:
    """Nemotron-H: a layer mixes tokens or feeds them forward, never both."""
    attention, ffn = [], []
    for i, kind in enumerate(kinds):
        seen = c.at(i)
        if kind in ("experts", "unit"):
            attention.append(NO_MIXING)
            ffn.append(
                feed_forward.routed_layer(seen) if kind == "experts" else feed_forward.dense(seen, hidden)
            )
        else:
            attention.append(_mixing(seen, kind, hidden))
            ffn.append(NO_FFN)
    # said again by the numbers above, or of a kind of layer that there is none of
    c.get("expand", "intermediate_size", *feed_forward.EXPERTS, *feed_forward.TOPK, *feed_forward.SHARED)
    c.get(
        *feed_forward.EXPERT_WIDTH, *feed_forward.SHARED_WIDTH, "num_hidden_layers", *feed_forward.ACTIVATION
    )
    return attention, ffn


def _searched(c: Config, hidden: int, layers: int) -> tuple[list[Attention], list[Ffn]]:
    """Nemotron-NAS: each layer has its own attention (or none) and its own width (or none)."""
    heads = c.whole("num_attention_heads", low=1)
    dense = Ffn(kind="dense", layers=1, matrices=feed_forward.matrices(c), bias=c.flag("mlp_bias"))
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
