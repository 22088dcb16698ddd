"""The form: every field of the planner as a row, in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import dropwhile
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from planner.inputs.fields import FIELDS, Field, idle_reason
from planner.inputs.scenario import Scenario
from planner.words import LimitState, PresetKind
from tui import help_texts
from tui.glyphs import UNICODE, Glyphs
from tui.state import INPUTS, View, of_group
from tui.widgets.knob import Knob

if TYPE_CHECKING:
    from planner.planning.result import Plan

LIMITS = ("ftl", "ttl", "gpus")  # the fields that are limits
# what a first question is made of; the other rows are folded away until one is set or `m` is pressed
COMMON = ("model", "isl", "osl", "rate", "ftl", "ttl", "gpus", "system", "engine", "goal")


class Heading(Static):
    """The name of a group, and how many of its rows are folded away; a click shows or folds them.

    Of a group without a row it stands `alone`, whatever the height, and takes the focus as a row does.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,right,l", "unfold", "show", key_display="enter", id="group-show")
    ]

    def __init__(self, group: str, fields: Sequence[Field], *, alone: bool = False) -> None:
        super().__init__(group, classes="heading -alone" if alone else "heading")
        self.group, self._hidden = group, 0
        self._fields = fields
        self.can_focus = alone

    @property
    def hint(self) -> str:
        """What is behind it."""
        return f"enter shows {', '.join(field.label for field in self._fields)}."

    def tell(self, hidden: int) -> None:
        """How many rows are folded away."""
        if hidden != self._hidden:
            self._hidden = hidden
            self.update(f"{self.group} +{hidden}" if hidden else self.group)

    async def on_click(self) -> None:
        """Show or fold the group."""
        await self.action_unfold()

    async def action_unfold(self) -> None:
        """Show or fold the group."""
        await self.run_action(f"screen.unfold_group({self.group!r})")


