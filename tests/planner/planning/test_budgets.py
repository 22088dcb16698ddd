"""A budget of more GPUs serves no less: what a smaller one lies with, a larger one has too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import Scenario, plan
from planner.inputs.catalog import load
from planner.inputs.fleet import Fleet
from planner.planning import survive
from planner.planning.result import Plan, Serving

# What is expected of the same instances falls where a larger budget brings larger candidates: of more the
# luckiest is luckier (docs/method.md). The most in these sweeps is 4.2 %, of one instance of 8 on 12 H200.
LUCK = 0.05
BUDGETS = range(8, 41)
R1 = Scenario(model="deepseek-r1", system="gb200", engine="trtllm", slack=0.0)


def _most(way: Serving | None) -> float:
    """Requests/s that are expected of a way before anything is given up for an earlier first token."""
    if way is None:
        return 0.0
    return way.knee.best_requests_per_s if way.knee else way.expected_requests_per_s


def _on(scenario: Scenario, gpus: int) -> Plan:
    return plan(replace(scenario, fleet=replace(scenario.fleet, gpus=gpus)), load())


def _hosts(serving: Serving) -> dict[str, int]:
    placed = survive.placed(serving, survive.nodes_of(serving))
    return {name: 1 + max(host for one in some for host in one.hosts) for name, some in placed.items()}


@pytest.mark.parametrize(
    "scenario",
    [
        R1,
        replace(R1, system="h200"),
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (
                replace(R1, slack=0.05),
                replace(R1, system="h200", slack=0.05),
                replace(R1, model="llama-3.1-405b"),
                replace(R1, model="kimi-k2.5", system="gb300", engine="vllm"),
                replace(R1, model="deepseek-v3", system="h200", engine="sglang"),
                replace(R1, model="qwen3-235b-a22b"),
                replace(R1, goal="cost"),
            )
        ),
    ],
    ids=lambda one: f"{one.model} {one.system} {one.engine} {one.slack} {one.goal}",
)
def test_more_gpus_serve_no_less_but_for_luck(scenario: Scenario) -> None:
    """And per GPU where cost counts: GPUs may be left."""
    most = {"split": 0.0, "co-located": 0.0}
    for gpus in BUDGETS:
        found = _on(scenario, gpus)
        for name, way in zip(most, (found.disaggregated, found.colocated), strict=True):
            worth = _most(way)
            if scenario.goal == "cost" and way is not None:
                worth /= way.gpus
            assert worth >= most[name] * (1 - LUCK), f"{name} on {gpus} GPUs"
            most[name] = max(most[name], worth)


@pytest.mark.parametrize("goal", ["throughput", "cost"])
def test_fewer_gpus_that_lie_on_the_hosts_are_taken_before_whole_hosts_that_serve_less(goal: str) -> None:
    """By GPUs alone 18 take 6 hosts of 4; 3 instances of 3 and one of 8 lie on 5."""
    asked = replace(R1, goal=goal)
    before, found = _on(asked, 17).disaggregated, _on(asked, 18)
    way = found.disaggregated
    assert before is not None and way is not None and found.whole_hosts
    assert way.gpus == before.gpus == 17 and _hosts(way) == {"gb200": 5}
    assert way.expected_requests_per_s == pytest.approx(before.expected_requests_per_s, rel=0.01)
    assert found.scenario.fleet.gpus == 18


def test_a_mix_on_such_hosts_is_no_worse_than_either_way() -> None:
    found = _on(replace(R1, mix=True), 18)
    assert found.mix is not None and found.disaggregated is not None
    assert _hosts(found.mix.serving)["gb200"] <= 5
    assert found.mix.serving.expected_requests_per_s >= found.disaggregated.expected_requests_per_s * (
        1 - 1e-9
    )


@pytest.mark.parametrize("slack", [0.0, 0.05])
@pytest.mark.parametrize("gpus", [15, 27])
def test_the_same_over_a_fleet(gpus: int, slack: float) -> None:
    """On one system of two (27 GPUs), or prefill on one and decode on the other (15): what lies stays so."""
    asked = replace(R1, system="h200", slack=slack)
    fewer, more = (
        plan(replace(asked, fleet=Fleet(systems=f"gb200:{n},b200:8")), load()) for n in (gpus - 1, gpus)
    )
    way, before = more.disaggregated, fewer.disaggregated
    assert way is not None and _most(way) >= _most(before) * 0.99
    hosts = _hosts(way)
    assert hosts["gb200"] <= -(-gpus // 4) and hosts.get("b200", 0) <= 1
