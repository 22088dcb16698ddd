"""Watts of a GPU: between idle and its limit, more where more is done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs.catalog import load
from planner.inputs.precision import resolve
from planner.simulate import power, space
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.power import Use

CATALOG = load()
SHARES = st.floats(0.0, 1.0)


def setup(model: str, system: str, engine: str) -> Setup:
    spec, at, profile = CATALOG.model(model), CATALOG.system(system), CATALOG.engine(engine)
    machine = Machine(gpu=at.gpu, fabric=at.fabric, kernels=CATALOG.kernels(at, profile.name), engine=profile)
    return Setup(machine=machine, model=spec, precision=resolve("auto", "auto", spec, at.gpu, at.vendor))


def one(tp: int, dp: int = 1, pp: int = 1, ep: int = 1) -> space.Layouts:
    widths = {"tp": tp, "pp": pp, "attention_dp": dp, "moe_tp": tp * dp // ep, "moe_ep": ep}
    return space.Layouts(**{name: np.full((1, 1, 1), width) for name, width in widths.items()})


@settings(max_examples=40, deadline=None)
@given(SHARES, SHARES, SHARES, st.sampled_from(CATALOG.names("system")))
def test_watts_lie_between_idle_and_the_limit_and_rise_with_use(busy, compute, less, system):
    gpu = CATALOG.system(system).gpu
    found = float(power.watts(gpu, Use(seconds=1.0, busy=busy, compute=compute)))
    assert 0 < power.idle_watts(gpu) <= found <= gpu.watts
    for name, value in (("busy", busy), ("compute", compute)):
        use = replace(Use(seconds=1.0, busy=busy, compute=compute), **{name: value * less})
        assert float(power.watts(gpu, use)) <= found


@pytest.mark.parametrize(
    "model, system, engine, at",
    [
        ("llama-3.1-70b", "h200", "trtllm", one(4)),
        ("llama-3.1-70b", "h100", "vllm", one(2, pp=2)),
        ("deepseek-r1", "gb200", "trtllm", one(1, 16, ep=16)),
        ("gpt-oss-120b", "mi300x", "vllm", one(2, ep=2)),
        ("qwen3-next-80b-a3b", "b200", "sglang", one(2)),
    ],
)
def test_shares_of_a_pass_are_shares_and_follow_from_its_operators(model, system, engine, at):
    on = setup(model, system, engine)
    batch = np.geomspace(1, 256, 6).reshape(1, -1, 1)
    steps = power.steps(on, at, batch, isl=4096, osl=512)
    prompts = power.prompts(on, at, np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 4096.0))
    for use in (steps, prompts):
        for share in (use.busy, use.compute):
            assert np.all((share >= 0) & (share <= 1))
        # what streams or computes at the data sheet's rates is part of what is busy at those reached
        assert np.all(use.busy >= use.compute * (1 - 1e-9))
    # weights are read once a step, products grow with the batch
    assert np.all(np.diff(np.ravel(steps.compute * steps.seconds)) > 0)
    assert float(prompts.compute.max()) > float(steps.compute.max()) > 0


def test_products_of_a_prompt_of_a_dense_model_are_twice_its_parameters() -> None:
    """70 billion parameters over 4 GPUs, two operations each, and attention beside them."""
    on = setup("llama-3.1-70b", "h200", "trtllm")
    use = power.prompts(on, one(4), np.ones((1, 1, 1)), np.full((1, 1, 1), 2048.0))
    done = float(np.ravel(use.compute * use.seconds)[0]) * on.machine.gpu.peak_flops["fp8"]
    assert done == pytest.approx(2 * 70e9 * 2048 / 4, rel=0.1)
