"""Configs as people have them: those of `field/configs_expected.csv`, and one test for each kind."""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.inputs import checks
from planner.inputs.huggingface.config import from_hf_config
from planner.inputs.huggingface.import_model import read_config
from planner.simulate import params
from planner.simulate.operators.attention import kinds

FIELD = Path(__file__).parent / "field"
CONFIGS = FIELD / "configs"
with (FIELD / "configs_expected.csv").open(encoding="utf-8") as _file:
    EXPECTED = list(csv.DictReader(_file))
COUNTED = json.loads((FIELD / "counted.json").read_text(encoding="utf-8"))


def read(name):
    path = CONFIGS / name
    return checks.model(from_hf_config(read_config(path), "m")[0], name)


def growing(spec):
    return sum(layer.layers * layer.growing_elements for layer in kinds.layers(spec))


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["file"].removesuffix("_config.json"))
def test_configs_of_the_field_are_read_or_refused_as_expected(row):
    if row["verdict"] == "refuse":
        with pytest.raises(InputError, match="token by token; this is") as error:
            read(row["file"])
        assert "\n" not in str(error.value)
        return
    spec = read(row["file"])
    if row["total_b"]:
        assert params.total(spec) / 1e9 == pytest.approx(float(row["total_b"]), rel=0.02)
    if row["growing_kv_elements_per_token"]:
        assert growing(spec) == pytest.approx(float(row["growing_kv_elements_per_token"]), rel=0.02)
    if row["active_b"]:
        # publishers count both tables of words, one, or neither; and round
        tables = params.embedding_params(spec) / 1e9
        found = params.active(spec) / 1e9
        rounding = 0.5 if float(row["active_b"]).is_integer() else 0.05
        low, high = (found - tables) * 0.98 - rounding, found * 1.02 + rounding
        assert low <= float(row["active_b"]) <= high


def test_every_file_is_read_or_refused_in_one_line():
    for path in sorted(CONFIGS.glob("*_config.json")):
        try:
            spec = read(path.name)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert params.total(spec) >= params.active(spec) > 0


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_parameters_are_those_of_the_reference_implementation(kind):
    """The defaults of a configuration class of transformers 5.24, counted there without weights."""
    spec, _ = from_hf_config(COUNTED[kind]["config"], kind)
    assert params.total(spec) == pytest.approx(COUNTED[kind]["parameters"], rel=0.01)


# --- a test for each kind of what was once misread

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
WINDOW = {"sliding_window": 4096}


def spec_of(**changes):
    return from_hf_config({**BASE, **changes}, "m")[0]


def rows(spec):
    return [(a.kind, a.layers, a.window) for a in spec.attention]


@cache
def minimal(name):
    return json.loads((FIELD / "min" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("awq4", ("checkpoint", "int4_wo")),
        ("w8a8_int8", ("checkpoint", "int8_wo")),
    ],
)
def test_smallest_checkpoints(name, parts):
    spec, missed = from_hf_config(minimal(name), "m")
    assert getattr(spec, parts[0]) == parts[1] and missed == ()


def test_smallest_patterns():
    letters, missed = from_hf_config(minimal("pattern_letters"), "m")
    assert rows(letters) == [("gqa", 24, 4096), ("gqa", 8, 0)] and missed == ()
    numbers, missed = from_hf_config(minimal("hybrid_pattern"), "m")
    full, near = numbers.attention
    assert (full.layers, full.kv_heads, near.layers, near.kv_heads, near.window) == (8, 8, 24, 16, 128)
    period, missed = from_hf_config(minimal("period"), "m")
    assert rows(period) == [("linear", 28, 0), ("gqa", 4, 0)] and missed == ()
    assert [(f.kind, f.layers) for f in period.ffn] == [("dense", 16), ("moe", 16)]
    words, missed = from_hf_config(minimal("block_types"), "m")
    assert [(a.kind, a.layers) for a in words.attention] == [("linear", 15), ("none", 16), ("gqa", 1)]
    assert missed == ()


def test_smallest_experts_activations_and_shared_heads():
    lists, missed = from_hf_config(minimal("expert_lists"), "m")
    (f,) = lists.ffn
    assert (f.experts, f.topk, f.width, f.shared_width, missed) == (64, 8, 1024, 1024, ())
    assert from_hf_config(minimal("expert_names"), "m")[0].ffn[0].topk == 8
    assert from_hf_config(minimal("xielu"), "m")[0].ffn[0].matrices == 2
    assert from_hf_config(minimal("mqa_resaved"), "m")[0].attention[0].kv_heads == 1


