"""Where operators get their constants: measured, as deployed, perfect, scaled, and what a sweep used."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.kernels import MeasuredKernels, deployed
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import plan, resolve, sweep
from planner.simulate.operators import collectives, gemm, moe
from planner.simulate.operators.attention import causal, gqa, linear, mla, sparse
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.example import h200
from planner.simulate.operators.gemm import GemmConstants
from planner.simulate.operators.sources import FIXED, Lookups, PerfectKernels, ScaledKernels

PRESETS = load()
KINDS = [
    kind
    for module in (collectives, gemm, moe, causal, gqa, mla, linear, sparse)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if name.endswith("Constants") and kind.__module__ == module.__name__
]
SMALL = Scenario(
    model="llama-3.1-8b",
    system="h200",
    engine="trtllm",
    traffic=Traffic(isl=2048, osl=256),
    limits=Limits(ftl_s=2.0, ttl_s=0.05),
    fleet=Fleet(gpus=4),
)


def measured(engine: str = "trtllm", system: str = "h200") -> MeasuredKernels:
    return PRESETS.kernels(PRESETS.system(system), engine)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constants_ideal_is_an_end_of_its_range(kind: type) -> None:
    for name, found in bounds(kind).items():
        assert found.ideal in (found.low, found.high), name
        assert found.low <= found.start <= found.high, name


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_kernels_reach_their_peaks_and_add_no_time(kind: type) -> None:
    perfect = PerfectKernels().constants("any", "fp8", kind)
    for name, found in bounds(kind).items():
        value = getattr(perfect, name)
        if name.endswith("_s"):
            assert value == found.low, name
        if name in ("compute", "memory", "ring", "share", "index_compute"):
            assert value == 1.0, name


def test_deployed_kernels_are_fused_follow_each_other_and_are_borrowed() -> None:
    engine = dataclasses.replace(
        PRESETS.engine("sglang"),
        kernels="",
        floor_share=0.5,
        fused_formats=("fp8_block",),
        borrows={"mla_decode": "trtllm", "moe:dispatched": "vllm"},
        borrows_because={},
    )
    alone, among = measured("sglang"), deployed(measured("vllm"), engine)
    own, plain = (alone.constants("gemm", f, GemmConstants) for f in ("fp8_block", "bf16"))
    fused = among.constants("gemm", "fp8_block", GemmConstants)
    assert fused.floor_s == 0.5 * min(own.floor_s, plain.floor_s) < own.floor_s
    assert fused.input_s == min(own.input_s, plain.input_s)
    assert fused.compute == own.compute and fused.memory == own.memory
    assert among.provenance("gemm", "bf16").engine == "sglang"
    assert among.provenance("mla_decode", "bf16") == measured("trtllm").provenance("mla_decode", "bf16")
    assert among.provenance("moe:dispatched", "bf16") == measured("vllm").provenance("moe", "bf16")
    assert among.provenance("moe", "bf16") == alone.provenance("moe", "bf16")


def test_scaled_kernels_keep_all_but_fixed_latencies_and_the_hosts_time() -> None:
    source = deployed(measured(), PRESETS.engine("trtllm").bare())
    whole = source.constants("gemm", "bf16", GemmConstants)
    half = ScaledKernels(source=source, latencies=0.5).constants("gemm", "bf16", GemmConstants)
    for name in bounds(GemmConstants):
        expected = getattr(whole, name) * (0.5 if name in FIXED else 0.0 if name == "host_s" else 1.0)
        assert getattr(half, name) == expected, name
    assert ScaledKernels(source=source).provenance("gemm", "bf16") == source.provenance("gemm", "bf16")


def test_every_source_says_what_it_lacks() -> None:
    for source in (measured(), deployed(measured(), PRESETS.engine("trtllm")), Lookups(source=measured())):
        for ask in (source.provenance, lambda *key, s=source: s.constants(*key, GemmConstants)):
            with pytest.raises(LookupError, match="no kernel constants for alchemy in bf16"):
                ask("alchemy", "bf16")


def test_lookups_ask_once_and_tell_what_was_found() -> None:
    lookups = Lookups(source=measured())
    first = lookups.constants("gemm", "fp8", GemmConstants)
    assert lookups.constants("gemm", "fp8", GemmConstants) is first
    lookups.provenance("moe", "bf16")
    with pytest.raises(LookupError):
        lookups.constants("alchemy", "bf16", GemmConstants)
    assert [(p.operator, p.dtype) for p in lookups.used()] == [("gemm", "fp8")]


def test_a_sweep_tells_its_own_kernels_and_leaves_the_question_as_it_was() -> None:
    question = resolve.prepare(SMALL, PRESETS)
    before = {phase: pool.setup.machine for phase, pool in question.pools.items()}
    found = sweep.run(question, 4)
    keys = [(p.operator, p.dtype) for p in found.kernels]
    assert {"gemm", "attention_decode", "attention_prefill"} <= {operator for operator, _ in keys}
    assert sweep.run(question, 4).kernels == found.kernels
    assert {phase: pool.setup.machine for phase, pool in question.pools.items()} == before
    assert question.pools == resolve.prepare(SMALL, PRESETS).pools


def test_the_sweep_that_explains_an_infeasible_plan_adds_no_kernels() -> None:
    """What more GPUs would bring is swept too, with collectives that the plan's own points never call."""
    one = dataclasses.replace(SMALL, fleet=Fleet(gpus=1), limits=Limits(ftl_s=1e-3, ttl_s=1e-4))
    found = plan.plan(one, PRESETS)
    assert found.infeasible is not None
    assert found.kernels == sweep.run(resolve.prepare(one, PRESETS), 1).kernels


def test_perfect_sparse_attention_does_not_pay_for_empty_places() -> None:
    machine = dataclasses.replace(h200(), kernels=PerfectKernels())
    heads = mla.LatentHeads(query=128, latent=512, rope=64)
    short, full = (sparse.sparse_mla(machine, "bf16", heads, 64, n, slots=2048) for n in (256, 2048))
    assert float(short.seconds) < 0.2 * float(full.seconds)


def test_a_table_with_other_constants_than_the_operators_is_told_in_one_line() -> None:
    good = dict(measured().find("dsa_prefill", "bf16")[0])
    table = {"dsa_prefill": {"trtllm": {"bf16": {"constants": good}}}}
    source = MeasuredKernels(engine="trtllm", tables=(("mine", table),))
    kind = sparse.SparseConstants
    assert source.constants("dsa_prefill", "bf16", kind) == kind(**good)
    good["empty_slots_work"] = good.pop("empty_slot_work")
    with pytest.raises(InputError, match=r"mine\.toml: dsa_prefill.*did you mean empty_slot_work"):
        source.constants("dsa_prefill", "bf16", kind)
    del good["empty_slots_work"]
    with pytest.raises(InputError, match="empty_slot_work missing"):
        source.constants("dsa_prefill", "bf16", kind)
