"""The form's rows: which are in sight, and which has the focus."""

from __future__ import annotations

from textual.widget import Widget

from planner.inputs import fields
from tui.panes.inputs import Heading, InputsPane
from tui.panes.plan_card import PlanCard
from tui.screens.edits import EditingScreen
from tui.state import CARD, INPUTS, of_group
from tui.widgets.knob import Knob


class FormScreen(EditingScreen):
    """What the main screen does to show more of the form, or less."""

    _last_knob: Knob | None = None

    def focus_form(self) -> None:
        """Put the focus on the form's last row."""
        self.set_focus(self._form_row())

    def _form_row(self) -> Knob:
        """The row that had the focus last, unless it is folded away."""
        last = self._last_knob
        return last if last is not None and last.display else self.query_one(InputsPane).knobs[0]

    def action_unfold_group(self, group: str = "") -> None:
        """Show all rows of a group of the form, that with the cursor if not told, or fold them away."""
        at, form = self.focused, self.query_one(InputsPane)
        here = at.field.group if isinstance(at, Knob) else at.group if isinstance(at, Heading) else ""
        group = group or here
        unfolded = self.view.unfolded
        if INPUTS in unfolded:  # all but this one
            unfolded = unfolded - {INPUTS} | {of_group(field.group) for field in fields.FIELDS}
        if not group:
            return
        unfolded ^= {of_group(group)}
        heading = form.heading(group)
        if heading is not None and here == group and of_group(group) not in unfolded:
            heading.display = True
            self.set_focus(heading)  # a row with the focus stays
        self.set_view(unfolded=unfolded)
        if self.focused is not None and not on_screen(self.focused):
            first = form.first(group) if here == group else None
            self.set_focus(first or self._form_row())

    def action_unfold(self) -> None:
        """Show all of the pane that has the focus, or less of it: the form, unless it is the plan's."""
        unfolded = self.view.unfolded
        if isinstance(self.focused, PlanCard):
            self.set_view(unfolded=unfolded ^ {CARD})
        else:
            beside = unfolded & {CARD}
            self.set_view(unfolded=beside if INPUTS in unfolded else beside | {INPUTS})
        if self.focused is not None and not on_screen(self.focused):
            self.focus_form()


def on_screen(widget: Widget) -> bool:
    """Whether it is drawn, with all that it lies in."""
    return all(node.display for node in widget.ancestors_with_self if isinstance(node, Widget))
