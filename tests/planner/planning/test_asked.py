"""Plans that ask a replay: what it says is theirs, and more headroom comes where it has to."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import planner
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario, Traffic
from planner.planning import asked as module
from planner.planning.asked import Answer, Ask
from planner.planning.resolve import Question
from planner.planning.result import Percentiles, Plan, Serving

SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2000, osl=100, requests_per_s=20.0, isl_spread=1.0),
    limits=Limits(ftl_s=0.5, ttl_s=0.02),
    fleet=Fleet(gpus=8),
    goal="fewest-gpus",
)


class Replays:
    """A replay whose first token takes as long as the busiest pool is used, over a factor."""

    def __init__(self, **factor: float) -> None:
        self.factor = factor
        self.asked: list[Serving] = []

    def __call__(self, question: Question, serving: Serving, should_stop: object) -> Answer | None:
        self.asked.append(serving)
        way = "colocated" if len(serving.pools) == 1 else "split"
        if way not in self.factor:
            return None
        ftl_s = max(pool.utilisation for pool in serving.pools) * self.factor[way]
        each = Percentiles(ftl_s, ftl_s, ftl_s, ftl_s, ftl_s)
        return Answer(ftl=each, ttl=each, e2e=each, ftl_s=ftl_s, ttl_s=0.001, requests=100, events=900)

    @property
    def ways(self) -> set[str]:
        return {"colocated" if len(serving.pools) == 1 else "split" for serving in self.asked}


def told(plan: Plan):
    assert plan.chosen is not None and plan.chosen.load is not None
    queued = plan.chosen.load.queued
    assert queued is not None
    return queued.replayed


def asked(replays: Replays, scenario: Scenario = SCENARIO, *, always: bool = False) -> Plan:
    return planner.plan(scenario, ask=Ask(replays=replays, always=always))


@pytest.fixture(scope="module")
def closed() -> Plan:
    return planner.plan(SCENARIO)


def test_what_a_replay_confirms_stays_and_says_whose_numbers_it_has(closed: Plan) -> None:
    replays = Replays(split=0.1, colocated=0.1)
    plan = asked(replays)
    replayed = told(plan)
    assert closed.chosen is not None and plan.chosen is not None and replayed is not None
    assert plan.chosen.gpus == closed.chosen.gpus and plan.choice == closed.choice
    assert len(replays.asked) == 1 and replayed.meets and replayed.headroom == 0.0 and replayed.plans == 1
    assert plan.chosen.ftl_s < 0.1 and plan.chosen.load is not None and plan.chosen.load.queued is not None
    assert plan.chosen.load.queued.sure and told(closed) is None


def test_a_limit_that_is_missed_takes_headroom_and_the_other_way_is_asked_where_that_decides(
    closed: Plan,
) -> None:
    assert closed.chosen is not None
    replays = Replays(split=2.0, colocated=2.0)
    plan = asked(replays)
    replayed = told(plan)
    assert replayed is not None and plan.chosen is not None
    assert replayed.meets and replayed.headroom > 0 and replayed.plans > 1
    assert plan.chosen.gpus > closed.chosen.gpus
    assert plan.chosen.ftl_s <= 0.5
    assert "replay" not in plan.scenario.goal and plan.scenario.headroom == 0.0  # as it was asked for


@pytest.mark.slow
def test_a_way_that_no_headroom_helps_is_left_for_the_other(
    closed: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 0.05)
    mine = "colocated" if closed.choice == "colocated" else "split"
    other = {"colocated": "split", "split": "colocated"}[mine]
    plan = asked(Replays(**{mine: 1e3, other: 0.1}))
    assert plan.choice == {"split": "disaggregated", "colocated": "colocated"}[other]
    neither = asked(Replays(split=1e3, colocated=1e3))
    replayed = told(neither)
    assert replayed is not None and not replayed.meets and neither.chosen is not None


def test_what_cannot_be_replayed_stays_unsure() -> None:
    plan = asked(Replays())
    assert told(plan) is None and plan.chosen is not None and plan.chosen.load is not None
    assert plan.chosen.load.queued is not None and not plan.chosen.load.queued.sure


def test_sure_plans_are_replayed_only_where_that_is_asked_for() -> None:
    many = replace(
        SCENARIO,
        traffic=Traffic(isl=2000, osl=100, requests_per_s=30.0),
        deployment=Deployment(prefill_instances=5, decode_instances=3),
    )
    replays = Replays(split=0.1, colocated=0.1)
    assert told(asked(replays, many)) is None and not replays.asked
    assert told(asked(replays, many, always=True)) is not None


def test_counts_that_are_given_are_kept_whatever_the_replay_says() -> None:
    fleet = Deployment(prefill_layout="TP1", prefill_instances=3, decode_layout="TP1", decode_instances=2)
    given = replace(SCENARIO, deployment=fleet)
    plan = asked(Replays(split=1e3, colocated=0.1), given)
    replayed = told(plan)
    assert plan.choice == "disaggregated" and replayed is not None and not replayed.meets
    assert plan.chosen is not None and [pool.instances for pool in plan.chosen.pools] == [3, 2]


def test_without_arrivals_there_is_nothing_to_replay() -> None:
    replays = Replays(split=0.1, colocated=0.1)
    steady = replace(SCENARIO, goal="throughput", traffic=Traffic(isl=2000, osl=100))
    asked(replays, steady, always=True)
    assert not replays.asked


@pytest.mark.parametrize(("memory_fraction", "sure"), [(0.87, False), (0.93, True)])
def test_closed_forms_are_not_sure_where_no_instance_has_room_for_the_longest(
    memory_fraction: float, sure: bool
) -> None:
    """At 0.87 a GPU's cache holds 38,000 tokens: 7 % of prompts of 16,000 on average are longer."""
    tight = Scenario(
        model="gpt-oss-120b",
        system="h100",
        engine="vllm",
        memory_fraction=memory_fraction,
        traffic=Traffic(isl=16000, osl=1000, isl_spread=1.0, requests_per_s=0.1),
        limits=Limits(ftl_s=60.0, ttl_s=0.2),
        deployment=Deployment(prefill_layout="TP1", decode_layout="TP1"),
    )
    closed = planner.plan(tight, settle="off").chosen
    assert closed is not None and closed.queued is not None and closed.queued.sure == sure
    if not sure:
        told = planner.plan(tight, settle="auto").chosen
        assert told is not None and told.queued is not None and told.queued.replayed is not None
        assert told.queued.replayed.refused > 0.05 * told.queued.replayed.requests
        assert not told.queued.replayed.meets and told.ftl_s == math.inf


@pytest.mark.parametrize(
    ("deployment", "burstiness", "sure"),
    [
        (Deployment(colocated_layout="PP8xTP1"), 1.0, True),
        (Deployment(colocated_layout="PP8xTP1"), 1.5, False),
        (Deployment(colocated_layout="TP4"), 1.5, False),
        (Deployment(prefill_layout="TP4"), 2.0, True),
        (Deployment(prefill_layout="TP4"), 4.0, False),
    ],
)
def test_closed_forms_are_sure_of_mild_bursts_on_a_split_alone(
    deployment: Deployment, burstiness: float, sure: bool
) -> None:
    traffic = Traffic(isl=4000, osl=200, requests_per_s=4.0, arrivals="bursty", burstiness=burstiness)
    scenario = replace(SCENARIO, model="llama-3.1-70b", traffic=traffic, deployment=deployment)
    scenario = replace(scenario, fleet=Fleet(gpus=64), limits=Limits(ftl_s=5.0, ttl_s=0.1))
    plan = planner.plan(scenario)
    assert plan.chosen is not None and plan.chosen.queued is not None
    assert plan.chosen.queued.sure == sure
