"""The feed-forward part of each layer of a config: which have experts, how many, how wide, gated or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from planner.errors import InputError
from planner.inputs.huggingface import families
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.model import Ffn

EXPERTS = (
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "moe_num_experts",
    "num_routed_experts",
    "num_moe_experts",
    "n_experts",
    "moe_num_primary_experts",
)
TOPK = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "top_k_experts",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
    "num_selected_experts",
    "num_activated_experts",
    "moe_router_topk",
    "router_topk",
    "moe_num_active_primary_experts",
)
EXPERT_WIDTH = (
    "moe_intermediate_size",
    "expert_ffn_hidden_size",
    "moe_ffn_hidden_size",
    "expert_intermediate_size",
    "expert_hidden_size",
)
DENSE_WIDTH = (
    "intermediate_size",
    "ffn_dim",
    "n_inner",
    "ffn_hidden_size",
    "inner_hidden_size",
    "hidden_dim",
    "d_ff",
    "dff",
    "dim_ff",
    "block_ff_dim",
    "ff_intermediate_size",
)
# of dense layers beside those with experts, where that is another than theirs
BESIDE_WIDTH = ("dense_intermediate_size", "intermediate_size_mlp", "intermediate_size_dense")
SHARED = (
    "n_shared_experts",
    "num_shared_experts",
    "num_shared_expert",
    "moe_num_shared_experts",
    "n_shared_expert",
)
SHARED_WIDTH = (
    "moe_shared_expert_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
)
DENSE_FIRST = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "n_dense_layers")
ACTIVATION = (
    "mlp_hidden_act",
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "activation",
    "ffn_act_fn",
    "mlp_activation",
)
# activations that are functions of one number: no second projection stands beside it
_ALONE = ("relu", "xielu", "squared_relu", "sqrrelu")


def matrices(c: Config) -> int:
    """3 where the feed-forward unit is gated, 2 where it is not."""
    act = c.get(*ACTIVATION)
    named = str(act.get("name") if isinstance(act, Mapping) else act or "").lower()
    if c.kind in families.GATED:
        return 3
    return 2 if named.startswith(_ALONE) or c.kind in families.NOT_GATED else 3


def layers_of(c: Config, hidden: int, layers: int) -> list[Ffn]:
    """Each layer's feed-forward part. Raises InputError as `Config.whole`."""
    experts = most_experts(c, layers)
    if not all(c.flag(switch, True) for switch in ("enable_moe_block", "is_moe", "use_moe")):
        experts = 0
    routed = [experts > 1 and flag for flag in _routed(c, layers)]
    found = []
    for i, flag in enumerate(routed):
        seen = c.at(i)
        found.append(routed_layer(seen) if flag else dense(seen, hidden, beside=any(routed)))
    c.get(
        *DENSE_WIDTH, *BESIDE_WIDTH, *EXPERT_WIDTH, *TOPK, *SHARED, *SHARED_WIDTH, "mlp_bias"
    )  # read or void
    return found


def most_experts(c: Config, layers: int) -> int:
    """Most experts of any layer: a list may give each its own."""
    value = c.get(*EXPERTS)
    if isinstance(value, list) and value:
        return max(c.at(i).whole(*EXPERTS) for i in range(min(layers, len(value))))
    return c.whole(*EXPERTS, default=0)


def dense(c: Config, hidden: int, *, beside: bool = False) -> Ffn:
    """A layer without experts; `beside` others that have some."""
    if c.has("ffn_multipliers"):
        return _scaled(c, hidden)
    times = c.whole("expansion_ratio", "intermediate_multiple_size", default=4, low=1)  # MPT
    default = times * hidden if c.kind in families.NOT_GATED else None
    own = BESIDE_WIDTH if beside else ()
    width = c.whole(*(own if c.has(*own) else DENSE_WIDTH), default=default, low=0)
    if c.kind in families.HALVED:
        width //= 2
    if not beside and width == 0:
        return Ffn(kind="none", layers=1)
    if width < 1:
        raise InputError(c.key(*own, *DENSE_WIDTH), width, "a config.json must give at least 1 here")
    if c.flag("use_double_wide_mlp"):  # Gemma 4: the layers that borrow their keys and values
        c.miss("use_double_wide_mlp")
    return Ffn(
        kind="dense",
        layers=1,
        width=_adjusted(c, width),
        matrices=matrices(c),
        bias=c.flag("mlp_bias"),
    )


