"""A plan under load, and fed back as a measured run: one model of service says the same of both."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner import Fleet, Limits, Scenario, Traffic, plan
from planner.evidence import gather, runs
from planner.evidence.runs import Row
from planner.inputs import catalog
from planner.planning.load import BUSY
from planner.planning.result import LayoutChoice, Serving

PRESETS = catalog.load()
DENSE = Scenario(
    model="llama-3.1-8b",
    system="h100",
    engine="vllm",
    weights="bf16",
    kv="bf16",
    traffic=Traffic(isl=2000, osl=500),
    limits=Limits(ftl_s=1.0, ttl_s=0.03),
    fleet=Fleet(gpus=8),
    memory_fraction=0.96,
)
WIDE = Scenario(
    model="deepseek-r1",
    system="gb200",
    traffic=Traffic(isl=4096, osl=1000),
    limits=Limits(ftl_s=5.0, ttl_s=0.03),
    fleet=Fleet(gpus=72),
)
SCENARIOS = [DENSE, replace(DENSE, weights="fp8", kv="fp8", system="h200", engine="trtllm"), WIDE]


def ways(scenario: Scenario) -> list[Serving]:
    found = plan(scenario)
    return [way for way in (found.disaggregated, found.colocated) if way is not None]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_load_a_plan_keeps_near_what_it_says(scenario: Scenario) -> None:
    for way in ways(scenario):
        load = way.load
        assert load is not None
        assert BUSY * 0.99 <= load.requests_per_s / way.capacity_requests_per_s <= 1.0
        steps = scenario.traffic.osl - 1
        # Little's law, and queues cost something
        assert load.requests_in_flight == pytest.approx(
            load.requests_per_s * (load.ftl_s + steps * load.ttl_s), rel=1e-6
        )
        assert load.ftl_s >= load.alone_ftl_s * (1 - 1e-9)
        # at nine tenths of its capacity no token takes longer than at all of it, but for rounding of batches
        assert load.ttl_s <= way.ttl_s * 1.05


def test_a_rate_is_what_a_plan_is_loaded_with() -> None:
    asked = replace(DENSE, traffic=replace(DENSE.traffic, requests_per_s=20.0))
    for way in ways(asked):
        assert way.load is not None
        assert way.load.requests_per_s == pytest.approx(20.0, rel=0.1)
        assert way.load.ftl_s < DENSE.limits.ftl_s


def widths(layout: LayoutChoice) -> dict[str, int]:
    return {
        "tp": layout.tp,
        "attention_dp": layout.attention_dp,
        "moe_tp": layout.moe_tp,
        "moe_ep": layout.ep,
    }


def as_row(scenario: Scenario, way: Serving, folder: Path) -> Row:
    """The run that someone would measure of a plan."""
    assert way.load is not None
    first, then = way.pools[0], way.pools[-1]
    split = first is not then
    cells: dict[str, object] = {
        "mode": "disaggregated" if split else "colocated",
        "model": scenario.model,
        "system": scenario.system,
        "engine": scenario.engine,
        "gemm_dtype": scenario.weights,
        "isl": scenario.traffic.isl,
        "osl": scenario.traffic.osl,
        "concurrency": way.load.requests_in_flight,
        "requests": 1e8,
        "max_batched_tokens": first.chunk_tokens if first.chunk_tokens < scenario.traffic.isl else "",
        "prefill_pp": first.layout.pp,
        "decode_pp": then.layout.pp,
        "prefill_workers": first.instances,
        "decode_workers": then.instances,
    }
    for name, layout in (("prefill_", first.layout), ("decode_", then.layout)):
        cells |= {(name if split else "") + key: value for key, value in widths(layout).items()}
    path = folder / "plan.csv"
    path.write_text(",".join(cells) + "\n" + ",".join(map(str, cells.values())) + "\n", encoding="utf-8")
    return runs.read(path)[0]


@pytest.mark.parametrize("scenario", SCENARIOS[:2])
def test_a_plan_fed_back_as_a_measured_run_predicts_itself(scenario: Scenario, tmp_path: Path) -> None:
    for way in ways(scenario):
        assert way.load is not None
        row = as_row(scenario, way, tmp_path)
        found = gather.gather([row], PRESETS)
        # a run of equal lengths keeps its requests in step, which a plan does not count on
        unlike = replace(found, client=replace(found.client, spread=np.ones(1)))
        (ttft,), (tpot,) = gather.predict(unlike)
        assert math.isfinite(ttft)
        assert tpot == pytest.approx(way.load.ttl_s, rel=0.03)
        assert ttft == pytest.approx(
            way.load.ftl_s, rel=0.1, abs=0.03
        )  # a run does not say how full its passes are
