"""Plans of what is likely to be asked for next: nothing is told of them, and they keep nobody waiting."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import fakes
from inbox import Inbox, start, variant, wait_done

from planner.errors import InputError
from planner.inputs.scenario import Scenario
from planner.output.data import to_dict
from planner.planning.result import Plan
from tui.solver.messages import SolveDone
from tui.solver.worker import Planner, Solver


def told(solver: Solver, inbox: Inbox, scenario: Scenario) -> SolveDone:
    done = inbox.wait(SolveDone, solver.submit(scenario))
    assert isinstance(done, SolveDone)
    return done


def test_what_was_planned_ahead_is_answered_from_memory_with_what_is_known_later(inbox: Inbox) -> None:
    asked: list[int] = []
    ready = threading.Event()

    def counting(scenario: Scenario, **options):
        asked.append(scenario.traffic.isl)
        if scenario.traffic.isl == 2:
            raise InputError("isl", "2", "more than 2")
        return fakes.plan(scenario, **options)

    def again(scenario: Scenario, plan: Plan, *, should_stop) -> Plan:
        if scenario.traffic.isl == 3:
            ready.set()
        return dataclasses.replace(plan, max_context=7)

    solver = start(inbox, counting, again_fn=again)
    told(solver, inbox, variant(1))
    before = len(inbox.messages)
    solver.look_ahead([variant(1), variant(2), variant(3)])  # one is known, one is refused
    assert ready.wait(fakes.CEILING_S)
    done = told(solver, inbox, variant(3))
    while not done.cached:  # asked for between the plan and memory
        done = told(solver, inbox, variant(3))
    assert done.plan.max_context == 7 and asked[:3] == [1, 2, 3]
    news = [message for message in inbox.messages[before:] if message.generation < done.generation]
    assert {type(message) for message in news} <= {SolveDone}, "of the first answer; none of looking ahead"
    assert solver.close()


def test_looking_ahead_ends_when_anything_is_asked_for(inbox: Inbox) -> None:
    gate = fakes.Gate()
    solver = start(inbox, gate)
    gate.open()
    first = solver.submit(variant(1))
    inbox.wait(SolveDone, first)
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    solver.look_ahead([variant(2), variant(3)])
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    solver.look_ahead([variant(2), variant(3)])  # goes on
    solver.look_ahead([variant(4), variant(5)])
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    solver.study("first", lambda plan: iter((plan(variant(6)),)))
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    gate.open()
    wait_done(inbox, first, "first")
    assert gate.started.acquire(timeout=fakes.CEILING_S)  # it goes on after the study
    second = solver.submit(variant(7))
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    gate.open()
    inbox.wait(SolveDone, second)
    assert [scenario.traffic.isl for scenario in gate.asked] == [1, 2, 4, 6, 4, 7]
    assert [scenario.traffic.isl for scenario in gate.stopped] == [2, 4, 4]
    assert solver.close()


def test_a_plan_made_ahead_is_the_plan_that_is_asked_for() -> None:
    small = dataclasses.replace(fakes.SCENARIO, model="llama-3.1-8b", system="h100", engine="trtllm")
    traffic = dataclasses.replace(small.traffic, isl=2048)
    step = dataclasses.replace(small, traffic=traffic)
    shown: list[object] = []
    planner = Planner()
    planner(small, on_frontier=lambda *frontiers: shown.append(frontiers))
    ahead = planner.asking(step, planner(step))  # as the solver's thread does
    asked = Planner()(step, on_frontier=lambda *frontiers: shown.append(frontiers))
    assert len(shown) == 2
    assert untimed(to_dict(ahead)) == untimed(to_dict(asked))
    assert ahead.chosen is not None and ahead.chosen.power is not None
    assert "pools" in vars(ahead.chosen.power), "watts are not left to the screen's thread"


def untimed(value: Any) -> Any:
    """A document without how long it took."""
    if isinstance(value, dict):
        return {key: untimed(one) for key, one in value.items() if key != "seconds"}
    return [untimed(one) for one in value] if isinstance(value, list) else value
