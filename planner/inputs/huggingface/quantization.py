"""In which formats a checkpoint holds its weights: what its `quantization_config` says.

Published in five dialects: those of DeepSeek and gpt-oss (`quant_method` fp8, mxfp4), AWQ and GPTQ (bits),
bitsandbytes, compressed-tensors (`config_groups`) and NVIDIA's modelopt (`quant_algo`). Each names parts
that it leaves as they were; of interest is whether attention is among them, for it is all that a mixture
of experts has beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.inputs.huggingface.reader import Config
from planner.words import BesideFormat, WeightFormat

# names of one kind of module in the lists of what is quantised and what is not
_ATTENTION = re.compile(r"attn|attention|mixer|q_proj|in_proj")
_WHOLE_ATTENTION = re.compile(r"(attn|attention|mixer)[.*]*$|\b(o_proj|out_proj|q_b_proj)\b")
_EXPERTS = re.compile(r"experts?\b|mlp|ffn|feed_forward|block_sparse_moe")
_LAYER = re.compile(r"layers?\.(\d+)\b")
_KEPT = ("ignore", "modules_to_not_convert", "exclude_modules")
MOST = 0.75  # of all layers left as they were: attention as a whole is


def read(c: Config, moe: bool) -> tuple[WeightFormat, BesideFormat]:
    """The format of the weights (of experts, where there are any), and of the rest where it is another."""
    quantised = c.get("quantization_config")
    expert_dtype = str(c.get("expert_dtype") or "").lower()
    if not isinstance(quantised, Mapping):
        return "bf16", ""
    found, beside = _formats(c, quantised, moe)
    if moe and expert_dtype in ("fp4", "mxfp4"):  # DeepSeek-V4: one 8-bit scale per 32 values
        return "mxfp4", found
    if not beside and found != "bf16" and _keeps_attention(c, quantised):
        beside = "bf16"
        if not moe:
            c.notes.append(f"attention is not quantised in the checkpoint; planned as {found} throughout")
    return found, "" if beside == found or not moe else beside


def _formats(c: Config, quantised: Mapping[str, Any], moe: bool) -> tuple[WeightFormat, BesideFormat]:
    """What the dialects say; a mixture of formats as that of the experts (or of the MLP) and of the rest."""
    method = str(quantised.get("quant_method", "")).lower()
    if any(_integers(group) for group in _tables(quantised.get("config_groups"))):
        c.notes.append("activations are 8-bit integers in the checkpoint; planned as weight-only int8")
    algorithm = str(quantised.get("quant_algo", "")).lower()
    parts = [*_layers(quantised), *_groups(quantised)]
    if "mxfp4" in (method, algorithm):
        return "mxfp4", ""
    if parts and (named := [part for part in parts if part[1] is not None]):
        return _by_part(named)
    if (plain := _named(algorithm)) is not None:
        return plain, ""
    if method == "fp8":
        return "fp8_block" if quantised.get("weight_block_size") else "fp8", ""
    bits = quantised.get("bits", quantised.get("w_bit"))
    if method in ("awq", "gptq", "auto-round", "") and bits in (4, 8):
        return "int4_wo" if bits == 4 else "int8_wo", ""
    if method == "bitsandbytes":
        return "int4_wo" if quantised.get("load_in_4bit") else "int8_wo", ""
    c.miss("quantization_config")
    return "bf16", ""


def _named(algorithm: str) -> WeightFormat | None:
    """What modelopt calls a format.

    >>> _named("nvfp4"), _named("w4a16_nvfp4"), _named("fp8"), _named("fp8_pb_wo"), _named("novel")
    ('nvfp4', 'nvfp4_wo', 'fp8', 'fp8_block', None)
    """
    if "nvfp4" in algorithm:
        return "nvfp4_wo" if "w4a16" in algorithm else "nvfp4"
    if "mxfp4" in algorithm:
        return "mxfp4"
    if algorithm.startswith("fp8"):
        return "fp8_block" if "pb" in algorithm or "block" in algorithm else "fp8"
    if "w4a16" in algorithm or "int4" in algorithm:
        return "int4_wo"
    return None


def _layers(quantised: Mapping[str, Any]) -> list[tuple[str, WeightFormat | None]]:
    """modelopt's mixed precision: each module and its format."""
    found = quantised.get("quantized_layers")
    if not isinstance(found, Mapping):
        return []
    return [
        (str(name), _named(str(how.get("quant_algo", "")).lower()))
        for name, how in found.items()
        if isinstance(how, Mapping)
    ]


def _groups(quantised: Mapping[str, Any]) -> list[tuple[str, WeightFormat | None]]:
    """compressed-tensors: the modules of each group, as one text, and their format."""
    found: list[tuple[str, WeightFormat | None]] = []
    for group in _tables(quantised.get("config_groups")):
        weights = group.get("weights")
        if isinstance(weights, Mapping):
            targets = group.get("targets")
            names = " ".join(map(str, targets)) if isinstance(targets, list) else ""
            found.append((names, _of_bits(weights, group)))
    return found


def _tables(groups: object) -> list[Mapping[str, Any]]:
    """The values of a table that are tables."""
    found = groups.values() if isinstance(groups, Mapping) else ()
    return [group for group in found if isinstance(group, Mapping)]


def _integers(group: Mapping[str, Any]) -> bool:
    """Whether activations are multiplied as integers."""
    scheme = group.get("input_activations")
    return isinstance(scheme, Mapping) and scheme.get("type", "int") == "int"


def _of_bits(weights: Mapping[str, Any], group: Mapping[str, Any]) -> WeightFormat | None:
    bits, kind = weights.get("num_bits"), weights.get("type", "int")
    alone = not group.get("input_activations")
    if bits == 4:
        if kind != "float":
            return "int4_wo"
        if weights.get("group_size") == 32:
            return "mxfp4"
        # an activation scheme that is not told is what the name of the format says
        return "nvfp4_wo" if alone and "input_activations" in group else "nvfp4"
    if bits == 8:
        if kind != "float":
            return "int8_wo"
        return "fp8_block" if weights.get("strategy") == "block" else "fp8"
    return None


def _by_part(parts: Iterable[tuple[str, WeightFormat | None]]) -> tuple[WeightFormat, BesideFormat]:
    """The format of modules in feed-forward layers, and that of attention where those are told apart."""
    feeding: WeightFormat | None = None
    mixing: WeightFormat | None = None
    for names, fmt in parts:
        feeds, mixes = _EXPERTS.search(names), _ATTENTION.search(names)
        if feeds or not mixes:
            feeding = feeding or fmt
        elif mixes:
            mixing = mixing or fmt
    whole = feeding or mixing
    assert whole is not None
    return whole, mixing or ""


def _keeps_attention(c: Config, quantised: Mapping[str, Any]) -> bool:
    """Whether the modules that are left as they were hold the attention of most layers."""
    kept: list[object] = next((quantised[key] for key in _KEPT if isinstance(quantised.get(key), list)), [])
    named = [str(name) for name in kept if _WHOLE_ATTENTION.search(str(name))]
    layers = {found[1] for name in named if (found := _LAYER.search(name))}
    total = c.whole("num_hidden_layers", "n_layer", "num_layers", "n_layers", low=1)
    everywhere = any("vision" not in name and _LAYER.search(name) is None for name in named)
    return everywhere or len(layers) >= MOST * total
