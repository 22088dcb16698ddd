"""Pools of requests that queue: what options promise, and that the match of them is the best there is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pytest

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import copies, demand, frontiers, in_time, options, sweep
from planner.planning.plan import plan
from planner.planning.resolve import Question, prepare
from planner.planning.sweep import Sweep

PRESETS = load()
ASKED = Scenario(
    model="llama-3.1-70b",
    system="h200",
    traffic=Traffic(isl=4096, osl=512, requests_per_s=6.0),
    limits=Limits(ftl_s=1.5, ttl_s=0.03),
    fleet=Fleet(gpus=32),
    goal="fewest-gpus",
)


@lru_cache(maxsize=4)
def swept(scenario: Scenario) -> tuple[Question, Sweep]:
    question = prepare(scenario, PRESETS)
    return question, sweep.run(question, scenario.fleet.gpus)


def with_traffic(**changed: object) -> Scenario:
    return replace(ASKED, traffic=replace(ASKED.traffic, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("arrivals", ["poisson", "bursty"])
def test_options_serve_no_more_than_their_instances_and_pools_grow_faster_than_their_parts(
    arrivals: str,
) -> None:
    question, points = swept(with_traffic(arrivals=arrivals))
    kept = frontiers.candidates(question, points)
    for pool in (kept.prefill, kept.decode, kept.colocated):
        assert len(pool)
        most = pool.instances * pool.points.requests_per_s[pool.row]
        assert (pool.requests_per_s <= most * (1 + 1e-9)).all() and (pool.requests_per_s > 0).all()
    rows = np.unique(kept.prefill.row)[:4]
    every = options.of(question, points.prefill, rows, points.split_ftl_s[rows])
    for row in rows:
        own = every.take(np.flatnonzero(every.row == row))
        by_count = dict(zip(own.instances.tolist(), own.requests_per_s.tolist(), strict=True))
        for n, rate in by_count.items():
            if 2 * n in by_count:
                assert by_count[2 * n] >= 2 * rate * (1 - 1e-3)


def test_the_match_is_the_best_of_all_pairs_of_options() -> None:
    scenario = replace(ASKED, robust=False, slack=0.0)
    question, points = swept(scenario)
    answer = plan(scenario, PRESETS)
    limits, demand = scenario.limits, scenario.traffic.requests_per_s
    assert answer.disaggregated is not None and demand is not None
    rows = np.flatnonzero(points.split_ftl_s <= limits.ftl_s)
    prefill = options.of(question, points.prefill, rows, points.split_ftl_s[rows])
    fast = np.flatnonzero(points.decode.ttl_s <= limits.ttl_s)
    decode = options.of(question, points.decode, fast, points.decode.ftl_s[fast])
    fewest = [int(pool.gpus[pool.requests_per_s >= demand * (1 - 1e-9)].min()) for pool in (prefill, decode)]
    assert answer.disaggregated.gpus == sum(fewest)


@pytest.mark.parametrize("arrivals", ["steady", "poisson"])
def test_copies_within_a_ttl_are_those_of_all_that_keep_it(arrivals: str) -> None:
    """What is slower dominates none of them."""
    question, points = swept(with_traffic(arrivals=arrivals))
    for ttl_s in (0.015, 0.03):
        every = frontiers.colocated_candidates(question, points)
        within = every.take(np.flatnonzero(points.colocated.ttl_s[every.row] <= ttl_s))
        alone = frontiers.colocated_candidates(question, points, ttl_s)
        assert len(within)
        assert np.array_equal(within.row, alone.row) and np.array_equal(within.instances, alone.instances)


def test_steady_arrivals_are_as_without_any() -> None:
    steady = plan(with_traffic(arrivals="steady"), PRESETS)
    poisson = plan(ASKED, PRESETS)
    for one, other in ((steady.disaggregated, poisson.disaggregated), (steady.colocated, poisson.colocated)):
        assert one is not None and other is not None
        assert one.gpus <= other.gpus
        assert one.load is not None and one.load.queued is None
        assert other.load is not None and other.load.queued is not None


def test_harder_traffic_never_takes_fewer_gpus() -> None:
    @cache
    def gpus(**changed: object) -> int:
        answer = plan(with_traffic(**changed), PRESETS)
        assert answer.disaggregated is not None
        return answer.disaggregated.gpus

    assert gpus() <= gpus(arrivals="bursty", burstiness=4.0)
    assert gpus(routing="central") <= gpus() <= gpus(routing="random")
    assert gpus(cached_share=0.8) <= gpus()
    assert gpus() <= gpus(isl_spread=1.5)


def test_a_later_first_token_never_serves_less_on_copies() -> None:
    """Larger batches have higher rates, later first tokens, and more prompts in work that take places."""
    served = []
    for ftl_s in (1.0, 3.0, 10.0):
        asked = Scenario(
            model="gpt-oss-120b",
            system="h200",
            engine="sglang",
            traffic=Traffic(isl=4096, osl=128, cached_share=0.5, arrivals="poisson"),
            limits=Limits(ftl_s=ftl_s, ttl_s=0.03),
            fleet=Fleet(gpus=64),
            slack=0.0,
        )
        found = plan(asked, PRESETS).colocated
        assert found is not None
        served.append(found.expected_requests_per_s)
    assert served[0] <= served[1] * (1 + 1e-9) <= served[2] * (1 + 2e-9)


def test_percentiles_ascend_and_the_limit_is_kept() -> None:
    for at in ("mean", "p50", "p95", "p99"):
        limits = replace(ASKED.limits, ftl_at=at)
        answer = plan(replace(with_traffic(isl_spread=0.8), limits=limits), PRESETS)
        for way in (answer.disaggregated, answer.colocated):
            if way is None:
                continue
            assert way.load is not None and way.load.queued is not None
            for spread in (way.load.queued.ftl, way.load.queued.ttl, way.load.queued.e2e):
                values = [spread.p50, spread.p90, spread.p95, spread.p99]
                assert values == sorted(values) and values[0] > 0
            assert getattr(way.load.queued.ftl, at) <= limits.ftl_s * 1.02
            assert way.ftl_s == getattr(way.load.queued.ftl, at)
            # Little's law
            in_flight = way.requests_per_s * (way.load.ftl_s + 511 * way.load.ttl_s)
            assert way.load.requests_in_flight == pytest.approx(in_flight, rel=1e-6)


def test_a_trace_is_the_traffic() -> None:
    answer = plan(
        replace(with_traffic(trace="azure-conversations", requests_per_s=None), fleet=Fleet(gpus=16)), PRESETS
    )
    assert answer.scenario.traffic.isl == 1105 and answer.scenario.traffic.osl == 265
    assert answer.chosen is not None and answer.chosen.load is not None
    assert answer.chosen.load.queued is not None and answer.chosen.load.queued.arrivals == "trace"
    assert answer.chosen.requests_per_s == pytest.approx(4.71, rel=0.01)


def test_a_trace_at_a_rate_is_planned_as_it_is_replayed() -> None:
    """Closer together, so that its windows hold more requests, of which as large a share comes in each."""
    fast = demand.of(with_traffic(trace="azure-conversations", requests_per_s=9.42))
    sent = demand.recorded(fast.scenario)
    assert sent is not None and len(sent) / sent.seconds == pytest.approx(9.42, rel=1e-3)
    assert fast.prompts is not None
    assert fast.prompts.window_s * len(fast.prompts.work) == pytest.approx(
        sent.seconds, abs=fast.prompts.window_s
    )
    assert fast.scenario.traffic.requests_per_s == 9.42


def test_instances_are_counted_of_those_rows_alone_that_a_plan_after_a_loss_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each layout the fastest: other batches lose as many instances, and serve less."""
    fleet, limits = Fleet(gpus=256, survive="instance"), Limits(ftl_s=2.0, ttl_s=0.03)
    asked = Scenario(model="llama-3.1-8b", system="h100", engine="vllm", fleet=fleet, limits=limits)
    question = prepare(asked, load())
    points = sweep.run(question, 256)
    counted, real = [], options.of
    monkeypatch.setattr(options, "of", lambda *args, **kw: counted.append(len(args[2])) or real(*args, **kw))
    found = [frontiers.colocated_candidates(question, points), in_time.colocated(question, points, None)]
    few = counted.copy()
    monkeypatch.setattr(options, "unbeaten", lambda question, points, rows, latency_s: rows)
    every = [frontiers.colocated_candidates(question, points), in_time.colocated(question, points, None)]
    assert 2 * few[0] < counted[2] and few[1] < counted[3]
    assert found[0].row.tolist() == every[0].row.tolist()
    assert found[0].instances.tolist() == every[0].instances.tolist()
    best, of_all = (copies.best(question, of) for of in (found[1], every[1]))
    assert best is not None and of_all is not None
    assert best.pick.row == of_all.pick.row and best.rates == of_all.rates


@pytest.mark.parametrize("survive", ["none", "gpu", "node"])
def test_a_rate_takes_nothing_from_the_most_that_a_budget_sustains(survive: str) -> None:
    """Many small pools of what the rate takes have a queue, and lose an instance, each."""
    asked = Scenario(
        model="mixtral-8x7b",
        system="h100",
        robust=False,
        slack=0.0,
        fleet=Fleet(gpus=64, survive=survive),  # type: ignore[arg-type]
        traffic=Traffic(isl=8000, osl=500, arrivals="poisson"),
        limits=Limits(ftl_s=3.0, ttl_s=0.05),
    )
    most, some = (
        plan(replace(asked, traffic=replace(asked.traffic, requests_per_s=rate)), PRESETS)
        for rate in (None, 1.0)
    )
    for whole, rated in ((most.disaggregated, some.disaggregated), (most.colocated, some.colocated)):
        assert whole is not None and rated is not None
        assert rated.capacity_requests_per_s == pytest.approx(whole.capacity_requests_per_s, rel=1e-6)
