"""The goals watts and tokens-per-watt: of all deployments of all layouts, none draws less."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.data import to_dict
from planner.output.verdict import answer_sentence, verdict
from planner.planning import power, thrift, weigh, what_if
from planner.planning.placed import Placed
from planner.planning.plan import plan
from planner.planning.resolve import Question, prepare
from planner.planning.sweep import Sweep, run
from planner.simulate.points import Points

BASE = Scenario(
    model="llama-3.1-8b",
    engine="vllm",
    system="h100",
    goal="watts",
    slack=0.0,
    traffic=Traffic(isl=4096, osl=256, requests_per_s=4.0, arrivals="steady"),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=6),
)


def best_of_each_layout(points: Points, usable: np.ndarray) -> list[int]:
    found: dict[int, int] = {}
    for row in np.flatnonzero(usable).tolist():
        at = int(points.layout[row])
        if at not in found or points.requests_per_s[row] > points.requests_per_s[found[at]]:
            found[at] = row
    return list(found.values())


def pools(
    question: Question, points: Points, usable: np.ndarray, rate: float | None
) -> list[tuple[int, float, np.ndarray, np.ndarray]]:
    """GPUs, capacity, loads and watts of every number of instances of every layout that the GPUs hold."""
    found = []
    for row in best_of_each_layout(points, usable):
        loads, watts = power.curves(question, points, np.array([row]))
        for n in range(1, 6 // int(points.gpus[row]) + 1):
            gpus = n * int(points.gpus[row])
            found.append((gpus, n * float(points.requests_per_s[row]), loads[0], gpus * watts[0]))
    return found


def by_hand(question: Question, sweep: Sweep) -> tuple[float, float]:
    """What the goal counts of the best split and the best co-located serving, the more the better."""
    limits, rate = question.scenario.limits, question.scenario.traffic.requests_per_s
    kept, both = 1.0 - question.scenario.headroom, sweep.colocated
    prefill = pools(question, sweep.prefill, sweep.split_ftl_s <= limits.ftl_s, rate)
    decode = pools(question, sweep.decode, sweep.decode.ttl_s <= limits.ttl_s, rate)
    split = together = -np.inf
    for one, other in product(prefill, decode):
        if one[0] + other[0] <= 6:
            served = float(question.errors.expected(kept * one[1], kept * other[1]))
            at = kept * min(one[1], other[1]) if rate is None else rate
            watts = sum(float(np.interp(at / of[1], of[2], of[3])) for of in (one, other))
            if rate is None:
                split = max(split, served / watts)
            elif served >= rate:
                split = max(split, -watts)
    in_time = (both.ttl_s <= limits.ttl_s) & (both.ftl_s <= limits.ftl_s)
    for _, capacity, loads, watts_ in pools(question, both, in_time, rate):
        if rate is None:
            together = max(together, kept * capacity / float(np.interp(kept, loads, watts_)))
        elif kept * capacity >= rate:
            together = max(together, -float(np.interp(rate / capacity, loads, watts_)))
    return split, together


@pytest.mark.parametrize("goal, rate, headroom", [("watts", 4.0, 0.0), ("tokens-per-watt", None, 0.1)])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b"])
def test_both_ways_draw_least_of_all(model, goal, rate, headroom):
    traffic = replace(BASE.traffic, requests_per_s=rate)
    question = prepare(replace(BASE, model=model, goal=goal, headroom=headroom, traffic=traffic), load())
    swept = run(question, 6)
    known = replace(Placed.of(question, swept), expected=None)
    split, together = thrift.split(known), thrift.colocated(known)
    assert split is not None and together is not None
    for found, most in zip((split, together), by_hand(question, swept), strict=True):
        if rate is not None:
            assert found.power.watts == pytest.approx(-most)
            continue
        assert found.rates.expected / found.power.watts == pytest.approx(most)


@pytest.mark.parametrize("rate", [1.0, 9.0])
def test_one_point_of_a_layout_stands_for_all_of_its_batches(rate):
    """Of all points of co-located serving, in any number, none draws less by more than what lines err by."""
    asked = replace(BASE, traffic=replace(BASE.traffic, requests_per_s=rate))
    question = prepare(asked, load())
    swept = run(question, 6)
    points, limits = swept.colocated, asked.limits
    rows = np.flatnonzero((points.ttl_s <= limits.ttl_s) & (points.ftl_s <= limits.ftl_s))[::7]
    loads, watts = power.curves(question, points, rows)
    least = np.inf
    for at, row in enumerate(rows.tolist()):
        for n in range(1, 6 // int(points.gpus[row]) + 1):
            capacity = n * float(points.requests_per_s[row])
            if capacity >= rate:
                drawn = n * int(points.gpus[row]) * np.interp(rate / capacity, loads[at], watts[at])
                least = min(least, float(drawn))
    found = thrift.colocated(replace(Placed.of(question, swept), expected=None))
    assert found is not None and found.power.watts <= least * 1.003


def test_a_plan_for_watts_draws_no_more_than_others_and_says_so():
    found = plan(BASE, load())
    fewest = plan(replace(BASE, goal="fewest-gpus"), load())
    for way in ("disaggregated", "colocated"):
        mine, other = getattr(found, way), getattr(fewest, way)
        assert mine.power is not None  # of both ways: the goal weighs them
        assert mine.power.watts <= power.of(prepare(BASE, load()), other).watts * (1 + 1e-6)
    assert "kW of GPU power for 4 requests/s" in answer_sentence(found)
    short = verdict(found).headlines[-1]
    assert short.count(" kW") == 2 and " against " in short and "GPU power" not in short
    assert to_dict(found)["scenario"]["goal"] == "watts"
    measure = what_if.yardstick(BASE)
    assert measure.of(found) == pytest.approx(found.chosen.power.watts / 1e3)
    per_joule = what_if.yardstick(replace(BASE, goal="tokens-per-watt"))
    assert per_joule.of(found) == pytest.approx(1 / found.chosen.power.joules_per_token)


def test_the_watts_of_the_choice_are_those_that_the_plan_shows():
    question = prepare(BASE, load())
    placed = Placed.of(question, run(question, 6))
    for found in (thrift.split(placed), thrift.colocated(placed)):
        shown = power.of(question, found.whole(placed))
        assert found.power.watts == pytest.approx(shown.watts, rel=1e-6)
        assert found.power.busy_watts == pytest.approx(shown.busy_watts, rel=1e-6)


@pytest.mark.parametrize("model, slack", [("llama-3.1-8b", 0.05), ("qwen3-30b-a3b", 0.2)])
def test_a_slack_gives_up_what_the_verdict_counts(model, slack):
    """One measure of tokens per watt: what a knee says it costs is what weighing both servings says."""
    asked = replace(
        BASE, model=model, goal="tokens-per-watt", slack=slack, limits=Limits(ftl_s=2.0, ttl_s=0.03)
    )
    asked = replace(asked, traffic=replace(BASE.traffic, requests_per_s=None))
    question, without = (prepare(one, load()) for one in (asked, replace(asked, slack=0.0)))
    swept = run(question, 6)
    for find in (thrift.split, thrift.colocated):
        near, best = find(Placed.of(question, swept)), find(Placed.of(without, swept))
        assert near is not None and best is not None and near.knee is not None
        mine, most = (power.powered(question, one.whole(Placed.of(question, swept))) for one in (near, best))
        assert near.knee.costs <= slack + 1e-9
        assert 1 - weigh.gain(asked, mine, most) == pytest.approx(near.knee.costs, abs=1e-6)


@pytest.mark.parametrize("fleet", [Fleet(systems="h100:4,h200:4"), Fleet(gpus=None)])
def test_fleets_and_fleets_without_end_are_planned(fleet):
    goal = "watts" if fleet.systems else "tokens-per-watt"
    rate = 4.0 if fleet.systems else None
    asked = replace(BASE, goal=goal, fleet=fleet, traffic=replace(BASE.traffic, requests_per_s=rate))
    found = plan(asked, load())
    assert found.chosen is not None and found.chosen.power is not None
    if fleet.systems is None:
        return
    for system in ("h100", "h200"):
        alone = plan(replace(asked, system=system, fleet=Fleet(gpus=4)), load())
        for way in ("disaggregated", "colocated"):
            best = getattr(alone, way)
            if best is not None:
                assert getattr(found, way).power.watts <= best.power.watts * (1 + 1e-9)


def test_what_watts_do_not_take():
    with pytest.raises(InputError, match="the goal watts needs a request rate"):
        plan(replace(BASE, traffic=Traffic(isl=4096, osl=256)), load())
    with pytest.raises(InputError, match="mix: 'on' is not accepted; off beside the goal watts"):
        plan(replace(BASE, mix=True), load())


def test_an_easier_limit_draws_no_more_where_prompts_wait() -> None:
    """A mode that serves more at full load sustains less within P95: others of its layout stay."""
    limits = Limits(ftl_s=1.74, ttl_s=0.0861)
    traffic = Traffic(isl=8885, osl=335, requests_per_s=0.106, cached_share=0.3, isl_spread=1.2)
    asked = replace(
        BASE, engine="ideal", system="h20", kv="bf16", headroom=0.1, traffic=traffic, limits=limits
    )
    eased = replace(asked, limits=replace(limits, ttl_s=0.129))
    drawn = [plan(replace(one, fleet=Fleet(gpus=64)), load()).colocated for one in (asked, eased)]
    assert drawn[0] is not None and drawn[0].power is not None
    assert drawn[1] is not None and drawn[1].power is not None
    assert drawn[1].power.watts <= 1.01 * drawn[0].power.watts
