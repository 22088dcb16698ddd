"""Reads keys of a Hugging Face config, and remembers which: the rest is reported as not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import InputError, printable

# how the text part is nested in configs of models that also see or hear
NESTED = ("text_config", "language_config", "llm_config", "thinker_config")

LONGEST_KEY = 80  # characters of a key that is told of: what is in a file may be of any length

# model_type to the family that groups models in reports
FAMILIES = {
    "deepseek_v2": "deepseek",
    "deepseek_v3": "deepseek",
    "deepseek_v32": "deepseek",
    "deepseek_v4": "deepseek",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "gemma4_text": "gemma",
    "glm4": "glm",
    "glm4_moe": "glm",
    "glm_moe_dsa": "glm",
    "gpt_oss": "gpt-oss",
    "kimi_k2": "kimi",
    "llama": "llama",
    "llama4_text": "llama4",
    "minimax_m2": "minimax",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "nemotron-nas": "nemotron",
    "nemotron_h": "nemotron",
    "phi3": "phi",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2",
    "qwen3": "qwen3",
    "qwen3_5_moe_text": "qwen3.5",
    "qwen3_5_text": "qwen3.5",
    "qwen3_moe": "qwen3",
    "qwen3_next": "qwen3.5",
}
BIASED = ("qwen2", "qwen2_moe")  # biases on q, k and v that the config does not mention
# models that normalise queries and keys, which their config does not mention
QK_NORMED = (
    "gemma3_text",
    "gemma4_text",
    "olmo2",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "qwen3_5_text",
    "qwen3_5_moe_text",
)
TIED = ("gemma", "gpt2", "falcon", "opt", "cohere")  # tied unless the config says otherwise
ALTERNATING = {"gemma2": 2, "gemma3_text": 6}  # every n-th layer is global where the config is silent
# feed-forward units of two matrices that the activation's name does not give away
NOT_GATED = ("falcon", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "mpt", "opt", "phi", "starcoder2")

_SUFFIXES = (
    "_coef",
    "_config",
    "_dropout",
    "_eps",
    "_epsilon",
    "_multiplier",
    "_pdrop",
    "_per_image",
    "_placeholder",
    "_scaling_factor",
    "_softcapping",
    "_theta",
    "_token_id",
    "_token_ids",
    "_token_index",
)
_PREFIXES = (
    "audio_",
    "hc_",  # hyper-connections: a few vectors per layer
    "image_",
    "mrope",
    "num_beam",
    "output_",
    "return_dict",
    "rope_",
    "router_aux",
    "time_step_",
    "tokenizer",
    "torch_",
    "transformers",
    "video_",
    "vision_",
)
# keys that say nothing about weights, cache or work per token
_NAMES = frozenset(
    """
    _attn_implementation _name_or_path activation_dropout add_cross_attention architectures
    attn_temperature_tuning auto_map aux_loss_alpha bad_words_ids begin_suppress_tokens
    cache_implementation chunk_size chunk_size_feed_forward cross_attention_hidden_size
    diversity_penalty do_sample dropout dtype early_stopping encoder_no_repeat_ngram_size ep_size
    exponential_decay_length_penalty finetuning_task floor_scale id2label ignore_index
    indexer_rope_interleave initial_context_length initializer_range is_decoder is_encoder_decoder
    label2id length_penalty mamba_hidden_act mamba_ssm_cache_dtype mamba_ssm_dtype max_length
    max_window_layers min_length moe_shared_expert_overlap n_group no_repeat_ngram_size
    norm_topk_prob num_logits_to_keep num_return_sequences original_max_position_embeddings
    partial_rotary_factor prefix pretraining_tp problem_type pruned_heads qk_head_dim qk_norm_type
    query_pre_attn_scalar remove_invalid_values repetition_penalty rescale_prenorm_residual
    residual_in_fp32 rotary_dim router_jitter_noise scoring_func seq_aux suppress_tokens swiglu_limit
    task_specific_params temperature tf_legacy_loss tie_encoder_decoder top_k top_p topk_group
    topk_method torchscript typical_p use_bfloat16 use_bidirectional_attention use_cache use_conv_bias
    use_mamba_kernels use_routing_bias use_unified_vision_chunk vocab_size_per_layer_input
    """.split()  # noqa: SIM905 (ninety names read better as a paragraph)
)


def is_plain(key: str) -> bool:
    """Whether a key says nothing about the architecture."""
    return key in _NAMES or key.endswith(_SUFFIXES) or key.startswith(_PREFIXES)


class Config:
    """The text part of a config, and a record of the keys that were read."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}
        part: object = config
        while isinstance(part, Mapping):
            self.values.update(part)
            part = next((part[k] for k in NESTED if isinstance(part.get(k), Mapping)), None)
        self.used: set[str] = {"model_type", *NESTED}
        self.kind = printable(str(self.values.get("model_type") or "missing"), LONGEST_KEY)
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
                keys[0], brief(value), f"a config.json must give a whole number of at least {low} here"
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
            raise InputError(
                key, brief(value), f"a config.json must give one entry for each of {layers} layers"
            )
        found: Sequence[Any] = value[:layers]  # type: ignore[index]
        return found

    def places(self, key: str) -> Sequence[int]:
        """A list of layer numbers, empty if absent."""
        value = self.get(key) or []
        if not isinstance(value, list):
            raise InputError(key, brief(value), "a config.json must give a list of layers here")
        return value

    def miss(self, what: str) -> None:
        """Note something that was not understood, once."""
        what = printable(what, LONGEST_KEY)
        if what not in self.missed:
            self.missed.append(what)

    def miss_unread(self) -> None:
        """Note the keys with a value that nothing has read and that look architectural."""
        for key, value in self.values.items():
            trivial = value is None or value in (False, 0, "", [], {})
            if not trivial and key not in self.used and not is_plain(key):
                self.miss(key)


def brief(value: object) -> object:
    """A value as an error message shows it: short, and only the type of lists and objects."""
    if isinstance(value, str):
        return value if len(value) <= 40 else value[:37] + "..."
    return value if value is None or isinstance(value, (int, float)) else type(value).__name__
