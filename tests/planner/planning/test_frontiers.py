"""The curves of a plan: every point is a deployment that keeps the FTL limit and the budget."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.inputs import catalog
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import frontiers, sweep
from planner.planning.plan import plan
from planner.planning.resolve import prepare
from planner.planning.result import Plan

SMALL = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2048, osl=256),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=8, usd_per_gpu_hour=3.6),
)


@lru_cache
def answer(gpus: int | None) -> Plan:
    return plan(replace(SMALL, fleet=replace(SMALL.fleet, gpus=gpus)))


@pytest.mark.parametrize("gpus", [8, None])
def test_points_keep_the_ftl_limit_and_cost_what_their_gpus_do(gpus: int | None) -> None:
    for front in (answer(gpus).frontier_disaggregated, answer(gpus).frontier_colocated):
        assert len(front)
        assert (front.ftl_s <= SMALL.limits.ftl_s).all() and (front.ftl_s > 0).all()
        # 3.6 $/h are 0.001 $/s: a GPU at 1,000 tokens/s makes a million tokens for a dollar
        assert front.usd_per_million_tokens == pytest.approx(1000 / front.tokens_per_s_per_gpu)


def test_under_a_budget_nothing_of_the_cloud_beats_the_frontier() -> None:
    found = answer(8)
    for front in (found.frontier_disaggregated, found.frontier_colocated):
        best = front.tokens_per_s_per_gpu * front.gpus / 8
        assert (np.diff(best) < 0).all()
        reached = np.searchsorted(-front.ttl_s, -front.cloud_ttl_s * (1 + 1e-9))
        assert len(front.cloud_ttl_s) > 20 and (reached < len(best)).all()
        assert (front.cloud_tokens_per_s_per_gpu <= best[reached] * (1 + 1e-9)).all()


def test_a_point_names_the_rows_it_is_made_of() -> None:
    question = prepare(SMALL, catalog.load())
    swept = sweep.run(question, SMALL.fleet.gpus)
    kept = frontiers.candidates(question, swept)
    split, colocated = frontiers.split(question, swept, kept), frontiers.colocated(question, swept, kept)
    assert (split.ttl_s == swept.decode.ttl_s[split.decode_row]).all()
    assert (split.ftl_s == swept.split_ftl_s[split.prefill_row]).all()
    assert (colocated.ttl_s == swept.colocated.ttl_s[colocated.decode_row]).all()
    assert (colocated.prefill_row == -1).all()


def test_a_plan_says_where_its_kernels_were_measured() -> None:
    kernels = answer(8).kernels
    assert {"gemm", "attention_decode", "attention_prefill"} <= {k.operator for k in kernels}
    assert all(k.system and k.engine and k.measurements >= 0 for k in kernels)
    assert answer(8).link_bytes_per_s > 1e9


def test_alternatives_are_other_layouts_that_keep_the_limits_and_none_beats_the_plan() -> None:
    found = answer(8)
    assert found.alternatives is not None
    for rows, serving in zip(found.alternatives, (found.disaggregated, found.colocated), strict=True):
        assert serving is not None and 1 < len(rows) == len(set(rows.decode))
        assert (rows.ttl_s <= SMALL.limits.ttl_s * (1 + 1e-9)).all()
        assert (rows.ftl_s <= SMALL.limits.ftl_s).all() and (rows.gpus <= 8).all()
        total = rows.tokens_per_s_per_gpu * rows.gpus
        assert (np.diff(total) <= 0).all()
        assert total[0] == pytest.approx(serving.tokens_per_s_per_gpu * serving.gpus)
