"""A plan below its own frontier says so, and why; one that is to be on it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from planner import Fleet, Limits, Plan, Scenario, Traffic, plan
from planner.output.below import TOLD, below, below_note
from planner.output.data import to_dict
from planner.output.notes import notes

ASKED = Scenario(
    model="llama-3.1-70b",
    system="h200",
    engine="vllm",
    traffic=Traffic(isl=4096, osl=512),
    limits=Limits(ftl_s=2.0, ttl_s=0.03),
    fleet=Fleet(gpus=64),
)


@pytest.fixture(scope="module")
def robust() -> Plan:
    return plan(ASKED)


@pytest.fixture(scope="module")
def known() -> Plan:
    return plan(dataclasses.replace(ASKED, robust=False, slack=0.0))


def reached(found: Plan) -> tuple[float, float]:
    """Tokens/s that the plan is predicted to make, and the most of its frontier within its TTL limit."""
    serving = found.chosen
    assert serving is not None
    front = found.frontier_disaggregated if found.choice == "disaggregated" else found.frontier_colocated
    within = front.ttl_s <= found.scenario.limits.ttl_s * (1 + 1e-9)
    worth = front.tokens_per_s_per_gpu * front.gpus
    return serving.tokens_per_s_per_gpu * serving.gpus, float(worth[within].max())


def test_a_plan_of_known_rates_without_slack_is_on_its_frontier(known: Plan) -> None:
    ours, most = reached(known)
    assert ours == pytest.approx(most, rel=1e-9)
    assert below_note(known) == ""
    told = to_dict(known)["below_frontier"]
    assert told["share"] == pytest.approx(0.0, abs=1e-9) and told["why"] == []


def test_a_plan_by_what_is_expected_says_how_far_below_it_lies_and_why(robust: Plan) -> None:
    ours, most = reached(robust)
    assert ours < most * (1 - TOLD), "this scenario's plan is on its frontier: it shows nothing"
    found = below(robust)
    assert found is not None and found.share == pytest.approx(1 - ours / most)
    assert found.why
    assert below_note(robust) in notes(robust)
    assert robust.study is not None and robust.disaggregated is not None
    more = robust.study.expected_requests_per_s < robust.disaggregated.expected_requests_per_s
    assert ("expected" in found.why) == more
    sooner = robust.disaggregated.ftl_s < found.ftl_s
    knee = robust.disaggregated.knee
    assert ("first-token" in found.why) == (sooner and knee is not None and knee.costs > 0)
    told = to_dict(robust)["below_frontier"]
    assert told["why"] == list(found.why) and told["share"] == found.share


def test_no_plan_lies_above_its_frontier(robust: Plan, known: Plan) -> None:
    for found in (robust, known):
        ours, most = reached(found)
        assert ours <= most * (1 + 1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"goal": "fewest-gpus", "traffic": dataclasses.replace(ASKED.traffic, requests_per_s=2.0)},
        {"goal": "cost"},
        {"fleet": Fleet(gpus=None)},
        {"frontier": "goodput"},
        {"mix": True},
    ],
)
def test_a_plan_that_is_not_to_reach_its_frontier_is_not_held_against_it(robust: Plan, changes: dict) -> None:
    asked = dataclasses.replace(robust.scenario, **changes)
    assert below(dataclasses.replace(robust, scenario=asked)) is None
    assert below(dataclasses.replace(robust, choice="", disaggregated=None, colocated=None)) is None


def test_whole_hosts_are_named_as_the_reason(robust: Plan) -> None:
    found = below(dataclasses.replace(robust, whole_hosts=True))
    assert found is not None and found.why[-1] == "hosts"
    assert "hosts that there are" in below_note(dataclasses.replace(robust, whole_hosts=True))
    assert np.isfinite(found.ftl_s) and found.layouts
