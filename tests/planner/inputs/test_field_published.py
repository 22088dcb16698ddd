"""Published configs by what is special of them, with the published size (billions) and the growing cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.inputs import checks
from planner.inputs.huggingface.config import from_hf_config
from planner.simulate import params
from planner.simulate.operators.attention import kinds

BASE = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
PUBLISHED = {
    "Step-3.5-Flash": (
        {
            "model_type": "step3p5",
            "num_hidden_layers": 45,
            "intermediate_size": 11264,
            "num_attention_heads": 64,
            "num_key_value_heads": None,
            "num_attention_groups": 8,
            "head_dim": 128,
            "vocab_size": 128896,
            "moe_intermediate_size": 1280,
            "moe_num_experts": 288,
            "moe_top_k": 8,
            "share_expert_dim": 1280,
            "moe_layers_enum": ",".join(map(str, range(3, 45))),
            "layer_types": (["full_attention"] + ["sliding_attention"] * 3) * 11 + ["full_attention"],
            "sliding_window": 512,
            "attention_other_setting": {
                "attention_type": "sliding_attention",
                "num_attention_heads": 96,
                "num_attention_groups": 8,
                "head_dim": 128,
            },
        },
        196,
        12 * 2 * 8 * 128,
    ),
    "LFM2-8B-A1B": (
        {
            "model_type": "lfm2_moe",
            "conv_L_cache": 3,
            "hidden_size": 2048,
            "intermediate_size": 7168,
            "layer_types": ["full_attention" if i in (2, 6, 10, 14, 18, 21) else "conv" for i in range(24)],
            "moe_intermediate_size": 1792,
            "num_dense_layers": 2,
            "num_experts": 32,
            "num_experts_per_tok": 4,
            "num_hidden_layers": 24,
            "vocab_size": 65536,
        },
        8.3,
        6 * 2 * 8 * 64,
    ),
    "Hunyuan-A13B": (
        {
            "model_type": "hunyuan_v1_moe",
            "num_hidden_layers": 32,
            "head_dim": 128,
            "intermediate_size": 3072,
            "moe_intermediate_size": [3072] * 32,
            "moe_topk": [8] * 32,
            "num_experts": 64,
            "num_shared_expert": [1] * 32,
            "vocab_size": 128167,
            "tie_word_embeddings": True,
        },
        80.4,
        32 * 2 * 8 * 128,
    ),
    "Hunyuan-Large": (
        {
            "model_type": "hunyuan",
            "hidden_size": 6400,
            "num_hidden_layers": 64,
            "num_attention_heads": 80,
            "intermediate_size": 18304,
            "num_experts": 16,
            "moe_topk": 1,
            "num_shared_expert": 1,
            "use_cla": True,
            "cla_share_factor": 2,
            "vocab_size": 128512,
            "tie_word_embeddings": True,
        },
        389,
        32 * 2 * 8 * 80,
    ),
    "MiniMax-Text-01": (
        {
            "model_type": "minimax_text_01",
            "hidden_size": 6144,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "head_dim": 128,
            "intermediate_size": 9216,
            "num_local_experts": 32,
            "num_experts_per_tok": 2,
            "attn_type_list": [0, 0, 0, 0, 0, 0, 0, 1] * 10,
            "shared_intermediate_size": 0,
            "vocab_size": 200064,
        },
        456,
        10 * 2 * 8 * 128,
    ),
    "Phi-3.5-MoE": (
        {
            "model_type": "phimoe",
            "num_hidden_layers": 32,
            "intermediate_size": 6400,
            "num_local_experts": 16,
            "num_experts_per_tok": 2,
            "vocab_size": 32064,
        },
        41.9,
        32 * 2 * 8 * 128,
    ),
}
WHOLE = {  # those that share no key with the others
    "DBRX": (
        {
            "model_type": "dbrx",
            "d_model": 6144,
            "n_heads": 48,
            "n_layers": 40,
            "max_seq_len": 32768,
            "vocab_size": 100352,
            "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000},
            "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        },
        132,
        40 * 2 * 8 * 128,
    ),
    "MPT-30B": (
        {
            "model_type": "mpt",
            "d_model": 7168,
            "n_heads": 64,
            "n_layers": 48,
            "expansion_ratio": 4,
            "max_seq_len": 8192,
            "vocab_size": 50432,
            "attn_config": {"alibi": True},
        },
        30,
        48 * 2 * 7168,
    ),
    "ChatGLM3-6B": (
        {
            "model_type": "chatglm",
            "architectures": ["ChatGLMModel"],
            "hidden_size": 4096,
            "ffn_hidden_size": 13696,
            "num_layers": 28,
            "num_attention_heads": 32,
            "multi_query_attention": True,
            "multi_query_group_num": 2,
            "kv_channels": 128,
            "padded_vocab_size": 65024,
            "seq_length": 8192,
        },
        6.24,
        28 * 2 * 2 * 128,
    ),
    "SmallThinker-21B-A3B": (
        {
            "model_type": "ernie4_5",  # any with the plain rules: its own is not known, which is told
            "hidden_size": 2560,
            "num_hidden_layers": 52,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "moe_ffn_hidden_size": 768,
            "moe_num_primary_experts": 64,
            "moe_num_active_primary_experts": 6,
            "vocab_size": 151936,
            "max_position_embeddings": 16384,
            "sliding_window_layout": [0, 1, 1, 1] * 13,
            "sliding_window_size": 4096,
        },
        21.5,
        13 * 2 * 4 * 128,
    ),
    "Gemma-3-27B": (
        {
            "model_type": "gemma3",
            "architectures": ["Gemma3ForConditionalGeneration"],
            "text_config": {
                "model_type": "gemma3_text",
                "head_dim": 128,
                "hidden_size": 5376,
                "intermediate_size": 21504,
                "num_attention_heads": 32,
                "num_hidden_layers": 62,
                "num_key_value_heads": 16,
                "sliding_window": 1024,
            },
            "vision_config": {"hidden_size": 1152},
        },
        27.0,
        10 * 2 * 16 * 128,
    ),
}


@pytest.mark.parametrize("name", [*PUBLISHED, *WHOLE])
def test_published_models(name):
    changes, size, grows = PUBLISHED.get(name) or WHOLE[name]
    spec, missed = from_hf_config({**BASE, **changes} if name in PUBLISHED else changes, "m")
    assert params.total(checks.model(spec, "m")) / 1e9 == pytest.approx(size, rel=0.02)
    growing = sum(layer.layers * layer.growing_elements for layer in kinds.layers(spec))
    assert growing == grows and missed == ()


def test_what_a_nested_part_leaves_out_is_told():
    spec, _ = from_hf_config(WHOLE["Gemma-3-27B"][0], "m")
    assert spec.vocab == 262208 and any("left out" in note and "vocab_size" in note for note in spec.notes)
    with pytest.raises(InputError, match="vocab_size"):  # at the top a number that is missing is missed
        from_hf_config(WHOLE["Gemma-3-27B"][0]["text_config"], "m")


SISTERS = [
    json.loads(line) for line in (Path(__file__).parent / "field/sisters.jsonl").open(encoding="utf-8")
]


@pytest.mark.parametrize("row", SISTERS, ids=lambda row: row["name"])
def test_further_families_have_the_size_and_the_growing_cache_that_are_published(row):
    spec, missed = from_hf_config(row["config"], "m")
    assert missed == ()
    assert params.total(checks.model(spec, "m")) / 1e9 == pytest.approx(row["total_b"], rel=0.02)
    assert sum(x.layers * x.growing_elements for x in kinds.layers(spec)) == row["growing"]
    # publishers count both tables of words, one, or neither; and round
    found, tables = params.active(spec) / 1e9, params.embedding_params(spec) / 1e9
    rounding = 0.5 if float(row["active_b"]).is_integer() else 0.05
    assert (found - tables) * 0.98 - rounding <= row["active_b"] <= found * 1.02 + rounding


def test_parts_that_do_nothing_or_stand_beside_are_counted():
    found = {row["name"]: from_hf_config(row["config"], "m")[0] for row in SISTERS}
    flash = found["LongCat-Flash"]  # 256 of 768 experts are empty: 8 of 12 do something
    assert {f.topk for f in flash.ffn if f.kind == "moe"} == {8}
    assert any("do nothing" in note for note in flash.notes)
    assert {f.shared_width for f in found["Arctic"].ffn} == {7168}  # a dense unit as wide as the model
    assert len(found["OpenELM-270M"].attention) == 3 and len(found["OpenELM-270M"].ffn) == 16
    assert {a.q_lora for a in found["Step3"].attention} == {2048}


def test_a_window_of_minus_one_is_none():
    # Grok-2, with a dense unit beside the experts
    beside = {"sliding_window_size": -1, "residual_moe": True, "moe_intermediate_size": 1024}
    spec, missed = from_hf_config({**BASE, **beside, "num_local_experts": 8, "num_experts_per_tok": 2}, "m")
    assert not any(a.window for a in spec.attention) and missed == ()
    assert {(f.width, f.shared_width) for f in spec.ffn} == {(1024, 14336)}


@pytest.mark.parametrize(("key", "value"), [("ffn_multipliers", ["x"]), ("num_query_heads", [0])])
def test_lists_of_layers_that_make_no_sense_are_named(key, value):
    row = next(row for row in SISTERS if row["name"] == "OpenELM-270M")
    with pytest.raises(InputError, match=key):
        from_hf_config({**row["config"], key: value}, "m")
