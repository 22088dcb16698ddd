"""What layouts are expected to serve of what they promise, and what of a chosen plan is left."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from planner import Scenario, load, plan
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Traffic
from planner.output.verdict import robust_sentences
from planner.planning import expected, in_time, resolve, sweep
from planner.planning.bands import compare
from planner.planning.placed import Placed
from planner.planning.result import Plan
from planner.words import Arrivals, Goal

CATALOG = load()
ASKED = Scenario(model="deepseek-r1", system="gb200", fleet=Fleet(gpus=36))
SMALL = Scenario(model="llama-3.1-70b", system="h200", fleet=Fleet(gpus=16))


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(ASKED, CATALOG)


@pytest.fixture(scope="module")
def placed() -> Placed:
    question = resolve.prepare(replace(SMALL, limits=Limits(ttl_s=0.02)), CATALOG)
    return Placed.of(question, sweep.run(question, 16))


def test_luck_is_what_the_largest_of_many_draws_is_above_their_mean() -> None:
    draws = np.random.default_rng(1).standard_normal((20000, 12))
    assert expected.luck(0.1, np.full(12, 3.0)) == pytest.approx(draws.max(axis=1).mean(), rel=0.02)


def test_luck_grows_with_near_candidates_alone() -> None:
    near, far = np.array([1.0, 0.99, 0.98]), np.array([1.0, 0.2, 0.1])
    assert expected.luck(0.1, near) > expected.luck(0.1, near[:2]) > 0
    assert expected.luck(0.1, far) == pytest.approx(0.0, abs=1e-6)
    assert expected.luck(0.0, near) == expected.luck(0.1, np.zeros(2)) == 0.0
    assert expected.luck(np.array([0.1, 0.9, 0.9]), far) > expected.luck(0.1, far)  # less is known of them

    each = np.column_stack([near, near[::-1], [1.0, 0.0, 0.0]])  # of each limit
    assert expected.luck(0.1, each) == pytest.approx([expected.luck(0.1, one) for one in each.T])


@pytest.mark.parametrize("moved", [0.1, 1.2])  # by so much luck that every draw is slower than predicted
def test_a_share_is_that_of_draws_one_by_one(moved: float) -> None:
    """Against a loop over groups, draws and points."""
    random = np.random.default_rng(3)
    for limit in (1.0, 2.0, 5.0):
        group = np.sort(random.integers(0, 4, 40))
        ttl, rate = random.uniform(0.5, 5.0, 40), random.uniform(1.0, 9.0, 40)
        slow = np.exp(np.sort(random.normal(moved, 0.3, (5, 6)), axis=1))
        assert (slow.min() < 1) == (moved < 1)
        found = expected.served(ttl, rate, group, limit, slow[::-1], np.arange(5)[::-1])
        for one in range(5):
            mine, in_reach = group == one, (group == one) & (ttl <= limit / min(slow.min(), 1.0))
            told = rate[mine & (ttl <= limit)].max(initial=0.0)
            if not told:
                assert found[one] == 1.0
                continue
            least = rate[in_reach][np.argmin(ttl[in_reach])]
            each = [max(rate[mine & (e * ttl <= limit)].max(initial=0.0), least) / e for e in slow[one]]
            assert found[one] == pytest.approx(min(np.mean(each) / told, 1.0))


def test_what_keeps_its_limit_by_little_is_expected_to_serve_less() -> None:
    slow, kind = np.array([[0.9, 1.0, 1.2]]), np.zeros(2, dtype=np.int64)
    ttl, rate = np.array([1.0, 1.0, 0.5]), np.array([8.0, 8.0, 1.0])
    near, far = (
        expected.served(ttl, rate, np.array([0, 1, 0]), 1.0, slow, kind),
        expected.served(ttl, rate, np.array([0, 1, 0]), 2.0, slow, kind),
    )
    assert near[0] < far[0] <= 1


def test_no_layout_within_the_limits_is_expected_to_serve_more_than_the_chosen(placed: Placed) -> None:
    """The most of all pairs of pools that fit, weighed one by one."""
    question = replace(placed.question, scenario=replace(placed.question.scenario, slack=0.0))
    here = replace(placed, question=question)
    kept = in_time.candidates(here, mix=False)
    found = plan(replace(SMALL, limits=Limits(ttl_s=0.02), slack=0.0), CATALOG)
    most = 0.0
    for first, rate in zip(kept.prefill.gpus, kept.prefill.weighed_per_s, strict=True):
        for then, served in zip(kept.decode.gpus, kept.decode.weighed_per_s, strict=True):
            for number in range(1, 16 // first + 1):
                count = (16 - number * first) // then
                most = max(most, float(question.errors.expected(number * rate, count * served)))
    assert found.disaggregated is not None
    assert found.disaggregated.expected_requests_per_s == pytest.approx(most, rel=1e-9)
    assert placed.expected is not None
    together = in_time.colocated(question, placed.sweep, placed.expected)
    copies = (16 // together.gpus) * together.weighed_per_s
    assert found.colocated is not None
    assert found.colocated.expected_requests_per_s == pytest.approx(copies.max(), rel=1e-9)


def test_less_known_layouts_are_discounted_by_more(placed: Placed) -> None:
    assert placed.expected is not None
    for shifts in placed.expected.shifts.values():
        assert 0 < shifts["both"] <= shifts["one"] <= shifts["neither"]
    for shares in (placed.expected.prefill, placed.expected.decode, placed.expected.colocated):
        assert (shares > 0).all() and (shares <= 1).all()


def test_both_ways_are_expected_to_serve_less_than_predicted_and_have_a_range(planned: Plan) -> None:
    for serving in (planned.disaggregated, planned.colocated):
        assert serving is not None and serving.range is not None
        low, high = serving.range
        assert 0 < low < serving.expected_requests_per_s / serving.capacity_requests_per_s < high
        assert serving.expected_tokens_per_s_per_gpu < serving.tokens_per_s_per_gpu


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        (
            Scenario(
                model="mixtral-8x22b", system="b300", engine="sglang", traffic=Traffic(isl=512, osl=256)
            ),
            [(0.5, 0.008), (0.75, 0.008), (0.75, 0.012), (4.0, 0.05)],
        ),
        (
            Scenario(
                model="gpt-oss-120b", system="h100", engine="sglang", traffic=Traffic(isl=8192, osl=1024)
            ),
            [(0.3, 0.008), (0.5, 0.02), (0.75, 0.02), (0.75, 0.03), (9.0, 0.03)],
        ),
    ],
    ids=["mixtral-8x22b", "gpt-oss-120b"],
)
def test_easier_limits_never_lower_what_is_expected(
    asked: Scenario, limits: list[tuple[float, float]]
) -> None:
    """An easier limit brings candidates, and the same plan must not be expected to serve less for them."""
    eased = [
        plan(replace(asked, fleet=Fleet(gpus=8), slack=0.0, limits=Limits(ftl_s=ftl, ttl_s=ttl)), CATALOG)
        for ftl, ttl in limits
    ]
    for way in ("disaggregated", "colocated"):
        ways = [getattr(one, way) for one in eased]
        rates = [0.0 if one is None else one.expected_requests_per_s for one in ways]
        assert all(then >= now * (1 - 1e-9) for now, then in pairwise(rates))
        assert rates[-1] > rates[0]


def test_what_is_expected_lies_in_its_range_where_all_errors_are_for_the_worse() -> None:
    """Many layouts are near the best and none was measured: luck takes even its best draw out of time."""
    limits, traffic = Limits(ftl_s=1.0, ttl_s=0.012), Traffic(isl=2000, osl=256)
    asked = Scenario(model="nemotron-3-ultra-550b", system="gb300", engine="vllm", limits=limits)
    found = plan(replace(asked, traffic=traffic, fleet=Fleet(gpus=64), slack=0.0), CATALOG).colocated
    assert found is not None and found.range is not None
    low, high = found.range
    assert low < found.expected_requests_per_s / found.capacity_requests_per_s < high < 1


@pytest.mark.parametrize("arrivals", ["steady", "poisson", "bursty"])
@pytest.mark.parametrize(("model", "system"), [("qwen3-30b-a3b", "b200"), ("llama-3.1-70b", "h200")])
@pytest.mark.parametrize("goal", ["throughput", "fewest-gpus"])
def test_what_a_plan_for_a_rate_is_expected_to_serve_lies_in_its_range(
    model: str, system: str, goal: Goal, arrivals: Arrivals
) -> None:
    """Its batch is far below what the limit on TTL allows, and its queues take part of its capacity."""
    traffic = Traffic(isl=4000, osl=1000, requests_per_s=1.0, arrivals=arrivals)
    limits = Limits(ftl_s=1.0, ttl_s=0.02)
    asked = Scenario(
        model=model, system=system, engine="sglang", traffic=traffic, limits=limits, goal=goal, slack=0.0
    )
    found = plan(replace(asked, fleet=Fleet(gpus=16)), CATALOG)
    for serving in (found.disaggregated, found.colocated):
        assert serving is not None and serving.range is not None
        low, high = serving.range
        assert low <= serving.expected_requests_per_s / serving.capacity_requests_per_s <= high < 2


@pytest.mark.parametrize(
    ("model", "system", "engine", "goal", "slack", "gpus", "limits", "traffic"),
    [
        # long queues for prefill: its pool sustains a small part of its capacity
        (
            "llama-3.1-8b",
            "h100",
            "vllm",
            "cost",
            0.5,
            None,
            Limits(ftl_s=5.0),
            Traffic(trace="coding-agents", reuse="prefix-aware"),
        ),
        # copies whose next batch is late: none lies between
        (
            "deepseek-r1",
            "h100",
            "vllm",
            "fewest-gpus",
            0.1,
            128,
            Limits(ftl_s=10.0, ttl_s=0.02, ftl_at="mean"),
            Traffic(trace="azure-code", requests_per_s=5.0),
        ),
        (
            "llama-3.1-70b",
            "h200",
            "sglang",
            "cost",
            0.1,
            64,
            Limits(ftl_s=2.0, ttl_s=0.02),
            Traffic(isl=8000, osl=500, requests_per_s=2.0, arrivals="bursty", burstiness=4.0),
        ),
    ],
    ids=["trace with reuse", "trace", "bursty"],
)
def test_what_is_expected_lies_in_its_range_where_queues_take_most(
    model: str,
    system: str,
    engine: str,
    goal: Goal,
    slack: float,
    gpus: int | None,
    limits: Limits,
    traffic: Traffic,
) -> None:
    """Either way sustains less than its pools have capacity for."""
    asked = Scenario(
        model=model, system=system, engine=engine, goal=goal, slack=slack, limits=limits, traffic=traffic
    )
    found = plan(replace(asked, fleet=Fleet(gpus=gpus)), CATALOG)
    for serving in (found.disaggregated, found.colocated):
        assert serving is not None and serving.range is not None
        assert any(pool.served_per_s < 0.9 * pool.requests_per_s for pool in serving.pools)
        low, high = serving.range
        assert low <= serving.expected_requests_per_s / serving.capacity_requests_per_s <= high


def test_what_is_expected_lies_in_its_range_where_throughput_is_given_up() -> None:
    """A smaller batch for an earlier first token promises no more than it serves."""
    traffic, limits = Traffic(isl=6000, osl=400), Limits(ftl_s=0.5, ttl_s=0.25)
    asked = Scenario(model="qwen3-32b", system="h100", engine="sglang", traffic=traffic, limits=limits)
    found = plan(replace(asked, fleet=Fleet(gpus=8), slack=0.5), CATALOG).colocated
    assert found is not None and found.range is not None and found.knee is not None
    assert found.knee.costs > 0.05
    low, high = found.range
    assert low <= found.expected_requests_per_s / found.capacity_requests_per_s <= high


def test_a_demand_is_met_by_what_is_expected_and_where_that_is_too_much_as_predicted() -> None:
    steady = replace(SMALL.traffic, arrivals="steady")
    asked = replace(SMALL, goal="fewest-gpus", limits=Limits(ttl_s=0.02), traffic=steady)
    easy = plan(replace(asked, traffic=replace(steady, requests_per_s=2.0)), CATALOG)
    assert easy.chosen is not None and easy.chosen.expected_requests_per_s >= 2.0 * (1 - 1e-6)
    assert not any("as predicted, and" in said for said in robust_sentences(easy))
    free = plan(replace(SMALL, limits=Limits(ttl_s=0.02), slack=0.0), CATALOG)
    rate = 1.02 * max(way.expected_requests_per_s for way in (free.disaggregated, free.colocated) if way)
    hard = plan(replace(asked, traffic=replace(steady, requests_per_s=rate)), CATALOG)
    assert hard.chosen is not None and hard.chosen.capacity_requests_per_s >= rate * (1 - 1e-6)
    assert hard.chosen.expected_requests_per_s < rate
    assert any("as predicted, and is expected to serve" in said for said in robust_sentences(hard))


def test_rates_taken_as_known_are_expected_as_predicted() -> None:
    known = plan(replace(SMALL, robust=False), CATALOG).disaggregated
    assert known is not None
    assert known.expected_requests_per_s == pytest.approx(known.capacity_requests_per_s)


def test_shared_errors_cancel_in_a_ratio() -> None:
    band = (0.8, 1.25)
    assert compare(1.5, band, band, 1.0) == pytest.approx((1.5, 1.5))
    low, high = compare(1.5, band, band, 0.5)
    wide = compare(1.5, band, band)
    assert wide[0] < low < 1.5 < high < wide[1]
