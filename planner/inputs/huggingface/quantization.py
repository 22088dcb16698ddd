"""In which formats a checkpoint holds its weights: what its `quantization_config` says.

Published in five dialects: those of DeepSeek and gpt-oss (`quant_method` fp8, mxfp4), AWQ and GPTQ (bits),
bitsandbytes, compressed-tensors (`config_groups`) and NVIDIA's modelopt (`quant_algo`). Each names parts
that it leaves as they were; of interest is whether attention is among them, for it is all that a mixture
of experts has beside them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from planner.inputs.huggingface import patterns
from planner.inputs.huggingface.reader import Config
from planner.words import BesideFormat, WeightFormat

# names of one kind of module in the lists of what is quantised and what is not
_ATTENTION = re.compile(r"attn|attention|mixer|q_proj|in_proj")
_WHOLE_ATTENTION = re.compile(r"(attn|attention|mixer)[.*]*$|\b(o_proj|out_proj|q_b_proj)\b")
_EXPERTS = re.compile(r"experts?\b|mlp|ffn|feed_forward|block_sparse_moe")
_LAYER = re.compile(r"layers?\.(\d+)\b")
_BITS = ("bits", "w_bit", "wbits", "nbits", "weight_bits")
_INTEGERS = (
    "awq",
    "gptq",
    "gptq_marlin",
    "awq_marlin",
    "auto-round",
    "auto_round",
    "hqq",
    "intel",
    "inc",
    "",
)
_KEPT = ("ignore", "modules_to_not_convert", "exclude_modules")
MOST = 0.75  # of all layers left as they were: attention as a whole is


def read(c: Config, moe: bool) -> tuple[WeightFormat, BesideFormat]:
    """The format of the weights (of experts, where there are any), and of the rest where it is another."""
    quantised = c.get("quantization_config")
    expert_dtype = str(c.get("expert_dtype") or "").lower()
    if not isinstance(quantised, Mapping):
        return "bf16", ""
    expert_dtype = expert_dtype or str(quantised.get("expert_dtype") or "").lower()  # DeepSeek-V4.1
    if cache := _cache(quantised):
        c.note(f"its checkpoint is published for an {cache} cache")
    found, beside = _formats(c, quantised, moe)
    if (
        moe and expert_dtype in ("fp4", "mxfp4") and found not in ("nvfp4", "nvfp4_wo")
    ):  # DeepSeek-V4: one 8-bit scale per 32 values
        return "mxfp4", found
    if not beside and found != "bf16" and _keeps_attention(c, quantised):
        beside = "bf16"
        if not moe:
            c.note(f"attention is not quantised in the checkpoint; planned as {found} throughout")
    elif beside and beside != found:
        planned = "" if moe else f"; planned as {found} throughout"
        part = "experts" if moe else "feed-forward units"
        c.note(f"two formats in the checkpoint: {part} {found}, attention {beside}{planned}")
    return found, "" if beside == found or not moe else beside


def _cache(quantised: Mapping[str, Any]) -> str:
    """The format of the cache that a checkpoint has scales for; "" where it names none."""
    scheme = quantised.get("kv_cache_scheme")
    algorithm = str(quantised.get("kv_cache_quant_algo") or "").lower()
    if "fp4" in algorithm:
        return "fp4"
    bits = scheme.get("num_bits") if isinstance(scheme, Mapping) else None
    return "fp8" if "fp8" in algorithm or bits == 8 else "fp4" if bits == 4 else ""


def _formats(c: Config, quantised: Mapping[str, Any], moe: bool) -> tuple[WeightFormat, BesideFormat]:
    """What the dialects say; a mixture of formats as that of the experts (or of the MLP) and of the rest."""
    method = str(quantised.get("quant_method", "")).lower()
    if any(_integers(group) for group in _tables(quantised.get("config_groups"))):
        c.note("activations are 8-bit integers in the checkpoint; planned as weight-only int8")
    algorithm = str(quantised.get("quant_algo", "")).lower()
    parts = [*_layers(quantised), *_groups(quantised)]
    if "mxfp4" in (method, algorithm):
        return "mxfp4", ""
    if parts and (named := [part for part in parts if part[1] is not None]):
        return _by_part(named)
    if (plain := _named(algorithm)) is not None:
        return plain, ""
    if method in ("fp8", "fbgemm_fp8", "finegrained_fp8"):
        return "fp8_block" if quantised.get("weight_block_size") else "fp8", ""
    bits = next((quantised[key] for key in _BITS if isinstance(quantised.get(key), int)), None)
    if method in _INTEGERS and bits in (4, 8):
        return "int4_wo" if bits == 4 else "int8_wo", ""
    if method in ("bitsandbytes", "eetq", "quanto"):
        four = quantised.get("load_in_4bit") or quantised.get("_load_in_4bit") or "4" in str(bits)
        four = four or "4" in str(quantised.get("weights", ""))
        return "int4_wo" if four else "int8_wo", ""
    if method == "quark" and (quark := _quark(quantised)):
        return quark, ""
    c.miss(f"quantization_config {method}".rstrip())
    return "bf16", ""


def _quark(quantised: Mapping[str, Any]) -> WeightFormat | None:
    """AMD's Quark: what all layers have, but for those that are told apart."""
    whole = quantised.get("global_quant_config")
    weight = whole.get("weight") if isinstance(whole, Mapping) else None
    weight = weight[0] if isinstance(weight, list) and weight else weight
    kind = str(weight.get("dtype") or "") if isinstance(weight, Mapping) else ""
    known: Mapping[str, WeightFormat] = {"fp4": "mxfp4", "fp8": "fp8", "int4": "int4_wo", "int8": "int8_wo"}
    return next((fmt for name, fmt in known.items() if name in kind.lower()), None)


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
    """The format of modules in feed-forward layers, and that of attention where those are told apart.

    Of several in one part, that of the most modules.
    """
    feeding: Counter[WeightFormat] = Counter()
    mixing: Counter[WeightFormat] = Counter()
    for names, fmt in parts:
        if fmt is None:
            continue
        modules = names.split() or [""]
        mixed = sum(1 for name in modules if _ATTENTION.search(name) and not _EXPERTS.search(name))
        mixing[fmt] += mixed
        feeding[fmt] += len(modules) - mixed
    feeding, mixing = +feeding, +mixing
    (whole, _), *_ = (feeding or mixing).most_common(1)
    return whole, mixing.most_common(1)[0][0] if mixing else ""


def _keeps_attention(c: Config, quantised: Mapping[str, Any]) -> bool:
    """Whether the modules that are left as they were hold the attention of most layers."""
    kept: list[object] = next((quantised[key] for key in _KEPT if isinstance(quantised.get(key), list)), [])
    named = [str(name) for name in kept if _WHOLE_ATTENTION.search(str(name))]
    layers = {found[1] for name in named if (found := _LAYER.search(name))}
    total = patterns.count(c)
    everywhere = any("vision" not in name and _LAYER.search(name) is None for name in named)
    return everywhere or len(layers) >= MOST * total
