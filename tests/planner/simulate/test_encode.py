"""The encoder of images: work by hand, and never faster than it can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import images as inputs
from planner.inputs.catalog import load
from planner.inputs.images import Images
from planner.inputs.lengths import of_traffic
from planner.inputs.model import Vision
from planner.inputs.scenario import Scenario, Traffic
from planner.planning.resolve import Question, prepare
from planner.simulate import encode

ASKED = Scenario(
    model="qwen3.6-27b", system="h200", engine="vllm", traffic=Traffic(isl=1024, osl=128, images=1.0)
)
PRESETS = load()
SEEING = [name for name in PRESETS.names("model") if PRESETS.model(name).vision]


def asked(model: str = "qwen3.6-27b", **traffic: object) -> Question:
    more = replace(ASKED.traffic, **traffic)  # type: ignore[arg-type]
    return prepare(replace(ASKED, model=model, traffic=more), PRESETS)


def cost_of(
    question: Question, count: float = 1.0, tp: float = 1.0, vision: Vision | None = None
) -> encode.Cost:
    setup, images = question.pools["decode"].setup, question.images
    assert images is not None
    of = images if vision is None else replace(images, vision=vision)
    return encode.forward_pass(setup.machine, of, setup.model.hidden, count, tp)


def test_an_image_takes_its_flops_by_hand_and_no_less() -> None:
    """27 layers of 1,152 over 4,096 patches: 2 x 15.2 M x 4,096 and 4 x 4,096^2 x 1,152 FLOP each."""
    question = asked()
    cost, gpu = cost_of(question), question.pools["decode"].setup.machine.gpu
    matrices = 27 * 2 * 4096 * (4 * 1152**2 + 2 * 1152 * 4304)
    attention = 27 * 4 * 4096**2 * 1152
    beside = 2 * 4096 * 3 * 256 * 1152 + 2 * 1024 * 4608 * (4608 + 5120)
    streamed = 27 * 10 * 2 * 1152 * 4096  # bytes of small kernels
    least = (matrices + attention + beside) / gpu.peak_flops["bf16"] + streamed / gpu.hbm_bytes_per_s
    assert float(cost.light_s) == pytest.approx(least, rel=0.02)
    assert least < float(cost.seconds) < 4 * least


def test_windows_save_attention_and_tiles_keep_images_apart() -> None:
    question = asked(image_tokens=4096)
    vision = PRESETS.model("qwen3.6-27b").vision
    whole = cost_of(question)
    windows = cost_of(question, vision=replace(vision, window=64, whole_layers=4))
    tiles = cost_of(question, vision=replace(vision, tile=576))
    saved = 4 * (4096 * 4) ** 2 * 1152 * 23 * (1 - 64 / (4096 * 4))
    peak = question.pools["decode"].setup.machine.gpu.peak_flops["bf16"]
    assert float(whole.light_s - windows.light_s) == pytest.approx(saved / peak, rel=0.05)
    assert windows.seconds < whole.seconds and tiles.seconds < whole.seconds


@pytest.mark.parametrize("model", SEEING)
def test_every_encoder_is_as_large_as_published_and_no_faster_than_light(model: str) -> None:
    question = asked(model)
    billions = PRESETS.model(model).vision.params(PRESETS.model(model).hidden) / 1e9
    assert 0.3 < billions < 1.0  # 0.4 to 0.6, with the projection up to 0.9 (Llama 4)
    counts, widths = np.array([1.0, 2.0, 7.0]).reshape(-1, 1), np.array([1.0, 2.0, 8.0])
    cost = cost_of(question, counts, widths)  # type: ignore[arg-type]
    assert (cost.seconds >= cost.light_s).all() and (cost.light_s > 0).all()
    assert (np.diff(cost.seconds, axis=0) > 0).all()  # more images take longer


def test_in_place_less_than_an_image_is_a_share_of_passes_and_many_are_dealt_out() -> None:
    question = asked()
    setup, images = question.pools["prefill"].setup, question.images
    assert images is not None
    hidden = setup.model.hidden

    def seconds(count: float, tp: float) -> float:
        return float(encode.in_place(setup.machine, images, hidden, count, tp).seconds)

    assert seconds(0.25, 1.0) == pytest.approx(0.25 * seconds(1.0, 1.0))
    assert seconds(64.0, 8.0) < 1.2 * seconds(8.0, 1.0)
    assert seconds(1.0, 8.0) < seconds(1.0, 1.0)
    assert setup.model.beside_bytes == encode.weight_bytes(images, hidden)
    assert question.pools["decode"].setup.images is None


def test_images_make_prompts_longer_and_caches_hold_none_of_them() -> None:
    traffic = Traffic(isl=1000, osl=100, cached_share=0.5, isl_spread=1.0, images=2.0, image_tokens=500)
    model = PRESETS.model("qwen3.6-27b")
    before = of_traffic(traffic)
    images, lengths = inputs.of(traffic, model, before)
    assert isinstance(images, Images) and images.of_prompt == 1000
    assert (lengths.isl, lengths.new, lengths.context_isl) == (2000, 1500, before.context_isl + 1000)
    # of lognormal new tokens n and as many cached: E[n c + n^2 / 2] / E[n] with c = n, and 1,000 beside
    n = 500.0 * before.prompt
    exact = ((n + 1000) * n + 0.5 * (n + 1000) ** 2).mean() / 1500 - 750
    drawn = (n * n + 0.5 * n**2).mean() / 500 - 250
    assert lengths.prefix - before.prefix * 500 / 1500 == pytest.approx(exact - drawn * 500 / 1500, rel=0.02)
    assert lengths.variation == pytest.approx(before.variation / 9)
    assert float(lengths.prompt.mean()) == pytest.approx(1.0)
