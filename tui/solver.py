"""One long-lived thread that answers scenarios; the newest request wins.

Several worker threads would fight for the interpreter and answer in the wrong order; one thread
with a one-slot mailbox cannot. A request that is overtaken stops at the planner's next look at
`should_stop`. The thread touches no widget: it only posts messages, and they carry a generation.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.scenario import Scenario
from tui.messages import FrontierReady, SolveDone, SolveFailed, SolverMessage, SolveStarted

if TYPE_CHECKING:
    from planner.result import Frontier, Plan

PlanFn = Callable[..., "Plan"]
REMEMBERED = 64  # results kept: undo and stepping back are instant


def real_plan(scenario: Scenario, **options: Any) -> Plan:
    """`planner.plan.plan`, imported when first called: the first paint never waits for it."""
    from planner.plan import plan

    return plan(scenario, **options)


class Solver:
    """Answers scenarios on its own thread.

    Parameters
    ----------
    post
        Takes a `SolverMessage`; must be safe to call from any thread (`post_message` is).
    plan_fn
        Called as `plan_fn(scenario, should_stop=..., on_frontier=...)`.
    warm_up
        Run once on the thread before the first request: imports that would hold up the screen.
    """

    def __init__(
        self,
        post: Callable[[SolverMessage], object],
        plan_fn: PlanFn = real_plan,
        *,
        warm_up: Callable[[], object] | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self._post = post
        self._plan_fn = plan_fn
        self._warm_up = warm_up
        self._remembered = remembered
        self._results: OrderedDict[Scenario, Plan] = OrderedDict()
        self._wake = threading.Condition()
        self._waiting: tuple[int, Scenario] | None = None
        self._generation = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ratematch-solver", daemon=True)

    @property
    def generation(self) -> int:
        """The number of the newest request."""
        return self._generation

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, scenario: Scenario, *, fresh: bool = False) -> int:
        """Ask for a scenario and return its generation; `fresh` computes even a remembered one.

        Anything asked before is dropped. Never blocks longer than the thread holds the mailbox.
        """
        with self._wake:
            self._generation += 1
            generation = self._generation
            if fresh:
                self._results.pop(scenario, None)
            plan = self._results.get(scenario)
            if plan is None:
                self._waiting = (generation, scenario)
            else:
                self._results.move_to_end(scenario)
                self._waiting = None
            self._wake.notify()
        if plan is not None:
            self._post(SolveDone(generation, plan, cached=True))
        return generation

    def close(self, timeout: float = 2.0) -> bool:
        """Stop at the next look at `should_stop` and join; True when the thread is gone.

        A solve inside the integer program cannot be interrupted; the thread is a daemon, so that
        the program can still end after `timeout` seconds.
        """
        with self._wake:
            self._closed = True
            self._generation += 1
            self._waiting = None
            self._wake.notify()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._warm_up is not None and not self._closed:
            try:
                self._warm_up()
            except Exception as error:  # the same import will fail again where it is needed
                self._tell(SolveFailed(self._generation, one_line(error)))
        while True:
            with self._wake:
                while self._waiting is None and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                assert self._waiting is not None
                generation, scenario = self._waiting
                self._waiting = None
            self._solve(generation, scenario)

    def _solve(self, generation: int, scenario: Scenario) -> None:
        def overtaken() -> bool:
            return self._generation != generation

        def on_frontier(disaggregated: Frontier, colocated: Frontier) -> None:
            if not overtaken():
                self._tell(FrontierReady(generation, disaggregated, colocated))

        self._tell(SolveStarted(generation))
        try:
            plan = self._plan_fn(scenario, should_stop=overtaken, on_frontier=on_frontier)
        except InputError as error:
            if not overtaken():
                self._tell(SolveFailed(generation, str(error), field=error.field))
        except Exception as error:  # a bug in the planner must not take the screen with it
            if not overtaken():
                self._tell(SolveFailed(generation, one_line(error)))
        else:
            with self._wake:
                self._results[scenario] = plan
                self._results.move_to_end(scenario)
                while len(self._results) > self._remembered:
                    self._results.popitem(last=False)
            if not overtaken():
                self._tell(SolveDone(generation, plan))

    def _tell(self, message: SolverMessage) -> None:
        try:
            self._post(message)
        except RuntimeError:  # the event loop is gone: the application is closing
            with self._wake:
                self._closed = True


def one_line(error: BaseException) -> str:
    """An exception in one line, its kind first."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
