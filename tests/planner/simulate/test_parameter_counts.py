"""Parameters counted from the architecture against what publishers say of their models."""

from __future__ import annotations

import pytest

from planner.inputs.catalog import load
from planner.inputs.model import Attention, Ffn, ModelSpec
from planner.simulate import params

PRESETS = load()
MODELS = PRESETS.names("model")

# Billions of parameters of the TEXT model, and how far the count may be off. Sources: the model
# cards; a size that is only a round number in the model's name is marked by its tolerance.
TOTAL = {
    "deepseek-r1": (671, 0.01),
    "deepseek-v3": (671, 0.01),
    "deepseek-v3.2": (671, 0.01),
    "deepseek-v4-flash": (284, 0.01),
    "deepseek-v4-pro": (1600, 0.02),  # two digits published
    "deepseek-v4.1-flash": (748, 0.01),  # 552 and 196 in tables
    "devstral-2-123b": (125, 0.01),  # the checkpoint's; the name says 123B
    "gemma-4-26b-a4b": (25.2, 0.01),
    "gemma-4-31b": (30.7, 0.01),
    "glm-5": (744, 0.01),
    "glm-5.2": (744, 0.01),
    "glm-5.3": (744, 0.01),
    "gpt-oss-120b": (116.83, 0.001),  # to the last digit given: biases are counted
    "gpt-oss-20b": (20.91, 0.001),
    "kimi-k2": (1026.4, 0.01),  # the checkpoint's; the name says 1T
    "kimi-k2.5": (1026.4, 0.01),
    "kimi-k3": (2800, 0.02),  # two digits published
    "llama-3.1-405b": (406, 0.01),
    "llama-3.1-70b": (70.6, 0.01),
    "llama-3.1-8b": (8.03, 0.01),
    "llama-4-maverick": (400, 0.01),
    "llama-4-scout": (107.8, 0.01),  # 109 with the vision tower
    "mimo-v2-flash": (309, 0.01),
    "minimax-m2.5": (230, 0.01),
    "minimax-m3": (428, 0.01),
    "mistral-small-3.2-24b": (23.6, 0.01),  # without the vision tower
    "mistral-small-4-119b": (119, 0.01),
    "mixtral-8x22b": (141, 0.01),
    "mixtral-8x7b": (46.7, 0.01),
    "nemotron-3-nano-30b": (31.6, 0.01),
    "nemotron-3-super-120b": (120, 0.01),
    "nemotron-3-ultra-550b": (550, 0.01),
    "nemotron-super-49b": (49, 0.02),  # the name's; the count is 49.9
    "qwen3-14b": (14.8, 0.01),
    "qwen3-235b-a22b": (235, 0.01),
    "qwen3-30b-a3b": (30.5, 0.01),
    "qwen3-32b": (32.8, 0.01),
    "qwen3-8b": (8.2, 0.01),
    "qwen3-coder-480b": (480, 0.01),
    "qwen3-next-80b-a3b": (80, 0.01),
    "qwen3.5-122b-a10b": (122, 0.01),
    "qwen3.5-27b": (27, 0.01),
    "qwen3.5-35b-a3b": (35, 0.01),
    "qwen3.5-397b-a17b": (397, 0.01),
    "qwen3.6-27b": (27, 0.01),
    "qwen3.6-35b-a3b": (35, 0.01),
    "step-3.7-flash": (196, 0.01),
}
# Billions that one token visits, as the model cards print them: right to one unit of the last digit,
# counted with or without the input table (a lookup), which publishers do differently.
ACTIVE = {
    "deepseek-r1": "37",
    "deepseek-v4-flash": "13",
    "deepseek-v4-pro": "49",
    "gemma-4-26b-a4b": "3.8",
    "glm-5": "40",
    "gpt-oss-120b": "5.13",
    "gpt-oss-20b": "3.61",
    "kimi-k2": "32",
    "llama-4-maverick": "17",
    "llama-4-scout": "17",
    "minimax-m2.5": "10",
    "mixtral-8x22b": "39",
    "mixtral-8x7b": "12.9",
    "nemotron-3-super-120b": "12",
    "qwen3-235b-a22b": "22",
    "qwen3-30b-a3b": "3.3",
    "qwen3-coder-480b": "35",
    "qwen3.5-397b-a17b": "17",
}


def test_every_model_preset_is_checked_against_a_published_size():
    assert set(TOTAL) == set(MODELS)
    assert set(ACTIVE) <= {name for name in MODELS if PRESETS.model(name).is_moe}


@pytest.mark.parametrize("name", MODELS)
def test_total_is_the_published_size(name):
    published, tolerance = TOTAL[name]
    spec = PRESETS.model(name)
    assert params.total(spec) / 1e9 == pytest.approx(published, rel=tolerance)
    assert params.total(spec) == pytest.approx(spec.published_params, rel=0.02)


@pytest.mark.parametrize("name", sorted(ACTIVE))
def test_active_is_the_published_size_with_or_without_the_input_table(name):
    spec = PRESETS.model(name)
    printed = ACTIVE[name]
    unit = 10.0 ** -len(printed.partition(".")[2])
    counted = params.active(spec) / 1e9
    table = 0 if spec.tied_embeddings else spec.vocab * spec.hidden / 1e9
    assert any(abs(count - float(printed)) < unit for count in (counted, counted - table))


@pytest.mark.parametrize("name", MODELS)
def test_a_dense_model_is_all_active_and_experts_are_the_difference(name):
    spec = PRESETS.model(name)
    idle = params.total(spec) - params.active(spec)
    assert (idle == 0) is not spec.is_moe
    routed = sum(f.layers * f.experts * params.expert_params(f, spec.hidden) for f in spec.ffn)
    assert 0 <= idle <= routed + spec.lookup_params


def _spec(**changes: object) -> ModelSpec:
    attention = Attention(kind="gqa", layers=2, heads=4, kv_heads=2, head_dim=8)
    ffn = Ffn(kind="dense", layers=2, width=64)
    given = {"attention": (attention,), "ffn": (ffn,), "hidden": 32, "vocab": 100, **changes}
    return ModelSpec(name="m", label="m", family="f", layers=2, **given)


def test_a_model_small_enough_to_count_by_hand():
    per_layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64  # q, k and v, o, gate-up-down
    assert params.total(_spec()) == 2 * per_layer + 2 * 100 * 32
    assert params.total(_spec(tied_embeddings=True)) == 2 * per_layer + 100 * 32
    assert params.active(_spec()) == params.total(_spec())


def test_gates_biases_and_shared_keys_change_the_count_by_their_own_size():
    plain = Attention(kind="gqa", layers=1, heads=4, kv_heads=2, head_dim=8)
    count = params.attention_params(plain, 32)
    variant = {"kind": "gqa", "layers": 1, "heads": 4, "kv_heads": 2, "head_dim": 8}
    assert params.attention_params(Attention(**variant, output_gate=True), 32) == count + 32 * 32
    assert params.attention_params(Attention(**variant, shared_kv=True), 32) == count - 32 * 16
    assert params.attention_params(Attention(**variant, bias=True), 32) == count + 32 + 32 + 32


def test_two_matrix_experts_in_a_latent_space():
    f = Ffn(kind="moe", layers=1, width=16, matrices=2, experts=8, topk=2, latent=4, shared_width=24)
    assert params.expert_params(f, 32) == 2 * 4 * 16
    shared, router = 2 * 32 * 24 + 2 * 32 * 4, 8 * 32
    assert params.ffn_params(f, 32) == 8 * 128 + shared + router
