"""What the solver's thread tells, kept in order."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import fakes

from planner.inputs.scenario import Scenario
from tui.solver.messages import SolverMessage, StudyNews
from tui.solver.worker import Solver


class Inbox:
    """Takes messages from the thread; `wait` returns the first of a kind."""

    def __init__(self) -> None:
        self.messages: list[SolverMessage] = []
        self._news = threading.Condition()

    def __call__(self, message: SolverMessage) -> None:
        with self._news:
            self.messages.append(message)
            self._news.notify_all()

    def wait(self, kind: type[SolverMessage], generation: int) -> SolverMessage:
        """The message of this kind and generation; fails if it never comes."""
        with self._news:
            assert self._news.wait_for(lambda: self.find(kind, generation), timeout=fakes.CEILING_S), (
                self.messages
            )
        return self.find(kind, generation)[0]

    def find(self, kind: type[SolverMessage], generation: int) -> list[SolverMessage]:
        """Messages of this kind and generation so far."""
        return [m for m in self.messages if type(m) is kind and m.generation == generation]


def variant(isl: int) -> Scenario:
    """A scenario of its own."""
    return dataclasses.replace(fakes.SCENARIO, traffic=dataclasses.replace(fakes.SCENARIO.traffic, isl=isl))


def start(inbox: Inbox, plan_fn: Any = fakes.plan, **options: Any) -> Solver:
    solver = Solver(inbox, plan_fn, **options)
    solver.start()
    return solver


def wait_done(inbox: Inbox, generation: int, name: str) -> StudyNews:
    """The last news of a study."""
    with inbox._news:
        assert inbox._news.wait_for(
            lambda: any(m.done and m.name == name for m in inbox.find(StudyNews, generation)),
            timeout=fakes.CEILING_S,
        )
    return next(m for m in inbox.find(StudyNews, generation) if m.done and m.name == name)
