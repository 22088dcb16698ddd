"""Published deployments, predicted from their layouts alone. No constant was fitted to any of them.

Two choices had them in view, among what meets the fitted rows alike: the upper bound of `prefill_stretch`
(1.1), and that batches run as two halves only where the exchange leaves the domain.

Each tolerance was chosen before the prediction was looked at. Publications leave out what a simulator
needs (exact lengths, batch, clocks, how well experts were balanced), so a band of a quarter to a third
either way is what they can tell. What misses its band is marked as such, with what is known of why.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import catalog
from planner.inputs.scenario import Scenario, Traffic
from planner.planning import frontiers, sweep
from planner.planning.resolve import prepare
from planner.planning.result import Frontier
from planner.simulate import decode, prefill
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Points
from planner.simulate.space import Layouts

PRESETS = catalog.load()
NODE = 8
LONG = 131072  # "128K"


def layout(*, tp: int = 1, pp: int = 1, dp: int = 1, ep: int = 1) -> Layouts:
    """One layout; experts sharded over what `ep` leaves of the stage's GPUs."""
    sizes = {"tp": tp, "pp": pp, "attention_dp": dp, "moe_tp": tp * dp // ep, "moe_ep": ep}
    return Layouts(**{name: np.array([int(size)]) for name, size in sizes.items()})


@functools.cache
def setup(model: str, system: str, isl: int, osl: int, weights: str, kv: str) -> Setup:
    """SGLang, whose kernels (DeepEP, DeepGEMM, FlashMLA) are those of DeepSeek's own engine too."""
    traffic = Traffic(isl=isl, osl=osl)
    return (
        prepare(
            Scenario(
                model=model,
                system=system,
                engine="sglang",
                traffic=traffic,
                weights=weights,
                kv=kv,
                memory_fraction=0.96,  # these deployments were filled to the brim
            ),
            PRESETS,
        )
        .pools["decode"]
        .setup
    )


def prompt_rate(points: Points, isl: int) -> float:
    """Best prompt tokens/s per GPU over batches and chunks."""
    return float((points.requests_per_s * isl / points.gpus).max())


def output_rate(points: Points, batch_per_gpu: float) -> float:
    """Output tokens/s per GPU at a batch per GPU."""
    return float(
        np.interp(batch_per_gpu * points.gpus[0], points.batch, points.batch / points.ttl_s)
    ) / float(points.gpus[0])


def first_token(points: Points) -> float:
    """FTL of a single prompt at its best chunk."""
    return float(points.ftl_s[points.batch == 1].min())


# DeepSeek, open infrastructure notes day 6 (2025): averages over a day of production on H800 nodes.
# Uncertain: lengths (only the mean cached context in decode, 4,989, was said), how full nodes were,
# and what a cached prefix costs. The published 73.7k prompt tokens/s hold 56.3 % of cache hits.
COMPUTED_PER_GPU = 73_700 * (1 - 0.563) / NODE


def test_deepseek_prefills_on_h800_at_its_published_rate() -> None:
    isl = 2048
    points = prefill.simulate(
        setup("deepseek-v3", "h800", isl, 1000, "fp8", "bf16"), layout(dp=32, ep=32), isl
    )
    assert 0.75 < prompt_rate(points, isl) / COMPUTED_PER_GPU < 1.5


def test_deepseek_decodes_on_h800_at_its_published_rate() -> None:
    isl, osl = 4489, 1000  # mean context 4,989
    ready = setup("deepseek-v3", "h800", isl, osl, "fp8", "bf16")
    # the same notes describe a load balancer that evens out the ranks of decode
    balanced = replace(ready.machine.engine, sequence_imbalance=0.0)
    ready = replace(ready, machine=replace(ready.machine, engine=balanced))
    points = decode.simulate(ready, layout(dp=144, ep=144), isl, osl)
    fast = points.ttl_s <= 1 / 20  # 20 to 22 tokens/s per user
    best = float((points.batch / points.ttl_s / points.gpus)[fast].max(initial=0.0))
    assert 0.7 < best / (14_800 / NODE) < 1.35


# SGLang on 96 H100 (LMSYS, 2025-05-05): 2,000-token prompts, prefill EP32, decode EP72 at 256 requests a
# GPU. Uncertain: output lengths; experts were balanced by EPLB, and two batches overlapped.
def test_sglang_prefills_on_96_h100_at_its_published_rate() -> None:
    isl = 2000
    points = prefill.simulate(
        setup("deepseek-v3", "h100", isl, 100, "fp8", "bf16"), layout(dp=32, ep=32), isl
    )
    assert 0.65 < prompt_rate(points, isl) / (52_300 / NODE) < 1.3


def test_sglang_decodes_on_96_h100_at_its_published_rate() -> None:
    isl, osl = 2000, 100
    points = decode.simulate(
        setup("deepseek-v3", "h100", isl, osl, "fp8", "bf16"), layout(dp=72, ep=72), isl, osl
    )
    assert 0.7 < output_rate(points, 256) / (22_300 / NODE) < 1.35


# SGLang on GB200 NVL72 (LMSYS, 2025-09-25): 2,000-token prompts, NVFP4 experts, FP8 attention, decode on 48
# GPUs. Uncertain: the prefill layout (4 to 8 GPUs tried here) and the batch (768 a GPU and more).
@pytest.mark.parametrize("gpus", [4, 8])
def test_sglang_prefills_on_gb200_at_its_published_rate(gpus: int) -> None:
    isl = 2000
    points = prefill.simulate(
        setup("deepseek-v3", "gb200", isl, 100, "fp4", "fp8"), layout(dp=gpus, ep=gpus), isl
    )
    assert 0.65 < prompt_rate(points, isl) / 26_156 < 1.3


def test_sglang_decodes_on_gb200_at_its_published_rate() -> None:
    isl, osl = 2000, 100
    points = decode.simulate(
        setup("deepseek-v3", "gb200", isl, osl, "fp4", "fp8"), layout(dp=48, ep=48), isl, osl
    )
    assert 0.7 < output_rate(points, 768) / 13_386 < 1.35


# Chunked pipelines of SGLang on H20 (LMSYS, 2026-01-15): one 128K prompt. DeepSeek-V3.1 TP8 48.5 s, PP4 of
# TP8 15.7 s; Qwen3-235B TP4 55.5 s, PP8 of TP4 10.5 s. Uncertain: the format of the cache.
H20 = [("deepseek-v3", 8, 4, 48.5, 15.7), ("qwen3-235b-a22b", 4, 8, 55.5, 10.5)]


def h20_prompt(model: str, tp: int, pp: int) -> float:
    return first_token(
        prefill.simulate(setup(model, "h20", LONG, 1000, "fp8", "fp8"), layout(tp=tp, pp=pp), LONG)
    )


@pytest.mark.parametrize(("model", "tp", "stages", "alone_s", "piped_s"), H20)
def test_a_chunked_pipeline_gains_what_it_gained_on_h20(
    model: str, tp: int, stages: int, alone_s: float, piped_s: float
) -> None:
    gain = h20_prompt(model, tp, 1) / h20_prompt(model, tp, stages)
    assert 0.85 < gain / (alone_s / piped_s) < 1.3
    assert gain <= stages


@pytest.mark.parametrize(
    ("model", "tp", "stages", "piped_s"),
    [
        ("deepseek-v3", 8, 4, 15.7),
        ("qwen3-235b-a22b", 4, 8, 10.5),
    ],
)
def test_a_long_prompt_takes_as_long_as_on_h20(model: str, tp: int, stages: int, piped_s: float) -> None:
    assert 0.75 < h20_prompt(model, tp, stages) / piped_s < 1.25


# DeepSeek-R1 in FP4 on GB200, split against co-located, without multi-token prediction (TensorRT-LLM tech
# blog 5): 1.4 to 1.8 times at 4,400 in and 1,200 out. At single speeds, where one side changes its layout
# and the other has not yet, it jumps further: judged is the mean over all speeds.
@pytest.mark.xfail(
    strict=True,
    reason="2.2 times: plans of a split promise more than tuned deployments keep (docs/accuracy.md), and "
    "co-located attention ranks that stop each other for their prompts hold less",
)
def test_splitting_deepseek_r1_on_gb200_gains_about_as_much_as_was_measured() -> None:
    scenario = Scenario(
        model="deepseek-r1",
        system="gb200",
        engine="trtllm",
        weights="fp4",
        traffic=Traffic(isl=4400, osl=1200),
    )
    question = prepare(scenario, PRESETS)
    points = sweep.run(question, scenario.fleet.gpus)
    found = frontiers.candidates(question, points)
    split, together = frontiers.split(question, points, found), frontiers.colocated(question, points, found)
    users = np.linspace(20.0, 100.0, 40)

    def best(front: Frontier, user: float) -> float:
        fast = front.tokens_per_s_per_user >= user
        return float(front.tokens_per_s_per_gpu[fast].max(initial=0.0))

    gains = [best(split, u) / best(together, u) for u in users if best(together, u) > 0]
    assert len(gains) == len(users)
    assert 1.4 < np.exp(np.mean(np.log(gains))) < 1.8
