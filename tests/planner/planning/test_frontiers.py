"""The curves of a plan: every point is a deployment that keeps the FTL limit and the budget."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import catalog
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import data, tables
from planner.output.chart_svg import to_svg
from planner.output.text import to_text
from planner.planning import frontiers, sweep
from planner.planning.plan import plan
from planner.planning.resolve import Question, prepare
from planner.planning.result import Frontier, Plan

SMALL = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2048, osl=256),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=8, usd_per_gpu_hour=3.6),
    robust=False,  # frontiers take the rates as known, and give nothing up
    slack=0.0,
)


@lru_cache
def answer(gpus: int | None) -> Plan:
    return plan(replace(SMALL, fleet=replace(SMALL.fleet, gpus=gpus)))


@lru_cache
def swept(isl: int, osl: int) -> tuple[Question, sweep.Sweep]:
    """All points of some lengths, whatever the budget."""
    question = prepare(replace(SMALL, traffic=Traffic(isl=isl, osl=osl)), catalog.load())
    return question, sweep.run(question, None)


def fronts(
    gpus: int | None, headroom: float, ftl_s: float = 2.0, isl: int = 2048, osl: int = 256
) -> tuple[Frontier, Frontier]:
    """Both frontiers of a question."""
    question, points = swept(isl, osl)
    scenario = replace(
        question.scenario,
        headroom=headroom,
        limits=replace(SMALL.limits, ftl_s=ftl_s),
        fleet=replace(SMALL.fleet, gpus=gpus),
    )
    asked = replace(question, scenario=scenario)
    kept = frontiers.candidates(asked, points)
    return frontiers.split(asked, points, kept), frontiers.colocated(asked, points, kept)


@pytest.mark.parametrize("gpus", [8, None])
def test_points_keep_the_ftl_limit_and_cost_what_their_gpus_do(gpus: int | None) -> None:
    for front in (answer(gpus).frontier_disaggregated, answer(gpus).frontier_colocated):
        assert len(front)
        assert (front.ftl_s <= SMALL.limits.ftl_s).all() and (front.ftl_s > 0).all()
        # 3.6 $/h are 0.001 $/s: a GPU at 1,000 tokens/s makes a million tokens for a dollar
        assert front.usd_per_million_tokens == pytest.approx(1000 / front.tokens_per_s_per_gpu)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    gpus=st.none() | st.integers(2, 200),
    headroom=st.floats(0.0, 0.9),
    ftl_s=st.floats(0.3, 5.0),
    isl=st.sampled_from((512, 2048, 8192)),
    osl=st.sampled_from((2, 128, 1024)),
)
def test_no_dot_lies_above_the_frontier(
    gpus: int | None, headroom: float, ftl_s: float, isl: int, osl: int
) -> None:
    for front in fronts(gpus, headroom, ftl_s, isl, osl):
        best = front.tokens_per_s_per_gpu * (1.0 if gpus is None else front.gpus / gpus)
        assert (np.diff(best) < 0).all() and (np.diff(front.ttl_s) < 0).all()
        reached = np.searchsorted(-front.ttl_s, -front.cloud_ttl_s * (1 + 1e-9))
        assert (reached < len(best)).all()
        highest = np.maximum.accumulate(front.tokens_per_s_per_gpu[::-1])[::-1]  # as drawn: per GPU in use
        assert (front.cloud_tokens_per_s_per_gpu <= highest[reached] * (1 + 1e-9)).all()


@pytest.mark.parametrize("gpus", [8, None])
def test_headroom_lowers_the_dots_as_it_lowers_the_frontier(gpus: int | None) -> None:
    for full, less in zip(fronts(gpus, 0.0), fronts(gpus, 0.3), strict=True):
        assert len(full.cloud_ttl_s) > 20
        assert (less.cloud_ttl_s == full.cloud_ttl_s).all()
        assert less.cloud_tokens_per_s_per_gpu == pytest.approx(0.7 * full.cloud_tokens_per_s_per_gpu)
        assert less.tokens_per_s_per_gpu == pytest.approx(0.7 * full.tokens_per_s_per_gpu)


def test_a_point_names_the_rows_it_is_made_of() -> None:
    _, points = swept(2048, 256)
    split, colocated = fronts(8, 0.0)
    assert (split.ttl_s == points.decode.ttl_s[split.decode_row]).all()
    assert (split.ftl_s == points.split_ftl_s[split.prefill_row]).all()
    assert (colocated.ttl_s == points.colocated.ttl_s[colocated.decode_row]).all()
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


def test_goodput_is_counted_in_requests_per_gpu() -> None:
    found = plan(replace(SMALL, frontier="goodput"))
    tokens = SMALL.traffic.osl - 1
    document = data.to_dict(found)
    assert document["frontier_counts"] == "requests/s per GPU"
    points = document["frontier"]["disaggregated"] + document["frontier"]["colocated"]
    assert points
    for point in points:
        assert point["requests_per_s_per_gpu"] == pytest.approx(point["tokens_per_s_per_gpu"] / tokens)
    head, first = data.to_csv(found).splitlines()[:2]
    assert head.endswith(",requests_per_s_per_gpu") and float(first.split(",")[-1]) > 0
    table = tables.frontier_table(found)
    plain = tables.frontier_table(replace(found, scenario=SMALL))
    assert [float(row[2]) for row in table[1:] if row[2] != "-"] == pytest.approx(
        [float(row[2].replace(",", "")) / tokens for row in plain[1:] if row[2] != "-"], rel=0.01
    )
    text = to_text(found)
    assert "as requests/s in limits" in text and "req/s/GPU" in text
    assert "requests/s per GPU in use within both limits" in to_svg(found)
    assert "output tokens/s per GPU in use" in to_svg(replace(found, scenario=SMALL))
    usual = data.to_dict(replace(found, scenario=SMALL))
    assert "frontier_counts" not in usual
    assert "requests_per_s_per_gpu" not in usual["frontier"]["colocated"][0]


def test_a_frontier_is_drawn_as_goodput_or_at_saturation_whatever_the_plan_is_for() -> None:
    queueing = replace(SMALL, traffic=replace(SMALL.traffic, requests_per_s=5.0))
    steady, arriving = answer(8), plan(queueing)
    goodput = plan(replace(SMALL, frontier="goodput"))
    saturation = plan(replace(queueing, frontier="saturation"))
    for name in ("frontier_disaggregated", "frontier_colocated"):
        most, kept = getattr(steady, name), getattr(goodput, name)
        assert np.array_equal(getattr(saturation, name).tokens_per_s_per_gpu, most.tokens_per_s_per_gpu)
        # what no request waits for is never less
        at = np.searchsorted(most.tokens_per_s_per_user, kept.tokens_per_s_per_user * (1 - 1e-9))
        reached = (most.tokens_per_s_per_gpu * most.gpus)[np.minimum(at, len(most) - 1)]
        assert len(kept) and np.all(kept.tokens_per_s_per_gpu * kept.gpus <= reached * (1 + 1e-9))
        assert (kept.tokens_per_s_per_gpu * kept.gpus).max() < (most.tokens_per_s_per_gpu * most.gpus).max()
    for one, other in ((goodput, steady), (saturation, arriving)):
        assert one.choice == other.choice and one.chosen and other.chosen
        assert one.chosen.pools == other.chosen.pools and one.chosen.load == other.chosen.load
