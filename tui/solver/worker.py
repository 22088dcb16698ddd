"""One long-lived thread that answers scenarios; the newest request wins.

Several worker threads would fight for the interpreter and answer in the wrong order; one thread
with a one-slot mailbox cannot. A request that is overtaken stops at the planner's next look at
`should_stop`. The thread touches no widget: it only posts messages, and they carry a generation.
"""

from __future__ import annotations

import functools
import gc
import importlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.errors import InputError
from planner.inputs.scenario import Scenario
from tui.solver.messages import (
    FrontierReady,
    SolveDone,
    SolveFailed,
    SolverMessage,
    SolveStarted,
    StudyName,
    StudyNews,
)

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.planning.result import Frontier, Plan
    from planner.planning.sweep import Sweeps

PlanFn = Callable[..., "Plan"]
Stamp = tuple[tuple[str, int], ...]  # files and when they were changed, ns
StudyFn = Callable[[Callable[[Scenario], "Plan"]], Iterator[Any]]  # yields one finding after another
LEAVE_S = 0.3  # how long leaving waits for the thread, which can be inside the integer program for seconds
OPTIMISER = tuple(f"scipy.{part}" for part in ("sparse", "special", "fft", "linalg", "spatial", "optimize"))
REMEMBERED = 64  # results kept: undo and stepping back are instant


class Known(NamedTuple):
    """An answer in memory, and whether it says all: what is known later of one may have been overtaken."""

    plan: Plan
    whole: bool


