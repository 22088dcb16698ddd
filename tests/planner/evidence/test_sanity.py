"""Kernel tables beside each other: what is odd is found, borrowed or explained, and said in plans."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from planner import Scenario, plan
from planner.evidence.deployment import layout
from planner.evidence.runs import Widths
from planner.evidence.sanity.checks import (
    ENGINE_FACTOR,
    FORMAT_FACTOR,
    QUANTISING_BYTES,
    QUANTISING_S,
    findings,
)
from planner.evidence.sanity.remarks import tables_of, write_remarks
from planner.evidence.sanity.report import page, text
from planner.inputs import catalog
from planner.inputs.kernels import deployed
from planner.inputs.precision import FORMATS, Precision
from planner.inputs.toml_tables import read_toml
from planner.output.notes import notes
from planner.simulate import colocated, decode, forward
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import Prompt
from planner.words import WeightFormat
from tui.cli.main import main

CATALOG = catalog.load()
TABLES = tables_of(CATALOG)
ENGINES = ("trtllm", "sglang", "vllm")


def test_every_oddity_of_the_shipped_tables_is_borrowed_or_explained() -> None:
    found = findings(TABLES, CATALOG)
    assert [one.text for one in found if not one.settled] == []
    borrowed = {(one.operator, one.engine, one.dtype, one.system): one.borrowed for one in found}
    for system in ("h100", "h200", "h20"):
        assert borrowed["moe", "vllm", "fp8", system] == "trtllm"
        assert borrowed["mla_decode", "sglang", "fp8", system] == "trtllm"
    assert borrowed["moe", "sglang", "mxfp4_wo", "h100"] == "vllm"


def slowed(system: str, operator: str, engine: str, dtype: str, times: float):  # type: ignore[no-untyped-def]
    """The shipped tables with one entry made slower."""
    tables = {name: copy.deepcopy(dict(table)) for name, table in TABLES.items()}
    constants = tables[system][operator][engine][dtype]["constants"]
    for name, value in constants.items():
        if name in ("compute", "memory"):
            constants[name] = value / times
        elif name.endswith("_s"):
            constants[name] = value * times
    return tables


def test_a_slow_table_is_found_as_slower_than_format_engine_and_sister() -> None:
    known = {(one.kind, one.system, one.operator, one.engine, one.dtype) for one in findings(TABLES, CATALOG)}
    tables = slowed("b200", "gemm", "vllm", "fp8", 4.0)
    new = [
        one
        for one in findings(tables, CATALOG)
        if (one.kind, one.system, one.operator, one.engine, one.dtype) not in known and one.kind != "bound"
    ]
    assert {one.kind for one in new} == {"format", "engine", "sister"}
    assert {(one.system, one.operator, one.engine, one.dtype) for one in new} == {
        ("b200", "gemm", "vllm", "fp8")
    }
    assert not any(one.settled for one in new)
    by_kind = {one.kind: one for one in new}
    assert by_kind["format"].factor > FORMAT_FACTOR and by_kind["format"].other == "bf16"
    assert by_kind["engine"].factor > ENGINE_FACTOR
    assert by_kind["sister"].other == "gb200" and by_kind["sister"].factor == pytest.approx(4.0, rel=0.2)
    assert "OPEN" in text(new) and text(new).endswith("3 findings, 3 of them open.")
    assert any("gemm fp8 of vllm on b200" in line for line in page(new))


@pytest.mark.parametrize("operator", ["linear_scan", "linear_step", "linear_conv"])
def test_a_slow_kernel_of_linear_attention_is_found_beside_the_sisters(operator: str) -> None:
    tables = slowed("h200", operator, "vllm", "bf16", 4.0)
    found = [one for one in findings(tables, CATALOG) if one.kind == "sister" and not one.settled]
    assert [(one.system, one.operator, one.engine, one.other) for one in found] == [
        ("h200", operator, "vllm", "h100")
    ]


@pytest.mark.parametrize("model", ["qwen3.6-35b-a3b", "qwen3.5-397b-a17b", "nemotron-3-super-120b"])
@pytest.mark.parametrize("engine", ENGINES)
def test_more_bandwidth_never_serves_less(model: str, engine: str) -> None:
    """H200 is H100 with 1.4 times the bandwidth: linear attention too must serve as much at equal memory."""
    h100, h200 = (_setup(model, system, engine, "bf16") for system in ("h100", "h200"))
    for tp in (1, 8):
        widths = Widths(tp=tp, attention_dp=1, moe_tp=tp, moe_ep=1)
        assert np.all(_times(h200, widths)[0] <= TOLERANCE * _times(h100, widths)[0]), tp


def test_a_constant_on_its_bound_is_told_where_it_costs() -> None:
    tables = {"h200": copy.deepcopy(dict(TABLES["h200"]))}
    tables["h200"]["gemm"]["trtllm"]["bf16"]["constants"]["memory"] = 0.02  # the least share
    bounds = [one for one in findings(tables, CATALOG) if one.kind == "bound" and one.operator == "gemm"]
    assert [one.other for one in bounds] == ["memory 0.02"]
    assert bounds[0].factor > 10.0


def test_the_tables_carry_the_remarks_of_today(tmp_path: Path) -> None:
    for name in TABLES:
        (tmp_path / f"{name}.toml").write_bytes(CATALOG.files["kernels"][name].read_bytes())
    write_remarks(tmp_path, CATALOG)
    for name, table in TABLES.items():
        assert read_toml(tmp_path / f"{name}.toml") == table, name


def test_the_command_says_that_nothing_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--check"]) == 0
    assert ", 0 of them open." in capsys.readouterr().out
    assert main(["calibrate", "--check", "--engines", "runs.csv"]) == 2


def test_a_plan_says_what_it_borrows_and_which_format_is_slow() -> None:
    borrowed = plan(Scenario(model="qwen3-235b-a22b", system="h200", engine="vllm", weights="fp8"))
    assert any(
        note.startswith("vLLM's per-tensor FP8 experts are TensorRT-LLM's") for note in notes(borrowed)
    )
    own = plan(Scenario(model="qwen3-235b-a22b", system="b200", engine="vllm", weights="fp8"))
    assert not any("FP8 experts" in note for note in notes(own))


def test_borrowing_by_format_and_family_is_the_most_particular_that_fits() -> None:
    engine = dataclasses.replace(
        CATALOG.engine("vllm"),
        borrows={"moe": "sglang", "moe.fp8@hopper": "trtllm", "moe.bf16": "trtllm"},
        borrows_because={"moe.fp8@hopper": "because"},
    )

    def source(system: str, dtype: WeightFormat) -> tuple[str, str]:
        kernels = deployed(CATALOG.kernels(CATALOG.system(system), "vllm"), engine)
        found = kernels.provenance("moe", dtype)
        return found.engine, found.why

    assert source("h200", "fp8") == ("trtllm", "because")
    assert source("mi300x", "fp8") == ("trtllm", "because")  # whose tables for experts are those of H200
    assert source("b200", "fp8_block")[0] == "sglang"
    assert source("b200", "bf16")[0] == "trtllm"


def test_a_relatives_tables_stand_in_as_they_are_used_on_the_relative() -> None:
    """vLLM's untuned FP8 experts of Hopper, 4 times as slow as BF16, say nothing of those of MI300X."""
    asked = Scenario(model="mixtral-8x22b", system="mi300x", engine="vllm", weights="fp8")
    fp8, bf16 = (plan(one).colocated for one in (asked, dataclasses.replace(asked, weights="bf16")))
    assert fp8 is not None and bf16 is not None
    assert fp8.capacity_requests_per_s > 1.2 * bf16.capacity_requests_per_s


