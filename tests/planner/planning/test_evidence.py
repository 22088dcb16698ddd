"""What a pool rests on: its own kind of layout, GPU, engine and format against the runs behind the fit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from planner.evidence import runs, seen, shipped
from planner.inputs import catalog
from planner.inputs.layout_label import label
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import data, limits, text, words
from planner.planning import evidence
from planner.planning.bands import LEVELS
from planner.planning.plan import plan
from planner.planning.resolve import prepare
from planner.planning.result import Plan
from planner.simulate.space import LayoutChoice
from planner.units import three_digits

PRESETS = catalog.load()
R1 = Scenario(
    model="deepseek-r1",
    system="gb200",
    engine="trtllm",
    traffic=Traffic(isl=8192, osl=1024),
    limits=Limits(ttl_s=0.02, ftl_s=5.0),
    fleet=Fleet(gpus=72),
)


def layout(tp: int = 1, dp: int = 1, moe_tp: int = 1, ep: int = 1, pp: int = 1) -> LayoutChoice:
    widths = {"tp": tp, "pp": pp, "attention_dp": dp, "moe_tp": moe_tp, "ep": ep}
    return LayoutChoice(**widths, label=label(**widths))


def dep(width: int) -> LayoutChoice:
    return layout(dp=width, ep=width)


def told(scenario: Scenario, phase: Any, of: LayoutChoice) -> tuple[str, tuple[str, ...], str]:
    found = evidence.of(prepare(scenario, PRESETS), phase, of)
    assert found is not None
    return found.kind, found.differs, found.level


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(R1, PRESETS)


@pytest.mark.parametrize(
    ("changes", "phase", "of", "kind", "differs", "level"),
    [
        ({}, "decode", dep(16), "measured", (), "both"),
        ({}, "decode", dep(32), "neighbour", ("width",), "one"),
        ({}, "decode", dep(64), "extrapolated", ("GPU", "width"), "neither"),
        ({}, "prefill", dep(16), "neighbour", ("phase",), "one"),
        ({}, "prefill", layout(tp=8, moe_tp=8, pp=2), "extrapolated", (), "neither"),
        ({}, "decode", layout(tp=2, dp=8, ep=16), "extrapolated", (), "neither"),
        ({"system": "gb300"}, "decode", dep(32), "measured", (), "both"),
        ({"system": "b300"}, "decode", dep(8), "neighbour", ("GPU",), "one"),
        ({"model": "kimi-k2"}, "decode", dep(16), "neighbour", ("model",), "one"),
        ({"weights": "bf16"}, "decode", dep(16), "neighbour", ("format",), "one"),
        ({"mtp": 1}, "decode", dep(16), "neighbour", ("drafts",), "one"),
        ({"mtp": 1}, "prefill", dep(8), "measured", (), "one"),
        ({"engine": "ideal"}, "decode", dep(16), "extrapolated", (), "neither"),
    ],
)
def test_each_thing_that_differs_is_a_step(
    changes: dict[str, Any], phase: str, of: LayoutChoice, kind: str, differs: tuple[str, ...], level: str
) -> None:
    assert told(replace(R1, **changes), phase, of) == (kind, differs, level)


def test_the_mask_over_layouts_is_what_each_says() -> None:
    from planner.planning import sweep

    for scenario in (R1, replace(R1, model="kimi-k2"), Scenario()):
        question = prepare(scenario, PRESETS)
        for phase in ("prefill", "decode", "colocated"):
            at = sweep.layouts(question, phase, 64)
            each = [
                evidence.as_measured(evidence.of(question, phase, at.choice(i, False)))
                for i in range(len(at))
            ]
            assert evidence.measured(question, phase, at).tolist() == each


def test_the_table_in_the_presets_is_of_the_shipped_runs() -> None:
    def flat(cells: Any) -> set[tuple[Any, ...]]:
        keys = ("phase", "system", "family", "engine", "format")
        return {
            (*(cell[key] for key in keys), cell.get("drafts", False), name, model)
            for cell in cells
            for name, models in cell["layouts"].items()
            for model in models
        }

    shipped_cells = flat(PRESETS.accuracy()["evidence"])
    assert shipped_cells and shipped_cells <= flat(seen.cells(runs.read(shipped.runs_file()), PRESETS))
    assert {cell[-2] for cell in shipped_cells} <= set(evidence.CLASSES)


def test_a_band_is_as_wide_as_its_layouts_ask_for(planned: Plan) -> None:
    question = prepare(R1, PRESETS)
    for way, serving in (("disaggregated", planned.disaggregated), ("colocated", planned.colocated)):
        assert serving is not None
        levels = [pool.evidence.level for pool in serving.pools if pool.evidence]
        assert len(levels) == len(serving.pools)
        band, own = planned.bands[way], question.bands[way]
        assert band.level == max(levels, key=LEVELS.index) and band.of_layouts == (band.level != own.level)
        for name in ("ftl", "ttl", "throughput"):
            wide, narrow = getattr(band, name), getattr(own, name)
            assert wide[0] <= narrow[0] and wide[1] >= narrow[1]


def test_the_best_within_what_was_measured_stands_beside_the_best(planned: Plan) -> None:
    best, question = planned.within_measured, prepare(R1, PRESETS)
    assert best is not None and not best.is_best and planned.chosen is not None
    for count in best.pools:
        found = evidence.of(question, count.phase, count.layout)
        assert evidence.as_measured(found)
    assert 0 < best.tokens_per_s_per_gpu < planned.chosen.tokens_per_s_per_gpu
    assert best.ftl_s <= R1.limits.ftl_s and best.ttl_s <= R1.limits.ttl_s and best.gpus <= 72
    document = data.to_dict(planned)
    assert document["within_measured"]["tokens_per_s_per_gpu"] == best.tokens_per_s_per_gpu
    assert {pool["evidence"] for pool in document["pools"]} <= {"measured", "neighbour", "extrapolated"}
    shown = " ".join(text.to_text(planned).split())
    assert words.within_measured_sentence(planned) in shown
    for pool in planned.chosen.pools:
        assert words.evidence_text(pool) in shown


def test_measured_layouts_that_are_predicted_better_and_expected_worse_say_so(planned: Plan) -> None:
    """Plans are chosen by what is expected: a prediction alone would say that the plan is not the best."""
    best, chosen = planned.within_measured, planned.chosen
    assert best is not None and chosen is not None
    assert "expected)" not in words.within_measured_sentence(planned)
    more = replace(best, tokens_per_s_per_gpu=1.2 * chosen.tokens_per_s_per_gpu, gpus=chosen.gpus)
    said = words.within_measured_sentence(replace(planned, within_measured=more))
    mine, theirs = (three_digits(of.expected_tokens_per_s_per_gpu) for of in (chosen, best))
    assert f" ({theirs} and {mine} expected)." in said


def test_a_plan_of_measured_layouts_is_its_own_best() -> None:
    one_gpu = replace(R1, fleet=Fleet(gpus=16, instance_gpus=1), model="llama-3.1-8b", system="h100")
    found = plan(one_gpu, PRESETS)
    best = found.within_measured
    assert best is not None and found.chosen is not None
    assert best.is_best == all(evidence.as_measured(pool.evidence) for pool in found.chosen.pools)
    assert best.is_best and best.tokens_per_s_per_gpu == found.chosen.tokens_per_s_per_gpu
    assert words.within_measured_sentence(found) == ""


def test_without_a_table_nothing_is_said() -> None:
    bare = replace(PRESETS, accuracy_file=None)
    found = plan(replace(R1, fleet=Fleet(gpus=8), model="llama-3.1-8b", system="h100"), bare)
    assert found.within_measured is None and found.chosen is not None
    assert all(pool.evidence is None for pool in found.chosen.pools)
    assert "evidence" not in text.to_text(found)
    assert json.loads(data.to_json(found))["pools"][0]["evidence"] is None


@pytest.mark.parametrize(("ttl_s", "planned"), [(0.006, False), (0.008, True), (0.05, True)])
def test_what_may_meet_a_limit_misses_it_by_less_than_its_error(ttl_s: float, planned: bool) -> None:
    scenario = Scenario(limits=Limits(ttl_s=ttl_s, ftl_s=2.0))
    found = plan(scenario, PRESETS)
    bands = prepare(scenario, PRESETS).bands
    listed = limits.may_meet(found)
    assert bool(found.choice) == planned and (ttl_s == 0.05 or listed)
    for one in listed:
        band = bands[one.way]
        assert one.misses and one.tokens_per_s_per_gpu > 0
        assert one.ttl_s * band.ttl[0] <= ttl_s and one.ftl_s * band.ftl[0] <= 2.0
        assert one.ttl_s > ttl_s or one.ftl_s > 2.0
        for fronts in found.alternatives or ():
            pairs = zip(fronts.prefill, fronts.decode, strict=True)
            assert one.layouts not in {" + ".join(filter(None, pair)) for pair in pairs}
    assert len(listed) == len(data.to_dict(found)["may_meet"])
    assert (limits.MAY_MEET in text.to_text(found)) == bool(listed)


@pytest.mark.parametrize(("requests_per_s", "some"), [(0.3, True), (4.68, False)])
def test_what_may_meet_a_limit_serves_the_demand(requests_per_s: float, some: bool) -> None:
    """16 GPUs serve 1.6 requests/s at most: what misses TTL by a hair does not serve 4.68 either."""
    scenario = Scenario(
        model="deepseek-r1",
        system="h200",
        engine="vllm",
        traffic=Traffic(isl=1000, osl=1000, requests_per_s=requests_per_s, arrivals="bursty"),
        limits=Limits(ttl_s=0.02, ftl_s=1.0),
        fleet=Fleet(gpus=16),
        goal="cost",
    )
    found = plan(scenario, PRESETS)
    listed = limits.may_meet(found)
    assert bool(found.choice) == bool(listed) == some
    assert all(one.gpus * one.tokens_per_s_per_gpu >= requests_per_s * 999 for one in listed)
    assert some or (limits.MAY_MEET not in text.to_text(found) and found.infeasible is not None)
