"""What the screen knows, as immutable values; nothing here draws or waits."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from planner.inputs.fields import FIELDS, Field
from planner.inputs.scenario import Scenario
from planner.units import format_seconds
from planner.values import dataclass
from tui.files.storage import Session
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from planner.inputs.traces import Repairs
    from planner.inputs.traces.facts import Facts
    from planner.planning.near_miss import Miss
    from planner.planning.result import Frontier, Plan
    from planner.planning.what_if import CurvePoint, Effect

DEPTH = 500  # steps that undo goes back
LETTERS = "ABCD"  # of pins: as many as can be told apart on one chart
INPUTS, CARD = "inputs", "plan"  # panes that can be unfolded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pin:
    """A plan kept for comparison, under a letter."""

    letter: str
    scenario: Scenario
    plan: Plan | None = None  # None until it is computed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """What studies have found, each with the plan it is about."""

    base: Plan | None = None  # of the effects
    effects: tuple[Effect, ...] = ()
    wanted: int = 0  # how many effects there will be
    curve_of: Plan | None = None
    curve_key: str = ""  # the input it runs over
    curve: tuple[CurvePoint, ...] = ()
    curve_done: bool = False
    miss_of: Plan | None = None  # an infeasible plan
    miss: Miss | None = None  # the feasible plan nearest to it; None if there is none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """A trace of requests that is looked at: what it holds, or why it cannot be read."""

    name: str  # a file, or one that comes with ratematch
    facts: Facts | None = None  # None: not read yet
    repairs: Repairs | None = None
    error: str = ""  # in one line


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Everything a pane may draw. A change is a new `View`, never a changed one.

    Compared by identity: plans hold arrays.
    """

    scenario: Scenario  # what the form says
    base: Scenario  # what backspace goes back to
    name: str = ""  # of the scenario, where it has one
    plan: Plan | None = None  # the last answer, perhaps of an older scenario
    plan_at: float = 0.0  # when it came, seconds of the clock
    cached: bool = False
    frontiers: tuple[Frontier, Frontier] | None = None  # split, co-located; may be newer than the plan
    budget: int | None = None  # of GPUs, that the frontiers were made under
    pins: tuple[Pin, ...] = ()
    baseline: str = ""  # letter of the pin that others are compared with
    findings: Findings = Findings()  # of studies; may be of an older plan
    trace: Trace | None = None
    solving: bool = False
    late: bool = False  # solving takes long enough to say that what is shown is old
    invalid: str = ""  # key of the field that cannot be used
    problem: str = ""  # why, in one line
    error: str = ""  # what went wrong while solving, in one line
    unfolded: frozenset[str] = frozenset()  # panes that show what is rarely needed too

    @property
    def current(self) -> bool:
        """Whether the answer shown is the answer to what the form says."""
        return self.plan is not None and not (self.solving or self.invalid or self.error)

    @property
    def infeasible(self) -> bool:
        """Whether the answer shown is that nothing meets the limits."""
        return self.plan is not None and self.plan.deployed is None


def of_group(group: str) -> str:
    """The name under which one group of the form is unfolded.

    >>> of_group("Limits")
    'inputs:Limits'
    """
    return f"{INPUTS}:{group}"


def opened(session: Session) -> View:
    """What the screen knows when it opens; the plans of the pins are computed when nothing else is."""
    kept = tuple(Pin(letter=at, scenario=session.pins[at]) for at in LETTERS if at in session.pins)
    letters = [pin.letter for pin in kept]
    return View(
        scenario=session.scenario,
        base=session.base or session.scenario,
        name=session.name,
        pins=kept,
        baseline=session.baseline if session.baseline in letters else next(iter(letters), ""),
        unfolded=frozenset(session.unfolded) & {INPUTS, CARD, *map(of_group, {f.group for f in FIELDS})},
    )


def kept(view: View, *, theme: str, recent: tuple[str, ...]) -> Session:
    """What a later start may take up again of what the screen shows."""
    return Session(
        scenario=view.scenario,
        base=view.base,
        theme=theme,
        name=view.name,
        recent=recent,
        pins={pin.letter: pin.scenario for pin in view.pins},
        baseline=view.baseline,
        unfolded=tuple(sorted(view.unfolded)),
    )


class History:
    """The scenarios so far, with undo and redo. Typing in one field is one step."""

    def __init__(self, scenario: Scenario) -> None:
        self._past: list[Scenario] = []
        self._future: list[Scenario] = []
        self._present = scenario
        self._session: object = None

    @property
    def present(self) -> Scenario:
        """The scenario of the form."""
        return self._present

    def edit(self, scenario: Scenario, session: object = None) -> None:
        """Make a scenario the present one; edits of one `session` count as one step."""
        same = session is not None and session == self._session
        if not same and scenario == self._present:
            return
        if not same:
            self._past.append(self._present)
            del self._past[:-DEPTH]
        self._present = scenario
        self._future.clear()
        self._session = session

    def cancel(self, session: object) -> None:
        """Forget the step that `session` made, if it made one."""
        if session is not None and session == self._session and self._past:
            self._present = self._past.pop()
        self._session = None

    def undo(self) -> bool:
        """One step back; False at the beginning."""
        self._session = None
        if not self._past:
            return False
        self._future.append(self._present)
        self._present = self._past.pop()
        return True

    def redo(self) -> bool:
        """One step forward again; False at the end."""
        self._session = None
        if not self._future:
            return False
        self._past.append(self._present)
        self._present = self._future.pop()
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to take again."""
        return bool(self._future)


@dataclass(frozen=True, slots=True)
class Status:
    """The state in one glance: a glyph, a word, the rest; `hue` is a theme variable."""

    glyph: str
    word: str
    rest: str
    hue: str


def status(view: View, now: float, glyphs: Glyphs) -> Status:
    """What the top right corner says."""
    age = ""
    if view.plan is not None and not view.current:
        age = f"shown: {format_age(now - view.plan_at)}"
    if view.invalid:
        return Status(glyphs.edited, f"edited, invalid: {view.invalid}", age, "$hue-tight")
    if view.error:
        return Status(glyphs.error, "error", age, "$hue-bad")
    if view.plan is None or view.solving:
        return Status(glyphs.busy, "computing", age, "$hue-split")
    took = "from memory"
    if not view.cached:
        took = glyphs.plain(format_seconds(view.plan.seconds.get("total", math.nan)))
    points = sum(view.plan.design_points.values())
    rest = f"{took} {glyphs.dot} {compact(points)} points"
    if view.infeasible:
        return Status(glyphs.bad, "infeasible", rest, "$hue-bad")
    return Status(glyphs.ready, "up to date", rest, "$hue-good")


def format_age(seconds: float) -> str:
    """How long ago, coarse.

    >>> format_age(0.4), format_age(3.2), format_age(130)
    ('now', '3 s ago', '2 min ago')
    """
    if seconds < 1:
        return "now"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago"


def compact(value: float) -> str:
    """A count in few characters.

    >>> compact(950), compact(2400), compact(218_400), compact(1.21e6)
    ('950', '2.4k', '218k', '1.2M')
    """
    for scale, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.{0 if value >= 100 * scale else 1}f}{suffix}"
    return f"{value:.0f}"


def relaxed(field: Field, scenario: Scenario, value: float | str | None) -> Scenario:
    """The scenario with a limit relaxed as a plan proposes. Raises InputError if it cannot be set."""
    if field.integer and isinstance(value, float):
        value = round(value)
    return field.set(scenario, field.check(value))


def changed(view: View, **values: Any) -> View:
    """The view with some values replaced."""
    return dataclasses.replace(view, **values)
