"""Fleets that change: schedules as changes, swaps of roles, and what happens window by window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.replay.fleet import LEAST, Change, Fleet, Options, Pool
from planner.replay.over_time import windows
from planner.replay.report import to_dict
from planner.replay.run import Replay, run
from planner.replay.schedule import Counts, scheduled

from .small import colocated, kind, split, steady

KINDS = (kind("prefill"), kind("decode"))


def counts(*rows: tuple[float, int, int]) -> list[Counts]:
    return [Counts(at_s=at, instances=(first, then)) for at, first, then in rows]


def alive(fleet: Fleet, at: float) -> list[int]:
    """Instances of each pool that hold GPUs, without a request in sight."""
    replay = Replay(fleet, steady(1, 1.0, osl=1), Options())
    replay.advance(until_s=at)
    return [sum(one.up for one in pool) for pool in replay.by_pool]


def test_a_schedule_has_its_counts_at_each_time() -> None:
    fleet = scheduled(KINDS, counts((0.0, 2, 3), (100.0, 4, 1), (200.0, 1, 1)), start_s=(5.0, 7.0))
    assert [alive(fleet, at) for at in (50.0, 150.0, 250.0)] == [[2, 3], [4, 1], [1, 1]]


def test_what_has_not_come_when_a_replay_is_stopped_is_not_late() -> None:
    fleet = colocated()
    replay = Replay(fleet, steady(1000, 1.0, osl=2), Options())
    replay.advance(until_s=100.5)
    told = to_dict(replay.result(), fleet)
    assert told["requests"] == 1000 and told["finished"] < 110
    assert told["good_share"] > 0.95  # one may be on its way


def test_with_foresight_instances_are_ready_when_they_are_wanted() -> None:
    plan = counts((0.0, 1, 1), (100.0, 2, 1))
    late, early = (
        scheduled(KINDS, plan, start_s=(30.0, 30.0), ahead=ahead).changes[0] for ahead in (False, True)
    )
    assert (late.at_s, early.at_s, early.warm_up_s) == (100.0, 70.0, 30.0)


def test_an_instance_that_swaps_starts_in_the_other_pool_when_it_is_empty() -> None:
    swap = Change(at_s=1.0, event="swap", pool=1, instance=LEAST, to=0, warm_up_s=2.0)
    result = run(split(decodes=2, changes=(swap,)), steady(60, 0.1, osl=60))
    left = next(use for use in result.instances if not use.alive)
    came = result.instances[-1]
    assert (left.phase, came.phase) == ("decode", "prefill")
    assert came.start_s == left.end_s >= 1.0  # its GPUs are never counted twice, and never idle
    assert result.arrival_s[result.entry == came.number].min() >= came.start_s + 2.0 - 0.1
    assert result.finished.all()


def test_schedules_swap_where_both_sides_have_some() -> None:
    fleet = scheduled(
        KINDS, counts((0.0, 3, 1), (50.0, 1, 2)), start_s=(5.0, 5.0), swap_s={(0, 1): 1.0, (1, 0): 1.0}
    )
    assert [(change.event, change.pool) for change in fleet.changes] == [("swap", 0), ("drain", 0)]


@pytest.mark.parametrize(
    "bad", [[], counts((1.0, 1, 1)), counts((0.0, 1, 1), (0.0, 2, 2)), counts((0.0, -1, 1))]
)
def test_schedules_that_make_no_sense_are_refused(bad: list[Counts]) -> None:
    with pytest.raises(InputError, match="schedule"):
        scheduled(KINDS, bad, start_s=(0.0, 0.0))


def test_a_swap_between_sizes_or_to_nowhere_is_refused() -> None:
    swap = Change(at_s=1.0, event="swap", pool=0, to=1)
    pools = (Pool(kind=kind("prefill"), instances=1), Pool(kind=kind("decode", gpus=2), instances=1))
    with pytest.raises(InputError, match="1 GPU,"):
        run(Fleet(pools=pools, changes=(swap,)), steady(1, 1.0))
    with pytest.raises(InputError, match="pool from 0 to 1"):
        run(split(changes=(replace(swap, to=2),)), steady(1, 1.0))


def test_what_drains_is_what_has_least_to_do() -> None:
    drain = Change(at_s=0.5, event="drain", pool=0, instance=LEAST)
    start = Change(at_s=0.4, event="start", pool=0, warm_up_s=10.0)
    result = run(colocated(2, changes=(start, drain)), steady(20, 0.05, osl=100))
    assert [use.alive for use in result.instances] == [True, True, False]  # one not yet warm goes first
    assert result.instances[2].up_s == pytest.approx(0.1)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**20))
def test_windows_count_what_a_look_at_every_moment_counts(count: int, parts: int, seed: int) -> None:
    fail = Change(at_s=0.7, event="fail", pool=0, instance=0)
    random = np.random.default_rng(seed)
    load = replace(steady(count, 0.1, osl=20), arrival_s=np.sort(random.uniform(0.0, 2.0, count)))
    result = run(colocated(2, changes=(fail,)), load)
    edges = np.linspace(0.0, result.simulated_s + 0.5, parts + 1)
    found = windows(result, edges)
    looks = np.linspace(edges[0], edges[-1], 20 * 1000 * parts + 1)
    looks = 0.5 * (looks[1:] + looks[:-1])
    waits = sum((looks >= a) & (looks < b) for a, b in zip(result.arrival_s, result.first_s, strict=True))
    works = sum((looks >= a) & (looks < b) for a, b in zip(result.first_s, result.end_s, strict=True))
    assert found.waiting == pytest.approx(np.reshape(waits, (parts, -1)).mean(axis=1), abs=0.02)
    assert found.decoding == pytest.approx(np.reshape(works, (parts, -1)).mean(axis=1), abs=0.02)
    assert found.gpus[-1] <= 2.0 and found.arrivals.sum() == found.ended.sum() == count
    for index in range(parts):
        inside = (result.arrival_s >= edges[index]) & (result.arrival_s < edges[index + 1])
        if inside.any():
            assert found.ftl_s[index] == pytest.approx(np.percentile(result.ftl_s[inside], (50, 90, 95, 99)))
