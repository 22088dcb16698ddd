"""The encoder of images in a config: `vision_config` as a `Vision`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.inputs.huggingface.reader import Config
from planner.inputs.model import Vision

KEYS = ("vision_config", "vision_tower_config", "vit_config", "visual")
GATED = ("qwen2_5_vl", "pixtral", "gemma4_vision", "glm_ocr_vision", "glm4v_vision", "glm4v_moe_vision")
# of what attends across in the text model, or is no transformer: its images are no tokens of the prompt
OTHERS = ("mllama_vision_model", "gemma3n_vision")
TILED = ("llama4_vision_model", "internvl_vision", "intern_vit_6b", "siglip_vision_model")
POOLED = ("gemma4_vision", "siglip_vision_model")  # patches are averaged, to a fixed number of tokens
TOKENS = ("vision_soft_tokens_per_image", "mm_tokens_per_image", "image_seq_length", "default_output_length")
MOST = 10_000  # of a layer count; and of pixels of a patch: more is a mistake
WIDEST = 1_000_000


def vision(c: Config) -> Vision:
    """The encoder; none where the config has none, or one that is not understood (which is noted)."""
    part = next((c.values[key] for key in KEYS if isinstance(c.values.get(key), Mapping)), None)
    if part is None:
        return Vision()
    kind = str(part.get("model_type", ""))
    layers = _whole(part, "depth", "num_hidden_layers", "vt_num_hidden_layers", most=MOST)
    hidden = _whole(part, "embed_dim", "hidden_size", "vt_hidden_size")
    heads = _whole(part, "num_heads", "num_attention_heads", "attention_heads", "vt_num_attention_heads")
    width = _whole(part, "intermediate_size", "vt_intermediate_size") or _ratio(part, hidden)
    patch = _whole(part, "patch_size", "spatial_patch_size", most=MOST)
    if kind in OTHERS or not (layers and hidden and heads and width and patch) or hidden % heads:
        c.note("images are not read: an encoder of another kind than is modelled")
        return Vision()
    merge, image = _merge(c, part), _whole(part, "image_size", most=WIDEST)
    tile = (image // patch) ** 2 if kind in TILED and image else 0
    fixed = kind.startswith(POOLED) or not merge
    tokens = (_whole(part, *TOKENS) or _whole(c.values, *TOKENS)) if fixed else 0
    if not merge:  # as many patches as become the fixed number of tokens
        merge = max(round((tile / tokens) ** 0.5), 1) if tile and tokens else 1
    edge = _whole(part, "window_size", most=WIDEST) // patch if "fullatt_block_indexes" in part else 0
    whole = part.get("fullatt_block_indexes")
    return Vision(
        layers=layers,
        hidden=hidden,
        heads=heads,
        width=width,
        matrices=3 if kind.startswith(GATED) else 2,
        patch=patch,
        merge=merge,
        window=edge**2,
        whole_layers=min(len(whole), layers) if edge and isinstance(whole, list) else 0,
        tile=tile,
        tokens=tokens,
        projector=_projector(kind, part, hidden),
    )


def _projector(kind: str, part: Mapping[str, Any], hidden: int) -> int:
    """The inner width of the projection, where it is not as wide as what it takes."""
    if kind.startswith(POOLED):
        return hidden
    return _whole(part, "projector_input_dim") if kind == "llama4_vision_model" else 0


def _merge(c: Config, part: Mapping[str, Any]) -> int:
    """Patches of an edge that become one token; 0 where the config does not say."""
    for where in (part, c.values):
        found = _whole(where, "spatial_merge_size", "merge_kernel_size", "pooling_kernel_size", most=64)
        if found:
            return found
    for where, key in ((part, "pixel_shuffle_ratio"), (c.values, "downsample_ratio")):
        share = where.get(key)
        if isinstance(share, float) and 0.01 < share <= 1:
            return round(1 / share)
    return 0


def _ratio(part: Mapping[str, Any], hidden: int) -> int:
    share = part.get("mlp_ratio")
    known = isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share < 100
    return round(share * hidden) if known else 0  # type: ignore[operator]


def _whole(part: Mapping[str, Any], *keys: str, most: int = WIDEST) -> int:
    """The first of some whole numbers, or of a pair of equal ones; 0 where none is there or makes sense."""
    for key in keys:
        value = part.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
            return value
    return 0