class InputsPane(Container):
    """Rows driven by `planner.inputs.fields.FIELDS`; it shows a `View` and keeps nothing of its own."""

    HELP = """
    ## The inputs

    What is served, what it must hold, and what it may run on. Values take units: `16k`, `20ms`,
    `1.5s`, `10%`. Every change is planned at once; `u` takes it back. `m` shows all rows, `z` those of
    the group with the cursor, or folds them away again. A group of which no row is in sight is a line
    below: `enter` or a click shows it.
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
        self._groups: dict[str, list[Field]] = {}
        for field in fields:
            self._groups.setdefault(field.group, []).append(field)
        self._names = names
        self.glyphs = glyphs
        self._headings: dict[str, Heading] = {}
        self._alone: dict[str, Heading] = {}  # of the groups that show no row at first
        self._boxes: dict[str, Vertical] = {}  # of the groups that have a row; the tree is slow to ask
        self._rows: dict[str, Knob] = {}  # by field: those that were ever shown, for each takes long to make
        self._view: View | None = None
        self._used: Mapping[str, tuple[float, LimitState]] = {}
        self._folded: object = None  # what the rows were last folded for
        self._said: object = None  # below
        self.border_title = "Inputs"

    def compose(self) -> ComposeResult:
        """A heading (shown where there is room) and the rows of each group; others come when shown."""
        for group, fields in self._groups.items():
            rows = [self._row(field) for field in fields if field.key in COMMON]
            if rows:
                yield self._box(group, self._heading(group), *rows)
            else:
                self._alone[group] = Heading(group, fields, alone=True)
                self._alone[group].tell(len(fields))
                yield self._alone[group]

    def on_mount(self) -> None:
        """Draw what came before there were rows."""
        if self._view is not None:
            self.show(self._view)

    def _box(self, group: str, *children: Widget) -> Vertical:
        band = list(self._groups).index(group) % 2
        self._boxes[group] = Vertical(*children, classes="group -band" if band else "group")
        return self._boxes[group]

    def _heading(self, group: str) -> Heading:
        self._headings[group] = Heading(group, self._groups[group])
        return self._headings[group]

    def _row(self, field: Field) -> Knob:
        knob = Knob(field, self._lookup(field), glyphs=self.glyphs)
        knob.HELP = help_texts.field(field)  # type: ignore[misc]  # the help panel reads it from the instance
        self._rows[field.key] = knob
        if self._view is not None:
            self._tell(knob, self._view)
        return knob

    def _lookup(self, field: Field) -> Callable[[], Sequence[str]]:
        kind = field.catalog
        return lambda: self._names(kind) if kind else ()

    @property
    def knobs(self) -> list[Knob]:
        """The rows that there are, from the top: all that is shown, and what was."""
        fields = (field for fields in self._groups.values() for field in fields)
        return [self._rows[field.key] for field in fields if field.key in self._rows]

    def knob(self, key: str) -> Knob:
        """The row of a field; one that was never shown is put into its place, still folded away."""
        known = self._rows.get(key)
        if known is not None:
            return known
        group, field = next((g, f) for g, fields in self._groups.items() for f in fields if f.key == key)
        knob = self._row(field)
        knob.display = False
        if group not in self._boxes:
            alone = self._alone[group]
            self.mount(self._box(group), before=alone if alone.is_attached else None)
            self._boxes[group].display = False
            self._heading(group)
        box = self._boxes[group]
        if box.is_attached:  # it is not where the application ends meanwhile
            if not self._headings[group].is_attached:
                box.mount(self._headings[group])
            box.mount(knob, before=_next(key, (f.key for f in self._groups[group]), self._rows))
        return knob

    def reveal(self, key: str) -> Knob:
        """The row of a field, unfolded if it was not: it can take the focus, and stays while it has it."""
        knob = self.knob(key)
        if not knob.display:
            knob.display = True
            self._folded = None
            self._boxes[knob.field.group].display = True
        return knob

    def heading(self, group: str) -> Heading | None:
        """Where the focus can go while a group shows no row; None for a group that always shows some."""
        return self._alone.get(group)

    def first(self, group: str) -> Knob | None:
        """The first row of a group in sight."""
        shown = (knob for knob in self.knobs if knob.field.group == group and knob.display)
        return next(shown, None)

    def show(self, view: View) -> None:
        """Draw the scenario, what differs from the base, and how much of each limit is used."""
        if self._view is None or view.plan is not self._view.plan:
            self._used = limit_use(view.plan)
        self._view = view
        if not self._rows:  # an application that ends as it starts may show its view before it has rows
            return
        for knob in self.knobs:
            self._tell(knob, view)
        self._fold(view)
        edited = view.scenario != view.base
        folded = sum(map(len, self._groups.values())) - sum(knob.display for knob in self._rows.values())
        said = f"{self.glyphs.changed} edited" if edited else ""
        if INPUTS in view.unfolded:
            said = f"m fewer {self.glyphs.dot} {said}" if said else "m fewer"
        elif folded:
            said = f"m {folded} more {self.glyphs.dot} {said}" if said else f"m {folded} more"
        if (said, edited) != self._said:  # no class for the colour: all rows would be styled and drawn again
            self._said = said, edited
            self.border_subtitle = Content.styled(said, "$hue-tight" if edited else "").markup

    def _tell(self, knob: Knob, view: View) -> None:
        field = knob.field
        knob.value = field.get(view.scenario)
        knob.base = field.get(view.base)
        knob.used = self._used.get(field.key)
        knob.stale = knob.used is not None and (view.late or bool(view.invalid or view.error))
        if knob.line is None:
            knob.problem = view.problem if view.invalid == field.key else ""

    def _fold(self, view: View) -> None:
        """Show the rows that are asked for most, those that are set or go with one, and all when unfolded."""
        asked = (view.scenario, view.base, view.unfolded, view.invalid, self.screen.focused)
        if asked == self._folded:
            return
        self._folded, default = asked, Scenario()
        for group, fields in self._groups.items():
            whole = not view.unfolded.isdisjoint((INPUTS, of_group(group)))
            for field in fields:
                known = self._rows.get(field.key)
                value, idle = field.get(view.scenario), idle_reason(field, view.scenario)
                shown = (
                    whole
                    or field.key in COMMON
                    or (known is not None and known is self.screen.focused)
                    or view.invalid == field.key
                    or (not idle and bool(idle_reason(field, default)))
                    or value != field.get(default)
                    or value != field.get(view.base)
                )
                if shown or known is not None:
                    knob = self.knob(field.key)
                    knob.idle, knob.display = idle, shown
            shown_rows = 0
            if group in self._boxes:
                shown_rows = sum(f.key in self._rows and self._rows[f.key].display for f in fields)
                self._boxes[group].display = shown_rows > 0
                self._headings[group].tell(len(fields) - shown_rows)
            if group in self._alone:
                self._alone[group].display = not shown_rows


T = TypeVar("T")


def _next(key: str, order: Iterable[str], there: Mapping[str, T]) -> T | None:
    """What comes after a key in an order, of what is there."""
    after = dropwhile(lambda other: other != key, order)
    return next((there[other] for other in after if other != key and other in there), None)


def limit_use(plan: Plan | None) -> dict[str, tuple[float, LimitState]]:
    """Used share and state by field key; of an infeasible plan, what stands in the way."""
    if plan is None:
        return {}
    if plan.deployed is None:
        relax = plan.infeasible.relax if plan.infeasible else ()
        return {r.field: (float("nan"), "missed") for r in relax if r.field in LIMITS}
    from planner.output.limits import limits

    return {use.key: (use.share, use.state) for use in limits(plan, plan.deployed)}
