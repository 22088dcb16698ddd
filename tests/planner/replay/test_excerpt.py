"""What a bounded replay looks at: the worst stretch of a trace, and an even slice of a fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import planner
from planner.inputs.requests import plain
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario, Traffic
from planner.planning.result import Serving
from planner.replay.excerpt import busiest, sliced

SIZE = 4000


def bursts() -> Any:
    """Requests that come evenly, but for 500 of them, twice as fast."""
    gaps = np.full(SIZE, 1.0)
    gaps[2000:2500] = 0.5
    return plain(np.cumsum(gaps) - 1.0, np.full(SIZE, 100), np.full(SIZE, 10))


def test_the_stretch_that_finds_most_work_before_it_is_taken_with_what_fills_the_fleet() -> None:
    part, first = busiest(bursts(), 600, [0.8], before=100)
    assert len(part) == 600 and first == 100 and part.arrival_s[0] == 0.0
    gaps = np.diff(part.arrival_s)
    assert 200 < (gaps < 0.9).sum() < 500 and gaps[0] < 0.9 < gaps[-1]  # and the backlog behind it
    whole, first = busiest(bursts(), SIZE, [0.8], before=100)
    assert len(whole) == SIZE and first == 0


def test_what_fills_a_fleet_is_not_asked_of_the_start_of_a_trace() -> None:
    come_s = np.cumsum(np.linspace(0.5, 1.5, SIZE)) - 0.5
    requests = replace(bursts(), arrival_s=come_s)
    part, first = busiest(requests, 500, [0.5, 0.45], before=100)
    assert len(part) == 500 and first == 0


def test_no_stretch_waits_longer() -> None:
    """Against a queue that is served one by one, of prompts that vary at a rate that changes."""
    rng = np.random.default_rng(1)
    gaps = rng.exponential(1.0, SIZE) / np.repeat(rng.uniform(0.5, 1.3, 20), SIZE // 20)
    isl = rng.integers(50, 500, SIZE)
    requests = plain(np.cumsum(gaps) - gaps[0], isl, np.full(SIZE, 5))
    service_s = 0.8 * requests.seconds / SIZE * isl / isl.mean()
    wait_s, free_s = np.zeros(SIZE), 0.0
    for at, (come, takes) in enumerate(zip(requests.arrival_s, service_s, strict=True)):
        begin = max(come, free_s)
        wait_s[at], free_s = begin - come, begin + takes
    part, first = busiest(requests, 1000, [0.8], before=200)
    of_each = np.convolve(wait_s, np.full(800, 1 / 800), "valid")
    begins = [i for i in range(SIZE - 999) if (requests.isl[i : i + 1000] == part.isl).all()]
    assert len(begins) == 1
    assert of_each[begins[0] + first] == pytest.approx(of_each.max(), rel=0.02)


@pytest.fixture(scope="module")
def split() -> Serving:
    scenario = Scenario(
        model="llama-3.1-8b",
        system="h100",
        traffic=Traffic(isl=1000, osl=100, requests_per_s=200.0),
        limits=Limits(ftl_s=2.0, ttl_s=0.02),
        fleet=Fleet(gpus=64),
        goal="fewest-gpus",
        deployment=Deployment(
            prefill_layout="TP1", prefill_instances=20, decode_layout="TP1", decode_instances=30
        ),
    )
    serving = planner.plan(scenario).disaggregated
    assert serving is not None
    return serving


def test_a_slice_is_as_full_as_the_whole(split: Serving) -> None:
    part = sliced(split, 0.25)
    assert part is not None and [pool.instances for pool in part.serving.pools] == [4, 6]
    assert part.share == 0.2 and part.serving.requests_per_s == pytest.approx(0.2 * split.requests_per_s)
    uneven = sliced(split, 0.06)  # 1 of 20 and 1 of 30
    assert uneven is None
    one = replace(split, pools=(replace(split.pools[0], instances=7),))
    alone = sliced(one, 0.3)
    assert alone is not None and alone.serving.pools[0].instances == 2 and alone.share == pytest.approx(2 / 7)
    assert sliced(one, 0.1) is None
