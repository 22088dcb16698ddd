"""Closed forms of waiting against simulations, and what must hold at any load."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.arrays import FloatArray
from planner.simulate import erlang, queueing
from planner.simulate.queueing import Station
from planner.words import Routing

REQUESTS = 120_000


def station(servers: float, routing: Routing = "central", service: float = 1.0, gaps: float = 1.0) -> Station:
    """Instances with a mean service of a second; squared variations of service and gaps."""
    return Station(
        servers=np.array([servers]),
        service_s=np.ones(1),
        service_variation=service,
        arrival_variation=gaps,
        routing=routing,
    )


def drawn(variation: float, mean: float, random: np.random.Generator) -> FloatArray:
    if not variation:
        return np.full(REQUESTS, mean)
    return random.gamma(1.0 / variation, variation * mean, REQUESTS)


def simulated(servers: int, load: float, at: Station) -> FloatArray:
    """Waits of requests one by one; all routings but round robin take the instance that is free first."""
    random = np.random.default_rng(servers)
    come = np.cumsum(drawn(at.arrival_variation, 1.0 / (servers * load), random))
    need = drawn(at.service_variation, 1.0, random)
    waits = np.empty(REQUESTS)
    if at.routing == "central":
        free = [0.0] * servers
        for i, (now, took) in enumerate(zip(come.tolist(), need.tolist(), strict=True)):
            start = max(free[0], now)
            waits[i] = start - now
            heapq.heapreplace(free, start + took)
        return waits[REQUESTS // 10 :]
    ends: list[list[tuple[float, float]]] = [[] for _ in range(servers)]  # and what each needs
    chosen = random.integers(0, servers, REQUESTS).tolist()
    for i, (now, took) in enumerate(zip(come.tolist(), need.tolist(), strict=True)):
        for queue in ends:
            while queue and queue[0][0] <= now:
                queue.pop(0)
        if at.routing == "least-loaded":  # of equals the next in turn
            turn = ends[i % servers :] + ends[: i % servers]
            queue = min(turn, key=lambda held: round(sum(each for _, each in held), 9))
        else:
            queue = ends[i % servers if at.routing == "round-robin" else chosen[i]]
        start = max(queue[-1][0], now) if queue else now
        waits[i] = start - now
        queue.append((start + took, took))
    return waits[REQUESTS // 10 :]


@pytest.mark.parametrize(
    ("servers", "load", "service", "gaps", "routing"),
    [
        (1, 0.7, 0.0, 1.0, "central"),
        (1, 0.8, 2.25, 1.0, "central"),
        (4, 0.7, 1.0, 1.0, "central"),
        (16, 0.85, 1.0, 1.0, "central"),
        (4, 0.85, 0.0, 4.0, "central"),
        (16, 0.85, 1.0, 4.0, "central"),
        (4, 0.7, 1.0, 1.0, "least-loaded"),
        (16, 0.85, 1.0, 1.0, "least-loaded"),
        (4, 0.7, 0.0, 1.0, "least-loaded"),
        (16, 0.85, 0.0, 1.0, "least-loaded"),
        (16, 0.85, 0.25, 1.0, "least-loaded"),
        (4, 0.85, 1.0, 1.0, "round-robin"),
        (4, 0.7, 1.0, 1.0, "random"),
    ],
)
def test_waits_are_as_simulated(
    servers: int, load: float, service: float, gaps: float, routing: Routing
) -> None:
    """Within 15 % or a twentieth of a service (mean), 25 % or a fifth of one (P99)."""
    at = station(servers, routing, service, gaps)
    waits = simulated(servers, load, at)
    found = queueing.delay(at, np.array([load]))
    assert found.wait_s[0] == pytest.approx(waits.mean(), rel=0.15, abs=0.05)
    sure = float(np.ravel(found.sure_s)[0])
    tail = sure + (found.mean_s[0] - sure) * np.log(max(found.probability[0] / 0.01, 1.0))
    assert tail == pytest.approx(np.quantile(waits, 0.99), rel=0.25, abs=0.2)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    servers=st.integers(1, 300),
    fixed=st.floats(0.0, 3.0),
    limit=st.floats(0.5, 20.0),
    share=st.sampled_from((0.5, 0.1, 0.05, 0.01)),
    service=st.floats(0.0, 4.0),
    gaps=st.sampled_from((1.0, 2.25, 9.0)),
    routing=st.sampled_from(("central", "least-loaded", "round-robin", "random")),
)
def test_what_is_sustained_keeps_the_limit_and_grows_with_instances(
    servers: int, fixed: float, limit: float, share: float, service: float, gaps: float, routing: Routing
) -> None:
    def most(count: int) -> float:
        at = station(float(count), routing, service, gaps)
        own = np.zeros(1)
        return float(queueing.sustained(at, np.array([fixed]), own, np.ones(1), limit, share)[0])

    load = most(servers)
    assert 0.0 <= load < 1.0
    if fixed > limit:
        assert load == 0.0
        return
    at = station(float(servers), routing, service, gaps)
    if load > 1e-6:
        late = queueing.delay(at, np.array([load * (1 - 1e-6)])).beyond(limit - fixed)
        assert late[0] <= share * (1 + 1e-3)
    assert most(2 * servers) >= load * (1 - 1e-6)  # two pools of n are never more than one of 2 n


def test_more_slots_may_be_fuller_and_none_waits_at_no_load() -> None:
    filled = queueing.filled(np.array([1.0, 2.0, 8.0, 64.0, 512.0, 4096.0]), 0.01)
    assert (np.diff(filled) > 0).all() and (filled > 0).all() and (filled < 1).all()
    assert erlang.erlang_c(np.array([8.0]), np.array([1e-9]))[0] == pytest.approx(0.0, abs=1e-9)


def test_no_routing_waits_less_than_one_queue() -> None:
    for load in (0.3, 0.6, 0.9):
        least = queueing.delay(station(8.0), np.array([load])).wait_s[0]
        for routing in ("least-loaded", "round-robin", "random"):
            assert queueing.delay(station(8.0, routing), np.array([load])).wait_s[0] >= least * (1 - 1e-9)


def test_the_load_of_a_pool_does_not_depend_on_those_looked_at_beside_it() -> None:
    """Else a rate that is proposed by one search is none for another."""
    slots = np.array([1.0, 2.0, 3.0, 9.0, 130.0])
    beside = queueing.filled(np.append(slots, 10_000.0), 0.05)
    assert (queueing.filled(slots, 0.05) == beside[:-1]).all()
    for own, one in zip(slots, beside, strict=False):
        assert queueing.filled(np.array([own]), 0.05)[0] == one
