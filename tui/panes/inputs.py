"""The form: every field of the planner as a row, in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widgets import Static

from planner.inputs.fields import FIELDS, Field, idle_reason
from planner.inputs.scenario import Scenario
from planner.words import LimitState, PresetKind
from tui import help_texts
from tui.glyphs import UNICODE, Glyphs
from tui.state import INPUTS, View
from tui.widgets.knob import Knob

if TYPE_CHECKING:
    from planner.planning.result import Plan

LIMITS = ("ftl", "ttl", "gpus")  # the fields that are limits
# what a first question is made of; the other rows are folded away until one is set or `m` is pressed
COMMON = ("model", "isl", "osl", "rate", "ftl", "ttl", "gpus", "system", "engine", "goal")


class InputsPane(Container):
    """Rows driven by `planner.inputs.fields.FIELDS`; it shows a `View` and keeps nothing of its own."""

    HELP = """
    ## The inputs

    What is served, what it must hold, and what it may run on. Values take units: `16k`, `20ms`,
    `1.5s`, `10%`. Every change is planned at once; `u` takes it back.
    """

    def __init__(
        self,
        names: Callable[[PresetKind], Sequence[str]],
        *,
        fields: Iterable[Field] = FIELDS,
        glyphs: Glyphs = UNICODE,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._fields = tuple(fields)
        self._names = names
        self.glyphs = glyphs
        self._groups: list[tuple[Vertical, list[Knob]]] = []  # the tree is slow to ask
        self._folded: object = None  # what the rows were last folded for
        self.border_title = "Inputs"

    def compose(self) -> ComposeResult:
        """A heading (shown where there is room) and the rows of each group."""
        self._groups.clear()
        for i, (group, fields) in enumerate(groupby(self._fields, key=lambda field: field.group)):
            rows: list[Knob] = []
            with Vertical(classes="group -band" if i % 2 else "group") as box:
                self._groups.append((box, rows))
                yield Static(group, classes="heading")
                for field in fields:
                    knob = Knob(field, self._lookup(field), glyphs=self.glyphs)
                    # the help panel reads it from the instance
                    knob.HELP = help_texts.field(field)  # type: ignore[misc]
                    knob.display = field.key in COMMON
                    rows.append(knob)
                    yield knob

    def _lookup(self, field: Field) -> Callable[[], Sequence[str]]:
        kind = field.catalog
        return lambda: self._names(kind) if kind else ()

    @property
    def knobs(self) -> list[Knob]:
        """The rows, from the top."""
        return [knob for _, rows in self._groups for knob in rows]

    def knob(self, key: str) -> Knob:
        """The row of a field."""
        return next(knob for knob in self.knobs if knob.field.key == key)

    def reveal(self, key: str) -> Knob:
        """The row of a field, unfolded if it was not: it can take the focus, and stays while it has it."""
        knob = self.knob(key)
        if not knob.display:
            knob.display = True
            self._folded = None
            group = knob.parent
            assert isinstance(group, Vertical)
            group.display = True
        return knob

    def show(self, view: View) -> None:
        """Draw the scenario, what differs from the base, and how much of each limit is used."""
        used = limit_use(view.plan)
        stale = view.late or bool(view.invalid or view.error)
        knobs = self.knobs
        for knob in knobs:
            knob.value = knob.field.get(view.scenario)
            knob.base = knob.field.get(view.base)
            knob.used = used.get(knob.field.key)
            knob.stale = stale and knob.used is not None
            if knob.line is None:
                knob.problem = view.problem if view.invalid == knob.field.key else ""
        self._fold(view)
        edited = view.scenario != view.base
        folded = sum(not knob.display for knob in knobs)
        said = f"{self.glyphs.changed} edited" if edited else ""
        if INPUTS in view.unfolded:
            said = f"m fewer {self.glyphs.dot} {said}" if said else "m fewer"
        elif folded:
            said = f"m {folded} more {self.glyphs.dot} {said}" if said else f"m {folded} more"
        if said != self.border_subtitle:
            self.border_subtitle = said
        self.set_class(edited, "-edited")

    def _fold(self, view: View) -> None:
        """Show the rows that are asked for most, those that are set or go with one, and all when unfolded."""
        whole = INPUTS in view.unfolded
        asked = (view.scenario, view.base, whole, view.invalid, self.screen.focused)
        if asked == self._folded:
            return
        self._folded, default = asked, Scenario()
        for group, rows in self._groups:
            for knob in rows:
                field = knob.field
                value = field.get(view.scenario)
                knob.idle = idle_reason(field, view.scenario)
                knob.display = (
                    whole
                    or field.key in COMMON
                    or knob.has_focus
                    or view.invalid == field.key
                    or (not knob.idle and bool(idle_reason(field, default)))
                    or value != field.get(default)
                    or value != field.get(view.base)
                )
            group.display = any(knob.display for knob in rows)


def limit_use(plan: Plan | None) -> dict[str, tuple[float, LimitState]]:
    """Used share and state by field key; of an infeasible plan, what stands in the way."""
    if plan is None:
        return {}
    if plan.chosen is None:
        relax = plan.infeasible.relax if plan.infeasible else ()
        return {r.field: (float("nan"), "missed") for r in relax if r.field in LIMITS}
    from planner.output.limits import limits
    from planner.output.words import deployment

    return {use.key: (use.share, use.state) for use in limits(plan, deployment(plan) or plan.chosen)}