def test_an_unread_mapping_is_named_and_a_known_one_read():
    spec, missed = from_hf_config(minimal("hidden_subconfig"), "m")
    assert "sparse_attention_config" in missed and "linear_attn_config" not in missed
    assert [(a.kind, a.layers) for a in spec.attention] == [("linear", 24), ("gqa", 8)]
    assert spec_of(novel_config={"width": 3}).not_read == ("novel_config",)
    assert spec_of(novel_config={}).not_read == ()


def test_blocks_picked_by_an_indexer_are_read_as_a_table_and_as_transformers_saves_them():
    table = {
        "use_sparse_attention": True, "sparse_attention_freq": [0, 0, 1, 1], "sparse_index_dim": 128,
        "sparse_num_index_heads": 4, "sparse_topk_blocks": 16, "sparse_block_size": 128,
        "sparse_disable_index_value": [0, 0, 1, 1], "sparse_local_block": 1, "sparse_score_type": "max",
    }  # fmt: skip
    flat = {
        "index_n_heads": 4, "index_head_dim": 128, "index_block_size": 128, "index_topk_blocks": 16,
        "index_local_blocks": 1, "layer_types": ["full_attention"] * 2 + ["minimax_m3_sparse"] * 2,
    }  # fmt: skip
    for given in ({"sparse_attention_config": table}, flat):
        spec = spec_of(num_hidden_layers=4, **given)
        found = [(a.layers, a.index_topk, a.index_heads, a.index_dim) for a in spec.attention]
        assert found == [(2, 0, 0, 0), (2, 2048, 4, 128)] and spec.not_read == ()
    off = spec_of(num_hidden_layers=4, sparse_attention_config={**table, "use_sparse_attention": False})
    assert [a.index_topk for a in off.attention] == [0] and off.not_read == ()
    odd = spec_of(num_hidden_layers=4, sparse_attention_config={**table, "novel": 3})
    assert odd.not_read == ("sparse_attention_config.novel",)
    valued = spec_of(
        num_hidden_layers=4, sparse_attention_config={**table, "sparse_disable_index_value": [0] * 4}
    )
    assert valued.not_read == ("sparse_disable_index_value",)
    with pytest.raises(InputError, match="sparse_topk_blocks"):
        spec_of(num_hidden_layers=4, sparse_attention_config={**table, "sparse_topk_blocks": "many"})


def test_words_with_how_often_they_are_repeated():
    given = {"attention_types": [[["global", "local"], 4]], "window_size": 256}
    assert rows(spec_of(**given)) == [("gqa", 4, 0), ("gqa", 4, 256)]
    for odd in ([[["global"], 3]], [["global", "local"]], [[["global"], 10**9]], "global"):
        assert spec_of(attention_types=odd).not_read == ("attention_types",)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"model_type": "llada", "architectures": ["LLaDAModelLM"]}, "this is a diffusion model"),
        ({"_class_name": "UNet2DConditionModel", "model_type": ""}, "_class_name: 'UNet2DConditionModel'"),
    ],
)
def test_what_answers_in_another_way_is_refused(given, line):
    with pytest.raises(InputError, match=line):
        spec_of(**given)


def test_a_gated_unit_may_be_told_by_the_width_of_both_projections():
    assert spec_of(model_type="qwen").ffn[0].width == BASE["intermediate_size"] // 2


