"""When an answer has to be there, and whether anyone still waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from planner.simulate.points import Stopped
from planner.values import dataclass

LEAST_S = 1e-3  # what a program is given when time is over: enough to check its first plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One end for all integer programs of an answer.

    >>> now = 5.0
    >>> deadline = Deadline.after(2.0, clock=lambda: now)
    >>> now = 6.5
    >>> deadline.left_s, deadline.share(0.5).left_s
    (0.5, 0.25)
    >>> now = 8.0
    >>> deadline.over, deadline.left_s
    (True, 0.001)
    """

    end_s: float  # of the clock
    clock: Callable[[], float] = time.perf_counter
    should_stop: Callable[[], bool] | None = None

    @classmethod
    def after(
        cls,
        seconds: float,
        *,
        clock: Callable[[], float] = time.perf_counter,
        should_stop: Callable[[], bool] | None = None,
    ) -> Deadline:
        """The end so many seconds from now."""
        return cls(end_s=clock() + seconds, clock=clock, should_stop=should_stop)

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.clock() >= self.end_s

    @property
    def left_s(self) -> float:
        """Seconds for the next program; never nothing."""
        return max(self.end_s - self.clock(), LEAST_S)

    def share(self, part: float) -> Deadline:
        """An earlier end: after this part of the time that is left."""
        now = self.clock()
        return Deadline(
            end_s=now + part * max(self.end_s - now, 0.0), clock=self.clock, should_stop=self.should_stop
        )

    def check(self) -> None:
        """Raise Stopped if the answer is no longer wanted."""
        if self.should_stop is not None and self.should_stop():
            raise Stopped