def _scaled(c: Config, hidden: int) -> Ffn:
    """OpenELM: a layer's width is a multiple of the model's, at the nearest step and at least nine tenths."""
    times, step = c.get("ffn_multipliers"), c.whole("ffn_dim_divisor", default=256, low=1)
    if isinstance(times, list) and c.layer is not None and c.layer < len(times):
        times = times[c.layer]
    if not isinstance(times, (int, float)) or isinstance(times, bool) or not 0 < times < 1000:
        raise InputError("ffn_multipliers", brief(times), "a number above 0 for each layer")
    width = max(int(times * hidden + step / 2) // step * step, step)
    if width < 0.9 * times * hidden:
        width += step
    return Ffn(kind="dense", layers=1, width=width, matrices=3 if c.flag("ffn_with_glu", True) else 2)


def _adjusted(c: Config, width: int) -> int:
    """LFM2: two thirds of what is written, times a multiplier, rounded up."""
    c.get("block_use_swiglu", "block_mlp_init_scale", "block_norm_eps", "block_dim", "block_out_dim")
    times, step = c.get("block_ffn_dim_multiplier"), c.whole("block_multiple_of", default=256, low=1)
    if not c.flag("block_auto_adjust_ff_dim"):
        return width
    scaled = int(2 * width / 3)
    if isinstance(times, (int, float)) and 0 < times < 1000:
        scaled = int(times * scaled)
    return math.ceil(scaled / step) * step


def _routed(c: Config, layers: int) -> list[bool]:
    """Which layers have experts, by every convention in use."""
    if c.kind in families.PAIRED:  # LongCat: the first of each pair has experts beside its dense unit
        return [i % 2 == 0 for i in range(layers)]
    kinds = c.series("mlp_layer_types", layers)
    each = c.series("layers_num_experts", layers)  # Jamba, where its lists are saved
    listed = c.places("moe_layers") or c.places("moe_layers_enum")  # Llama 4, Step
    first = c.whole(*DENSE_FIRST, default=0)
    last = c.whole("moe_layer_end_index", default=layers) if c.has("moe_layer_end_index") else layers
    step = c.whole("decoder_sparse_step", "interleave_moe_layer_step", default=1, low=1)
    skip = c.places("mlp_only_layers")
    period, offset = c.whole("expert_layer_period", default=0), c.whole("expert_layer_offset", default=0)
    freq = c.get("moe_layer_freq", "moe_layer_interval")
    flags = (
        c.series(c.key("moe_layer_freq", "moe_layer_interval"), layers) if isinstance(freq, list) else None
    )
    every = 1 if freq == [] or flags else c.whole("moe_layer_freq", "moe_layer_interval", default=1, low=1)
    if kinds is not None:
        return [str(kind) != "dense" for kind in kinds]
    if each is not None:
        return [number != 1 for number in each]
    if listed:
        return [i in listed for i in range(layers)]
    if flags is not None:
        return [bool(flag) for flag in flags]
    if period:
        return [i % period == offset % period for i in range(layers)]
    if c.has("moe_layer_end_index") and last < 0:
        last = layers
    return [
        first <= i <= last
        and (i + 1) % step == 0
        and (i - first * ("moe_layer_interval" in c.values)) % every == 0
        and i not in skip
        for i in range(layers)
    ]


def routed_layer(c: Config) -> Ffn:
    """One layer of experts, with those that every token visits; `c` as that layer sees it."""
    experts = c.whole(*EXPERTS, low=1)
    width = c.whole(*EXPERT_WIDTH, *DENSE_WIDTH, low=1)
    topk = c.whole(*TOPK, low=1)
    if topk > experts:
        raise InputError(c.key(*TOPK), topk, f"at most the {experts} experts there are")
    shared = c.whole(*SHARED_WIDTH, default=_shared(c) * width)
    if c.kind.startswith(("llama4", "gemma4")):  # one expert, or the dense unit, beside the routed ones
        shared = c.whole("intermediate_size", low=1)
    if c.kind in families.PAIRED:
        shared = c.whole(*DENSE_WIDTH, low=1)
    if c.flag("parallel_attn_mlp_res"):  # Arctic: a dense unit as wide as the model, beside the experts
        shared += c.whole("hidden_size", low=1)
    if c.flag("residual_moe"):  # Grok-2
        shared += c.whole("intermediate_size", low=1)
    if c.get("use_residual_mlp"):
        c.miss("use_residual_mlp")
    topk = _visited(c, topk, experts)
    return Ffn(
        kind="moe",
        layers=1,
        width=width,
        matrices=matrices(c),
        experts=experts,
        topk=topk,
        shared_width=shared,
        latent=c.whole("moe_latent_size", "routed_expert_hidden_size", default=0),
        bias=c.kind == "gpt_oss",
    )


def _visited(c: Config, topk: int, experts: int) -> int:
    """Experts that a token visits in the mean: some of those it picks may do nothing (LongCat)."""
    empty = c.whole("zero_expert_num", default=0)
    if not empty:
        return topk
    visited = max(round(topk * experts / (experts + empty)), 1)
    c.note(f"{empty} of {experts + empty} experts do nothing: a token visits {visited} of {topk} in the mean")
    return visited


def _shared(c: Config) -> int:
    """How many experts every token visits, each as wide as a routed one."""
    return c.whole(*SHARED, default=0)


def words(kinds: Sequence[str]) -> bool:
    """Whether a list of layers has feed-forward parts as layers of their own."""
    return any(kind in ("experts", "unit") for kind in kinds)
