"""When the solver is asked, with timers that fire when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import fakes
import pytest

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Scenario
from tui.solver.asker import DEBOUNCE_S, LATE_S, Asker
from tui.solver.messages import SolveStarted


@dataclass
class Timer:
    """A timer that the test fires."""

    after: float
    call: Callable[[], None]
    live: bool = True

    def stop(self) -> None:
        self.live = False

    def fire(self) -> None:
        if self.live:
            self.live = False
            self.call()


class Desk:
    """An asker with everything around it faked."""

    def __init__(self, debounce_s: float = 0.12) -> None:
        self.clock = fakes.Clock()
        self.timers: list[Timer] = []
        self.asked: list[Scenario] = []
        self.late = 0
        self.asker = Asker(self, self.set_timer, self.clock, self.is_late, debounce_s)  # type: ignore[arg-type]

    def submit(self, scenario: Scenario, *, fresh: bool = False) -> int:
        self.asked.append(scenario)
        return len(self.asked)

    def set_timer(self, after: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(after, call))
        return self.timers[-1]

    def is_late(self) -> None:
        self.late += 1

    def fire(self, after: float) -> None:
        for timer in list(self.timers):
            if timer.after == after:
                timer.fire()


def variant(isl: int) -> Scenario:
    """A scenario of its own."""
    return BY_KEY["isl"].set(Scenario(), isl)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_single_steps_are_asked_at_once(desk: Desk) -> None:
    for isl in (1, 2, 3):
        desk.asker.ask(variant(isl))
        desk.clock.now += 0.2
    assert desk.asked == [variant(1), variant(2), variant(3)]


def test_held_keys_are_asked_with_the_first_and_the_last(desk: Desk) -> None:
    for isl in range(1, 8):
        desk.asker.ask(variant(isl))
        desk.clock.now += 0.03
    assert desk.asked == [variant(1)] and desk.asker.waiting
    desk.fire(0.12)
    assert desk.asked == [variant(1), variant(7)] and not desk.asker.waiting


def test_keys_at_a_keyboards_rate_never_wait_but_the_bursts_of_a_wheel_do() -> None:
    desk = Desk(DEBOUNCE_S)
    for isl in (1, 2, 3):
        desk.asker.ask(variant(isl))
        desk.clock.now += 0.03  # as a held key repeats
    assert desk.asked == [variant(1), variant(2), variant(3)]
    for isl in range(4, 9):
        desk.asker.ask(variant(isl))
        desk.clock.now += 0.004
    assert desk.asked == [variant(1), variant(2), variant(3), variant(4)]
    desk.fire(DEBOUNCE_S)
    assert desk.asked[-1] == variant(8) and len(desk.asked) == 5


def test_a_choice_never_waits(desk: Desk) -> None:
    desk.asker.ask(variant(1))
    desk.asker.ask(variant(2))
    desk.asker.ask(variant(3), at_once=True)
    desk.fire(0.12)
    assert desk.asked == [variant(1), variant(3)]


def test_only_the_newest_answer_is_wanted_and_none_on_hold(desk: Desk) -> None:
    desk.asker.ask(variant(1))
    desk.asker.ask(variant(2), at_once=True)
    assert not desk.asker.wants(SolveStarted(1)) and desk.asker.wants(SolveStarted(2))
    desk.asker.ask(variant(3))
    desk.asker.hold()
    desk.fire(0.12)
    assert desk.asked == [variant(1), variant(2)]
    assert not desk.asker.wants(SolveStarted(2))


def test_an_answer_in_time_is_never_called_late(desk: Desk) -> None:
    desk.asker.ask(variant(1))
    desk.asker.settle()
    desk.fire(LATE_S)
    assert desk.late == 0
    desk.asker.ask(variant(2))
    desk.fire(LATE_S)
    assert desk.late == 1
