"""Reports: the answer sentence, the JSON contract, CSV, Markdown and the plain text."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest

from planner.inputs.fields import FIELDS
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.data import to_csv, to_dict, to_json
from planner.output.limits import TIGHT, limits, pool_limit
from planner.output.markdown import to_markdown
from planner.output.tables import comparison_rows, frontier_rows, scenario_line
from planner.output.text import to_text
from planner.output.verdict import answer_sentence, gain, verdict
from planner.output.words import ALIKE, binding_pool, deployment, mix_offer, notes
from planner.planning.result import (
    Formats,
    Frontier,
    Infeasible,
    LayoutChoice,
    MemoryUse,
    Mix,
    OperatorTime,
    Plan,
    PoolPlan,
    Reason,
    Relaxation,
    Serving,
    SolverReport,
)

NAN = float("nan")
MEMORY = MemoryUse(
    weights_bytes=42 * 2**30,
    kv_bytes=68 * 2**30,
    activation_bytes=6 * 2**30,
    reserve_bytes=2 * 2**30,
    capacity_bytes=140 * 2**30,
)
BREAKDOWN = (
    OperatorTime(name="attention", seconds=0.006, light_s=0.003),
    OperatorTime(name="experts", seconds=0.011, light_s=0.010),
    OperatorTime(name="host", seconds=0.001, light_s=0.0),
)


def layout(label: str = "TP8", tp: int = 8, pp: int = 1) -> LayoutChoice:
    return LayoutChoice(tp=tp, pp=pp, ep=1, attention_dp=1, moe_tp=1, label=label)


def pool(phase: str, **changes) -> PoolPlan:
    base = PoolPlan(
        phase=phase,
        layout=layout(),
        instances=3,
        batch=4,
        chunk_tokens=0 if phase == "decode" else 4096,
        mode="piggyback" if phase == "colocated" else "",
        ftl_s=NAN if phase == "decode" else 1.2,
        ttl_s=NAN if phase == "prefill" else 0.018,
        requests_per_s=9.1,
        utilisation=1.0 if phase == "decode" else 0.97,
        memory=MEMORY,
        breakdown=BREAKDOWN,
        system="gb200",
        max_batch=4,
        max_batched_tokens=16384,
        memory_fraction=0.9,
        link_bytes_per_s=9e11,
    )
    return dataclasses.replace(base, **changes)


def serving(*pools: PoolPlan, gpus: int = 64, per_gpu: float = 1210.0, **changes) -> Serving:
    split = pools[0].phase == "prefill"
    base = Serving(
        pools=pools,
        gpus=gpus,
        requests_per_s=8.9,
        tokens_per_s_per_gpu=per_gpu,
        ftl_s=1.2,
        ttl_s=0.018,
        usd_per_million_tokens=0.57,
        watts=8.4e4,
        solver=SolverReport(status="optimal", gap=0.0, seconds=0.03),
        ctx_gen_ratio=0.6 if split else NAN,
        kv_egress_bytes_per_s_per_gpu=3.4e8 if split else NAN,
        kv_ingress_bytes_per_s_per_gpu=1.2e9 if split else NAN,
    )
    return dataclasses.replace(base, **changes)


def frontier(x: list[float], y: list[float], *, split: bool) -> Frontier:
    n = len(x)
    return Frontier(
        ttl_s=1 / np.array(x, dtype=float),
        tokens_per_s_per_gpu=np.array(y, dtype=float),
        ctx_gen_ratio=np.full(n, 0.5 if split else NAN),
        gpus=np.full(n, 48.0),
        prefill=("CPP4xTP8" if split else "",) * n,
        decode=("DEP16",) * n,
        cloud_ttl_s=np.array([]),
        cloud_tokens_per_s_per_gpu=np.array([]),
        ftl_s=np.full(len(x), 1.0),
        usd_per_million_tokens=np.full(len(x), 1.0),
    )


@pytest.fixture
def split_plan() -> Plan:
    return Plan(
        status="optimal",
        choice="disaggregated",
        scenario=Scenario(
            traffic=Traffic(isl=16384, osl=2048),
            limits=Limits(ftl_s=10.0, ttl_s=0.02),
            fleet=Fleet(gpus=64),
        ),
        disaggregated=serving(pool("prefill"), pool("decode", layout=layout("DEP16"), instances=2)),
        colocated=serving(pool("colocated"), per_gpu=900.0),
        mix=None,
        frontier_disaggregated=frontier([10, 20, 50, 80], [3000, 2000, 1200, 300], split=True),
        frontier_colocated=frontier([8, 25, 60], [2900, 1500, 800], split=False),
        design_points={"prefill": 1000, "decode": 2000, "colocated": 3000},
        seconds={"simulate": 0.1, "match": 0.05, "total": 0.2},
        precision=Formats(weights="fp8", experts=None, kv="fp8"),
    )


@pytest.fixture
def no_plan(split_plan: Plan) -> Plan:
    return dataclasses.replace(
        split_plan,
        scenario=dataclasses.replace(split_plan.scenario, limits=Limits(ftl_s=10.0, ttl_s=0.005)),
        status="infeasible",
        choice="",
        disaggregated=None,
        colocated=None,
        frontier_disaggregated=frontier([], [], split=True),
        frontier_colocated=frontier([], [], split=False),
        infeasible=Infeasible(
            reasons=(
                Reason(limit="memory", points=40, memory_bytes=(80 * 2.0**30,)),
                Reason(limit="ttl", points=56, best=0.007),
            ),
            relax=(Relaxation(field="ttl", value=0.0073),),
        ),
    )


def test_json_has_the_keys_of_the_contract(split_plan: Plan) -> None:
    data = json.loads(to_json(split_plan))
    assert {
        "status",
        "choice",
        "scenario",
        "disaggregated",
        "colocated",
        "frontier",
        "design_points",
        "seconds",
        "infeasible",
    } <= set(data)
    for phase in ("prefill", "decode"):
        part = data["disaggregated"][phase]
        assert set(part["layout"]) == {"tp", "pp", "ep", "attention_dp", "moe_tp", "label"}
        assert {"chunk_tokens", "batch", "gpus_per_instance", "instances", "requests_per_s"} <= set(part)
    assert data["disaggregated"]["prefill"]["ftl_s"] == 1.2
    assert data["disaggregated"]["decode"]["ttl_s"] == 0.018
    totals = {
        "gpus",
        "ctx_gen_ratio",
        "requests_per_s",
        "tokens_per_s_per_gpu",
        "tokens_per_s_per_user",
        "kv_egress_bytes_per_s_per_gpu",
        "kv_ingress_bytes_per_s_per_gpu",
        "usd_per_million_tokens",
        "solver",
    }
    assert totals <= set(data["disaggregated"])
    assert data["disaggregated"]["solver"] == {"status": "optimal", "gap": 0.0, "seconds": 0.03}
    point = data["frontier"]["disaggregated"][0]
    assert point == {
        "tokens_per_s_per_user": 10.0,
        "tokens_per_s_per_gpu": 3000.0,
        "ctx_gen_ratio": 0.5,
        "gpus": 48,
        "prefill": "CPP4xTP8",
        "decode": "DEP16",
    }
    assert data["infeasible"] is None


def test_json_colocated_reads_flat_and_as_a_pool(split_plan: Plan) -> None:
    colocated = to_dict(split_plan)["colocated"]
    assert colocated["layout"]["label"] == colocated["pool"]["layout"]["label"] == "TP8"
    assert {"chunk_tokens", "batch", "gpus_per_instance", "instances", "mode", "ftl_s", "ttl_s"} <= set(
        colocated
    )
    assert colocated["tokens_per_s_per_gpu"] == 900.0
    assert colocated["ctx_gen_ratio"] is None


def test_json_scenario_is_the_fields_in_si_units(split_plan: Plan) -> None:
    data = to_dict(split_plan)["scenario"]
    assert set(data) == {field.key for field in FIELDS}
    assert (data["isl"], data["ttl"], data["gpus"], data["rate"]) == (16384, 0.02, 64, None)


def test_json_never_holds_nan_or_infinity(split_plan: Plan) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    odd = serving(
        pool("prefill", ttl_s=math.inf), pool("decode"), ctx_gen_ratio=math.inf, watts=np.float64("nan")
    )
    text = to_json(dataclasses.replace(split_plan, disaggregated=odd))
    data = json.loads(text, parse_constant=refuse)
    assert data["disaggregated"]["watts"] is None
    assert data["disaggregated"]["decode"]["ftl_s"] is None


def test_json_of_an_infeasible_plan_says_why(no_plan: Plan) -> None:
    data = json.loads(to_json(no_plan))
    assert (data["status"], data["choice"], data["disaggregated"]) == ("infeasible", None, None)
    assert data["infeasible"]["reasons"][1]["points"] == 56
    assert data["infeasible"]["relax"] == [
        {"field": "ttl", "value": 0.0073, "text": "TTL 5 ms -> 7.3 ms (+46%)"}
    ]
    assert data["frontier"] == {"disaggregated": [], "colocated": []}


def test_json_lists_the_pools_of_a_mix(split_plan: Plan) -> None:
    mixed = serving(pool("prefill"), pool("prefill", instances=1), pool("decode"))
    data = to_dict(dataclasses.replace(split_plan, mix=Mix(serving=mixed, gain=0.031)))
    assert [p["instances"] for p in data["mix"]["pools"]] == [3, 1, 3]
    assert data["mix"]["gain"] == 0.031


def test_csv_holds_both_frontiers(split_plan: Plan) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(split_plan))))
    assert [row["kind"] for row in rows] == ["disaggregated"] * 4 + ["colocated"] * 3
    assert float(rows[2]["tokens_per_s_per_gpu"]) == 1200.0
    assert rows[-1]["ctx_gen_ratio"] == ""


def test_answer_names_the_winner_and_the_margin(split_plan: Plan) -> None:
    assert answer_sentence(split_plan) == (
        "Split prefill from decode: 77,400 output tokens/s on 64 GPUs (1,210 per GPU), "
        "34 % more than co-located serving."
    )


def test_answer_compares_totals_under_a_budget_and_per_gpu_without_one(split_plan: Plan) -> None:
    ours, theirs = split_plan.disaggregated, serving(pool("colocated"), gpus=32, per_gpu=1210.0)
    assert ours is not None
    assert gain(split_plan, ours, theirs) == pytest.approx(2.0)
    unlimited = dataclasses.replace(split_plan, scenario=Scenario(fleet=Fleet(gpus=None)))
    assert gain(unlimited, ours, theirs) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"colocated": None}, "co-located serving cannot meet the limits"),
        ({"choice": "colocated", "disaggregated": None}, "Do not split prefill from decode"),
        ({"colocated": serving(pool("colocated"), per_gpu=1210.0)}, "the same as co-located serving"),
        ({"colocated": serving(pool("colocated"), per_gpu=400.0)}, "3.02 times as much as"),
    ],
)
def test_answer_in_other_cases(split_plan: Plan, changes: dict, expected: str) -> None:
    assert expected in answer_sentence(dataclasses.replace(split_plan, **changes))


@pytest.mark.parametrize(
    ("goal", "other", "expected"),
    [
        ("fewest-gpus", {"gpus": 80}, "64 GPUs for 8 requests/s, 20 % fewer than co-located serving."),
        (
            "cost",
            {"usd_per_million_tokens": 0.76},
            "$0.57 per million output tokens, 25 % less than co-located serving.",
        ),
    ],
)
def test_answer_follows_the_goal(split_plan: Plan, goal: str, other: dict, expected: str) -> None:
    traffic = dataclasses.replace(split_plan.scenario.traffic, requests_per_s=8.0)
    scenario = dataclasses.replace(split_plan.scenario, goal=goal, traffic=traffic)
    plan = dataclasses.replace(split_plan, scenario=scenario, colocated=serving(pool("colocated"), **other))
    assert answer_sentence(plan).endswith(expected)


def test_limits_are_ok_tight_or_missed(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    states = {use.name: use.state for use in limits(split_plan, ours)}
    assert states == {"FTL": "ok", "TTL": "tight", "GPUs": "ok"}
    late = dataclasses.replace(ours, ttl_s=0.021)
    assert limits(split_plan, late)[1].state == "missed"


def test_tight_has_one_threshold_for_reports_pools_and_what_binds(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    for share, tight in ((TIGHT, True), (TIGHT - 0.01, False)):
        at = dataclasses.replace(ours, ttl_s=share * split_plan.scenario.limits.ttl_s)
        use = limits(split_plan, at)[1]
        assert (use.state == "tight", use.binds) == (tight, tight)
        slow = dataclasses.replace(ours.decode, ttl_s=at.ttl_s)
        assert pool_limit(split_plan, slow).state == use.state
    fleet = limits(split_plan, ours)[2]
    assert (fleet.state, fleet.binds, fleet.text) == ("ok", True, "64 of 64")


def test_a_tie_has_one_threshold_for_sentence_headline_and_mix(split_plan: Plan) -> None:
    for factor, tie in ((1 - 0.9 * ALIKE, True), (1 - 1.1 * ALIKE, False)):
        near = dataclasses.replace(split_plan, colocated=serving(pool("colocated"), per_gpu=1210.0 * factor))
        answer = verdict(near)
        assert answer is not None and answer.tie == tie
        assert ("the same as" in answer.sentence) == ("the same throughput" in answer.headlines[0]) == tie
    mixed = serving(pool("prefill"), pool("decode"))
    for share in (0.9, 1.1):
        offered = dataclasses.replace(split_plan, mix=Mix(serving=mixed, gain=share * ALIKE))
        assert (mix_offer(offered) is None) == (share < 1)
        assert ("Mixed layouts" in to_text(offered)) == (share > 1)


def test_a_pool_answers_for_the_latency_that_it_makes(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    assert [pool_limit(split_plan, part).key for part in ours.pools] == ["ftl", "ttl"]


def test_binding_pool_is_the_busiest_and_decode_on_a_tie() -> None:
    tie = serving(pool("prefill", utilisation=1.0), pool("decode", utilisation=1.0))
    assert binding_pool(tie).phase == "decode"
    full = serving(pool("prefill", utilisation=1.0), pool("decode", utilisation=0.9))
    assert binding_pool(full).phase == "prefill"


def test_frontier_rows_take_the_best_point_at_each_interactivity(split_plan: Plan) -> None:
    rows = frontier_rows(split_plan)
    assert [ttl_s for ttl_s, _, _ in rows] == sorted((ttl_s for ttl_s, _, _ in rows), reverse=True)
    assert 0.02 in {ttl_s for ttl_s, _, _ in rows}
    for ttl_s, a, b in rows:
        for index, front in ((a, split_plan.frontier_disaggregated), (b, split_plan.frontier_colocated)):
            able = front.tokens_per_s_per_gpu[front.ttl_s <= ttl_s * (1 + 1e-9)]
            assert (index is None) == (len(able) == 0)
            if index is not None:
                assert front.tokens_per_s_per_gpu[index] == able.max()


def test_text_starts_with_the_answer_and_fits_80_columns(split_plan: Plan) -> None:
    text = to_text(dataclasses.replace(split_plan, link_bytes_per_s=5e10))
    assert " ".join(text.split()).startswith(answer_sentence(split_plan))
    assert max(map(len, text.splitlines())) <= 80
    for phrase in (
        "2 × DEP16",
        "TTL 18 ms",
        "90 % used",
        "tight",
        "experts",
        "340 MB/s",
        "50 GB/s",
        "1,000 prefill",
    ):
        assert phrase in text


def test_text_can_be_plain_ascii(split_plan: Plan) -> None:
    text = to_text(split_plan, ascii=True)
    assert text.isascii()
    assert "2 x DEP16" in text


def test_text_of_an_infeasible_plan_says_why_and_what_helps(no_plan: Plan) -> None:
    text = to_text(no_plan)
    assert text.startswith("No plan meets the limits. It takes TTL 5 ms -> 7.3 ms (+46%).")
    assert "TTL 56 miss TTL 5 ms (best 7 ms)" in " ".join(text.split())


def test_text_tells_a_bounded_answer_from_a_proven_one(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    solver = SolverReport(status="feasible", gap=0.03, seconds=10.0)
    late = dataclasses.replace(split_plan, disaggregated=dataclasses.replace(ours, solver=solver))
    assert "proven optimal" in to_text(split_plan)
    assert "within 3 % of the optimum" in to_text(late)


def test_markdown_has_the_pools_and_the_comparison(split_plan: Plan) -> None:
    text = to_markdown(split_plan)
    assert text.startswith("**Split prefill from decode")
    assert "| decode | 2 | DEP16 |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(line.split("|")) for line in tables} == {12, 6, 5}


def test_comparison_leaves_a_gap_where_a_way_is_missing(split_plan: Plan) -> None:
    rows = comparison_rows(dataclasses.replace(split_plan, colocated=None))
    assert rows and all(cell in ("", "-") for _, _, cell in rows)
    assert comparison_rows(split_plan)[0] == ("", "3 × TP8", "3 × TP8")


def test_scenario_line_names_what_differs_from_the_defaults() -> None:
    line = scenario_line(Scenario(weights="fp8", mix=True))
    assert "weights fp8" in line and "mix on" in line and "MTP" not in line


def test_a_mix_is_deployed_only_where_it_was_asked_for(split_plan: Plan) -> None:
    mixed = serving(pool("prefill"), pool("prefill", layout=layout("TP4", 4)), pool("decode"), per_gpu=1300.0)
    offered = dataclasses.replace(split_plan, mix=Mix(serving=mixed, gain=0.074))
    asked = dataclasses.replace(offered, scenario=dataclasses.replace(split_plan.scenario, mix=True))
    assert deployment(offered) is split_plan.disaggregated
    assert "7.4 % more requests/s than one layout per pool" in to_text(offered)
    assert deployment(asked) is mixed
    assert "prefill: 3 × TP4" in to_text(asked)
    assert "1,300 per GPU" in answer_sentence(asked)


def test_notes_tell_formats_long_contexts_and_borrowed_kernels(split_plan: Plan) -> None:
    assert notes(split_plan) == ["weights fp8, KV cache fp8"]
    asked = split_plan.scenario
    told = dataclasses.replace(
        split_plan,
        scenario=dataclasses.replace(asked, model="mixtral", system="b200"),
        precision=Formats(weights="fp8", experts="nvfp4", kv="bf16"),
        max_context=16384,
        kernels_of="h200",
    )
    assert notes(told) == [
        "weights fp8, experts nvfp4, KV cache bf16",
        "18,432 tokens of input and output exceed the 16,384 that mixtral was published for",
        "kernel constants of b200 are those measured on h200",
    ]
    same = dataclasses.replace(told, max_context=18432, kernels_of="b200")
    assert len(notes(same)) == 1
    assert (
        "experts"
        not in notes(dataclasses.replace(same, precision=Formats(weights="fp8", experts="fp8", kv="fp8")))[0]
    )
