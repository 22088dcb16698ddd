"""Which kind each layer is of, as configs say it: words, letters, numbers, periods and lists of places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from planner.errors import InputError
from planner.inputs.huggingface import families
from planner.inputs.huggingface.reader import Config, brief

# how a layer mixes tokens; "linear" is any of the recurrences that a config's other keys tell apart,
# "experts" and "unit" are feed-forward parts with a layer of their own, "both" has attention and a
# state side by side
Mixing: TypeAlias = Literal[
    "full", "sliding", "linear", "mamba", "conv", "recurrent", "cross", "both", "experts", "unit"
]

WORDS: Mapping[str, Mixing] = {
    "full_attention": "full",
    "attention": "full",
    "attn": "full",
    "deepseek_sparse_attention": "full",
    "dense_attention": "full",
    "full": "full",
    "global": "full",
    "global_attention": "full",
    "indexed_attention": "full",
    "minimax_m3_sparse": "full",
    "mla": "full",
    "softmax_attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "sliding",
    "local": "sliding",
    "local_attention": "sliding",
    "sliding": "sliding",
    "sliding_window": "sliding",
    "sliding_window_attention": "sliding",
    "swa": "sliding",
    "linear_attention": "linear",
    "linear": "linear",
    "lightning": "linear",
    "lightning_attention": "linear",
    "gated_delta_net": "linear",
    "gated_deltanet": "linear",
    "deltanet": "linear",
    "kda": "linear",
    "mamba": "mamba",
    "mamba1": "mamba",
    "mamba2": "mamba",
    "ssm": "mamba",
    "conv": "conv",
    "short_conv": "conv",
    "shortconv": "conv",
    "recurrent": "recurrent",
    "rglru": "recurrent",
    "cross_attention": "cross",
    "parallel_hybrid": "both",
    "moe": "experts",
    "mlp": "unit",
}
# letters of a stack whose layers have one part each
LETTERS: Mapping[str, Mixing] = {"M": "mamba", "*": "full", "E": "experts", "-": "unit"}
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_transformer_layers")
# lists with one word, letter or number for each layer, or for each layer of a period
LISTS = (
    "layer_types",
    "layers_block_type",
    "hybrid_override_pattern",
    "hybrid_layer_pattern",
    "layer_block_types",
    "layers_types",
    "block_types",
    "attn_type_list",
    "attention_layers",
    "sliding_window_pattern",
    "window_pattern",
    "sliding_window_layout",
)
# every n-th layer is full, and what the others are
EVERY: Mapping[str, Mixing] = {
    "full_attention_interval": "linear",
    "layer_group_size": "linear",
    "global_attn_every_n_layers": "sliding",
    "layer_switch": "sliding",
    "sliding_window_pattern": "sliding",
    "_sliding_window_pattern": "sliding",
}
WINDOW = (
    "sliding_window",
    "sliding_window_size",
    "attention_window_size",
    "window_size",
    "attention_chunk_size",
)
# places of the layers with attention; the others have a state, or a convolution
PLACES: Mapping[str, Mixing] = {
    "attn_layer_indices": "mamba",
    "attention_layers_idx": "mamba",
    "full_attn_idxs": "conv",
}


def count(c: Config) -> int:
    """How many layers there are: said, or as many as a list has entries."""
    if not c.has(*LAYERS):
        for key in LISTS[:3]:
            if c.has(key) and isinstance(c.get(key), (list, str)) and c.get(key):
                return len(c.get(key))
    found = c.whole(*LAYERS, low=1)
    return 2 * found if c.kind in families.PAIRED and not c.has("num_hidden_layers") else found


def mixing(c: Config, layers: int) -> Sequence[Mixing]:
    """The kind of each layer. Raises InputError for a list that is too short."""
    found = list(_listed(c, layers) or _placed(c, layers) or _windowed(c, layers))
    # said again by a list, or of a kind of layer that there is none of
    c.get(*EVERY, *PLACES, *WINDOW, "use_sliding_window", "num_attention_heads", "num_key_value_heads")
    c.get("attn_layer_period", "attn_layer_offset", "conv_L_cache", "conv_bias")
    for place in c.places("cross_attention_layers"):
        if 0 <= place < layers:
            found[int(place)] = "cross"
    return found


def _listed(c: Config, layers: int) -> Sequence[Mixing] | None:
    """From a list with an entry for each layer; the first that has one is taken."""
    found: Sequence[Mixing] | None = None
    for key in LISTS:
        value = c.values.get(key)
        if not isinstance(value, (list, str)) or not value:
            continue
        if isinstance(value, str) and "pattern" not in key:
            raise InputError(key, brief(value), "a config.json must give a list here, a word for each layer")
        c.get(key)
        if found is not None:
            continue
        repeats = key == "block_types" or (isinstance(value, str) and set(value) <= set("LGSF"))
        if not repeats:
            value = c.series(key, layers, type(value)) or value
        entries = [value[i % len(value)] for i in range(layers)]
        found = [_kind(c, key, entry, entries) for entry in entries]
    return found


def _kind(c: Config, key: str, entry: object, entries: Sequence[Any]) -> Mixing:
    """What one entry of a list stands for."""
    if isinstance(entry, (int, float)):
        if key == "attn_type_list":  # MiniMax-Text: 1 is softmax attention
            return "full" if entry else "linear"
        return "sliding" if entry else "full"
    text = str(entry).strip()
    if key == "hybrid_override_pattern" and len(text) == 1:
        if text not in LETTERS:
            raise InputError(key, text, f"a pattern of {', '.join(LETTERS)}")
        return LETTERS[text]
    if len(text) == 1 and text in "LGSF":
        # L is local where G or F is global, and long where S is short
        return "sliding" if text == "S" or (text == "L" and "S" not in entries) else "full"
    if key == "block_types" and text == "attention" and c.has("attention_window_size"):
        return "sliding"  # RecurrentGemma: all its attention is local
    if text.lower() not in WORDS:
        c.miss(f"{key} {brief(text)}")
        return "sliding" if "sliding" in text.lower() else "full"
    return WORDS[text.lower()]


def _placed(c: Config, layers: int) -> Sequence[Mixing] | None:
    """From places, periods and offsets."""
    hybrid = c.part("linear_attn_config")
    if isinstance(hybrid.get("full_attn_layers"), list):  # Kimi Linear counts from 1
        full = {place for place in hybrid["full_attn_layers"] if isinstance(place, int)}
        return ["full" if i + 1 in full else "linear" for i in range(layers)]
    if kinds := c.get("attention_types"):  # GPT-Neo: [[["global", "local"], 12]]
        return _repeated(c, kinds, layers)
    for key, others in PLACES.items():
        if c.has(key):
            places = {int(place) for place in c.places(key)}
            return ["full" if i in places else others for i in range(layers)]
    period = c.whole("attn_layer_period", default=0)
    offset = c.whole("attn_layer_offset", default=0)
    if period:  # Jamba
        return ["full" if i % period == offset % period else "mamba" for i in range(layers)]
    for key, others in EVERY.items():
        every = c.whole(key, default=0) if c.has(key) else 0
        if every and (others == "linear" or _window(c)):
            return [("full" if (i + 1) % every == 0 else others) for i in range(layers)]
    if c.kind in families.STATE_ALONE:
        return ["mamba"] * layers
    if c.kind in families.BOTH:
        return ["both"] * layers
    if c.kind in families.WITHOUT_LIST:
        return [families.WITHOUT_LIST[c.kind]] * layers
    return None


def _repeated(c: Config, kinds: object, layers: int) -> Sequence[Mixing] | None:
    """Lists of words, each with how often it is repeated."""
    found: list[Mixing] = []
    for pair in kinds if isinstance(kinds, list) else []:
        words, times = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if not isinstance(words, list) or not isinstance(times, int) or not 0 < times <= layers:
            break
        found += [_kind(c, "attention_types", word, words) for word in words] * times
    if len(found) < layers:
        c.miss("attention_types")
        return None
    return found[:layers]


def _window(c: Config) -> bool:
    """Whether windows are in use; some files say with -1 that none is (Grok-2)."""
    size = c.get("sliding_window", "sliding_window_size")
    return c.flag("use_sliding_window", True) and bool(size) and size != -1


def _windowed(c: Config, layers: int) -> Sequence[Mixing]:
    """All layers full or windowed, by the conventions of attention alone."""
    if c.whole("attention_chunk_size", default=0) and not c.has("sliding_window"):
        # Llama 4: chunks where positions are rotated, everything where they are not
        rotated = c.series("no_rope_layers", layers)
        every = c.whole("no_rope_layer_interval", default=4, low=1)
        flags = rotated if rotated is not None else [(i + 1) % every for i in range(layers)]
        return ["sliding" if flag else "full" for flag in flags]
    if not _window(c):
        return ["full"] * layers
    if c.kind in families.ALTERNATING:
        every = families.ALTERNATING[c.kind]
        return ["full" if (i + 1) % every == 0 else "sliding" for i in range(layers)]
    if c.get("use_sliding_window") or c.kind in families.LATE_WINDOWS:
        first = c.whole("max_window_layers", default=0)  # Qwen: only the layers from here on
        return ["sliding" if i >= first else "full" for i in range(layers)]
    return ["sliding"] * layers
