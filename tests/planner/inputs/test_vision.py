"""Encoders of images in configs: what is read, and what is left out rather than guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.inputs.huggingface.config import from_hf_config
from planner.inputs.model import Vision

CONFIGS = Path(__file__).parent / "field" / "configs"
TEXT = {
    "model_type": "qwen3",
    "hidden_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 6144,
    "vocab_size": 1000,
}
QWEN25 = {
    "model_type": "qwen2_5_vl",
    "depth": 32,
    "hidden_size": 1280,
    "num_heads": 16,
    "intermediate_size": 3420,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}


def seen(vision: object, **beside: object) -> Vision:
    return from_hf_config({**TEXT, "vision_config": vision, **beside}, "x")[0].vision


def shipped(name: str) -> Vision:
    return from_hf_config(json.loads((CONFIGS / f"{name}_config.json").read_text()), "x")[0].vision


def test_windows_of_qwen25_are_8_by_8_patches_in_all_but_four_layers() -> None:
    vision = seen(QWEN25)
    assert (vision.window, vision.whole_layers, vision.layers, vision.matrices) == (64, 4, 32, 3)
    assert vision.image_tokens == 36**2


def test_tiles_pools_and_shuffles() -> None:
    llama, gemma, mistral = (
        shipped(name) for name in ("hf5--llama4", "nvidia--Gemma-4-31B-IT-NVFP4", "hfdefault--mistral3")
    )
    assert (llama.tile, llama.merge, llama.projector) == (32**2, 2, 4096)  # 448 pixels in that one
    assert (gemma.tokens, gemma.merge, gemma.matrices) == (280, 3, 3)
    assert (mistral.layers, mistral.hidden, mistral.patch, mistral.merge, mistral.matrices) == (
        24,
        1024,
        14,
        2,
        3,
    )


@pytest.mark.parametrize("name", ["hf5--mllama", "hfdefault--gemma-3n-e4b", "quant--qwen2.5-72b-awq"])
def test_other_encoders_and_text_models_see_nothing(name: str) -> None:
    assert not shipped(name)


@pytest.mark.parametrize(
    "vision",
    [
        {},
        [],
        "vit",
        None,
        {**QWEN25, "depth": -1},
        {**QWEN25, "depth": True},
        {**QWEN25, "depth": 10**9},
        {**QWEN25, "num_heads": 7},
        {**QWEN25, "patch_size": 0},
        {**QWEN25, "hidden_size": "wide"},
        {**QWEN25, "intermediate_size": None, "mlp_ratio": -4},
        {**QWEN25, "num_heads": {}},
    ],
)
def test_nonsense_is_no_encoder(vision: object) -> None:
    assert not seen(vision)


def test_odd_parts_of_an_encoder_are_left_out() -> None:
    vision = seen(
        {**QWEN25, "fullatt_block_indexes": "all", "window_size": [112, 112], "spatial_merge_size": 10**6}
    )
    assert vision.whole_layers == 0 and vision.merge == 1
