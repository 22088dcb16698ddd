"""One end for all integer programs of an answer; told to stop, it stops between two of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.match import milp
from planner.match.problem import Problem
from planner.planning import frontiers, in_time, resolve, solve, sweep, why_not
from planner.planning.deadline import LEAST_S, Deadline
from planner.planning.placed import Placed
from planner.planning.plan import Stopped
from planner.planning.program import problem_of

BASE = Scenario(
    model="llama-3.1-8b",
    system="h100",
    engine="vllm",
    traffic=Traffic(isl=1024, osl=128),
    limits=Limits(ftl_s=1.0, ttl_s=0.02),
    fleet=Fleet(gpus=8),
    time_limit_s=8.0,
)


class Clock:
    """Stands still unless it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def programs(monkeypatch: pytest.MonkeyPatch, scenario: Scenario, each_takes_s: float) -> list[float]:
    """The time limits of the programs of one choice, where each takes so long."""
    clock, given = Clock(), []
    real = milp.solve

    def slow(problem: Problem) -> Any:
        given.append(problem.time_limit_s)
        clock.now += each_takes_s
        return real(dataclasses.replace(problem, time_limit_s=10.0))

    monkeypatch.setattr(milp, "solve", slow)
    question = resolve.prepare(scenario, load())
    points = sweep.run(question, scenario.fleet.gpus)
    deadline = Deadline.after(scenario.time_limit_s, clock=clock)
    solve.choose(Placed.of(question, points), deadline)
    return given


def test_the_programs_of_an_answer_share_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs(monkeypatch, BASE, 5.0) == [8.0, 3.0]
    assert programs(monkeypatch, BASE, 9.0) == [8.0, LEAST_S]


def test_a_mix_that_is_asked_for_has_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = dataclasses.replace(BASE, mix=True)
    assert programs(monkeypatch, mixed, 4.0) == [4.0, 4.0]
    assert programs(monkeypatch, mixed, 1.0) == [4.0, 7.0]


@pytest.mark.parametrize("asked_before", [0, 1])
def test_a_choice_that_is_told_to_stop_runs_no_further_program(
    monkeypatch: pytest.MonkeyPatch, asked_before: int
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(solve, "_solve", lambda *_, **__: calls.append(None))
    question = resolve.prepare(BASE, load())
    points = sweep.run(question, 8)
    answers = iter([False] * asked_before + [True])
    deadline = Deadline.after(8.0, should_stop=lambda: next(answers))
    with pytest.raises(Stopped):
        solve.choose(Placed.of(question, points), deadline)
    assert len(calls) == asked_before


def test_explanations_stop_when_told() -> None:
    hopeless = dataclasses.replace(BASE, limits=Limits(ftl_s=1.0, ttl_s=1e-4))
    question = resolve.prepare(hopeless, load())
    points = sweep.run(question, 8)
    with pytest.raises(Stopped):
        why_not.infeasible(question, points, Deadline.after(8.0, should_stop=lambda: True))


def test_explanations_end_with_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found by then is told; the GPUs that a demand takes would be looked for in many steps."""
    crowded = dataclasses.replace(
        BASE,
        traffic=Traffic(isl=4096, osl=512, requests_per_s=2000.0),
        fleet=Fleet(gpus=256, survive="rack"),
        goal="fewest-gpus",
    )
    question = resolve.prepare(crowded, load())
    points = sweep.run(question, 256)
    real, clock = solve.exists, Clock()
    asked: list[float] = []

    def slow(*args: Any) -> bool:
        asked.append(clock.now)
        clock.now += 1.0
        return real(*args)

    monkeypatch.setattr(solve, "exists", slow)
    whole = why_not.infeasible(question, points, Deadline.after(3600.0, clock=clock))
    assert [change.field for change in whole.relax] == ["rate", "gpus"] and len(asked) > 4
    asked.clear()
    deadline = Deadline.after(3.0, clock=clock)
    cut = why_not.infeasible(question, points, deadline)
    assert len(asked) <= 4 and all(at < deadline.end_s + 1.0 for at in asked)
    assert cut.reasons == whole.reasons and cut.relax[0] == whole.relax[0]
    monkeypatch.setattr(why_not, "run", None)  # no more points are simulated once time is over
    clock.now = deadline.end_s
    assert why_not.infeasible(question, points, deadline).relax == whole.relax[:1]


@pytest.mark.parametrize("survive", ["none", "rack"])
@pytest.mark.parametrize("rate", [None, 30.0])
def test_what_is_enough_to_explain_serves_as_much_as_all_candidates(survive: Any, rate: float | None) -> None:
    """One batch of each layout, where frontiers are drawn from hundreds."""
    traffic = Traffic(isl=1024, osl=128, requests_per_s=rate)
    fleet = Fleet(gpus=256, survive=survive)
    question = resolve.prepare(dataclasses.replace(BASE, traffic=traffic, fleet=fleet), load())
    points = sweep.run(question, 256)
    few = in_time.enough(question, points)
    every = in_time.within_ttl(question, frontiers.candidates(question, points))
    assert len(few.decode) < len(every.decode)

    def most(kept: frontiers.Candidates) -> float:
        return milp.most(problem_of(question, kept, mix=True, errors=question.errors, time_limit_s=8.0))

    assert most(few) == most(every) > 0
    alone = few.decode.take(few.decode.row[:0]), every.decode.take(every.decode.row[:0])
    copies = (dataclasses.replace(kept, decode=none) for kept, none in zip((few, every), alone, strict=True))
    assert len({most(kept) for kept in copies}) == 1


def test_explanations_of_a_single_layout_run_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """They enumerate: at most one sweep without a budget, and one to be sure of the GPUs."""
    monkeypatch.setattr(milp, "solve", None)
    asked: list[int | None] = []
    real = sweep.run
    monkeypatch.setattr(why_not, "run", lambda q, budget, stop: asked.append(budget) or real(q, budget, stop))
    for traffic, limits in (
        (Traffic(isl=1024, osl=128), Limits(ftl_s=1.0, ttl_s=2e-3)),
        (Traffic(isl=1024, osl=128, requests_per_s=5000.0), Limits(ftl_s=1.0, ttl_s=0.02)),
    ):
        wanted = dataclasses.replace(BASE, traffic=traffic, limits=limits, goal="cost")
        question = resolve.prepare(wanted, load())
        found = why_not.infeasible(question, real(question, 8), Deadline.after(8.0))
        assert found.relax
    assert 1 <= len(asked) <= 4 and asked.count(None) == 2
