"""Hugging Face configs: the published ones are understood, the broken ones are told in one line."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.huggingface.config import from_hf_config
from planner.simulate import params
from planner.simulate.operators.attention import kinds
from tests.planner.inputs.small_llama import LLAMA

CONFIGS = Path(__file__).parent / "configs"  # as published on Hugging Face
PRESETS = load()


@cache
def _text(name):
    (path,) = CONFIGS.glob(f"*{name}*_config.json")
    return path.read_text(encoding="utf-8")


def config(name):
    """A published config by a part of its name."""
    return json.loads(_text(name))


def imported(name):
    return from_hf_config(config(name), "m")


def parts(spec):
    """Layers by kind: counts of token mixing, counts of feed-forward."""
    return [(a.kind, a.layers) for a in spec.attention], [(f.kind, f.layers) for f in spec.ffn]


@pytest.mark.parametrize(
    ("file", "preset"),
    [
        ("DeepSeek-R1", "deepseek-r1"),
        ("DeepSeek-V3.2", "deepseek-v3.2"),
        ("GLM-5", "glm-5"),
        ("Kimi-K2.5", "kimi-k2.5"),
        ("Llama-3.1-8B", "llama-3.1-8b"),
        ("Maverick", "llama-4-maverick"),
        ("MiniMax-M2.5", "minimax-m2.5"),
        ("Mixtral-8x7B", "mixtral-8x7b"),
        ("Nemotron-3-Super", "nemotron-3-super-120b"),
        ("Qwen3.5-397B", "qwen3.5-397b-a17b"),
        ("gemma-4", "gemma-4-26b-a4b"),
        ("gpt-oss-120b", "gpt-oss-120b"),
    ],
)
def test_presets_are_what_their_published_configs_say(file, preset):
    spec, not_understood = imported(file)
    known = PRESETS.model(preset)
    assert (spec.attention, spec.ffn) == (known.attention, known.ffn)
    shared = ("hidden", "vocab", "layers", "tied_embeddings", "max_context", "mtp_layers", "family")
    assert all(getattr(spec, field) == getattr(known, field) for field in shared)
    assert not_understood == ()


def test_latent_attention_and_dense_first_layers():
    spec, _ = imported("DeepSeek-R1")
    assert parts(spec) == ([("mla", 61)], [("dense", 3), ("moe", 58)])
    (a,) = spec.attention
    layer = kinds.layer(a)
    assert (layer.kv_elements, layer.kv_heads) == (576, 1)
    assert (a.q_lora, spec.checkpoint) == (1536, "fp8_block")
    assert (spec.experts, spec.ffn[1].topk, spec.ffn[1].shared_width, spec.mtp_layers) == (256, 8, 2048, 1)


def test_sparse_attention_caches_the_indexers_keys_too():
    (a,) = imported("DeepSeek-V3.2")[0].attention
    assert (a.index_topk, a.index_heads, a.index_dim) == (2048, 64, 128)
    assert kinds.layer(a).kv_elements == 576 + 128


def test_nested_text_and_gated_delta_net():
    spec, _ = imported("Qwen3.5-397B")
    assert parts(spec) == ([("linear", 45), ("gqa", 15)], [("moe", 60)])
    linear, full = spec.attention
    assert full.output_gate and kinds.layer(full).kv_elements == 2 * 2 * 256
    # a state of 64 x 128 x 128 and three steps of the convolution
    assert kinds.layer(linear).state_elements == 64 * 128 * 128 + 3 * (2 * 16 * 128 + 64 * 128)
    assert any("encoder of images" in note for note in spec.notes)
    # its ViT: 27 layers of 1,152, patches of 16 pixels, 2 x 2 of them a token
    assert (spec.vision.layers, spec.vision.hidden, spec.vision.width) == (27, 1152, 4304)
    assert (spec.vision.patch, spec.vision.merge, spec.vision.image_tokens) == (16, 2, 1024)


def test_alternating_windows_biases_and_mxfp4():
    spec, _ = imported("gpt-oss-120b")
    assert [(a.window, a.layers, a.bias) for a in spec.attention] == [(128, 18, True), (0, 18, True)]
    assert spec.checkpoint == "mxfp4" and spec.ffn[0].bias


def test_chunks_on_three_layers_of_four_and_experts_on_every_second():
    spec, _ = imported("Maverick")
    assert [(a.window, a.layers) for a in spec.attention] == [(8192, 36), (0, 12)]
    dense, moe = spec.ffn
    assert (dense.width, dense.layers, moe.width, moe.shared_width) == (16384, 24, 8192, 8192)


def test_global_layers_of_their_own_shape_and_a_dense_unit_beside_the_experts():
    spec, _ = imported("gemma-4")
    near, far = spec.attention
    assert (near.window, near.kv_heads, near.head_dim) == (1024, 8, 256)
    assert (far.window, far.kv_heads, far.head_dim) == (0, 2, 512)
    assert kinds.layer(far).kv_elements == 2048
    assert (spec.ffn[0].experts, spec.ffn[0].shared_width) == (128, 2112)
    assert spec.tied_embeddings


def test_hybrid_stack_with_latent_experts():
    spec, _ = imported("Nemotron-3-Super")
    mixing, ffn = (dict(part) for part in parts(spec))
    assert mixing == {"linear": 40, "none": 40, "gqa": 8} and ffn == {"none": 48, "moe": 40}
    moe = next(f for f in spec.ffn if f.kind == "moe")
    assert (moe.matrices, moe.latent, moe.topk, moe.shared_width) == (2, 1024, 22, 5376)
    mamba = next(a for a in spec.attention if a.kind == "linear")
    assert mamba.in_width == 2 * 8192 + 2 * 8 * 128 + 128


def test_searched_layers():
    """Nemotron-NAS: each layer has its own width, or no attention, or nothing."""
    full = {"attention": {"n_heads_in_group": 4, "no_op": False}, "ffn": {"ffn_mult": 5.25, "no_op": False}}
    bare = {"attention": {"n_heads_in_group": None, "no_op": True}, "ffn": {"ffn_mult": 0.5, "no_op": False}}
    idle = {"attention": {"no_op": True}, "ffn": {"no_op": True}}
    given = {**LLAMA, "model_type": "nemotron-nas", "block_configs": [full, bare, idle, full]}
    given["num_key_value_heads"] = None
    spec, not_understood = from_hf_config(given, "m")
    assert parts(spec) == ([("gqa", 2), ("none", 2)], [("dense", 2), ("dense", 1), ("none", 1)])
    assert spec.attention[0].kv_heads == 2
    assert [f.width for f in spec.ffn] == [1024, 256, 0]  # two thirds of the multiple, up to 256
    assert not_understood == ()


def test_folded_latents_of_the_newest_deepseek():
    spec, not_understood = imported("DeepSeek-V4-Flash")
    assert not_understood == ()
    found = [(a.fold, a.layers, a.index_topk, a.window) for a in spec.attention]
    assert found == [(1, 2, 0, 128), (4, 21, 512, 128), (128, 20, 0, 128)]
    assert params.total(spec) / 1e9 == pytest.approx(284, rel=0.01)
    assert params.active(spec) / 1e9 == pytest.approx(13, abs=0.5)
    assert sum(a.layers for a in spec.attention) == spec.layers


def test_entries_and_picks_that_layers_share():
    spec, not_understood = imported("DeepSeek-V4.1-Flash")
    assert not_understood == ()
    found = [(a.fold, a.layers, a.reused_kv, a.index_shared) for a in spec.attention]
    own, reads, scores = (False, False), (True, True), (True, False)
    assert found == [
        (1, 2, *own),
        (2, 3, *own),
        (2, 15, *reads),
        (1, 1, *own),
        (1, 15, *reads),
        (1, 4, *scores),
    ]
    backbone = params.total(spec) - spec.lookup_params
    assert (backbone / 1e9, spec.lookup_params / 1e9) == pytest.approx((552, 196), rel=0.005)
    assert any("draft layers" in note for note in spec.notes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (2, 32, 0)),
        ({"num_key_value_heads": None}, (8, 32, 0)),
        ({"head_dim": 64}, (2, 64, 0)),
        ({"model_type": "mistral", "sliding_window": 4096, "max_position_embeddings": 32768}, (2, 32, 4096)),
        ({"model_type": "mistral", "sliding_window": 4096, "max_position_embeddings": 4096}, (2, 32, 0)),
        ({"model_type": "qwen3", "sliding_window": 4096, "use_sliding_window": False}, (2, 32, 0)),
    ],
)
def test_models_like_llama_by_the_same_rules(changes, expected):
    spec, not_understood = from_hf_config({**LLAMA, **changes}, "m")
    (a,) = spec.attention
    assert (a.kv_heads, a.head_dim, a.window) == expected
    assert not_understood == ()


def test_conventions_of_other_families():
    assert from_hf_config({**LLAMA, "model_type": "qwen2"}, "m")[0].attention[0].bias
    assert from_hf_config({**LLAMA, "model_type": "gpt_neox"}, "m")[0].ffn[0].matrices == 2
    assert from_hf_config({**LLAMA, "hidden_act": "relu2"}, "m")[0].ffn[0].matrices == 2
    gemma = from_hf_config({**LLAMA, "model_type": "gemma2", "sliding_window": 64}, "m")[0]
    assert gemma.tied_embeddings and [a.layers for a in gemma.attention] == [2, 2]
    every_second = {"num_experts": 8, "num_experts_per_tok": 2, "decoder_sparse_step": 2}
    mixed = from_hf_config({**LLAMA, **every_second, "mlp_only_layers": [3]}, "m")[0]
    assert parts(mixed)[1] == [("dense", 3), ("moe", 1)]
    gpt = {"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 100}
    assert from_hf_config(gpt, "m")[0].ffn[0].width == 256


@pytest.mark.parametrize(
    ("quantised", "checkpoint"),
    [
        (None, "bf16"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "awq", "bits": 4}, "int4_wo"),
        ({"quant_method": "awq", "w_bit": 4}, "int4_wo"),
        ({"quant_method": "gptq", "bits": 8}, "int8_wo"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4_wo"),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_NVFP4"}, "nvfp4_wo"),
        ({"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}, "fp8_block"),
        ({"config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}}}, "fp8"),
        ({"config_groups": {"g": {"weights": {"num_bits": 8, "type": "int"}}}}, "int8_wo"),
        ({"config_groups": {"g": {"weights": {"num_bits": 4, "type": "int"}}}}, "int4_wo"),
        ({"config_groups": {"g": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}}, "nvfp4"),
        ({"config_groups": {"g": {"weights": {"num_bits": 4, "type": "float", "group_size": 32}}}}, "mxfp4"),
    ],
)
def test_format_of_the_checkpoint(quantised, checkpoint):
    assert from_hf_config({**LLAMA, "quantization_config": quantised}, "m")[0].checkpoint == checkpoint


MOE = {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 128}
INT4 = {"group_0": {"weights": {"num_bits": 4, "type": "int"}, "targets": ["Linear"]}}


@pytest.mark.parametrize(
    ("quantised", "checkpoint", "beside"),
    [
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}, "mxfp4", "bf16"),
        ({"config_groups": INT4, "ignore": ["lm_head", "re:.*self_attn.*"]}, "int4_wo", "bf16"),
        ({"config_groups": INT4, "ignore": ["lm_head", "re:.*mlp.gate$"]}, "int4_wo", ""),
        (
            {"quant_algo": "NVFP4", "exclude_modules": [f"model.layers.{i}.self_attn*" for i in range(4)]},
            "nvfp4",
            "bf16",
        ),
        ({"quant_algo": "NVFP4", "exclude_modules": ["model.layers.0.self_attn*"]}, "nvfp4", ""),
        (
            {
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {
                    "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"},
                    "model.layers.0.mlp.experts": {"quant_algo": "W4A16_NVFP4"},
                },
            },
            "nvfp4_wo",
            "fp8",
        ),
        (
            {
                "config_groups": {
                    "a": {"weights": {"num_bits": 8, "type": "float"}, "targets": ["re:.*self_attn.*"]},
                    "b": {
                        "weights": {"num_bits": 4, "type": "float", "group_size": 16},
                        "targets": ["re:.*mlp.*"],
                    },
                }
            },
            "nvfp4",
            "fp8",
        ),
    ],
)
def test_formats_of_a_checkpoint_by_part(quantised, checkpoint, beside):
    spec = from_hf_config({**LLAMA, **MOE, "quantization_config": quantised}, "m")[0]
    assert (spec.checkpoint, spec.checkpoint_beside) == (checkpoint, beside)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("DeepSeek-V4-Flash", ("mxfp4", "fp8_block")),
        ("DeepSeek-V4.1-Flash", ("mxfp4", "fp8_block")),
        ("Kimi-K2.5", ("int4_wo", "bf16")),
        ("gpt-oss-120b", ("mxfp4", "bf16")),
        ("DeepSeek-R1", ("fp8_block", "")),
        ("GLM-5", ("bf16", "")),
    ],
)
def test_published_checkpoints_by_part(file, found):
    spec = from_hf_config(config(file), "m")[0]
    assert (spec.checkpoint, spec.checkpoint_beside) == found


def test_what_a_checkpoint_has_and_no_plan_can_is_told():
    scheme = {"num_bits": 8, "type": "int"}
    w8a8 = {"config_groups": {"g": {"weights": scheme, "input_activations": scheme}}}
    spec = from_hf_config({**LLAMA, "quantization_config": w8a8}, "m")[0]
    assert spec.checkpoint == "int8_wo" and "weight-only int8" in spec.notes[-1]
    kept = {"quant_algo": "NVFP4", "exclude_modules": ["re:.*self_attn.*"]}
    spec = from_hf_config({**LLAMA, "quantization_config": kept}, "m")[0]
    assert (spec.checkpoint, spec.checkpoint_beside) == ("nvfp4", "") and "attention" in spec.notes[-1]


def test_what_is_not_understood_is_named():
    strange = {**LLAMA, "model_type": "novel", "cross_layer_sharing": 3, "memory_slots": [1]}
    spec, not_understood = from_hf_config({**strange, "rms_norm_eps": 1e-6, "eos_token_id": 2}, "m")
    assert set(not_understood) == {"model_type novel", "cross_layer_sharing", "memory_slots"}
    assert spec.family == "novel" and spec.not_read == not_understood
    layered = {**LLAMA, "layer_types": ["full_attention", "retention", "retention", "retention"]}
    assert from_hf_config(layered, "m")[1] == ("layer_types retention",)
    assert from_hf_config({**LLAMA, "quantization_config": {"quant_method": "bitnet"}}, "m")[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers.*whole number"),
        ({"hidden_size": None}, "hidden_size"),
        ({"vocab_size": None}, "vocab_size"),
        ({"num_attention_heads": None}, "num_attention_heads"),
        ({"intermediate_size": None}, "intermediate_size"),
        ({"hidden_size": "256"}, "hidden_size.*256"),
        ({"hidden_size": -256}, "hidden_size.*-256"),
        ({"hidden_size": 2.5}, "hidden_size"),
        ({"hidden_size": math.nan}, "hidden_size"),
        ({"hidden_size": math.inf}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": [256]}, "hidden_size.*list"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers.*at most"),
        ({"num_key_value_heads": 3}, "num_key_value_heads.*divisor"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"layer_types": ["full_attention"]}, "layer_types.*4 layers"),
        ({"layer_types": "full_attention"}, "layer_types"),
        ({"num_experts": 4, "num_experts_per_tok": 5}, "num_experts_per_tok.*4 experts"),
        ({"num_experts": 4}, "num_experts_per_tok"),
        ({"hybrid_override_pattern": "M*EX", "mamba_num_heads": 2}, "."),
        ({"block_configs": [1, 2, 3, 4]}, "block_configs"),
        ({"kv_lora_rank": 8}, "qk_nope_head_dim"),
    ],
)
def test_configs_without_the_essentials_are_told_in_one_line(changes, says):
    with pytest.raises(InputError, match=says) as error:
        from_hf_config({**LLAMA, **changes}, "m")
    assert "\n" not in str(error.value)


@settings(max_examples=25, deadline=None)  # `make fuzz` tries thousands
@given(st.data())
def test_no_config_breaks_the_reader(data):
    """One value of a published config replaced by anything: a spec whose layers add up, or one line."""
    name = data.draw(
        st.sampled_from(["DeepSeek-V3.2", "V4-Flash", "Qwen3.5", "gemma", "Nemotron", "Maverick"])
    )
    whole = config(name)
    part = whole.get("text_config", whole)
    key = data.draw(st.sampled_from(sorted(part)))
    part[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers(-2, 70)
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers(-1, 3), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    )
    try:
        spec, _ = from_hf_config(whole, "m")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert sum(a.layers for a in spec.attention) == sum(f.layers for f in spec.ffn) == spec.layers
        assert params.total(spec) >= params.active(spec) > 0


def test_an_empty_list_of_layers_with_experts_is_none():
    """As every other empty list in a config: DeepSeek-V3.2 without it has the same layers."""
    whole = config("DeepSeek-V3.2")
    without = {key: value for key, value in whole.items() if key != "moe_layer_freq"}
    assert from_hf_config({**whole, "moe_layer_freq": []}, "m")[0] == from_hf_config(without, "m")[0]
