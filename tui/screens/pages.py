"""The pages of the main screen: which one is open, the pins, and the studies they ask for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from planner.errors import InputError
from planner.inputs import fields
from planner.inputs.scenario import Scenario
from planner.words import PresetKind
from tui.charts.pareto_chart import ParetoChart
from tui.files import library
from tui.glyphs import Glyphs
from tui.screens.first_frame import StartingScreen
from tui.solver.messages import StudyNews
from tui.solver.studies import Studies
from tui.solver.worker import Solver
from tui.state import LETTERS, History, Pin, View
from tui.widgets.knob import Knob
from tui.widgets.tab_bar import TABS, TabBar, TabId

if TYPE_CHECKING:
    from planner.planning.result import Plan
    from tui.charts.curve_chart import CurveChart
    from tui.panes.compare import CompareTable
    from tui.panes.page import Page
    from tui.panes.table import PlanGrid
    from tui.panes.what_if import Tornado

# modules of `tui.panes` and the pages in them: imported when they are opened, and so what they post is
# heard by handlers that go by its name
PAGES: dict[TabId, tuple[str, str]] = {
    "table": ("table", "TablePage"),
    "compare": ("compare", "ComparePage"),
    "what-if": ("what_if", "WhatIfPage"),
    "breakdown": ("breakdown_page", "BreakdownPage"),
    "traffic": ("traffic_page", "TrafficPage"),
}


class PagedScreen(StartingScreen):
    """What the main screen does beside editing: pages, pins, what-if.

    A page is made when it is opened first, and only the open one is drawn.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(tab.key, f"tab('{tab.id}')", tab.title, show=False, id=f"tab-{tab.id}") for tab in TABS),
        Binding(
            "right_square_bracket", "next_tab(1)", "next page", show=False, key_display="]", id="tab-next"
        ),
        Binding(
            "left_square_bracket",
            "next_tab(-1)",
            "previous page",
            show=False,
            key_display="[",
            id="tab-previous",
        ),
        Binding("escape", "leave", "leave", show=False, id="leave"),
        Binding("p", "pin", "pin", tooltip="Keep this plan for comparison", id="pin"),
        Binding("x", "chart('swap_axis')", "axis", show=False, id="axis"),
        Binding("L", "chart('toggle_log')", "log axis", show=False, id="log-axis"),
        Binding("a", "chart('toggle_faint')", "all points", show=False, id="all-points"),
    ]

    view: View
    history: History
    solver: Solver
    glyphs: Glyphs
    studies: Studies
    tab: TabId = "plan"
    pages: dict[TabId, Page]  # those that were opened
    _own_trace: str | None = None  # of the scenario, as page 6 knows it
    _sizes: dict[Widget, Size]  # at the last layout

    # What the main screen brings

    def set_view(self, **values: Any) -> None:
        """Replace parts of the view and draw it."""
        raise NotImplementedError

    def take(self, scenario: Scenario, name: str | None = None) -> None:
        """Make a scenario the present one."""
        raise NotImplementedError

    def read_trace(self, name: str) -> None:
        """Read a trace and show what it holds."""
        raise NotImplementedError

    def names_of(self, kind: PresetKind) -> Sequence[str]:
        """The names of the catalog's models, systems, engines or scenarios."""
        raise NotImplementedError

    def focus_form(self) -> None:
        """Put the focus on the form's last row."""
        raise NotImplementedError

    # Pages

    def watch_sizes(self) -> None:
        """Be told of each layout."""
        self._sizes = {}
        self.screen_layout_refresh_signal.subscribe(self, self._tell_sizes)

    def _tell_sizes(self, _: Screen[Any]) -> None:
        """Tell a pane that is shown again its size.

        Textual tells those that its last layout had not. Whatever asks for the place of a widget between
        a change of pages and their layout makes that of the new page the last one.
        """
        for holder in (self.query_one("#answer"), *self.pages.values()):
            for pane in holder.walk_children(Widget):
                before, self._sizes[pane] = self._sizes.get(pane), pane.size
                if pane.size and before is not None and not before:
                    pane.post_message(events.Resize(pane.size, pane.virtual_size))

    @property
    def page(self) -> Page | None:
        """The open page, once it can be shown something; None for the plan, which is no page of its own."""
        found = self._made(self.tab)
        return found if found is not None and found.composed else None

    def _made(self, tab: TabId) -> Page | None:
        return self.pages.get(tab)

    async def action_tab(self, tab: TabId) -> None:
        """Open a page."""
        if tab == self.tab:
            return
        self.set_focus(None)  # or hiding the focused row would move the focus to the next one
        self.tab = tab
        self.query_one(TabBar).active = tab
        if tab in PAGES and self._made(tab) is None:
            # news of the solver come in meanwhile, and the user may open another page
            module, name = PAGES[tab]
            kind: Callable[..., Page] = getattr(importlib.import_module(f"tui.panes.{module}"), name)
            self.pages[tab] = page = kind(glyphs=self.glyphs, id=f"page-{tab}")
            page.display = False  # until it takes the other's place: both at once would share the width
            await self.query_one("#work").mount(page)
        if tab != self.tab:
            return  # another was opened meanwhile
        self.remove_class(*(f"-on-{other.id}" for other in TABS), update=False)
        self.add_class(f"-on-{tab}")  # one look through all styles is enough
        self.query_one("#answer").display = tab == "plan"
        for page in self.pages.values():
            page.display = page is self._made(tab)
        self.show_page()
        self._focus_page()

    async def action_next_tab(self, by: int) -> None:
        """The page beside this one."""
        at = next(i for i, tab in enumerate(TABS) if tab.id == self.tab)
        await self.action_tab(TABS[(at + by) % len(TABS)].id)

    async def action_leave(self) -> None:
        """From the form to what it changes; a page is turned by no key but those of pages."""
        if isinstance(self.focused, Knob):
            self.set_focus(self.page.stops()[0] if self.page is not None else self.query_one("#chart"))
        elif self.page is None and self.tab == "plan":
            self.focus_form()

    @on(TabBar.Picked)
    async def tab_picked(self, message: TabBar.Picked) -> None:
        """A click on a name."""
        message.stop()
        await self.action_tab(message.tab)

    def _focus_page(self) -> None:
        if self.page is not None:
            self.set_focus(self.page.stops()[0])
        else:
            self.focus_form()

    def show_page(self) -> None:
        """Draw the open page, and ask for what it needs."""
        self.query_one(TabBar).pins = len(self.view.pins)
        page = self.page
        if self.tab == "traffic" and page is not None:
            self._read_own(self.view.scenario.traffic.trace)
        key = page.curve_key if page is not None else ""
        findings = self.studies.want(self.view, self.tab, key)
        if findings is not self.view.findings:
            self.set_view(findings=findings)  # comes back here, with nothing new to find
        elif page is not None:
            page.show(self.view)

    def _read_own(self, trace: str | None) -> None:
        """Show the trace that the scenario has, once; another that the user opens then stays."""
        if trace != self._own_trace:
            self._own_trace = trace
            if trace is not None:
                self.read_trace(trace)

    def action_chart(self, name: str) -> None:
        """A key of the chart that is shown, whatever has the focus."""
        for chart in self.query(ParetoChart):
            if all(node.display for node in chart.ancestors_with_self if isinstance(node, Widget)):
                getattr(chart, f"action_{name}")()
        if name == "swap_axis" and self.tab == "what-if":
            from tui.charts.curve_chart import CurveChart

            self.query_one(CurveChart).action_swap()

    # Findings

    @on(StudyNews)
    def study_news(self, message: StudyNews) -> None:
        """A study has found something."""
        message.stop()
        if message.generation != self.solver.generation:
            return
        if message.name == "pins":
            self.studies.news(message, self.view.findings)
            self._planned_pins(dict(message.found))
            return
        findings = self.studies.news(message, self.view.findings)
        if findings is not self.view.findings:
            self.set_view(findings=findings)

    def _planned_pins(self, found: Mapping[Scenario, Plan | str]) -> None:
        """Take up plans of pins; drop what can no longer be planned, and say why."""
        waiting = [pin for pin in self.view.pins if pin.plan is None and pin.scenario in found]
        plans = {pin.letter: plan for pin in waiting if not isinstance(plan := found[pin.scenario], str)}
        pins = (replace(pin, plan=plans.get(pin.letter, pin.plan)) for pin in self.view.pins)
        self.set_view(pins=tuple(pins))
        for pin in waiting:
            line = found[pin.scenario]
            if isinstance(line, str):
                self.notify(line, title=f"Pin {pin.letter} is dropped", severity="warning")
                self._drop(pin.letter)

    def on_curve_chart_swapped(self, message: CurveChart.Swapped) -> None:
        """Another input: ask for its curve."""
        message.stop()
        self.show_page()

    def on_tornado_take(self, message: Tornado.Take) -> None:
        """Make a change of the what-if."""
        message.stop()
        self._change(message.effect.change.field, message.effect.change.value)

    def on_curve_chart_chosen(self, message: CurveChart.Chosen) -> None:
        """Set the value under the curve's cursor."""
        message.stop()
        field = fields.BY_KEY[message.field]
        self._change(field.key, round(message.value) if field.integer else message.value)

    def _change(self, key: str, value: object) -> None:
        field = fields.BY_KEY[key]
        try:
            self.take(field.set(self.history.present, field.check(value)))
        except InputError as error:
            self.notify(str(error), severity="warning")

    # Pins

    def action_pin(self) -> None:
        """Keep the plan that is shown."""
        view = self.view
        if view.plan is None or not view.current:
            self.notify("There is no answer to pin yet.", severity="warning")
            return
        self.pin(view.plan.scenario, view.plan)

    def on_plan_grid_pinned(self, message: PlanGrid.Pinned) -> None:
        """Keep a row of the table: the scenario with its layouts."""
        message.stop()
        try:
            self.pin(message.candidate.of(self.history.present))
        except InputError as error:
            self.notify(str(error), severity="warning")

    def on_compare_table_add(self, message: CompareTable.Add) -> None:
        """Compare with another engine, system or model, or with a scenario."""
        message.stop()
        from tui.screens.choose import ChooseScreen

        kinds: tuple[PresetKind, ...] = ("engine", "system", "model", "scenario")
        choices = {f"{kind}: {name}": (kind, name) for kind in kinds for name in self.names_of(kind)}

        def chosen(choice: str | None) -> None:
            if choice is not None:
                kind, name = choices[choice]
                self.compare_with(kind, name)

        self.app.push_screen(ChooseScreen("Compare with", list(choices), ""), chosen)

    def compare_with(self, kind: PresetKind, name: str) -> None:
        """Pin a scenario, or the form's with another engine, system or model.

        Where nothing is pinned yet the form's own plan comes first, as the baseline: two are compared.
        """
        try:
            if kind == "scenario":
                other = library.read(name)
            else:
                other = fields.check(fields.BY_KEY[kind].set(self.history.present, name))
        except InputError as error:
            self.notify(str(error), severity="warning")
            return
        view = self.view
        if not view.pins and view.plan is not None and view.current and view.plan.scenario != other:
            self.pin(view.plan.scenario, view.plan)
        self.pin(other)

    def pin(self, scenario: Scenario, plan: Plan | None = None) -> None:
        """Keep a scenario under the next free letter; its plan is computed if it is not known."""
        view = self.view
        known = next((pin for pin in view.pins if pin.scenario == scenario), None)
        if known is not None:
            self.notify(f"This plan is pinned as {known.letter}.")
            return
        free = [letter for letter in LETTERS if all(pin.letter != letter for pin in view.pins)]
        if not free:
            self.notify("Four plans are pinned: drop one on page 3 first.", severity="warning")
            return
        pin = Pin(letter=free[0], scenario=scenario, plan=plan)
        pins = tuple(sorted((*view.pins, pin), key=lambda p: p.letter))
        self.set_view(pins=pins, baseline=view.baseline or pin.letter)
        self.notify(f"Pinned as {pin.letter}. Page 3 compares.", timeout=3)
        self.show_page()

    def _drop(self, letter: str) -> None:
        """Unpin; the first that is left becomes the baseline if it was that one."""
        view = self.view
        pins = tuple(pin for pin in view.pins if pin.letter != letter)
        first = pins[0].letter if pins else ""
        self.set_view(pins=pins, baseline=first if view.baseline == letter else view.baseline)

    async def on_compare_table_wanted(self, message: CompareTable.Wanted) -> None:
        """Open a pin, compare with it, or drop it."""
        message.stop()
        view = self.view
        pin = next((p for p in view.pins if p.letter == message.letter), None)
        if pin is None:
            return
        if message.what == "open":
            self.take(pin.scenario)
            await self.action_tab("plan")
        elif message.what == "baseline":
            self.set_view(baseline=pin.letter)
        else:
            self._drop(pin.letter)
