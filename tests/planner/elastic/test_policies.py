"""What each policy knows, and that foresight is worth what is said."""

from __future__ import annotations

import numpy as np
import pytest

from planner.elastic import policies
from planner.elastic.policies import Asked
from planner.elastic.schedule import bill
from planner.elastic.windows import Windows, windows
from planner.inputs.requests import plain
from planner.inputs.traces.diurnal import diurnal

from .small import costs, pools


def asked(need: list[list[int]], start_s: float = 60.0, budget: int | None = None) -> Asked:
    count = len(need)
    rates = np.array(need, dtype=float)
    over = Windows(
        window_s=60.0,
        requests=np.full(count, 60),
        prompts_per_s=rates[:, 0],
        decodes_per_s=rates[:, 1],
        variation=1.0,
    )
    at = costs(count, start_s=np.full(2, start_s), drain_s=np.full(2, 30.0), budget=budget)
    return Asked(pools=pools(need), costs=at, windows=over)


NEED = [[1, 1], [1, 1], [4, 1], [4, 2], [1, 3], [1, 3], [1, 1], [1, 1]]


@pytest.mark.parametrize("budget", [None, 12])
@pytest.mark.parametrize("start_s", [0.0, 45.0, 600.0])
def test_elastic_is_never_worse_than_static_on_its_own_objective(start_s: float, budget: int | None) -> None:
    of = asked(NEED, start_s, budget)
    static = policies.static_peak(of)
    best = policies.elastic(of, [static], 10.0, None)
    assert (
        bill(of.pools, best.schedule, of.costs).objective <= bill(of.pools, static, of.costs).objective + 1e-9
    )
    assert best.gap <= 0.02


def test_a_fleet_for_the_mean_misses_the_peak() -> None:
    of = asked(NEED)
    schedule = policies.static_peak(of)
    assert bill(of.pools, schedule, of.costs).ok.all()
    assert schedule.instances[0].tolist() == [4, 3]


def test_smoothing_is_holts_recursion() -> None:
    random = np.random.default_rng(0)
    load = random.uniform(1, 9, 40)
    level, trend = load[0], 0.0
    wanted = [load[0]]
    for value in load[:-1]:
        before = level + trend
        trend += policies.LEVEL * policies.TREND * (value - before)
        level = before + policies.LEVEL * (value - before)
        wanted.append(max(level + 3 * trend, 0.0))
    over = asked(NEED).windows
    assert policies.smoothing(load, over, 2)[1:] == pytest.approx(wanted[1:])


def test_a_forecast_knows_nothing_of_what_comes() -> None:
    of = asked(NEED)
    for forecast in (policies.seasonal_naive, policies.smoothing):
        load = np.arange(10.0)
        other = load.copy()
        other[5:] = 99.0
        for steps in range(3):
            assert (
                forecast(load, of.windows, steps)[:6].tolist()
                == forecast(other, of.windows, steps)[:6].tolist()
            )


def test_the_day_before_is_the_forecast() -> None:
    over = Windows(
        window_s=3600.0,
        requests=np.ones(48, dtype=int),
        prompts_per_s=np.ones(48),
        decodes_per_s=np.ones(48),
        variation=1.0,
    )
    load = np.arange(48.0)
    found = policies.seasonal_naive(load, over, 2)
    assert found[30] == load[30 + 2 - 24] and found[3] == load[2]


def test_autoscaling_sees_the_last_window_and_cools_down() -> None:
    of = asked([[1, 1], [3, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]], start_s=0.0)
    found = policies.reactive(of).instances[:, 0].tolist()
    assert found[1] == 1 and found[2] == 3 and found[6] == 3 and found[-1] == 1


def test_work_of_a_trace_is_counted_once() -> None:
    random = np.random.default_rng(1)
    arrival = np.sort(random.uniform(0, 600, 500))
    trace = plain(arrival - arrival[0], random.integers(1, 999, 500), random.integers(1, 99, 500))
    over = windows(trace, 60.0, 0.01)
    assert over.requests.sum() == 500
    assert over.prompts_per_s.sum() * 60 * trace.isl.mean() == pytest.approx(trace.isl.sum())
    made = over.decodes_per_s.sum() * 60 * trace.osl.mean()
    assert 0.99 * trace.osl.sum() <= made <= trace.osl.sum() * (1 + 1e-9)


def test_a_made_up_week_has_prompts_by_day_and_tokens_by_night() -> None:
    trace = diurnal(0.2, 7.0)
    hour = (trace.arrival_s // 3600) % 24
    ratio = [trace.isl[hour == h].mean() / trace.osl[hour == h].mean() for h in (10, 22)]
    assert ratio[0] > 4 * ratio[1]
    day = trace.arrival_s // 86400
    assert (day == 6).sum() < 0.6 * (day == 2).sum()
