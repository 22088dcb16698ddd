"""Waiting by windows, against one queue served request by request."""

from __future__ import annotations

import heapq
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from planner.inputs.traces import generate, read_requests
from planner.inputs.traces.generate import Lengths
from planner.simulate.backlog import Windows, windows_of

pytest.importorskip("pyarrow")

TURNS = 120.0 * np.arange(25)


@cache
def trace(name):
    requests, _ = read_requests(Path(name))
    return requests.arrival_s, requests.isl.astype(float)


def one_by_one(arrival_s, service_s, servers):
    """Waits in one queue, first come first served."""
    free = [0.0] * servers
    waits = []
    for at, service in zip(arrival_s.tolist(), service_s.tolist(), strict=True):
        begins = max(at, heapq.heappop(free))
        waits.append(begins - at)
        heapq.heappush(free, begins + service)
    return np.array(waits)


def allen_cunneen(servers, service_s):
    """Probability of a wait and its mean by Erlang C, for Poisson arrivals."""
    mean, spread = service_s.mean(), service_s.var() / service_s.mean() ** 2

    def quiet(load):
        offered = servers * load
        terms = sum(offered**k / math.factorial(k) for k in range(servers))
        full = offered**servers / math.factorial(servers) / (1 - load)
        return full / (terms + full), mean * (1 + spread) / (2 * servers * (1 - load))

    return quiet


@pytest.mark.parametrize("servers", [1, 4, 16])
@pytest.mark.parametrize("load", [0.5, 0.7, 0.85])
def test_bursts_of_code(servers, load):
    arrival_s, work = trace("azure-code")
    service_s = work * load * servers * arrival_s[-1] / work.sum()
    true = one_by_one(arrival_s, service_s, servers)
    windows = windows_of(arrival_s, work)
    quiet = allen_cunneen(servers, service_s)
    assert windows.wait_s(np.array([load]), quiet)[0] == pytest.approx(true.mean(), rel=0.15)
    for share in (0.5, 0.9):
        limit = np.quantile(true, share)
        assert windows.beyond(np.array([load]), np.array([limit]), quiet)[0, 0] == pytest.approx(
            1 - share, abs=0.06
        )
    poisson = math.prod(part.item() for part in quiet(np.array(load)))
    assert poisson < 0.05 * true.mean()  # what the mean load would say


def test_independent_requests_have_no_such_windows():
    drawn = generate.poisson(5.0, 20_000, Lengths(mean=1000), Lengths(mean=10), seed=1)
    assert windows_of(drawn.arrival_s, drawn.isl.astype(float)) is None
    assert windows_of(*trace("mooncake-conversations")) is None


def test_the_shortest_window_that_shows_them():
    assert windows_of(*trace("azure-code")).window_s == 5.0
    random = np.random.default_rng(0)
    gaps = random.exponential(1.0, 16_000)  # 5 and 6.5 requests/s by turns of two minutes:
    arrival_s = np.interp(np.cumsum(gaps), np.array([0, *np.tile([600.0, 780.0], 12).cumsum()]), TURNS)
    found = windows_of(arrival_s, np.ones(len(arrival_s)))
    assert found.window_s == 60.0  # 1 + 0.098 T is above 4 then
    assert found.share.sum() == pytest.approx(1.0)
    assert found.work.mean() == pytest.approx(1.0, rel=0.05)


def test_by_hand():
    windows = Windows(window_s=10.0, work=np.array([2.0, 1.0, 0.0, 1.0]), share=np.full(4, 0.25))
    begin, end = windows.backlog_s(np.array([1.0]))
    assert begin.tolist() == [[0, 10, 10, 0]] and end.tolist() == [[10, 10, 0, 0]]

    def nothing(load):
        return np.zeros_like(load), np.ones_like(load)

    assert windows.wait_s(np.array([1.0]), nothing)[0] == pytest.approx((5 + 10 + 5 + 0) / 4)
    late = windows.beyond(np.array([1.0]), np.array([-1.0, 0.0, 5.0, 9.999, 10.1]), nothing)[0]
    assert late == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-3)
    assert windows.wait_s(np.array([0.4]), nothing)[0] == 0.0


def test_waits_grow_with_the_load():
    windows = windows_of(*trace("azure-code"))
    quiet = allen_cunneen(4, trace("azure-code")[1] / 1e4)
    loads = np.linspace(0.05, 1.2, 24)
    assert (np.diff(windows.wait_s(loads, quiet)) > 0).all()
    late = windows.beyond(loads, np.array([0.1, 1.0, 10.0]), quiet)
    assert (np.diff(late, axis=0) >= -1e-12).all() and (np.diff(late, axis=1) <= 0).all()