@pytest.mark.parametrize("name", ["encoder", "speech"])
def test_smallest_refusals_say_what_architectures_says(name):
    with pytest.raises(InputError, match=r"architectures.*(Bert|Wav2Vec2)"):
        from_hf_config(minimal(name), "m")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architectures": ["LlamaForSequenceClassification"]}, "architectures.*encoder"),
        (
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"},
            "architectures.*encoder-decoder",
        ),
        ({"architectures": ["NovelForCTC"], "model_type": "novel"}, "architectures.*speech"),
        ({"architectures": ["NovelForImageClassification"]}, "architectures.*vision"),
        ({"architectures": None, "model_type": "deberta-v2"}, "model_type.*encoder"),
        ({"architectures": None, "model_type": "rwkv"}, "model_type.*recurrent"),
        ({"architectures": None, "model_type": "siglip_text_model"}, "model_type.*encoder"),
        ({"architectures": None, "model_type": "novel_vision"}, "model_type.*vision"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
        ({"architectures": ["NovelModel"], "encoder_layers": 6}, "architectures.*encoder-decoder"),
    ],
)
def test_models_that_do_not_answer_token_by_token_are_refused(changes, says):
    with pytest.raises(InputError, match=says):
        spec_of(**changes)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ({"peft_type": "LORA", "base_model_name_or_path": "a/b"}, "an adapter of a/b"),
        ({"tokenizer_class": "LlamaTokenizer", "model_max_length": 4096}, "a tokenizer"),
        ({"temperature": 0.6, "bos_token_id": 1}, "settings of generation"),
        ({"metadata": {}, "weight_map": {}}, "an index of weights"),
    ],
)
def test_other_files_of_a_checkpoint_are_told(file, says):
    with pytest.raises(InputError, match=f"config.json; this file is {says}"):
        from_hf_config(file, "m")


def test_what_is_no_refusal():
    """A decoder with an encoder's flags at their defaults, and a text model with eyes."""
    assert spec_of(architectures=["LlamaForCausalLM"], is_encoder_decoder=False, encoder_layers=0)
    nested = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": BASE}
    spec, _ = from_hf_config({**nested, "vision_config": {"patch_size": 14}}, "m")
    assert any("text model only" in note for note in spec.notes)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({**WINDOW, "sliding_window_pattern": "LLLG"}, [("gqa", 6, 4096), ("gqa", 2, 0)]),
        ({**WINDOW, "window_pattern": "SSSL"}, [("gqa", 6, 4096), ("gqa", 2, 0)]),
        ({**WINDOW, "sliding_window_pattern": 4}, [("gqa", 6, 4096), ("gqa", 2, 0)]),
        ({**WINDOW, "global_attn_every_n_layers": 2}, [("gqa", 4, 4096), ("gqa", 4, 0)]),
        ({**WINDOW, "hybrid_layer_pattern": [0, 1] * 4}, [("gqa", 4, 0), ("gqa", 4, 4096)]),
        (
            {**WINDOW, "layer_types": ["sliding_attention"] * 7 + ["full_attention"]},
            [("gqa", 7, 4096), ("gqa", 1, 0)],
        ),
        ({**WINDOW, "use_sliding_window": False, "sliding_window_pattern": 4}, [("gqa", 8, 0)]),
        ({"cross_attention_layers": [1, 5]}, [("gqa", 6, 0), ("cross", 2, 0)]),
        ({"layer_types": ["conv"] * 6 + ["full_attention"] * 2}, [("conv", 6, 0), ("gqa", 2, 0)]),
        ({"full_attn_idxs": [3, 7], "conv_L_cache": 3}, [("conv", 6, 0), ("gqa", 2, 0)]),
        ({"attn_type_list": [0, 1] * 4}, [("linear", 4, 0), ("gqa", 4, 0)]),
        ({"full_attention_interval": 4}, [("linear", 6, 0), ("gqa", 2, 0)]),
        ({"block_types": ["recurrent", "recurrent", "attention"]}, [("linear", 6, 0), ("gqa", 2, 0)]),
        (
            {
                "attn_layer_indices": [2],
                "mamba_n_heads": 128,
                "mamba_d_head": 64,
                "mamba_d_state": 128,
                "mamba_d_conv": 4,
            },
            [("linear", 7, 0), ("gqa", 1, 0)],
        ),
    ],
)
def test_patterns_of_layers(changes, found):
    spec = spec_of(**changes)
    assert sorted(rows(spec)) == sorted(found) and spec.not_read == ()


