"""Counts of windows that a replay has the last word on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner import Scenario, load
from planner.elastic import over_time, settle
from planner.elastic.over_time import OverTime, Settings
from planner.elastic.proof import prove
from planner.inputs.requests import Requests, plain
from planner.words import Way


def bursts() -> Requests:
    """Four minutes, with all prompts of the third in its first seconds: no rate of a minute tells."""
    random = np.random.default_rng(3)
    even = [random.uniform(60 * k, 60 * k + 60, 40) for k in (0, 1, 3)]
    at = np.sort(np.concatenate([*even, random.uniform(120, 123, 40)]))
    return plain(at - at[0], np.full(len(at), 16_000), np.full(len(at), 40))


@pytest.fixture(scope="module")
def found() -> OverTime:
    plain = Scenario()
    scenario = replace(
        plain,
        model="qwen3-32b",
        robust=False,
        limits=replace(plain.limits, ftl_s=3.0),
        fleet=replace(plain.fleet, gpus=None, instance_gpus=1),
    )
    return over_time.plan(scenario, load(), bursts(), Settings(start_s=30.0, settle="off"))


@pytest.mark.parametrize("way", ["disaggregated", "colocated"])
def test_a_window_that_breaks_gets_more_and_one_with_room_is_known(found: OverTime, way: Way) -> None:
    asked = found.ways[way]
    told = settle.settled(found.question, found.scenario, asked.pools, asked.costs, bursts())
    assert told is not None and told.kept == 1.0 and told.replays > 1
    more = (told.enough > asked.pools.need).any(axis=1)
    assert more[2] and not more[[0, 1]].any()
    assert (told.least <= told.enough).all() and (told.least[told.enough > 0] >= 1).all()


def test_a_settled_schedule_is_kept_by_its_replay(found: OverTime) -> None:
    again = over_time.plan(found.scenario, load(), bursts(), Settings(start_s=30.0))
    assert set(again.settled) == set(again.ways)
    for way in again.ways:
        assert prove(again, again.of("elastic", way), bursts()).agrees == 1.0
