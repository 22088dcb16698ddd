"""Reports: the answer sentence, the JSON contract, CSV, Markdown and the plain text."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math

import numpy as np

from planner import load, plan
from planner.inputs.fields import FIELDS
from planner.inputs.fleet import Fleet
from planner.inputs.kernels import Provenance
from planner.inputs.scenario import Scenario
from planner.output.data import to_csv, to_dict, to_json
from planner.output.fleets import ALONE, alone_rows
from planner.output.html import to_html
from planner.output.limits import MAY_MEET
from planner.output.markdown import to_markdown
from planner.output.notes import notes
from planner.output.tables import comparison_rows, frontier_rows, scenario_line
from planner.output.text import to_text
from planner.output.verdict import answer_sentence
from planner.output.words import STEP_TEXT
from planner.planning.evidence import Evidence
from planner.planning.result import (
    Formats,
    Mix,
    Plan,
    SolverReport,
)
from planner.words import Step
from tests.planner.output.plans import layout, pool, serving

STEPS: tuple[Step, ...] = tuple(STEP_TEXT)


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


def test_what_a_pool_rests_on_fits_80_columns_however_much_differs(split_plan: Plan) -> None:
    assert split_plan.disaggregated is not None
    for differs, told in ((STEPS, f"{STEP_TEXT[STEPS[-1]]} only"), ((), "with this engine")):
        known = Evidence(kind="extrapolated", differs=differs, level="neither")
        pools = tuple(dataclasses.replace(one, evidence=known) for one in split_plan.disaggregated.pools)
        serving = dataclasses.replace(split_plan.disaggregated, pools=pools)
        text = to_text(dataclasses.replace(split_plan, disaggregated=serving))
        assert max(map(len, text.splitlines())) <= 80
        assert " ".join(text.split()).count(told) == len(pools)


def test_layouts_that_may_meet_the_limits_keep_to_the_width(split_plan: Plan) -> None:
    """Pools with long names stand under each other; short ones beside each other."""
    split, together = split_plan.frontier_disaggregated, split_plan.frontier_colocated

    def told(prefill: str, decode: str) -> list[str]:
        count = len(split)
        few = dataclasses.replace(split, prefill=(prefill,) * count, decode=(decode,) * count)
        text = to_text(dataclasses.replace(split_plan, may_meet=(few, together)))
        lines = text.split(MAY_MEET)[1].split("\n\n")[0].splitlines()
        assert max(map(len, text.splitlines())) <= 80
        return lines

    assert any("TP8 + DEP16" in line for line in told("TP8", "DEP16"))
    long = told("CPP8xDP16-EP8TP2", "PP2xDP16-EP8TP2")
    at = next(at for at, line in enumerate(long) if "CPP8xDP16-EP8TP2 +" in line)
    assert long[at + 1].strip() == "PP2xDP16-EP8TP2"
    assert long[at].index("CPP8x") == long[at + 1].index("PP2x")


def test_what_each_system_of_a_fleet_does_alone_keeps_to_the_width() -> None:
    fleet = Fleet(systems="rtx-pro-6000:32,gb200:72", gpus=104)
    found = plan(Scenario(model="deepseek-r1", fleet=fleet), load())
    told = to_text(found)
    assert ALONE in told and max(map(len, told.splitlines())) <= 80
    assert all(len(row) == len(alone_rows(found)[0]) for row in alone_rows(found))
    assert ALONE in to_html(found)


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
    assert "- decode 2 × DEP16: 2 instances of " in text
    for title in ("Deploy", "The other way", "Limits", "The two ways", "Where the time goes", "Notes"):
        assert f"\n### {title}\n" in text
    assert text.rstrip().splitlines()[-1].startswith("    ratematch plan --model")


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
    assert offered.deployed is split_plan.disaggregated
    assert "7.4 % more requests/s than one layout per pool" in to_text(offered)
    assert asked.deployed is mixed
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
    kernel = Provenance(
        operator="gemm", engine="sglang", dtype="bf16", system="h200", measurements=9, mape=0.1
    )
    own = dataclasses.replace(kernel, system="mi300x", measurements=0)  # from what is published
    for system, known in (("mi300x", "it"), ("mi325x", "mi300x")):
        here = dataclasses.replace(told, kernels=(kernel, own), kernels_of="mi300x")
        here = dataclasses.replace(here, scenario=dataclasses.replace(told.scenario, system=system))
        constants = f"constants are those of h200, with what is published of {known}"
        assert notes(here)[-1] == f"no kernel was measured on {system}: {constants}"
    same = dataclasses.replace(told, max_context=18432, kernels_of="b200")
    assert len(notes(same)) == 1
    assert (
        "experts"
        not in notes(dataclasses.replace(same, precision=Formats(weights="fp8", experts="fp8", kv="fp8")))[0]
    )
