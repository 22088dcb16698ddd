"""The answer in a sentence, limits, ties and the pool that binds."""

from __future__ import annotations

import dataclasses

import pytest

from planner.inputs.scenario import Fleet, Scenario
from planner.inputs.traffic import Traffic
from planner.output.limits import TIGHT, limits, pool_limit
from planner.output.notes import notes
from planner.output.text import to_text
from planner.output.verdict import answer_sentence, gain, verdict
from planner.output.words import ALIKE, binding_pool, mix_offer
from planner.planning.bands import Band
from planner.planning.result import (
    Mix,
    Plan,
)
from tests.planner.output.plans import pool, serving


def test_answer_names_the_winner_and_the_margin(split_plan: Plan) -> None:
    assert answer_sentence(split_plan) == (
        "Split prefill from decode: 77,400 output tokens/s on 64 GPUs (1,210 per GPU), "
        "34 % more than co-located serving."
    )


def test_answer_says_what_to_count_on(split_plan: Plan) -> None:
    found = split_plan.disaggregated
    assert found is not None
    band = Band(rows=99, level="both", ftl=(0.7, 2.0), ttl=(0.9, 1.1), throughput=(0.8, 1.1))
    told = dataclasses.replace(
        split_plan,
        bands={"disaggregated": band},
        disaggregated=dataclasses.replace(found, range=(0.4, 0.9)),
    )
    assert answer_sentence(told).endswith(" per GPU, 484 to 1,090 in 4 of 5 cases.")
    asked = Scenario(traffic=Traffic(requests_per_s=2.0))
    assert "4 of 5" not in answer_sentence(dataclasses.replace(told, scenario=asked))


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


def test_a_tie_says_what_is_predicted_and_what_is_expected(split_plan: Plan) -> None:
    band = Band(rows=99, level="both", ftl=(0.7, 2.0), ttl=(0.9, 1.1), throughput=(0.5, 2.0))
    known = dataclasses.replace(
        split_plan, bands={"disaggregated": band, "colocated": band}, choice="colocated"
    )
    assert answer_sentence(known).startswith(
        "A tie, so keep prefill and decode together: 57,600 output tokens/s on 64 GPUs (900 per GPU), "
        "26 % less than a split, which is within the error."
    )
    split = known.disaggregated
    assert split is not None
    flattered = dataclasses.replace(split, expected_requests_per_s=0.75 * split.requests_per_s)
    told = answer_sentence(dataclasses.replace(known, disaggregated=flattered))
    assert "26 % less than a split as predicted and 1 % less as expected, which is within the error." in told


def test_a_way_that_is_only_expected_to_be_better_says_so(split_plan: Plan) -> None:
    """`4 % less than a split (beyond the error)` speaks for what it turns down."""
    split = split_plan.disaggregated
    assert split is not None
    flattered = dataclasses.replace(split, expected_requests_per_s=0.5 * split.requests_per_s)
    for goal, told, brief in (
        (
            "throughput",
            "26 % less than a split as predicted and 49 % more as expected.",
            "49 % more throughput",
        ),
        ("cost", "the same as a split as predicted and 50 % less as expected.", "50 % less cost"),
    ):
        scenario = dataclasses.replace(split_plan.scenario, goal=goal)
        found = dataclasses.replace(
            split_plan, scenario=scenario, disaggregated=flattered, choice="colocated"
        )
        assert told in answer_sentence(found)
        answer = verdict(found)
        assert answer is not None
        assert answer.headlines[0] == f"Do not split: {brief} expected than of a split"
    known = dataclasses.replace(split_plan, choice="colocated")  # both as predicted: one word is enough
    assert "as expected" not in answer_sentence(known)


def test_a_format_that_is_slower_than_bf16_is_noted_once(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    first = dataclasses.replace(ours.pools[0], over_bf16=1.04)
    slow = dataclasses.replace(
        split_plan, disaggregated=dataclasses.replace(ours, pools=(first, *ours.pools[1:]))
    )
    said = [note for note in notes(slow) if "bf16" in note]
    assert said == [
        "fp8 makes a pass of prefill 4 % slower than bf16 at TP8: so few tokens save less than it costs to "
        "quantise them"
    ]
    assert not [note for note in notes(split_plan) if "bf16" in note]


def test_a_pool_answers_for_the_latency_that_it_makes(split_plan: Plan) -> None:
    ours = split_plan.disaggregated
    assert ours is not None
    assert [pool_limit(split_plan, part).key for part in ours.pools] == ["ftl", "ttl"]


def test_binding_pool_is_the_busiest_and_decode_on_a_tie() -> None:
    tie = serving(pool("prefill", utilisation=1.0), pool("decode", utilisation=1.0))
    assert binding_pool(tie).phase == "decode"
    full = serving(pool("prefill", utilisation=1.0), pool("decode", utilisation=0.9))
    assert binding_pool(full).phase == "prefill"
