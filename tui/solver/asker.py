"""When to ask the solver, and when to call its answer late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from planner.inputs.scenario import Scenario
from tui.solver.messages import SolverMessage
from tui.solver.worker import Solver

DEBOUNCE_S = 0.02  # a wheel and a paste come in bursts; held keys repeat every 30 ms and are asked one by one
LATE_S = 0.4  # what is shown is called old only after this long: quick answers must not flicker


class Stoppable(Protocol):
    """A timer, as far as it matters here."""

    def stop(self) -> None:
        """Never fire."""


SetTimer = Callable[[float, Callable[[], None]], Stoppable]


class Asker:
    """Paces the requests of one screen.

    A single change is asked at once; changes that follow each other within `debounce_s` wait until
    the last of them. Runs on the screen's thread.
    """

    def __init__(
        self,
        solver: Solver,
        set_timer: SetTimer,
        clock: Callable[[], float],
        on_late: Callable[[], None],
        debounce_s: float = DEBOUNCE_S,
    ) -> None:
        self._solver = solver
        self._set_timer = set_timer
        self._clock = clock
        self._on_late = on_late
        self._debounce_s = debounce_s
        self._generation = -1
        self._last = float("-inf")
        self._pending: Stoppable | None = None
        self._lateness: Stoppable | None = None

    def ask(self, scenario: Scenario, *, at_once: bool = False, fresh: bool = False) -> None:
        """Want the plan of a scenario, in good time; `fresh` ignores what is remembered."""
        now = self._clock()
        held = now - self._last < self._debounce_s
        if not at_once:
            self._last = now
        self._drop_pending()
        if self._lateness is None:
            self._lateness = self._set_timer(LATE_S, self._late)
        if at_once or not held:
            self._generation = self._solver.submit(scenario, fresh=fresh)
        else:
            self._pending = self._set_timer(self._debounce_s, lambda: self.ask(scenario, at_once=True))

    def hold(self) -> None:
        """Want nothing: what is asked or on its way is not wanted any more."""
        self._drop_pending()
        self.settle()
        self._generation = -1

    @property
    def waiting(self) -> bool:
        """Whether a newer scenario than the one asked for waits for its turn."""
        return self._pending is not None

    def wants(self, message: SolverMessage) -> bool:
        """Whether a message belongs to what is wanted now."""
        return message.generation == self._generation

    def settle(self) -> None:
        """The answer has come."""
        if self._lateness is not None:
            self._lateness.stop()
            self._lateness = None

    def _late(self) -> None:
        self._lateness = None
        self._on_late()

    def _drop_pending(self) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
