"""The program over the horizon, held against every schedule there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from planner.elastic import program
from planner.elastic.costs import Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.over_time import OverTime
from planner.elastic.schedule import Schedule, bill, gpus_held, moves, ready
from planner.elastic.why import sentences

from .small import costs, kind, pools

MOST = 2  # instances of a kind


def stays(schedule: Schedule, of: Pools, dwell: int) -> bool:
    started = moves(of, schedule).starts
    return all(
        (started[max(w - dwell + 1, 0) : w + 1].sum(axis=0) <= schedule.instances[w]).all()
        for w in range(len(started))
    )


def least(of: Pools, at: Costs) -> float:
    """The least objective of all schedules."""
    windows, best = len(of.need), np.inf
    pairs = len(of.swaps)
    turns = [np.array(x).reshape(windows - 1, pairs) for x in product((0, 1), repeat=(windows - 1) * pairs)]
    for counts in product(range(MOST + 1), repeat=2 * windows):
        table = np.array(counts).reshape(windows, 2)
        for turn in turns:
            swaps = np.concatenate([np.zeros((1, pairs), dtype=int), turn]).astype(int)
            schedule = Schedule(instances=table, swaps=swaps, ahead=True)
            if at.budget is not None and gpus_held(of, schedule, at).max() > at.budget:
                continue
            if not stays(schedule, of, at.dwell):
                continue
            best = min(best, bill(of, schedule, at).objective)
    return best


NEED = [[1, 0], [2, 1], [1, 2]]
CASES = {
    "free changes": {},
    "starts": {"start_s": np.array([90.0, 30.0])},
    "drains": {"drain_s": np.array([5.0, 90.0])},
    "starts, drains, budget": {
        "start_s": np.array([30.0, 90.0]),
        "drain_s": np.array([5.0, 30.0]),
        "budget": 5,
    },
    "too small a budget": {"budget": 3},
    "prices": {
        "start_s": np.array([90.0, 90.0]),
        "usd_per_gpu_hour": np.array([[1.0, 1.0], [5.0, 5.0], [2.0, 1.0]]),
    },
    "dwell": {"start_s": np.array([10.0, 10.0]), "dwell": 2},
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_schedule_is_better_than_the_programs(case: str) -> None:
    of, at = pools(NEED), costs(3, **CASES[case])
    found = program.solve(of, at)
    worth = bill(of, found.schedule, at).objective
    assert worth == pytest.approx(least(of, at), rel=2 * program.GAP)
    assert at.budget is None or gpus_held(of, found.schedule, at).max() <= at.budget


def test_no_schedule_with_swaps_is_better() -> None:
    of = pools([[2, 1], [1, 2]], alike=True)
    at = costs(2, start_s=np.array([300.0, 300.0]), drain_s=np.zeros(2), swap_s=0.0, budget=3)
    found = program.solve(of, at)
    worth = bill(of, found.schedule, at)
    assert worth.objective == pytest.approx(least(of, at), rel=2 * program.GAP)
    assert found.schedule.swaps.sum() == 1 and worth.ok.all()


def test_an_instance_that_swaps_serves_neither_phase_on_the_way() -> None:
    of = pools([[2, 1], [1, 2]], alike=True)
    at = costs(2, swap_s=30.0)
    schedule = Schedule(instances=np.array([[2, 1], [1, 2]]), swaps=np.array([[0, 0], [1, 0]]), ahead=True)
    assert ready(of, schedule, at).tolist() == [[2, 1], [1, 1]]
    assert not bill(of, schedule, at).ok[1]


@pytest.mark.parametrize("seed", range(3))
def test_gpus_are_conserved_and_a_rolling_horizon_is_near_its_bound(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "PART", 12)
    monkeypatch.setattr(program, "VIEW", 4)
    random = np.random.default_rng(seed)
    of = pools((random.poisson(3, (40, 2)) + 1).tolist(), alike=True)
    at = costs(40, start_s=np.full(2, 100.0), drain_s=np.full(2, 40.0), swap_s=10.0, budget=40)
    found = program.solve(of, at)
    change = np.diff(found.schedule.instances.sum(axis=1))
    flow = moves(of, found.schedule)
    assert (change == (flow.starts - flow.drains).sum(axis=1)[1:]).all()  # swaps change no total
    assert gpus_held(of, found.schedule, at).max() <= 40
    assert bill(of, found.schedule, at).ok.all()
    assert 0 <= found.gap <= 0.05


def test_what_is_paid_all_along_is_the_most_that_any_window_takes() -> None:
    of, at = pools(NEED), costs(3)
    found = program.solve(of, at, fixed=True)
    worth = bill(of, found.schedule, at)
    assert worth.ok.all() and worth.gpus.tolist() == [5, 5, 5]
    assert worth.usd == pytest.approx(5 * 3 * 60 / 3600 * 2.0)


def test_an_instance_wanted_late_serves_late_and_is_paid_at_once() -> None:
    of = pools([[1, 1], [2, 1], [2, 1], [2, 1]])
    at = costs(4, start_s=np.array([90.0, 90.0]))
    schedule = Schedule(
        instances=np.array([[1, 1], [2, 1], [2, 1], [2, 1]]), swaps=np.zeros((4, 0), dtype=int), ahead=False
    )
    assert ready(of, schedule, at)[:, 0].tolist() == [1, 1, 1, 2]
    assert bill(of, schedule, at).ok.tolist() == [True, False, False, True]
    assert bill(of, schedule, at).gpu_hours == pytest.approx((7 * 1 + 4 * 2) / 60)


def test_fewest_instances_share_their_queue() -> None:
    one = kind("prefill", 1, 1)
    assert one.need(np.array([0.0, 1.0, 1.05, 2.1, 2.2])).tolist()[:4] == [0, 1, 2, 2]


@pytest.mark.filterwarnings("error")
def test_instances_that_sustain_nothing_within_the_limits_are_never_enough() -> None:
    none_alone = replace(kind("prefill", 1, 1), sustained_per_s=np.array([0.0, 2.1]))
    assert none_alone.need(np.array([0.0, 0.5, 2.1, 2.2])).tolist() == [0, 2, 2, NEVER]
    never = replace(kind("prefill", 1, 1), sustained_per_s=np.array([0.0, 0.0]))
    assert never.need(np.array([0.0, 0.5])).tolist() == [0, NEVER]


def test_a_plan_that_keeps_no_window_is_no_saving() -> None:
    found = SimpleNamespace(outcomes=[1], best=SimpleNamespace(ok=np.array([False, False])))
    (said,) = sentences(cast(OverTime, found))
    assert said.startswith("No window keeps its limits")
