"""What a model_type stands for beyond the keys of its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

# model_type to the family that groups models in reports
FAMILIES = {
    "deepseek_ref": "deepseek",
    "deepseek_v2": "deepseek",
    "deepseek_v3": "deepseek",
    "deepseek_v32": "deepseek",
    "deepseek_v4": "deepseek",
    "deepseek_v41": "deepseek",
    "deepseek_v41_text": "deepseek",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "gemma4_text": "gemma",
    "glm4": "glm",
    "glm4_moe": "glm",
    "glm_moe_dsa": "glm",
    "gpt_oss": "gpt-oss",
    "kimi_k2": "kimi",
    "kimi_linear": "kimi",
    "llama": "llama",
    "llama4_text": "llama4",
    "minimax_m2": "minimax",
    "minimax_m3": "minimax",
    "minimax_m3_vl": "minimax",
    "minimax_m3_vl_text": "minimax",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "nemotron-nas": "nemotron",
    "nemotron_h": "nemotron",
    "mistral4": "mistral",
    "ministral3": "mistral",
    "phi3": "phi",
    "qwen": "qwen",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2",
    "qwen3": "qwen3",
    "qwen3_5_moe_text": "qwen3.5",
    "qwen3_5_text": "qwen3.5",
    "qwen3_moe": "qwen3",
    "qwen3_next": "qwen3.5",
}
# further types whose layers follow from their keys: their parameters were counted against those of the
# reference implementation
COUNTED = frozenset(
    """
    afmoe apertus apertus1p5_text arcee arctic aria_text axk1 baichuan bailing_hybrid bailing_moe
    bailing_moe_linear bailing_moe_v2 bamba beam biogpt bitnet bloom chatglm codegen cohere cohere2
    cohere2_moe cwm dbrx deci deepseek diffllama dots1 ernie4_5 ernie4_5_moe exaone exaone4
    exaone_moe falcon falcon_h1 falcon_mamba flex_olmo flint fuyu gemma gemma3 gemma4 glm
    glm4_moe_lite glm4v_moe glm4v_moe_text glm_ocr_text gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox
    gptj granite granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared grok-1
    helium hunyuan hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax internlm2 internlm3 iquestcoder
    jais2 jamba kolibri1 laguna lara_mini lfm2 lfm2_moe lfm3 llama4 longcat_flash mamba mamba2
    mellum mimo mimo_v2_flash minicpm minicpm3 minimax minimax_m1 minimax_text_01 ministral
    mllama_text_model modernbert-decoder molmo mpt nanochat nemotron olmo olmo2 olmo3 olmo_hybrid
    olmoe openai-gpt openelm opt pangu_pro_moe PanguProMoE persimmon phi phi3small phimoe qwen2_5_vl
    qwen2_5_vl_text qwen2_vl qwen2_vl_text qwen3_5 qwen3_5_moe qwen3_omni_moe_text qwen3_vl_moe_text
    qwen3_vl_text recurrent_gemma sarvam_mla sarvam_moe seed_oss smollm3 solar_open stablelm
    starcoder2 step3_text step3p5 step3p7 telechat vaultgemma xglm youtu
    """.split()  # noqa: SIM905 (so many names read better as a paragraph)
)
BIASED = ("qwen", "qwen2", "qwen2_moe")  # biases on q, k and v that the config does not mention
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
TIED = (
    "gemma",
    "gpt2",
    "opt",
    "cohere",
    "bloom",
    "lfm2",
    "minicpm",
    "mpt",
    "starcoder2",
)  # tied unless the config says otherwise
# published checkpoints hold a head of their own, whatever a re-saved config says (Falcon-7B: 7.22 billion)
UNTIED = ("falcon",)
ALTERNATING = {"gemma2": 2, "gemma3_text": 6}  # every n-th layer is global where the config is silent
LATE_WINDOWS = ("dots1",)  # windows from max_window_layers on, without a switch
# feed-forward units of two matrices that the activation's name does not give away
NOT_GATED = frozenset(
    """
    apertus arcee biogpt bloom codegen falcon gpt2 gpt-sw3 gpt_bigcode gpt_neo gpt_neox gptj
    gpt_neox_japanese jais2 mpt nemotron openai-gpt opt persimmon phi starcoder2 xglm
    """.split()  # noqa: SIM905
)
HALVED = frozenset(
    {"molmo", "qwen", "recurrent_gemma"}
)  # intermediate_size counts both projections of a gated unit
PAIRED = frozenset({"longcat_flash"})  # a layer is two: attention and a dense unit, twice, and experts once
# attention with an output gate that a re-saved config does not mention
GATED_ATTENTION = frozenset({"qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"})
# what the text part of a larger config may leave out: it was saved without what its class has anyway
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "gemma3_text": {
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
    },
    "mistral": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 131072,
    },
    "qwen2": {
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
    },
}
SENSED = frozenset({"ernie4_5_vl_moe", "ernie4_5_vl_moe_text"})  # pairs of numbers: of text, of vision
PLAIN_VALUES = frozenset(
    {"minicpm3"}
)  # latent attention whose values are as wide as hidden_size over the heads
GATED = frozenset({"bitnet"})  # and gated ones whose activation is named like one that is not
STATE_ALONE = frozenset({"falcon_mamba", "mamba", "mamba2"})  # no attention at all
BOTH = frozenset({"falcon_h1", "hymba"})  # attention and a state side by side in each layer
WITHOUT_LIST: Mapping[str, Literal["mamba"]] = {"bamba": "mamba"}  # what layers are where no list says it
# width of a head where it is neither said nor hidden_size over the heads
HEAD_DIM = {
    "glm4_moe": 128,
    "glm4v_moe": 128,
    "glm4v_moe_text": 128,
    "qwen3_omni_moe_text": 128,
    "gemma": 256,
    "gemma2": 256,
    "gemma3_text": 256,
}
