"""How edits become scenarios: the form's rows, fixes and chosen points, with undo and redo."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from planner import units
from planner.errors import InputError
from planner.inputs import fields
from planner.inputs.scenario import Scenario
from tui.charts.pareto_chart import ParetoChart
from tui.panes.inputs import InputsPane
from tui.panes.plan_card import PlanCard
from tui.screens.pages import PagedScreen
from tui.solver.asker import Asker
from tui.state import relaxed
from tui.widgets.hint_line import HintLine
from tui.widgets.knob import Knob

if TYPE_CHECKING:
    from tui.panes.table import TablePage

AHEAD_S = 1.0  # plans that take longer are made when asked for; the first, with its imports, takes 0.5 to 0.8


class EditingScreen(PagedScreen):
    """What the main screen does with what the user wants: check it, keep it, ask for its plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u,ctrl+z", "undo", "undo", key_display="u", id="undo"),
        Binding("U,ctrl+y", "redo", "redo", show=False, key_display="U", id="redo"),
        Binding("r", "recompute", "recompute", show=False, id="recompute"),
    ]

    _asker: Asker
    _insisted = False  # whether the reason against a value covers a part of the screen

    @on(Knob.Changed)
    def knob_changed(self, message: Knob.Changed) -> None:
        """A row wants a value."""
        message.stop()
        self._unsay()
        field = message.knob.field
        scenario = field.set(self.history.present, message.value)
        self.history.edit(scenario, message.session)
        self._edited(at_once=field.kind in ("choice", "switch"), keep=message.knob)

    @on(Knob.Rejected)
    def knob_rejected(self, message: Knob.Rejected) -> None:
        """What was typed cannot be used: keep the last answer, say why."""
        message.stop()
        self._asker.hold()
        self.set_view(invalid=message.error.field, problem=str(message.error), solving=False, late=False)

    @on(Knob.Insisted)
    def knob_insisted(self, message: Knob.Insisted) -> None:
        """Taken all the same: where the row under the form has no room for the reason, it is told in full."""
        message.stop()
        if self.query_one(HintLine).cut:
            self.app.clear_notifications()  # said once, however often it is asked
            self._insisted = True
            self.notify(message.problem, title="Not accepted", severity="warning", timeout=15)

    @on(Knob.Cancelled)
    def knob_cancelled(self, message: Knob.Cancelled) -> None:
        """Typing was given up."""
        message.stop()
        self._unsay()
        self.history.cancel(message.session)
        self._edited(at_once=True)

    def _unsay(self) -> None:
        """What was not accepted has gone, and so does the word on it."""
        if self._insisted:
            self._insisted = False
            self.app.clear_notifications()

    @on(Knob.Choose)
    def knob_choose(self, message: Knob.Choose) -> None:
        """Open the list of names."""
        from tui.screens.choose import ChooseScreen

        message.stop()
        knob = message.knob

        def chosen(name: str | None) -> None:
            if name is not None and name != knob.value:
                knob.post_message(Knob.Changed(knob, name))

        self.app.push_screen(ChooseScreen(knob.field.label, knob.names, str(knob.value)), chosen)

    @on(PlanCard.Fix)
    def apply_fix(self, message: PlanCard.Fix) -> None:
        """Change what the plan proposes to change."""
        scenario = self.history.present
        try:
            for relaxation in message.relaxations:
                field = fields.lookup(relaxation.field)
                scenario = relaxed(field, scenario, relaxation.value)
        except InputError as error:
            self.notify(str(error), severity="warning")
            return
        self.history.edit(scenario)
        self._edited(at_once=True)
        self.set_focus(self.query_one(InputsPane).reveal(field.key))

    def on_table_page_adopted(self, message: TablePage.Adopted) -> None:
        """Fix the layouts of a row of the table; where it misses the TTL limit, its TTL becomes the limit."""
        try:
            scenario = message.candidate.of(self.history.present)
        except InputError as error:
            self.notify(str(error), severity="warning")
            return
        self.history.edit(scenario)
        self._edited(at_once=True)

    @on(ParetoChart.PointChosen)
    def choose_point(self, message: ParetoChart.PointChosen) -> None:
        """Take a point's token latency as the limit, rounded up so that the point meets it."""
        field = fields.BY_KEY["ttl"]
        ttl_s = units.rounded(message.ttl_s, math.ceil, 4)
        try:
            self.history.edit(field.set(self.history.present, field.check(ttl_s)))
        except InputError as error:
            self.notify(str(error), severity="warning")
            return
        self._edited(at_once=True)

    def take(self, scenario: Scenario, name: str | None = None) -> None:
        """Make a scenario the present one, opened by `name` if given; undo leads back."""
        for knob in self.query_one(InputsPane).knobs:
            knob.discard()
        self.history.edit(scenario)
        if name is not None:
            self.set_view(base=scenario, name=name)
        self._edited(at_once=True)

    def _edited(self, *, at_once: bool = False, keep: Knob | None = None) -> None:
        """The present scenario has changed: check it, show it, and ask for its plan in good time."""
        for knob in self.query_one(InputsPane).knobs:
            if knob is not keep and knob.problem and knob.line is not None:
                self.set_view(scenario=self.history.present)  # another row still holds a bad value
                return
        scenario = self.history.present
        try:
            fields.check(scenario)
        except InputError as error:
            self._asker.hold()
            self.set_view(
                scenario=scenario,
                invalid=error.field,
                problem=str(error),
                solving=False,
                late=False,
                error="",
            )
            return
        self._ask(at_once=at_once, scenario=scenario, invalid="", problem="")

    def _ask(self, *, at_once: bool = True, fresh: bool = False, **values: Any) -> None:
        self.studies.forget()
        self._asker.ask(self.history.present, at_once=at_once, fresh=fresh)  # planned while this is drawn
        self.set_view(solving=True, error="", **values)

    def look_ahead(self) -> None:
        """Have the steps planned that the row with the focus offers, where answers are quick; no others."""
        plan, knob, near = self.view.plan, self.focused, []
        quick = plan is not None and plan.seconds.get("total", math.inf) <= AHEAD_S
        if quick and self.view.current and isinstance(knob, Knob):
            for value in knob.near:
                with contextlib.suppress(InputError):
                    scenario = knob.field.set(self.history.present, value)
                    fields.check(scenario)
                    near.append(scenario)
        self.solver.look_ahead(near)

    def _late(self) -> None:
        if self.view.solving:
            self.set_view(late=True)

    # Keys

    def action_undo(self) -> None:
        """Take back what was typed, or else the last change."""
        typed = [knob for knob in self.query_one(InputsPane).knobs if knob.line is not None]
        for knob in typed:
            self.history.cancel(knob.session)
            knob.discard()
        if typed or self.history.undo():
            self._edited(at_once=True)

    def action_redo(self) -> None:
        """Make the change again."""
        if self.history.redo():
            self._edited(at_once=True)

    def action_recompute(self) -> None:
        """Plan again, even what is remembered."""
        if not self.view.invalid:
            self._ask(fresh=True)