def _setup(model: str, system: str, engine: str, weights: WeightFormat) -> Setup:
    gpu = CATALOG.system(system)
    profile = CATALOG.engine(engine)
    kernels = Lookups(source=deployed(CATALOG.kernels(gpu, engine), profile))
    fmt = FORMATS[weights]
    return Setup(
        machine=Machine(gpu=gpu.gpu, fabric=gpu.fabric, kernels=kernels, engine=profile),
        model=CATALOG.model(model),
        precision=Precision(gemm=fmt, moe=fmt, kv="fp8"),
    )


BATCHES = np.array([16.0, 256.0]).reshape(1, -1, 1)
PROMPTS = np.array([1.0, 4.0]).reshape(1, 1, -1)
ISL = 4096
TOLERANCE = 1.05  # a table's own error is 10 %


def _times(setup: Setup, widths: Widths) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Decode steps at two batches and prefill passes of one and of four prompts; tokens of each."""
    at = layout(widths, 1, setup.model.is_moe)
    exchange = at.exchange_of()
    step = decode.step(setup, at, exchange, BATCHES, isl=ISL, osl=1024)
    steps = forward.pace(setup, at, step.layers(), step.head, BATCHES, BATCHES).seconds
    work = colocated.prompt_side(setup, at.tp, PROMPTS, Prompt(new=ISL))
    work = forward.hide_exchange(
        setup, at, exchange, work + forward.experts(setup, at, exchange, PROMPTS * ISL)
    )
    passes = forward.pace(setup, at, work.layers(), work.head, PROMPTS * ISL, PROMPTS, 1.0).seconds
    seconds = np.concatenate(
        [np.broadcast_to(t, (1, 2)).ravel() for t in (np.ravel(steps), np.ravel(passes))]
    )
    return seconds, np.concatenate([BATCHES.ravel(), PROMPTS.ravel() * ISL])


def _slower(model: str) -> dict[str, float]:
    """Where a model in fp8 is slower than in bf16 by more than quantising costs, and no table says why.

    By what factor at most, over what is allowed.
    """
    spec = CATALOG.model(model)
    narrow: WeightFormat = "fp8_block" if spec.checkpoint == "fp8_block" else "fp8"
    found = {}
    for system, engine in itertools.product(CATALOG.names("system"), ENGINES):
        gpu = CATALOG.system(system).gpu
        if "fp8" not in gpu.peak_flops or CATALOG.system(system).kernels != system:
            continue  # a machine that only borrows a relative's tables has nothing measured to hold it to
        one, other = (_setup(model, system, engine, fmt) for fmt in (narrow, "bf16"))
        for widths in (
            Widths(tp=8, attention_dp=1, moe_tp=8, moe_ep=1),
            Widths(tp=1, attention_dp=8, moe_tp=1, moe_ep=8),
        )[: 2 if spec.is_moe else 1]:
            taken, tokens = _times(one, widths)
            # each quantised product starts later; its input is read and written once more
            products = 5 * spec.layers
            moved = products * tokens * spec.hidden * QUANTISING_BYTES / gpu.hbm_bytes_per_s
            allowed = _times(other, widths)[0] * TOLERANCE + products * QUANTISING_S + moved
            lookups = one.machine.kernels
            assert isinstance(lookups, Lookups)
            if np.any(taken > allowed) and not any(source.why for source in lookups.used()):
                found[f"{system} {engine} {widths}"] = float(np.max(taken / allowed))
    return found


@pytest.mark.parametrize("model", ["qwen3-235b-a22b", "llama-3.1-70b", "deepseek-r1"])
def test_fp8_is_as_fast_as_bf16_or_a_table_says_why(model: str) -> None:
    assert _slower(model) == {}


# fp8 prefill passes up to 32 % slower than allowed, on B200 with vLLM or SGLang (one on H20): a prompt or
# four of models whose matrices at TP8 are so narrow that quantising is most of what fp8 saves. No table is
# odd: plans say it of such a pool, whose pass is timed in bf16 too (`over_bf16`).
NARROW_FACTOR = 1.35
NARROW = frozenset(
    {
        "deepseek-v4-flash",
        "gemma-4-26b-a4b",
        "llama-3.1-8b",
        "minimax-m2.5",
        "mistral-small-4-119b",
        "nemotron-3-nano-30b",
        "nemotron-3-super-120b",
        "qwen3-14b",
        "qwen3-30b-a3b",
        "qwen3-8b",
        "qwen3-next-80b-a3b",
        "qwen3.5-122b-a10b",
        "qwen3.5-35b-a3b",
        "qwen3.5-397b-a17b",
        "qwen3.6-35b-a3b",
        "step-3.7-flash",
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("model", CATALOG.names("model"))
def test_fp8_is_as_fast_as_bf16_for_every_model(model: str) -> None:
    found = _slower(model)
    assert bool(found) == (model in NARROW)
    assert max(found.values(), default=1.0) < NARROW_FACTOR, found
