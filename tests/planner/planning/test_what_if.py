"""What-if, on a planner whose answers are formulas: gains, sides and curves can be told beforehand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs import fields
from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.reasons import way_text
from planner.output.words import best_change
from planner.planning import near_miss, what_if
from planner.planning.plan import plan as planned
from planner.planning.result import Frontier, Infeasible, Plan, Relaxation, Serving, SolverReport

BASE = Scenario(
    model="m",
    system="one",
    engine="trtllm",
    traffic=Traffic(isl=1000, osl=100),
    limits=Limits(ftl_s=1.0, ttl_s=0.02),
    fleet=Fleet(gpus=10),
)
NAMES = {"engine": ("trtllm", "vllm"), "system": ("one", "two", "bad")}
NONE = np.empty(0)
EMPTY = Frontier(
    ttl_s=NONE,
    tokens_per_s_per_gpu=NONE,
    ctx_gen_ratio=NONE,
    gpus=NONE,
    prefill=(),
    decode=(),
    cloud_ttl_s=NONE,
    cloud_tokens_per_s_per_gpu=NONE,
    ftl_s=NONE,
    usd_per_million_tokens=NONE,
)


def plan(scenario: Scenario) -> Plan:
    """Throughput rises with the TTL limit and falls with the prompt; system two doubles it."""
    if scenario.system == "bad":
        raise InputError("system", "bad", "a good one")
    limit = scenario.limits.ttl_s
    serving: Any = None
    if limit > 0.005:
        per_gpu = 1e6 * limit / scenario.traffic.isl * (2 if scenario.system == "two" else 1)
        gpus = scenario.fleet.gpus or 8
        serving = Serving(
            pools=(),
            gpus=gpus - 1,
            requests_per_s=1.0,
            tokens_per_s_per_gpu=per_gpu,
            ftl_s=0.5,
            ttl_s=limit,
            usd_per_million_tokens=100 / per_gpu,
            watts=1.0,
            solver=SolverReport(status="optimal", gap=0.0, seconds=0.0),
            ctx_gen_ratio=scenario.traffic.isl / 1000,
        )
    return Plan(
        status="optimal" if serving else "infeasible",
        choice="disaggregated" if serving else "",
        scenario=scenario,
        disaggregated=serving,
        colocated=None,
        mix=None,
        frontier_disaggregated=EMPTY,
        frontier_colocated=EMPTY,
        design_points={},
        seconds={},
    )


def found(scenario: Scenario = BASE) -> dict[tuple[str, Any], what_if.Effect]:
    wanted = what_if.changes(scenario, NAMES)
    effects = what_if.effects(plan(scenario), wanted, plan)
    return {(e.change.field, e.change.value): e for e in effects}


def test_numbers_move_by_a_fifth_and_choices_are_all_tried() -> None:
    keys = {(c.field, c.value) for c in what_if.changes(BASE, NAMES)}
    assert {("ttl", 0.016), ("ttl", 0.024), ("isl", 800), ("isl", 1200), ("gpus", 8), ("gpus", 12)} <= keys
    assert {("system", "two"), ("engine", "vllm"), ("kv", "fp8"), ("mix", True)} <= keys
    assert ("system", "one") not in keys and not {"rate", "price", "model", "goal"} & {k for k, _ in keys}
    for change in what_if.changes(BASE, NAMES):
        fields.check(change.scenario)
        assert fields.BY_KEY[change.field].get(change.scenario) == change.value
        assert change.scenario != BASE


def test_at_the_end_of_a_range_there_is_one_side() -> None:
    one = dataclasses.replace(BASE, fleet=Fleet(gpus=1))
    assert [c.value for c in what_if.changes(one, {}) if c.field == "gpus"] == [2]
    assert [c.value for c in what_if.changes(one, {}) if c.field == "headroom"] == [0.05]


def test_gains_are_shares_of_the_yardstick() -> None:
    effects = found()
    assert effects["ttl", 0.024].gain == pytest.approx(0.2)
    assert effects["isl", 800].gain == pytest.approx(0.25)
    assert effects["isl", 800].ctx_gen_ratio == 0.8
    assert effects["system", "two"].gain == pytest.approx(1.0)
    # per GPU of the budget: 9 of 10 GPUs against 11 of 12
    assert effects["gpus", 12].gain == pytest.approx((11 / 12) / (9 / 10) - 1)
    bad = effects["system", "bad"]
    assert math.isnan(bad.gain) and "a good one" in bad.problem


def test_for_cost_less_is_better() -> None:
    effects = found(dataclasses.replace(BASE, goal="cost"))
    assert effects["ttl", 0.024].gain == pytest.approx(0.2)
    assert effects["ttl", 0.016].gain == pytest.approx(-0.2)


def test_the_best_change_is_a_lever_and_not_the_load() -> None:
    effects = list(found().values())
    best = best_change(effects)
    assert best is not None and (best.change.field, best.change.value) == ("system", "two")
    without = [e for e in effects if e.change.field in ("isl", "kv")]
    assert best_change(without) is None


def test_a_change_that_makes_it_infeasible_says_so() -> None:
    tight = dataclasses.replace(BASE, limits=Limits(ftl_s=1.0, ttl_s=0.006))
    lower = found(tight)["ttl", 0.0048]
    assert math.isnan(lower.gain) and lower.choice == "" and lower.problem


def test_a_curve_starts_at_the_value_and_covers_its_steps() -> None:
    values = what_if.curve_values(BASE, "ttl")
    points = list(what_if.curve(BASE, "ttl", plan))
    assert points[0].at == 0.02 and {p.at for p in points} == set(values)
    assert 0.02 / 8 <= min(values) < 0.02 < max(values) <= 0.02 * 8
    for point in points:
        if point.at > 0.005:
            assert point.value == pytest.approx(1e6 * point.at / 1000 * 9 / 10)
        else:
            assert math.isnan(point.value) and point.choice == ""
    free = dataclasses.replace(BASE, fleet=Fleet(gpus=None))
    assert what_if.curve_values(free, "gpus") == ()
    assert list(what_if.curve(free, "gpus", plan)) == []


def test_a_curve_has_both_ways_and_says_where_they_tie() -> None:
    """Which one is deployed may be the lower of both."""
    asked = dataclasses.replace(BASE, model="qwen3-32b", system="h200", engine="vllm", fleet=Fleet(gpus=16))
    catalog = load()
    known: list[Plan] = []

    def real(scenario: Scenario) -> Plan:
        known.append(planned(scenario, catalog))
        return known[-1]

    measure = what_if.yardstick(asked)
    points = list(what_if.curve(asked, "ttl", real))
    assert any(point.tie for point in points)
    for point, found in zip(points, known, strict=True):
        if point.choice:
            assert point.value == (point.split if point.choice == "disaggregated" else point.colocated)
        for way, value in (("disaggregated", point.split), ("colocated", point.colocated)):
            serving = getattr(found, way)
            assert math.isnan(value) == (serving is None)
            if serving is not None:
                held = serving.capacity_tokens_per_s_per_gpu * serving.gpus / 16
                assert measure.unit == "tok/s/GPU held" and value == pytest.approx(held)
        assert not point.tie or point.choice == "colocated"
    assert any(point.tie and point.value < point.split for point in points)


def walls(scenario: Scenario) -> Plan:
    """Feasible from 30 ms, 2 s and 16 GPUs on; told limit by limit while the others hold."""
    limits, gpus = scenario.limits, scenario.fleet.gpus or 10**6
    fails = {"ttl": limits.ttl_s < 0.03, "ftl": limits.ftl_s < 2.0, "gpus": gpus < 16}
    if not any(fails.values()):
        return plan(scenario)
    wanted = {"ttl": 0.03, "ftl": 2.0, "gpus": 16.0}
    alone = [key for key, failed in fails.items() if failed]
    relax = tuple(Relaxation(field=k, value=wanted[k]) for k in alone) if len(alone) == 1 else ()
    return dataclasses.replace(
        plan(scenario),
        choice="",
        disaggregated=None,
        infeasible=Infeasible(reasons=(), relax=relax),
    )


def at(ttl_s: float, ftl_s: float, gpus: int) -> Scenario:
    return dataclasses.replace(BASE, limits=Limits(ftl_s=ftl_s, ttl_s=ttl_s), fleet=Fleet(gpus=gpus))


def test_the_closest_miss_is_one_change_where_one_is_enough() -> None:
    found = near_miss.closest_miss(walls(at(0.02, 5.0, 16)), walls)
    assert found is not None and [r.field for r in found.relax] == ["ttl"]
    assert found.plan.scenario == at(0.03, 5.0, 16)


def test_of_several_single_changes_the_least_is_taken() -> None:
    relax = (Relaxation(field="gpus", value=30.0), Relaxation(field="ttl", value=0.03))
    base = dataclasses.replace(walls(at(0.02, 1.0, 10)), infeasible=Infeasible(reasons=(), relax=relax))
    found = near_miss.closest_miss(base, plan)
    assert found is not None and found.plan.scenario.limits.ttl_s == 0.03


def test_two_limits_that_fail_together_are_changed_together() -> None:
    base = walls(at(0.02, 1.0, 16))
    assert base.infeasible is not None and base.infeasible.relax == ()
    found = near_miss.closest_miss(base, walls)
    assert found is not None and {r.field for r in found.relax} == {"ttl", "ftl"}
    assert found.plan.scenario == at(0.03, 2.0, 16)


def test_three_limits_that_fail_together_are_changed_together() -> None:
    found = near_miss.closest_miss(walls(at(0.02, 1.0, 8)), walls)
    assert found is not None and [r.field for r in found.relax] == ["ttl", "ftl", "gpus"]
    assert found.plan.scenario == at(0.03, 2.0, 16) and found.others == ()


def test_where_no_limit_helps_other_settings_are_tried() -> None:
    def small_instances(scenario: Scenario) -> Plan:
        if scenario.fleet.instance_gpus is None or scenario.system == "two":
            return plan(scenario)
        return dataclasses.replace(plan(scenario), choice="", infeasible=Infeasible(reasons=(), relax=()))

    stuck = dataclasses.replace(BASE, fleet=Fleet(gpus=16, instance_gpus=1))
    found = near_miss.closest_miss(small_instances(stuck), small_instances, ("one", "two"))
    assert found is not None and found.plan.scenario.fleet.instance_gpus is None
    assert way_text(stuck, found.relax) == "instance 1 -> any"
    assert [[r.value for r in way] for way in found.others] == [["two"]]
    never = dataclasses.replace(plan(BASE), choice="", infeasible=Infeasible(reasons=(), relax=()))
    assert near_miss.closest_miss(never, lambda _: never) is None


def test_a_way_goes_on_until_the_load_is_served() -> None:
    """After the limits hold, the rate asks for more GPUs: the way ends where all is met."""

    def loaded(scenario: Scenario) -> Plan:
        found = walls(scenario)
        if found.infeasible is not None or (scenario.fleet.gpus or 10**6) >= 64:
            return found
        relax = (Relaxation(field="gpus", value=64.0),)
        return dataclasses.replace(found, choice="", infeasible=Infeasible(reasons=(), relax=relax))

    found = near_miss.closest_miss(loaded(at(0.02, 5.0, 8)), loaded)
    assert found is not None and found.plan.scenario == at(0.03, 5.0, 64)
    assert "GPUs 8 -> 64" in way_text(at(0.02, 5.0, 8), found.relax)
