"""Layers with a state, a convolution, another layer's cache or none: memory, time, and plans on them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from planner import plan
from planner.inputs.catalog import load
from planner.inputs.huggingface.config import from_hf_config
from planner.inputs.model import Attention
from planner.inputs.precision import FORMATS, Precision
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.simulate import memory
from planner.simulate.operators.attention import gqa, kinds
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup

BF16 = Precision(gemm=FORMATS["bf16"], moe=FORMATS["bf16"], kv="bf16")
SHIPPED = load()
BASE = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 4096,
    "vocab_size": 32000,
    "max_position_embeddings": 131072,
}
MAMBA = {
    "mamba_n_heads": 64,
    "mamba_d_head": 64,
    "mamba_d_state": 128,
    "mamba_n_groups": 1,
    "mamba_d_conv": 4,
}
CONV = Attention(kind="conv", layers=1, v_heads=16, v_dim=128, conv_width=3, in_width=3 * 2048)
CROSS = Attention(kind="cross", layers=1, heads=16, kv_heads=4, head_dim=128)
SPARSE = Attention(
    kind="mla",
    layers=1,
    heads=64,
    q_lora=1536,
    kv_lora=512,
    nope_dim=128,
    rope_dim=64,
    v_dim=128,
    index_topk=2048,
    index_heads=32,
    index_dim=128,
)


def setup():
    system, engine = SHIPPED.system("h200"), SHIPPED.engine("trtllm")
    machine = Machine(
        gpu=system.gpu, fabric=system.fabric, kernels=SHIPPED.kernels(system, "trtllm"), engine=engine
    )
    return Setup(machine=machine, model=SHIPPED.model("llama-3.1-8b"), precision=BF16, mla_cache=False)


def seconds(layer, context):
    return sum(float(cost.seconds) for cost in layer.decode(setup(), 1, 64.0, context, 1).values())


def test_blocks_that_an_indexer_picks_cost_as_a_window_and_a_scan_of_keys():
    whole = Attention(kind="gqa", layers=1, heads=64, kv_heads=4, head_dim=128)
    picked = kinds.layer(replace(whole, index_topk=2048, index_heads=4, index_dim=128))
    dense = kinds.layer(whole)
    # all keys and values are kept, and one index key in bf16 beside them on every GPU
    for tp in (1, 4, 8):
        beside = picked.cache_bytes(BF16, tp, 10_000) - dense.cache_bytes(BF16, tp, 10_000)
        assert beside == 10_000 * 128 * 2
    assert picked.growing_elements == dense.growing_elements == 1024
    # index queries and key: 4 + 1 of 128
    width = sum(one.n * one.k for one in picked.matrices(6144, 1)) - sum(
        one.n * one.k for one in dense.matrices(6144, 1)
    )
    assert width == 6144 * 5 * 128
    # within what is picked it attends all of it, and scores besides; far beyond it reads an eighth
    assert seconds(picked, 2048.0) > seconds(dense, 2048.0)
    assert 0.1 < seconds(picked, 131_072.0) / seconds(dense, 131_072.0) < 0.3
    grows = seconds(picked, 131_072.0) - seconds(picked, 65_536.0)
    assert grows == pytest.approx(
        sum(
            sign * float(gqa.decode(setup().machine, "bf16", picked.index(1), 64.0, at, 1).seconds)
            for sign, at in ((1, 131_072.0), (-1, 65_536.0))
        )
    )
    prompt = [
        float(layer.prefill(setup(), 1, 1, 131_072.0, 0.0)["attention"].seconds) for layer in (picked, dense)
    ]
    assert 0.05 < prompt[0] / prompt[1] < 0.3


def test_a_convolution_keeps_its_last_inputs_and_costs_the_same_at_any_length():
    layer = kinds.layer(CONV)
    assert layer.cache_bytes(BF16, 1, 10) == layer.cache_bytes(BF16, 1, 10**6) == 2 * 2 * 2048
    assert layer.cache_bytes(BF16, 2, 10) == 2048 * 2
    assert (layer.kv_elements, layer.state_elements, layer.kv_heads) == (0.0, 2 * 2048, 0)
    assert seconds(layer, 1e3) == seconds(layer, 1e6) > 0
    state = kinds.layer(from_hf_config({**BASE, **MAMBA, "layer_types": ["mamba"] * 8}, "m")[0].attention[0])
    assert seconds(layer, 1e3) < seconds(state, 1e3)  # no recurrence
    more = [layer.prefill(setup(), 1, 1, float(new), 0)["attention"].seconds for new in (1000, 100_000)]
    assert more[0] < more[1]


def test_cross_attention_holds_weights_and_no_cache():
    layer, own = (
        kinds.layer(CROSS),
        kinds.layer(Attention(kind="gqa", layers=1, heads=16, kv_heads=4, head_dim=128)),
    )
    assert layer.matrices(2048, 1) == own.matrices(2048, 1)
    assert layer.cache_bytes(BF16, 1, 1000) == 0 and layer.growing_elements == 0
    assert layer.decode(setup(), 1, 64.0, 1e4, 1) == {}


def test_a_borrowed_cache_is_read_and_not_held():
    own = Attention(kind="gqa", layers=1, heads=16, kv_heads=4, head_dim=128)
    borrowed = kinds.layer(
        Attention(kind="gqa", layers=1, heads=16, kv_heads=4, head_dim=128, reused_kv=True)
    )
    assert borrowed.cache_bytes(BF16, 1, 1000) == 0 and borrowed.kv_elements == 0
    assert seconds(borrowed, 1e5) == seconds(kinds.layer(own), 1e5)
    assert sum(lin.n * lin.k for lin in borrowed.matrices(2048, 1)) == 2 * 16 * 128 * 2048


def test_a_shared_indexer_scores_nothing():
    own = kinds.layer(SPARSE)
    shared = kinds.layer(
        Attention(**{f: getattr(SPARSE, f) for f in SPARSE.__slots__} | {"index_shared": True})
    )
    assert own.growing_elements - shared.growing_elements == 128
    assert seconds(shared, 1e5) < seconds(own, 1e5)
    assert shared.cache_bytes(BF16, 1, 1000) < own.cache_bytes(BF16, 1, 1000)


def test_gates_of_latent_attention_are_weights():
    row = {
        "kind": "mla",
        "layers": 1,
        "heads": 96,
        "kv_lora": 512,
        "nope_dim": 128,
        "rope_dim": 64,
        "v_dim": 128,
    }
    plain, gated = (kinds.layer(Attention(**row, output_gate=gate)) for gate in (False, True))
    count = [sum(lin.n * lin.k for lin in layer.matrices(7168, 1)) for layer in (plain, gated)]
    assert count[1] - count[0] == 96 * 128 * 7168


@pytest.mark.parametrize(
    "changes",
    [
        {**MAMBA, "layer_types": ["mamba"] * 6 + ["attention"] * 2},
        {"layer_types": ["conv"] * 6 + ["full_attention"] * 2, "conv_L_cache": 3},
        {"attn_type_list": [0, 1] * 4},
        {"attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16, "mamba_dt_rank": 128},
        {"block_types": ["recurrent", "recurrent", "attention"], "lru_width": 2048},
        {"cross_attention_layers": [1, 5]},
        {"model_type": "falcon_h1", **MAMBA},
        {"model_type": "mamba2", "state_size": 128, "num_heads": 64, "head_dim": 64, "n_groups": 1},
        {"num_kv_shared_layers": 4, "hidden_size_per_layer_input": 256},
        {
            "linear_attn_config": {
                "full_attn_layers": [4, 8],
                "num_heads": 16,
                "head_dim": 128,
                "short_conv_kernel_size": 4,
            },
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
        },
    ],
)
def test_plans_on_hybrids(tmp_path, changes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**BASE, **changes}))
    scenario = Scenario(
        model=str(path),
        system="h100",
        engine="vllm",
        traffic=Traffic(isl=4096, osl=512),
        limits=Limits(ftl_s=5.0, ttl_s=0.05),
        fleet=Fleet(gpus=4, instance_gpus=2),
    )
    assert plan(scenario, SHIPPED).chosen is not None


def test_states_leave_room_that_a_cache_takes():
    hybrid = from_hf_config({**BASE, **MAMBA, "layer_types": ["mamba"] * 6 + ["attention"] * 2}, "m")[0]
    dense = from_hf_config(BASE, "m")[0]
    long = 100_000
    assert memory.distinct_kv_bytes(hybrid, BF16, long) < memory.distinct_kv_bytes(dense, BF16, long) / 3
    assert memory.growing_kv_bytes(hybrid, BF16) == 2 * 2 * 2 * 4 * 128
