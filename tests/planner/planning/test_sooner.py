"""A slack under arrivals: what is given up is for a first token that comes earlier, or for GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import Fleet, Limits, Scenario, Traffic, load, plan
from planner.output.words import knee_sentences
from planner.planning.result import Plan
from planner.units import format_seconds

CATALOG = load()
FEWEST = Scenario(
    model="gpt-oss-120b",
    system="b200",
    engine="vllm",
    goal="fewest-gpus",
    robust=False,
    fleet=Fleet(gpus=32),
    traffic=Traffic(isl=2000, osl=2000, requests_per_s=30.0),
    limits=Limits(ftl_s=0.5, ttl_s=0.03),
)
CHEAPEST = replace(
    FEWEST,
    model="qwen3-30b-a3b",
    system="h200",
    engine="trtllm",
    goal="cost",
    traffic=Traffic(isl=2000, osl=500, requests_per_s=30.0),
    limits=Limits(ftl_s=2.0, ttl_s=0.015),
)
THRIFTIEST = replace(
    FEWEST,
    model="qwen3-32b",
    system="l40s",
    goal="tokens-per-watt",
    fleet=Fleet(gpus=72),
    traffic=Traffic(isl=8000, osl=100, requests_per_s=2.0),
    limits=Limits(ftl_s=10.0, ttl_s=0.015),
)
MOST = replace(
    FEWEST,
    model="deepseek-r1",
    system="h100",
    goal="throughput",
    traffic=Traffic(isl=8000, osl=2000, requests_per_s=0.5, routing="round-robin"),
    limits=Limits(ftl_s=0.5, ttl_s=0.06),
)


def planned(scenario: Scenario, slack: float) -> Plan:
    return plan(replace(scenario, slack=slack), CATALOG)


@pytest.mark.parametrize("slack", [0.02, 0.3])
@pytest.mark.parametrize("scenario", [FEWEST, CHEAPEST, THRIFTIEST, MOST], ids=lambda s: s.goal)
def test_a_slack_makes_no_first_token_later_on_as_many_gpus(scenario: Scenario, slack: float) -> None:
    best, near = planned(scenario, 0.0), planned(scenario, slack)
    for one, other in ((near.disaggregated, best.disaggregated), (near.colocated, best.colocated)):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert one.ftl_s <= other.ftl_s * (1 + 1e-9) or one.gpus < other.gpus
        if one.ftl_s > other.ftl_s * (1 - 1e-9) and one.gpus == other.gpus:
            assert one.capacity_requests_per_s >= other.capacity_requests_per_s * (1 - 1e-9)


def test_what_is_told_of_it_is_of_first_tokens_under_their_load() -> None:
    best, near = planned(THRIFTIEST, 0.0), planned(THRIFTIEST, 0.1)
    assert best.disaggregated is not None and near.disaggregated is not None
    assert near.disaggregated.knee is not None and near.disaggregated.knee.costs > 0
    assert near.disaggregated.knee.best_ftl_s == pytest.approx(best.disaggregated.ftl_s)
    assert near.disaggregated.ftl_s < 0.5 * best.disaggregated.ftl_s
    full, _ = knee_sentences(near, near.disaggregated)
    told = near.disaggregated.ftl_s, best.disaggregated.ftl_s
    assert "after {} instead of {}".format(*map(format_seconds, told)) in full


def test_of_a_first_token_that_is_no_earlier_nothing_is_told() -> None:
    for scenario in (FEWEST, CHEAPEST, MOST):
        found = planned(scenario, 0.02)
        for way in (found.disaggregated, found.colocated):
            assert way is None or knee_sentences(found, way) == ()