class Presets:
    """The presets as their files are now.

    To read and check them takes a third as long as a sweep, so it is done again only when a file has
    come, gone or changed since. Any thread may ask.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[Stamp, Catalog] | None = None

    def now(self) -> Catalog:
        """The catalog; the very same one while no file has changed."""
        from planner.inputs import catalog

        with self._lock:
            stamp = catalog.stamp()
            if self._held is None or self._held[0] != stamp:
                self._held = stamp, catalog.load()
            return self._held[1]


class Planner:
    """`planner.planning.plan.plan`, imported when first called: the first paint never waits for it.

    What the integer program imports takes half a second the first time. It comes after the first
    frontier and in parts, so that an edit made meanwhile has not to wait for all of it.
    """

    def __init__(self) -> None:
        self._presets = Presets()
        self._sweeps: Sweeps | None = None

    def __call__(self, scenario: Scenario, **options: Any) -> Plan:
        """The plan under the presets as they are now; options are those of `plan`."""
        from planner.planning.plan import plan
        from planner.planning.sweep import Sweeps

        on_frontier, should_stop = options.get("on_frontier"), options.get("should_stop", lambda: False)
        if on_frontier is not None:

            def shown(*frontiers: Frontier) -> None:
                on_frontier(*frontiers)
                for name in OPTIMISER:
                    if should_stop():
                        return
                    importlib.import_module(name)

            options["on_frontier"] = shown
        self._sweeps = self._sweeps or Sweeps()
        self._sweeps.learns = on_frontier is not None  # a study comes back to the answer
        answer = plan(scenario, self._presets.now(), sweeps=self._sweeps, **options)
        _settle()
        return answer if on_frontier is None else _to_show(answer)

    def asking(self, scenario: Scenario, plan: Plan, **options: Any) -> Plan:
        """The same plan, which asks its replay where closed forms are not sure of its waits."""
        from planner.planning import asked

        if asked.asks(plan):
            from planner.replay.asked import asking

            plan = self(scenario, ask=asking(), **options)
        return _to_show(plan)


def _to_show(plan: Plan) -> Plan:
    """The same plan; the watts that the screen shows are computed here, not on its thread."""
    if plan.chosen is not None and plan.chosen.power is not None:
        _ = plan.chosen.power.pools
    return plan


@functools.cache
def _settle() -> None:
    """All is imported: let the garbage collector walk past it, which takes 70 ms each time else."""
    gc.freeze()


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
    again_fn
        Called as `again_fn(scenario, plan, should_stop=...)` once an answer is told, while nothing else is
        wanted: another plan that it returns is a second answer.
    courtesy_s
        How long to wait after a frontier for the screen to draw it (`drawn`): the integer program and
        the drawing would take turns at the interpreter, and both be late.
    """

    def __init__(
        self,
        post: Callable[[SolverMessage], object],
        plan_fn: PlanFn,
        *,
        warm_up: Callable[[], object] | None = None,
        again_fn: Callable[..., Plan] | None = None,
        remembered: int = REMEMBERED,
        courtesy_s: float = 0.0,
    ) -> None:
        self._post = post
        self._plan_fn = plan_fn
        self._warm_up = warm_up
        self._again_fn = again_fn
        self._remembered = remembered
        self._courtesy_s = courtesy_s
        self._drawn = threading.Event()
        self._results: OrderedDict[Scenario, Known] = OrderedDict()
        self._wake = threading.Condition()
        self._waiting: tuple[int, Scenario, Known | None] | None = None
        self._studies: deque[tuple[int, StudyName, StudyFn]] = deque()
        self._ahead: deque[Scenario] = deque()
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

    @property
    def looking_ahead(self) -> bool:
        """Whether something is planned, or waits for it, that nobody has asked for."""
        return bool(self._ahead)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, scenario: Scenario, *, fresh: bool = False) -> int:
        """Ask for a scenario and return its generation; `fresh` computes even a remembered one.

        Anything asked before is dropped. Never blocks longer than the thread holds the mailbox. A remembered
        answer of which not all is known goes on where it was overtaken.
        """
        with self._wake:
            self._generation += 1
            self._drawn.set()
            generation = self._generation
            self._studies.clear()
            self._ahead.clear()
            if fresh:
                self._results.pop(scenario, None)
            known = self._results.get(scenario)
            self._waiting = None if known is not None and known.whole else (generation, scenario, known)
            if known is not None:
                self._results.move_to_end(scenario)
                self._post(SolveDone(generation, known.plan, cached=True))  # before what is known later of it
            self._wake.notify()
        return generation

    def study(self, name: StudyName, study: StudyFn) -> None:
        """Run a study when nothing is waiting: `study(plan)` may ask for any number of plans.

        What it has found is told after every finding (`StudyNews`). Studies run in the order asked; one
        asked for again under the same name takes the old one's place. The next `submit` ends them all.
        """
        with self._wake:
            kept = [item for item in self._studies if item[1] != name]
            self._studies = deque((*kept, (self._generation, name, study)))
            self._wake.notify()

    def look_ahead(self, scenarios: Iterable[Scenario]) -> None:
        """Plan what is likely to be asked for next, in this order, while nothing else is wanted.

        Nothing is told of it: whoever asks is answered from memory. The next `submit` ends it, and so does a
        study; another call takes its place.
        """
        with self._wake:
            wanted = deque(scenario for scenario in scenarios if scenario not in self._results)
            if wanted != self._ahead:  # else what is under way goes on
                self._ahead = wanted
                self._wake.notify()

    def drawn(self) -> None:
        """The frontier is on the screen."""
        self._drawn.set()

    def close(self, timeout: float = 2.0) -> bool:
        """Stop at the next look at `should_stop` and join; True when the thread is gone.

        A solve inside the integer program cannot be interrupted; the thread is a daemon, so that
        the program can still end after `timeout` seconds (by `os._exit`: an orderly end of the
        interpreter would take the solver's memory away under it).
        """
        with self._wake:
            self._closed = True
            self._generation += 1
            self._drawn.set()
            self._waiting = None
            self._studies.clear()
            self._ahead.clear()
            self._wake.notify()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._warm_up is not None and not self._closed:
            try:
                self._warm_up()
            except Exception as error:  # the same import will fail again where it is needed
                self._send(SolveFailed(self._generation, one_line(error)))
        while True:
            with self._wake:
                while not (self._waiting or self._studies or self._ahead or self._closed):
                    self._wake.wait()
                if self._closed:
                    return
                waiting, self._waiting = self._waiting, None
                study = self._studies.popleft() if waiting is None and self._studies else None
                idle = waiting is None and study is None
                ahead = (self._ahead[0], self._ahead) if idle and self._ahead else None
            if waiting is not None:
                generation, scenario, known = waiting
                if known is None:
                    self._solve(generation, scenario)
                else:
                    self._again(generation, scenario, known.plan)
            elif study is not None:
                self._study(*study)
            elif ahead is not None:
                self._look_ahead(*ahead)

    def _study(self, generation: int, name: StudyName, study: StudyFn) -> None:
        def overtaken() -> bool:
            return self._generation != generation

        def plan(scenario: Scenario) -> Plan:
            known = self._results.get(scenario)
            return known.plan if known is not None else self._plan_fn(scenario, should_stop=overtaken)

        found: list[Any] = []
        line = ""
        try:
            for item in study(plan):
                found.append(item)
                if overtaken():
                    return
                self._send(StudyNews(generation, name, tuple(found), done=False))
        except Exception as error:  # stopped, or a bug: either way the answer itself stands
            line = one_line(error)
        if not overtaken():
            self._send(StudyNews(generation, name, tuple(found), done=True, line=line))

    def _look_ahead(self, scenario: Scenario, scenarios: deque[Scenario]) -> None:
        """Plan the first of what may be asked for."""

        def overtaken() -> bool:
            return self._ahead is not scenarios or not scenarios or bool(self._studies)

        try:
            plan = self._plan_fn(scenario, should_stop=overtaken)
            if self._again_fn is not None:
                plan = self._again_fn(scenario, plan, should_stop=overtaken)
        except Exception:  # stopped, or a bug: who asks for it is told
            if self._studies:  # they go first
                return
        else:
            self._remember(scenario, plan, whole=True)
        with self._wake:
            if self._ahead is scenarios and scenarios:
                scenarios.popleft()

    def _solve(self, generation: int, scenario: Scenario) -> None:
        def overtaken() -> bool:
            return self._generation != generation

        def on_frontier(disaggregated: Frontier, colocated: Frontier) -> None:
            if not overtaken():
                self._drawn.clear()
                self._send(FrontierReady(generation, disaggregated, colocated, scenario.fleet.gpus))
                if self._courtesy_s and not overtaken():
                    self._drawn.wait(self._courtesy_s)

        self._send(SolveStarted(generation))
        try:
            plan = self._plan_fn(scenario, should_stop=overtaken, on_frontier=on_frontier)
        except InputError as error:
            if not overtaken():
                self._send(SolveFailed(generation, str(error), field=error.field))
        except Exception as error:  # a bug in the planner must not take the screen with it
            if not overtaken():
                self._send(SolveFailed(generation, one_line(error)))
        else:
            self._remember(scenario, plan, whole=self._again_fn is None)
            if not overtaken():
                self._send(SolveDone(generation, plan))
                self._again(generation, scenario, plan)

    def _again(self, generation: int, scenario: Scenario, plan: Plan) -> None:
        """What is known only later of an answer that stands."""
        if self._again_fn is None:
            return

        def overtaken() -> bool:
            return self._generation != generation

        try:
            later = self._again_fn(scenario, plan, should_stop=overtaken)
        except Exception:  # stopped, or a bug: the answer that was told stands
            return
        self._remember(scenario, later, whole=True)
        if later is not plan and not overtaken():
            self._send(SolveDone(generation, later))

    def _remember(self, scenario: Scenario, plan: Plan, *, whole: bool) -> None:
        with self._wake:
            self._results[scenario] = Known(plan, whole)
            self._results.move_to_end(scenario)
            while len(self._results) > self._remembered:
                self._results.popitem(last=False)

    def _send(self, message: SolverMessage) -> None:
        try:
            self._post(message)
        except RuntimeError:  # the event loop is gone: the application is closing
            with self._wake:
                self._closed = True


def one_line(error: BaseException) -> str:
    """An exception in one line, its kind first."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
