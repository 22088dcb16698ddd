"""The program over the horizon, held against every schedule there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.elastic import program
from planner.elastic.costs import Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.over_time import OverTime
from planner.elastic.purchase import Tariffs
from planner.elastic.schedule import Schedule, bill, gpus_held, moves, ready
from planner.elastic.why import sentences
from planner.errors import InputError
from planner.match.robust import KNOWN, Errors, errors
from planner.units import parse_quantity as parse

from .small import costs, kind, pools

MOST = 2  # instances of a kind


def stays(schedule: Schedule, of: Pools, dwell: int) -> bool:
    started = moves(of, schedule).starts
    return all(
        (started[max(w - dwell + 1, 0) : w + 1].sum(axis=0) <= schedule.instances[w]).all()
        for w in range(len(started))
    )


def there_to_swap(schedule: Schedule, of: Pools) -> bool:
    before = schedule.instances[:-1]
    out = np.zeros_like(before)
    for pair, (here, _) in enumerate(of.swaps):
        out[:, here] += schedule.swaps[1:, pair]
    return bool((out <= before).all())


def least(of: Pools, at: Costs) -> float:
    """The least objective of all schedules."""
    windows, best = len(of.need), np.inf
    pairs = len(of.swaps)
    turns = [
        np.array(x).reshape(windows - 1, pairs)
        for x in product(range(MOST + 1), repeat=(windows - 1) * pairs)
    ]
    for counts in product(range(MOST + 1), repeat=2 * windows):
        table = np.array(counts).reshape(windows, 2)
        for turn in turns:
            swaps = np.concatenate([np.zeros((1, pairs), dtype=int), turn]).astype(int)
            schedule = Schedule(instances=table, swaps=swaps, ahead=True)
            if at.budget is not None and gpus_held(of, schedule, at).max() > at.budget:
                continue
            if not (stays(schedule, of, at.dwell) and there_to_swap(schedule, of)):
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


TARIFFS = (
    Tariffs(reserved=0.6),
    Tariffs(spot=0.4),
    Tariffs(reserved=0.5, spot=0.7, interruptions=1.0),
)
COSTS = st.fixed_dictionaries(
    {},
    optional={
        "start_s": st.just(np.array([40.0, 70.0])),
        "drain_s": st.just(np.array([70.0, 10.0])),
        "swap_s": st.just(30.0),
        "budget": st.integers(3, 6),
        "dwell": st.just(2),
        "usd_per_gpu_hour": st.just(np.array([[1.0, 1.0], [4.0, 4.0]])),
        "tariffs": st.sampled_from(TARIFFS),
    },
)


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, MOST), min_size=2, max_size=2), min_size=2, max_size=2),
    st.booleans(),
    st.sampled_from([KNOWN, errors(0.3, 0.2)]),
    COSTS,
)
def test_no_schedule_is_better_with_any_costs_on_or_off(
    need: list[list[int]], alike: bool, off: Errors, changed: dict[str, Any]
) -> None:
    few = need if off.none else [[min(n, 1) for n in row] for row in need]  # twice as many are enough
    of, at = pools(few, alike=alike, errors=off), costs(2, **changed)
    found = program.solve(of, at)
    worth = bill(of, found.schedule, at).objective
    assert worth == pytest.approx(least(of, at), rel=2 * program.GAP, abs=1e-6)
    assert at.budget is None or gpus_held(of, found.schedule, at).max() <= at.budget
    assert there_to_swap(found.schedule, of)


def test_pools_that_may_be_off_have_what_they_are_expected_to_need() -> None:
    off = errors(0.3, 0.2)
    of = pools([[10, 10], [10, 20]], errors=off)
    for window, row in enumerate(of.balanced):
        need = of.need[window]
        counts = {
            (a, b)
            for a, b in product(range(10, 40), range(10, 40))
            if off.expected(a / need[0], b / need[1]) >= 1 - 1e-9
        }
        assert tuple(row) in counts
        assert row @ of.gpus == min(np.array(c) @ of.gpus for c in counts)
    found = program.solve(of, costs(2, start_s=np.full(2, 60.0)))
    assert bill(of, found.schedule, costs(2)).missing.max() <= 1e-9
    known = program.solve(of.settled, costs(2, start_s=np.full(2, 60.0)))  # as long horizons have it
    assert bill(of, known.schedule, costs(2)).missing.max() <= 1e-9
    plain = pools([[10, 10], [10, 20]])
    assert found.schedule.instances.sum() > program.solve(plain, costs(2)).schedule.instances.sum()


def test_swaps_that_others_undo_are_none() -> None:
    of = pools([[2, 2]] * 2, alike=True)
    assert program._one_way(of, np.array([[0, 0], [5, 3]])).tolist() == [[0, 0], [2, 0]]


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


@pytest.mark.parametrize(("start_s", "dwell"), [(300.0, 1), (40.0, 6_000), (0.0, 1)])
def test_windows_that_make_a_program_endless_are_refused(start_s: float, dwell: int) -> None:
    """What is said to be accepted is; and no window that is refused is longer."""
    asked = costs(1, window_s=0.1, start_s=np.full(2, start_s), dwell=dwell)
    if not start_s:
        asked.check(1000.0)
        return
    with pytest.raises(InputError, match=r"^window: '0\.1s' is not accepted; .* or more: ") as refused:
        asked.check(1000.0)
    said = parse(str(refused.value).split("; ")[1].split(" or more")[0].replace(" ", ""), "seconds")
    stays_s = dwell * 0.1
    for window_s, taken in ((said, True), (said / 1.03, False)):
        one = replace(asked, window_s=window_s, dwell=max(int(np.ceil(stays_s / window_s)), 1))
        if taken:
            one.check(1000.0)
        else:
            with pytest.raises(InputError):
                one.check(1000.0)
