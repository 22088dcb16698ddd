"""From chosen rows to pools: totals that hold for every pool of a mix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import catalog
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import servings, sweep
from planner.planning.resolve import prepare
from planner.planning.result import SolverReport
from planner.planning.servings import Pick, Rates

SMALL = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=8192, osl=256),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=64),
)
PROVEN = SolverReport(status="optimal", gap=0.0, seconds=0.0)


def test_each_prefill_pool_of_a_mix_waits_for_its_own_cache() -> None:
    question = prepare(SMALL, catalog.load())
    # a link so slow that what it adds differs from layout to layout
    points = sweep.run(question.on(replace(question.pools["prefill"], link_bytes_per_s=1e10)), 8)
    pre = points.prefill
    added = points.split_ftl_s - pre.ftl_s
    handover_s = question.pools["prefill"].setup.machine.engine.handover_s
    slow_link = int(np.argmin(np.where(added > 0.99 * added.max(), pre.ftl_s, np.inf)))
    late = int(np.argmax(np.where(added - handover_s < (added[slow_link] - handover_s) / 2, pre.ftl_s, 0.0)))
    assert pre.layout[late] != pre.layout[slow_link] and pre.ftl_s[late] > pre.ftl_s[slow_link]
    serving = servings.split_serving(
        question,
        prefills=[Pick(pre, late, 1), Pick(pre, slow_link, 2)],
        decodes=[Pick(points.decode, 0, 1)],
        colocated=[],
        split_ftl_s=points.split_ftl_s,
        rates=Rates.known(0.01),
        solver=PROVEN,
    )
    own = points.split_ftl_s[[late, slow_link]]
    assert serving.ftl_s == own.max() < pre.ftl_s[late] + added[slow_link]
    assert serving.kv_transfer_s == pytest.approx(added[slow_link])


def test_the_link_between_the_pools_is_that_of_the_slower_side() -> None:
    question = prepare(SMALL, catalog.load())
    slow = replace(question.pools["decode"], link_bytes_per_s=1e10)
    mixed = replace(question, pools={**question.pools, "decode": slow})
    assert question.link_bytes_per_s > mixed.link_bytes_per_s == 1e10
    points = sweep.run(question, 8).prefill
    waits = [sweep.split_ftl_s(one, points) for one in (question, question.on(slow), mixed)]
    assert (waits[0] < waits[1]).all() and (waits[1] == waits[2]).all()