@pytest.mark.parametrize(
    "spelled",
    [
        {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512},
        {"num_local_experts": 8, "num_experts_per_token": 2, "expert_ffn_hidden_size": 512},
        {"n_routed_experts": 8, "moe_topk": 2, "moe_ffn_hidden_size": 512},
        {"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 512},
        {"moe_num_experts": [8] * 8, "moe_topk": [2] * 8, "moe_intermediate_size": [512] * 8},
        {"num_moe_experts": 8, "moe_router_topk": 2, "expert_intermediate_size": 512},
        {"ffn_config": {"moe_num_experts": 8, "moe_top_k": 2, "moe_intermediate_size": 512}},
    ],
)
def test_spellings_of_experts(spelled):
    spec = spec_of(**spelled)
    (f,) = spec.ffn
    assert (f.kind, f.experts, f.topk, f.width, spec.not_read) == ("moe", 8, 2, 512, ())


@pytest.mark.parametrize(
    ("changes", "kinds_of"),
    [
        ({"first_k_dense_replace": 2}, [("dense", 2), ("moe", 6)]),
        ({"num_dense_layers": 2}, [("dense", 2), ("moe", 6)]),
        ({"moe_layer_start_index": 2, "moe_layer_end_index": 5}, [("dense", 4), ("moe", 4)]),
        ({"moe_layers_enum": "4,5,6,7"}, [("dense", 4), ("moe", 4)]),
        ({"expert_layer_period": 2, "expert_layer_offset": 1}, [("dense", 4), ("moe", 4)]),
        ({"mlp_layer_types": ["dense"] + ["sparse"] * 7}, [("dense", 1), ("moe", 7)]),
        ({"moe_layer_freq": [0, 1] * 4}, [("dense", 4), ("moe", 4)]),
        ({"decoder_sparse_step": 2}, [("dense", 4), ("moe", 4)]),
        ({"is_moe": False}, [("dense", 8)]),
    ],
)
def test_which_layers_have_experts(changes, kinds_of):
    spec = spec_of(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=512, **changes)
    assert [(f.kind, f.layers) for f in spec.ffn] == kinds_of and spec.not_read == ()


def test_dense_layers_beside_experts_have_a_width_of_their_own():
    given = {"num_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "intermediate_size": 512}
    dense, moe = spec_of(**given, dense_intermediate_size=9000).ffn
    assert (dense.width, moe.width) == (9000, 512)


def test_refusals_name_the_key_as_it_stands_in_the_file():
    for changes, key in (
        ({"moe_topk": 9, "num_experts": 8}, "moe_topk"),
        ({"moe_num_experts": 8, "moe_k": "two"}, "moe_k"),
        ({"num_key_value_heads": None, "num_kv_heads": 5}, "num_kv_heads"),
        ({"sliding_window_size": -1, "hybrid_layer_pattern": [1] * 8}, "sliding_window_size"),
        ({"intermediate_size": [[1]] * 8}, "intermediate_size"),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(key)}:"):
            spec_of(**changes)


def test_layers_with_values_of_their_own():
    spec = spec_of(per_layer_config={"07": {"head_dim": 256}, "06": {"num_key_value_heads": 4}})
    assert [(a.layers, a.kv_heads, a.head_dim) for a in spec.attention] == [
        (6, 8, 128),
        (1, 4, 128),
        (1, 8, 256),
    ]


def test_cache_that_another_layer_holds_does_not_grow():
    whole, some = spec_of(), spec_of(num_kv_shared_layers=2)
    assert growing(some) == growing(whole) * 6 / 8
    assert params.total(whole) - params.total(some) == 2 * 2 * 4096 * 8 * 128


def test_two_ways_of_mixing_in_one_layer():
    state = {"mamba_d_ssm": 1024, "mamba_n_heads": 128, "mamba_d_head": 8, "mamba_d_state": 256}
    spec = checks.model(spec_of(model_type="falcon_h1", **state), "m")
    assert [(a.kind, a.layers, a.beside) for a in spec.attention] == [("gqa", 8, False), ("linear", 8, True)]


def test_shared_indexers_hold_no_keys():
    spec = read("zai-org--GLM-5.2-FP8_config.json")
    own, shared = spec.attention
    assert (own.layers, shared.layers, shared.index_shared) == (21, 57, True)
    assert growing(spec) == 78 * 576 + 21 * 128


def test_groups_of_formats_and_caches_are_told():
    dense = read("nvidia--Qwen3.6-27B-NVFP4_config.json")
    assert any("nvfp4_wo, attention fp8; planned as nvfp4_wo" in note for note in dense.notes)
    moe = read("nvidia--Qwen3.6-35B-A3B-NVFP4_config.json")
    assert (moe.checkpoint, moe.checkpoint_beside) == ("nvfp4_wo", "fp8")
    cache = read("quant--qwen2.5-72b-fp8-kv_config.json")
    assert any("fp8 cache" in note for note in cache.notes)
