"""How one layer of a config mixes tokens by a state: delta nets, Mamba, lightning attention, convolutions.

Each becomes a row of kind "linear" (a state of ``v_heads x k_dim x v_dim``) or "conv" (none). Projections
that the row has no place for are counted in its joint input projection, so that the weights are as many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from planner.errors import InputError
from planner.inputs.huggingface.attention_layers import HEADS
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.model import Attention

TAPS = 4  # of a convolution, where a config does not say how many
GROUP = 64  # values of a head where a state has one row for each channel (Mamba-1)
MAMBA_HEADS = ("mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "mamba_nheads")
MAMBA_DIM = ("mamba_head_dim", "mamba_d_head", "mamba_headdim")
MAMBA_STATE = ("ssm_state_size", "mamba_d_state", "mamba_state_size", "state_size")
MAMBA_GROUPS = ("n_groups", "mamba_n_groups", "mamba_ngroups")
MAMBA_CONV = ("conv_kernel", "mamba_d_conv", "mamba_conv_kernel", "conv_kernel_size")
MAMBA_EXPAND = ("mamba_expand", "expand")
MAMBA_RANK = ("mamba_dt_rank", "time_step_rank")
MAMBA = (*MAMBA_HEADS, *MAMBA_DIM, *MAMBA_STATE, *MAMBA_GROUPS, *MAMBA_CONV, *MAMBA_EXPAND, *MAMBA_RANK)


def linear(c: Config, hidden: int) -> Attention:
    """What a config calls linear attention: which recurrence follows from its other keys."""
    if c.has("linear_num_key_heads"):
        return delta_net(c)
    if c.has("linear_attn_config", "linear_num_heads"):
        return kimi_delta(c, hidden)
    if c.has(*MAMBA_STATE):
        return mamba(c, hidden)
    return lightning(c, hidden)


def delta_net(c: Config) -> Attention:
    """A gated delta net (Qwen3-Next, OLMo hybrid)."""
    return Attention(
        kind="linear",
        layers=1,
        k_heads=c.whole("linear_num_key_heads", low=1),
        k_dim=c.whole("linear_key_head_dim", low=1),
        v_heads=c.whole("linear_num_value_heads", low=1),
        v_dim=c.whole("linear_value_head_dim", low=1),
        conv_width=c.whole("linear_conv_kernel_dim", default=0),
    )


def kimi_delta(c: Config, hidden: int) -> Attention:
    """Kimi delta attention: its two gates are projections of low rank; in Kimi-K3 one is of full rank."""
    table = c.part("linear_attn_config")
    if table:
        heads, dim, taps = (
            _number(table, key) for key in ("num_heads", "head_dim", "short_conv_kernel_size")
        )
    else:
        heads, dim = c.whole("linear_num_heads", low=1), c.whole("linear_head_dim", low=1)
        taps = c.whole("linear_conv_kernel_dim", "short_conv_kernel_size", default=TAPS)
    narrow = dim + dim * heads * dim / hidden
    gates = narrow + (heads * dim if table.get("use_full_rank_gate") is True else narrow)  # forget, output
    return Attention(
        kind="linear",
        layers=1,
        k_heads=heads,
        k_dim=dim,
        v_heads=heads,
        v_dim=dim,
        conv_width=taps,
        in_width=round(3 * heads * dim + gates + heads),
    )


def _number(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key, TAPS if key.endswith("kernel_size") else None)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise InputError(f"linear_attn_config.{key}", brief(value), "a whole number of at least 1")
    return value


def lightning(c: Config, hidden: int) -> Attention:
    """Lightning attention (MiniMax-Text): queries, keys, values and an output gate, no convolution."""
    heads = c.whole(*HEADS, low=1)
    dim = c.whole("head_dim", default=hidden // heads, low=1)
    c.get("block_size")  # of its kernel
    return Attention(
        kind="linear",
        layers=1,
        k_heads=heads,
        k_dim=dim,
        v_heads=heads,
        v_dim=dim,
        in_width=4 * heads * dim,
    )


def mamba(c: Config, hidden: int) -> Attention:
    """Mamba-2, or the first Mamba where it has no heads."""
    if not c.has(*MAMBA_HEADS) and not c.has("mamba_d_ssm", "num_heads"):
        return first_mamba(c, hidden)
    expanded = c.whole("mamba_d_ssm", default=hidden * c.whole(*MAMBA_EXPAND, default=2, low=1), low=1)
    heads = c.whole(*MAMBA_HEADS, "num_heads", low=1)
    named = c.get(*MAMBA_DIM, *(() if c.has(*MAMBA_HEADS) else ("head_dim",)))
    dim = max(expanded // heads, 1) if named in (None, "auto") else c.whole(*MAMBA_DIM, "head_dim", low=1)
    groups, state = c.whole(*MAMBA_GROUPS, default=1, low=1), c.whole(*MAMBA_STATE, low=1)
    c.get("mamba_chunk_size", "mamba_conv_bias", "mamba_proj_bias", "mamba_rms_norm", "mamba_use_mlp")
    return Attention(
        kind="linear",
        layers=1,
        k_heads=groups,
        k_dim=state,
        v_heads=heads,
        v_dim=dim,
        conv_width=c.whole(*MAMBA_CONV, default=0),
        # gate and input, the two state projections of each group, a step per head
        in_width=2 * heads * dim + 2 * groups * state + heads,
    )


def first_mamba(c: Config, hidden: int) -> Attention:
    """Mamba-1 (Jamba, Falcon-Mamba): a state for each channel; steps come from a projection of low rank."""
    inner = c.whole("intermediate_size", low=1) if c.kind in ("mamba", "falcon_mamba") else 0
    inner = inner or hidden * c.whole(*MAMBA_EXPAND, default=2, low=1)
    c.get(*MAMBA_EXPAND, "mamba_conv_bias", "mamba_proj_bias")
    state = c.whole(*MAMBA_STATE, default=16, low=1)
    rank = c.get(*MAMBA_RANK)
    steps = math.ceil(hidden / 16) if rank in (None, "auto") else c.whole(*MAMBA_RANK, low=1)
    dim = GROUP if inner % GROUP == 0 else inner
    small = inner * (2 * steps + 2 * state) / hidden  # the steps' two factors and the state's projections
    return Attention(
        kind="linear",
        layers=1,
        k_heads=1,
        k_dim=state,
        v_heads=inner // dim,
        v_dim=dim,
        conv_width=c.whole(*MAMBA_CONV, default=4),
        in_width=round(2 * inner + small),
    )


def gated_recurrence(c: Config, hidden: int) -> Attention:
    """RG-LRU (RecurrentGemma): a state of one number for each channel, gates in blocks, one for each head."""
    heads = c.whole(*HEADS, low=1)
    width = c.whole("lru_width", default=hidden, low=1)
    return Attention(
        kind="linear",
        layers=1,
        k_heads=1,
        k_dim=1,
        v_heads=heads,
        v_dim=max(width // heads, 1),
        conv_width=c.whole("conv1d_width", default=4),
        in_width=round(2 * width + 2 * width * (width / heads) / hidden),
    )


def short_conv(c: Config, hidden: int) -> Attention:
    """A gated short convolution (LFM2): two gates and the input, no recurrence."""
    heads = c.whole(*HEADS, low=1)
    c.get("conv_dim", "conv_dim_out", "conv_bias", "conv_use_xavier_init")
    return Attention(
        kind="conv",
        layers=1,
        v_heads=heads,
        v_dim=max(hidden // heads, 1),
        conv_width=c.whole("conv_L_cache", "conv_kernel", default=3),
        in_width=3 * hidden,
    )
