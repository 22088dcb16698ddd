"""What engines can do: no plan has a layout, a GPU or a format that its engine has not."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.errors import InputError
from planner.evidence import runs
from planner.evidence.deployment import engine_profile
from planner.inputs.catalog import load, preset_folder
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.data import to_dict
from planner.output.text import to_text
from planner.planning import sweep
from planner.planning.plan import plan
from planner.planning.resolve import prepare
from planner.simulate import space
from planner.simulate.space import Layouts

PRESETS = load()
R1 = Scenario(
    model="deepseek-r1",
    system="gb200",
    traffic=Traffic(isl=8192, osl=1024),
    limits=Limits(ftl_s=10.0, ttl_s=0.05),
    fleet=Fleet(gpus=72),
)
PHASES = ("prefill", "decode", "colocated")


@lru_cache
def layouts(scenario: Scenario, phase: str) -> Layouts:
    return sweep.layouts(prepare(scenario, PRESETS), phase, scenario.fleet.gpus)


def of(engine: str, phase: str, **changes: object) -> Layouts:
    return layouts(replace(R1, engine=engine, **changes), phase)


def labels(at: Layouts) -> set[str]:
    return {at.choice(row, False).label for row in range(len(at))}


@pytest.mark.parametrize("phase", PHASES)
def test_vllm_cuts_experts_or_shares_them_out_but_not_both(phase):
    at = of("vllm", phase)
    assert np.all((at.moe_tp == 1) | (at.moe_ep == 1))
    assert {"TEP8", "DEP16", "TP2DP4EP8", "DP8-TP8"} <= labels(at)
    assert "TP8-EP4TP2" in labels(of("sglang", phase))


@pytest.mark.parametrize("phase", PHASES)
def test_attention_dp_of_tensorrt_llm_is_all_or_none(phase):
    at = of("trtllm", phase)
    assert np.all((at.tp == 1) | (at.attention_dp == 1))
    assert {"TEP8", "DEP16", "TP8-EP4TP2", "DP8-EP4TP2"} <= labels(at)
    assert "TP2DP4EP8" in labels(of("sglang", phase))


def test_pipelines_only_where_the_cache_can_be_handed_over():
    for engine in ("vllm", "sglang"):
        assert set(of(engine, "decode").pp) == {1}
        assert {1, 2, 4} <= set(of(engine, "prefill").pp)
    assert {1, 2, 4} <= set(of("trtllm", "decode").pp)
    assert set(of("trtllm", "decode", mtp=1).pp) == {1}, "no speculation beside pipelines"


def test_without_chunked_pipelines_a_prompt_goes_through_whole():
    scenario = replace(R1, model="llama-3.1-70b", system="h100", fleet=Fleet(gpus=16))
    new, old = (
        sweep.run(prepare(replace(scenario, engine=engine), PRESETS), 16).prefill
        for engine in ("trtllm", "trtllm-1.0")
    )
    assert np.any((new.sharding.pp > 1) & (new.chunk_tokens < 8192))
    deep = old.sharding.pp > 1
    assert np.any(deep) and np.all(old.chunk_tokens[deep] == 8192)
    assert np.any(old.chunk_tokens[~deep] < 8192)


def test_uneven_experts_take_the_slots_that_the_engine_needs():
    model = PRESETS.model("deepseek-r1")
    held = {name: space.expert_slots(model, 36, PRESETS.engine(name).can) for name in PRESETS.names("engine")}
    assert held["vllm"] == held["ideal"] == 256
    assert held["sglang"] == held["trtllm"] == 288
    at = of("trtllm", "decode")
    uneven = 256 % at.moe_ep != 0
    assert np.any(uneven) and np.all(at.attention_dp[uneven] > 1)
    pools = to_dict(plan(replace(R1, engine="sglang", fleet=Fleet(gpus=16))))["pools"]
    assert all(pool["expert_slots"] >= 256 for pool in pools)


def test_no_engine_has_no_rules():
    model = PRESETS.model("deepseek-r1")
    for phase in PHASES:
        every = space.layouts(model, phase, max_gpus=72, scale_up_gpus=72)
        assert labels(of("ideal", phase)) == labels(every)
        for engine in ("vllm", "sglang", "trtllm"):
            assert labels(of(engine, phase)) <= labels(every)


def test_every_measured_deployment_is_one_that_its_engine_makes():
    rows = runs.read(preset_folder() / "measured" / "runs.csv")
    assert len(rows) > 1000
    for row in rows:
        model, system = PRESETS.model(row.model), PRESETS.system(row.system)
        can = engine_profile(PRESETS, row.engine, row.version).can
        assert system.vendor in can.vendors
        phases = [("colocated", row.decode)] if row.colocated else []
        phases += [] if row.colocated else [("prefill", row.prefill), ("decode", row.decode)]
        for phase, widths in phases:
            one = Layouts(
                tp=np.array([widths.tp]),
                pp=np.array([row.prefill_pp if phase == "prefill" else row.decode_pp]),
                attention_dp=np.array([widths.attention_dp]),
                moe_tp=np.array([widths.moe_tp]),
                moe_ep=np.array([widths.moe_ep if model.is_moe else 1.0]),
            )
            assert space.made(one, phase, model.experts, can).all(), row.id


def test_an_engine_of_another_vendor_is_refused_in_one_line():
    scenario = replace(R1, system="mi355x", engine="trtllm")
    with pytest.raises(InputError, match=r"TensorRT-LLM runs on GPUs of NVIDIA alone.*sglang.*vllm") as error:
        plan(scenario)
    assert "\n" not in str(error.value)
    assert prepare(replace(scenario, engine="vllm"), PRESETS)


def test_formats_without_kernels_are_refused_in_one_line():
    scenario = replace(R1, model="llama-3.1-8b", system="b200", engine="trtllm", weights="fp8")
    assert prepare(scenario, PRESETS)
    with pytest.raises(InputError, match="TensorRT-LLM has no kernels for fp8_block on L40S"):
        prepare(replace(R1, system="l40s", engine="trtllm", weights="fp8"), PRESETS)


@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm"])
def test_the_plan_names_the_build_its_engine_was_fitted_to(name):
    engine = PRESETS.engine(name)
    found = plan(replace(R1, model="llama-3.1-8b", system="h100", engine=name, fleet=Fleet(gpus=2)))
    assert engine.version and f"{engine.label}: host and scheduling constants" in to_text(found, 200)
    assert f"builds up to {engine.version}." in to_text(found, 200)
    assert to_dict(found)["engine"] == {"name": name, "version": engine.version}


@pytest.mark.parametrize("name", PRESETS.names("engine"))
def test_every_rule_of_an_engine_has_its_source(name):
    engine = PRESETS.engine(name)
    told = " ".join(text for text in engine.sources if text.startswith("can."))
    default = type(engine.can)()
    for rule in ("attention_tp_with_dp", "expert_tp_with_ep", "pipelines", "uneven_experts", "vendors"):
        if getattr(engine.can, rule) != getattr(default, rule):
            assert f"can.{rule}" in told
