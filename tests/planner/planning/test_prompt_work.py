"""Long prompts take more than their share of tokens; what is sure of waits is near a replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner import load
from planner.inputs.lengths import of_requests, of_traffic
from planner.inputs.scenario import Limits, Scenario, Traffic
from planner.planning import first_token, options, prompt_work
from planner.planning.resolve import prepare
from planner.simulate import times
from planner.simulate.space import Layouts

SCENARIO = Scenario(
    model="llama-3.1-70b",
    system="h200",
    traffic=Traffic(isl=4000, osl=400, isl_spread=1.0, requests_per_s=5.0),
    limits=Limits(ftl_s=5.0, ttl_s=0.05),
)


def test_the_time_of_a_prompt_grows_as_that_of_a_pass_over_it() -> None:
    question = prepare(SCENARIO, load())
    setup = question.pools["prefill"].setup
    two = np.full((1, 1, 1), 2, dtype=np.int64)
    one = np.ones((1, 1, 1), dtype=np.int64)
    at = Layouts(tp=two, pp=one, attention_dp=one, moe_tp=one, moe_ep=one)
    table = times.pass_table(setup, at, most_tokens=32_000.0, full_tokens=32_000.0, longest=64_000.0)
    alone = np.interp([4000.0, 8000.0, 16_000.0], table.new, table.alone_s[:, 0])
    growth = prompt_work.growth(setup, 4000.0, 0.0)
    longer = np.array([1.0, 2.0, 4.0])
    assert alone / alone[0] == pytest.approx(longer * (1.0 + growth * longer) / (1.0 + growth), rel=0.08)
    assert prompt_work.of(question, "prefill").variation > 1.3
    # of a pass of chunks the decode step beside them stays as it is
    beside = prompt_work.growth(setup, 4000.0, 0.0, steps=399.0)
    assert 0.0 < beside < growth
    whole, riding = (prompt_work.of(question, phase).variation for phase in ("prefill", "colocated"))
    assert 1.0 < riding < whole


def test_a_long_prompt_fills_a_pipeline_no_longer_than_a_short_one() -> None:
    question = prepare(SCENARIO, load())
    first_s, chunk = np.array([2.0]), np.array([500.0])
    once = first_token.once_s(question, "prefill")
    fixed, own = first_token.own_s(question, "prefill", first_s, chunk, 8.0)
    assert fixed[0] == pytest.approx(once + 7.0 / 15.0 * (2.0 - once))  # 8 chunks, then 7 more stages
    assert fixed + own == pytest.approx(first_s)
    alone, _ = first_token.own_s(question, "prefill", first_s, chunk, 1.0)
    assert alone[0] == pytest.approx(once)


def test_work_keeps_its_mean_and_its_longest_are_told_apart() -> None:
    drawn = np.random.default_rng(3).lognormal(0.0, 1.0, 3000) * 1000.0
    for lengths in (
        of_traffic(Traffic(isl=1000, isl_spread=1.0)),
        of_requests(np.ceil(drawn), np.full(3000, 100.0)),
        of_requests(np.array([10.0, 500.0, 90.0]), np.array([5.0, 9.0, 7.0])),
    ):
        for growth in (0.0, 0.1):
            work = lengths.work(growth)
            assert work.kinds.mean() == pytest.approx(1.0) and work.weight.sum() == pytest.approx(1.0)
            assert work.weight @ work.tail == pytest.approx(1.0)
            assert work.tail[-1] >= work.kinds[-1] and (np.diff(work.kinds) >= 0).all()
        assert lengths.work().variation == pytest.approx(lengths.variation)
        assert lengths.work(0.1).variation > lengths.variation


def test_rows_are_tried_whose_longest_prompts_keep_the_limit() -> None:
    """Where those take ten times the mean, rows just within the limit of the mean are of no use."""
    question = prepare(SCENARIO, load())
    assert options._longest(question, "prefill") > 3.0
    at_mean = replace(SCENARIO, limits=replace(SCENARIO.limits, ftl_at="mean"))
    assert options._longest(prepare(at_mean, load()), "prefill") == 1.0
