"""A Hugging Face `config.json` as a `ModelSpec`, and what in it was not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from planner.errors import InputError
from planner.inputs.huggingface import families, patterns, quantization, refusals
from planner.inputs.huggingface import layers as hf_layers
from planner.inputs.huggingface.attention_layers import CONTEXT
from planner.inputs.huggingface.plain_keys import LEFT_OUT
from planner.inputs.huggingface.reader import Config, brief
from planner.inputs.huggingface.vision import vision
from planner.inputs.model import Attention, Ffn, ModelSpec
from planner.inputs.precision import BF16_BYTES

FP8_BYTES = 1.0 + 1.0 / 32.0  # with a byte of scale for every 32 elements
MAX_LAYERS = 10_000  # more is a mistake, and would only fill memory here

T = TypeVar("T", Attention, Ffn)


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
        raise InputError("config.json", brief(config), "a JSON object that describes a model")
    refusals.check(config)
    c = Config(config)
    layers = patterns.count(c)
    if layers > MAX_LAYERS:
        raise InputError("num_hidden_layers", layers, f"at most {MAX_LAYERS}")
    hidden = c.whole("hidden_size", "n_embd", "d_model", "dim", "model_dim", low=1)
    vocab = c.whole("vocab_size", "padded_vocab_size", "n_vocab", low=1)

    attention, ffn = hf_layers.read(c, hidden, layers)
    if c.kind not in families.FAMILIES and c.kind not in families.COUNTED:
        c.miss(f"model_type {c.kind}")
    seeing = vision(c)
    if any(part and str(key).startswith(LEFT_OUT) for key, part in config.items()):
        c.note(
            "its encoder of images is planned for where requests have some; parts that hear are left out"
            if seeing
            else "text model only: the parts that see and hear are left out"
        )
    tables, table_bytes = _lookup_tables(c, hidden, layers)
    checkpoint, beside = quantization.read(c, any(f.kind == "moe" for f in ffn))
    spec = ModelSpec(
        name=name,
        label=name,
        family=families.FAMILIES.get(c.kind, c.kind),
        hidden=hidden,
        vocab=vocab,
        layers=layers,
        attention=_grouped(attention),
        ffn=_grouped(ffn),
        tied_embeddings=c.flag(
            "tie_word_embeddings",
            c.flag("tie_embedding", c.flag("share_input_output_layers", c.kind.startswith(families.TIED))),
        )
        and c.kind not in families.UNTIED,
        lookup_params=tables,
        lookup_bytes=table_bytes,
        vision=seeing,
        max_context=c.whole(*CONTEXT, default=0),
        mtp_layers=_prediction_heads(c),
        checkpoint=checkpoint,
        checkpoint_beside=beside,
    )
    c.miss_unread()
    return replace(spec, notes=tuple(c.notes), not_read=tuple(c.missed)), tuple(c.missed)


def _grouped(layers: Sequence[T]) -> tuple[T, ...]:
    """Equal layers as one entry with their count."""
    counts: dict[T, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(replace(layer, layers=count) for layer, count in counts.items())


def _lookup_tables(c: Config, hidden: int, layers: int) -> tuple[float, float]:
    """Parameters of the tables that layers look tokens up in, and bytes of one.

    Gemma 3n and 4: narrow embeddings for each layer, and their projections to it and back, in bf16.
    DeepSeek-V4.1: a row for each n-gram that tokens end (Engram), fp8 with a scale for every 32.
    """
    rows = c.places("engram_num_embeddings")
    c.get("engram_layer_ids", "engram_max_ngram_size", "engram_n_heads", "engram_vocab_size")
    c.get("engram_compressed_vocab_size")
    if rows:
        return float(sum(rows) * c.whole("engram_head_dim", low=1)), FP8_BYTES
    width = c.whole("hidden_size_per_layer_input", default=0)
    words = c.whole("vocab_size_per_layer_input", "vocab_size", default=0)
    return float(layers * width * (words + hidden + 2 * hidden)), BF16_BYTES


def _prediction_heads(c: Config) -> int:
    """Layers that predict further tokens."""
    heads = c.whole("num_nextn_predict_layers", "mtp_num_hidden_layers", default=0)
    if c.flag("use_mtp"):
        heads = c.whole("num_mtp_modules", default=heads)
    if c.whole("mtp_transformer_layers", default=1) != 1:
        c.miss("mtp_transformer_layers")
    c.get("num_mtp_modules", "mtp_use_dedicated_embeddings", "mtp_layers_block_type")
    c.get("mtp_hybrid_override_pattern")  # a head has the layers of the model's last kinds
    if c.get("dspark_n_routed_experts", "dspark_num_experts_per_tok", "dspark_markov_rank") is not None:
        c.get("dspark_block_size", "dspark_target_layer_ids")
        c.note("its draft layers have fewer experts: planned as layers of the model")
    return heads
