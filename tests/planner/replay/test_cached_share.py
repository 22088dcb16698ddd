"""What a prefix cache holds, prefill does not compute: in the plan and in its replay alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import Scenario, load
from planner.inputs.scenario import Deployment, Fleet, Limits, Traffic
from planner.replay.fleet import Options
from planner.replay.plans import Proof, prove

TRAFFIC = Traffic(isl=8000, osl=100, requests_per_s=200.0, arrivals="steady")
SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    limits=Limits(ftl_s=2.0, ttl_s=0.03),
    fleet=Fleet(gpus=None),
    goal="fewest-gpus",
    deployment=Deployment(prefill_layout="TP1", decode_layout="TP1"),
    robust=False,  # as many instances as their rates take
)


def proved(cached_share: float) -> Proof:
    traffic = replace(TRAFFIC, cached_share=cached_share)
    found = prove(replace(SCENARIO, traffic=traffic), load(), Options(), count=600)
    assert isinstance(found, Proof) and found.serving.pools[0].phase == "prefill"
    return found


def test_four_fifths_cached_leave_that_much_less_prefill() -> None:
    whole, fifth = proved(0.0), proved(0.8)
    # in the plan: a fifth of the tokens, each of which attends to four times as many besides
    instances = [found.serving.pools[0].instances for found in (whole, fifth)]
    each = [
        found.serving.pools[0].requests_per_s / n for found, n in zip((whole, fifth), instances, strict=True)
    ]
    assert 0.2 < each[0] / each[1] < 0.28
    assert 0.2 < instances[1] / instances[0] < 0.28
    # in the replay: the tokens that passes went over, and the time that they took
    computed = [int(found.result.computed.sum()) for found in (whole, fifth)]
    assert computed[0] == whole.result.isl.sum()
    assert computed[1] == pytest.approx(0.2 * computed[0], rel=0.1)  # none is found by the first of a prefix
    busy = [sum(use.busy_s for use in found.result.instances if use.pool == 0) for found in (whole, fifth)]
    assert busy[1] / busy[0] == pytest.approx(each[0] / each[1], rel=0.1)
    # decode attends to all of it in both
    assert whole.serving.pools[1].ttl_s == fifth.serving.pools[1].ttl_s
