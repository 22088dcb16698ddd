"""A way that is there as predicted, but is not expected to serve the demand, is not said to miss limits."""

from __future__ import annotations

from dataclasses import replace

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.verdict import answer_sentence, verdict
from planner.planning.plan import plan
from planner.planning.result import Plan

ASKED = Scenario(
    model="deepseek-r1",
    system="h200",
    engine="sglang",
    traffic=Traffic(isl=8192, osl=1024),
    limits=Limits(ftl_s=10.0, ttl_s=0.05),
    goal="fewest-gpus",
    fleet=Fleet(gpus=64),
)


def asked(rate: float, *, robust: bool = True) -> Plan:
    traffic = replace(ASKED.traffic, requests_per_s=rate)
    return plan(replace(ASKED, traffic=traffic, robust=robust), load())


def test_the_other_way_is_said_to_be_short_of_the_demand() -> None:
    known = asked(1.0, robust=False)  # rates as predicted
    assert known.colocated is not None and known.short_of_demand is None
    most = 8 * known.colocated.capacity_requests_per_s / (known.colocated.gpus / 8)  # of 8 hosts at the most
    rates = [most * (0.4 + 0.15 * step) for step in range(10)]
    plans = [asked(rate) for rate in rates]
    states = [found.short_of_demand or ("there" if found.colocated else "cannot") for found in plans]
    assert all(found.disaggregated is not None for found in plans)
    assert [state for at, state in enumerate(states) if state != states[at - 1]] == [
        "there",
        "colocated",
        "cannot",
    ], (rates, states)
    for found, state in zip(plans, states, strict=True):
        said = verdict(found)
        assert said is not None
        if state == "colocated":
            assert "co-located is not expected to serve" in said.headlines[0]
            assert "meets the limits but is not expected to serve as much" in answer_sentence(found)
        elif state == "cannot":
            assert "cannot meet the limits" in answer_sentence(found)
