"""The main screen: inputs left, picture in the middle, answer below or beside it.

It owns every change of state. Widgets say what the user wants, the solver says what it found; both
arrive here as messages, become a new `View`, and the panes are shown that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.reactive import Reactive
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.timer import Timer
from textual.widget import Widget

from planner.inputs import fields
from planner.words import PresetKind
from tui.charts.pareto_chart import ParetoChart
from tui.charts.scene import plan_scene
from tui.files.storage import Session
from tui.glyphs import UNICODE, Glyphs
from tui.panes.breakdown import BreakdownPane, DetailsPane
from tui.panes.inputs import Heading, InputsPane
from tui.panes.plan_card import PlanCard
from tui.panes.why_not import LETTERS as FIX_LETTERS
from tui.panes.why_not import FixList
from tui.screens.first_frame import BARS_FROM
from tui.screens.form import FormScreen, on_screen
from tui.screens.hints import GREETING, PlainScrollBar, hint
from tui.solver.asker import Asker
from tui.solver.backend import Backend
from tui.solver.messages import FrontierReady, SolveDone, SolveFailed, SolverMessage
from tui.solver.reader import TraceNews, read_trace
from tui.solver.studies import Studies
from tui.solver.worker import LEAVE_S, Solver
from tui.state import CARD, History, Trace, changed, opened
from tui.widgets.hint_line import HintLine
from tui.widgets.key_bar import KeyBar
from tui.widgets.knob import Knob
from tui.widgets.tab_bar import TabBar, TabId
from tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from planner.planning.result import Frontier

AGEING = "PlanCard, BreakdownPane, DetailsPane, Grid, CompareTable, #tornado-box, CurveChart, Scrolled"
WITH_CHARTS: tuple[TabId, ...] = ("plan", "compare", "what-if")  # pages that have a chart to change to
COURTESY_S = 0.1  # the optimiser's, towards the drawing of a frontier


class MainScreen(FormScreen):
    """Edit a scenario, see its plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "row(1)", "next row", show=False, id="row-down"),
        Binding("up,k", "row(-1)", "previous row", show=False, id="row-up"),
        Binding("tab", "pane(1)", "pane", key_display="tab", id="pane-next"),
        Binding("shift+tab", "pane(-1)", "previous pane", show=False, id="pane-previous"),
        Binding("f", "fixes", "fixes", id="fixes"),
        Binding("slash", "app.command_palette", "find", show=False, key_display="/", id="find"),
        *(
            Binding(letter, f"fix({at})", "apply", show=False, key_display=letter, id=f"fix-{letter}")
            for at, letter in enumerate(FIX_LETTERS)
        ),
        Binding("space", "more_help", "more help", key_display="space", id="help-more"),
        Binding("v", "swap_view", "chart/plan", id="swap-view"),
        Binding(
            "m", "unfold", "more", tooltip="Show what is rarely needed too, or fold it away", id="unfold"
        ),
        Binding("z", "unfold_group", "more of this group", show=False, id="unfold-group"),
    ]
    # Textual paints the whole screen anew when the focus moves: 40 kB on the wire for one arrow key.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def __init__(self, session: Session, *, backend: Backend, glyphs: Glyphs = UNICODE) -> None:
        # classes that it gets later have every widget styled once more
        super().__init__(classes=f"-on-{self.tab}{' -ascii' if glyphs.ascii else ''}")
        ScrollBar.renderer = PlainScrollBar if glyphs.ascii else ScrollBarRender  # Textual has no other way
        self.glyphs = glyphs
        self.history = History(session.scenario)
        self.view = opened(session)
        self.pages = {}
        self.solver = Solver(
            self.post_message,
            backend.plan_fn,
            warm_up=backend.warm_up,
            again_fn=backend.again_fn,
            courtesy_s=COURTESY_S,
        )
        self._asker = Asker(self.solver, self.set_timer, backend.clock, self._late, backend.debounce_s)
        self.studies = Studies(self.solver, backend.names_fn)
        self._names_fn = backend.names_fn
        self._clock = backend.clock
        self._looks_ahead = backend.looks_ahead
        self._ageing: Timer | None = None
        self._key_state: object = None
        self._stale = False
        self._greets = session.first  # until the user goes on from the first row

    def compose(self) -> ComposeResult:
        """Title, the panes, the hint, the keys."""
        self.fit(*(["-more"] if CARD in self.view.unfolded else []))
        g = self.glyphs
        yield TitleBar(glyphs=g, id="title")
        yield TabBar(glyphs=g, id="tabs")
        with Horizontal(id="work"):
            yield InputsPane(self._names_fn, glyphs=g, id="inputs")
            with Container(id="answer"):
                yield ParetoChart(glyphs=g, id="chart")
                with Container(id="side"):
                    yield PlanCard(glyphs=g, id="card")
                    yield BreakdownPane(glyphs=g, id="breakdown")
                    yield DetailsPane(glyphs=g, id="details")
        yield HintLine(glyphs=g, id="hint")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Show the form, then start solving: the first paint waits for nothing."""
        self._ageing = self.set_interval(1.0, self._tick, pause=True)
        self.watch_sizes()
        self._show()
        self.set_focus(self.query_one(InputsPane).knobs[0])
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.begun()
        self.solver.start()
        self._edited(at_once=True)

    def on_resize(self) -> None:
        """Another size may mean another layout: its keys, and the focused row still in sight."""
        self.set_class(self.size.height >= BARS_FROM, "-bars")
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self.refresh_bindings()
        if self.focused is not None:
            self.focused.scroll_visible(animate=False)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.solver.close(LEAVE_S)

    # The one way of state: a new view, shown to every pane

    def set_view(self, **values: Any) -> None:
        """Replace parts of the view and draw it."""
        self.view = changed(self.view, **values)
        self._show()

    def _show(self) -> None:
        view = self.view
        with self.app.batch_update():
            title = self.query_one(TitleBar)
            title.now = self._clock()
            title.view = view
            self.query_one(InputsPane).show(view)
            if self.tab == "plan":
                self._show_plan()
            self.query_one(HintLine).problem = view.problem or (
                f"{view.error}; r tries again" if view.error else ""
            )
            self._mark_stale(view.plan is not None and (view.late or bool(view.invalid or view.error)))
            self.set_class(view.infeasible, "-infeasible")
            self.set_class(CARD in view.unfolded, "-more")
            self.show_page()
        if self._ageing is not None:
            if view.plan is not None and not view.current:
                self._ageing.resume()
            else:
                self._ageing.pause()
        key_state = (self.history.can_undo, self.history.can_redo, view.infeasible, view.invalid)
        if key_state != self._key_state:  # the footer is dear: only when its keys change
            self._key_state = key_state
            self.refresh_bindings()

    def _mark_stale(self, stale: bool) -> None:
        """Say at each pane that it is old: a class on what holds them all would restyle every widget."""
        if stale != self._stale:
            self._stale = stale
            for part in (self.query_one("#side"), *self.pages.values()):  # to ask the whole tree takes long
                part.query(AGEING).set_class(stale, "-stale")

    def _show_chart(self) -> None:
        scene = plan_scene(self.view, self.glyphs)
        self.query_one("#chart", ParetoChart).show(scene, self._waiting_text())

    def _show_plan(self) -> None:
        view = self.view
        self._show_chart()
        self.query_one(PlanCard).show(view)
        self.query_one(BreakdownPane).show(view)
        self.query_one(DetailsPane).show(view)

    async def action_tab(self, tab: TabId) -> None:
        """Open a page; what the plan's panes missed meanwhile is drawn when they come back."""
        if tab == "plan" != self.tab:
            self._show_plan()
        await super().action_tab(tab)

    def _waiting_text(self) -> str:
        if self.view.error or self.view.invalid:
            return "no answer yet"
        return f"computing{self.glyphs.ellipsis}"

    def _tick(self) -> None:
        self.query_one(TitleBar).now = self._clock()

    # Answers

    def _current(self, message: SolverMessage) -> bool:
        message.stop()
        return self._asker.wants(message)

    @on(FrontierReady)
    def frontier_ready(self, message: FrontierReady) -> None:
        """The sweep is done: the picture need not wait for the optimiser."""
        if self._current(message):
            frontiers: tuple[Frontier, Frontier] = (message.disaggregated, message.colocated)
            if self.tab == "plan":  # the chart alone is of the frontiers, and the user waits for it
                self.view = changed(self.view, frontiers=frontiers, budget=message.budget)
                self._show_chart()
            else:
                self.set_view(frontiers=frontiers, budget=message.budget)
        self.query_one("#chart").call_after_refresh(self.solver.drawn)  # the chart has to be asked: the
        # screen itself may come to rest before it hears that the chart wants to be painted

    @on(SolveDone)
    def solve_done(self, message: SolveDone) -> None:
        """The answer."""
        if self._current(message):
            plan = message.plan
            self._asker.settle()
            self.set_view(
                late=False,
                plan=plan,
                plan_at=self._clock(),
                cached=message.cached,
                frontiers=(plan.frontier_disaggregated, plan.frontier_colocated),
                budget=plan.scenario.fleet.gpus,
                solving=self._asker.waiting,
                error="",
            )
            self._ahead()

    def _ahead(self) -> None:
        """Look ahead, once what is known is drawn."""
        if self._looks_ahead:
            self.query_one("#chart").call_after_refresh(self.look_ahead)

    @on(SolveFailed)
    def solve_failed(self, message: SolveFailed) -> None:
        """No answer: say why, keep what is shown."""
        if self._current(message):
            self._asker.settle()
            if message.field in fields.BY_KEY:
                self.set_view(solving=False, late=False, invalid=message.field, problem=message.line)
            else:
                self.set_view(solving=False, late=False, error=message.line)

    # A trace

    def read_trace(self, name: str) -> None:
        """Read a trace and show what it holds."""
        self.set_view(trace=Trace(name=name))
        read_trace(name, self.post_message)

    @on(TraceNews)
    def trace_news(self, message: TraceNews) -> None:
        """It has been read; unless another is wanted by now."""
        message.stop()
        wanted = self.view.trace
        if wanted is not None and wanted.name == message.trace.name:
            self.set_view(trace=message.trace)

    # Keys

    def names_of(self, kind: PresetKind) -> Sequence[str]:
        """The names of the catalog's presets of a kind."""
        return self._names_fn(kind)

    def action_row(self, by: int) -> None:
        """Move between the rows of the form; what else has the focus keeps it, and scrolls."""
        if isinstance(self.focused, (Knob, Heading)):
            (self.focus_next if by > 0 else self.focus_previous)("Knob, Heading")
        elif self.focused is None:
            self._focus_page()
        else:
            self.focused.scroll_relative(y=by, animate=False)

    def action_pane(self, by: int) -> None:
        """Move between the panes; the form remembers its row."""
        form = self._form_row()
        if self.page is not None:
            panes: list[Widget] = self.page.stops()
        else:
            card = FixList if self.view.infeasible else PlanCard
            chart = self.query_one("#chart")
            panes = [chart, *(self.query_one(kind) for kind in (card, BreakdownPane, DetailsPane))]
        stops = [stop for stop in (form, *panes) if on_screen(stop)]
        at = next((i for i, stop in enumerate(stops) if stop is self.focused), 0)
        self.set_focus(stops[(at + by) % len(stops)])

    def action_fix(self, at: int) -> None:
        """Apply one of the fixes, wherever the focus is."""
        self.query_one(PlanCard).fix(at)

    def action_fixes(self) -> None:
        """To the list of what would make the scenario feasible."""
        self.set_focus(self.query_one(FixList))

    def action_swap_view(self) -> None:
        """On a small terminal: the chart in place of the plan, or back."""
        self.toggle_class("-chart")
        if self.focused is not None and not on_screen(self.focused):
            self.set_focus(self.query_one(InputsPane).knobs[0])

    async def go_to(self, key: str) -> None:
        """To the row of a field, wherever one is."""
        await self.action_tab("plan")
        self.set_focus(self.query_one(InputsPane).reveal(key))

    async def action_toggle_help(self) -> None:
        """The panel with the keys and the meaning of the focused part."""
        if self.query("HelpPanel"):  # by name: its import would hold up the start
            await self.query("HelpPanel").remove()
        else:
            from tui.widgets.pane_help import PaneHelp

            await self.query_one("#work").mount(PaneHelp(ascii=self.glyphs.ascii))
        self.refresh_bindings()  # now that it is there, or gone

    def action_more_help(self) -> None:
        """The next page of the help: of its text, then of its keys; after the last the first."""
        parts = list(self.query("#widget-help, #keys-help"))
        for part in parts:
            if part.scroll_offset.y < part.max_scroll_y:
                part.scroll_page_down(animate=False)
                return
        for part in parts:
            part.scroll_home(animate=False)

    async def action_leave(self) -> None:
        """Close the help, or leave what is open."""
        if self.query("HelpPanel"):
            await self.action_toggle_help()
        else:
            await super().action_leave()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are grey; those of another layout are gone."""
        if action == "undo":
            return True if self.history.can_undo or self.view.invalid else None
        if action == "redo":
            return True if self.history.can_redo else None
        if action in ("fixes", "fix"):
            return self.view.infeasible and self.tab == "plan"
        if action == "more_help":
            return bool(self.query("HelpPanel"))
        if action == "swap_view":
            return self.has_class("-narrow") and self.tab in WITH_CHARTS
        return True

    # The hint

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the focused part means."""
        widget = event.widget
        if isinstance(widget, Knob):
            self._last_knob = widget
            self._ahead()
            idle = f"{widget.idle}. " if widget.idle else ""
            said = f"{widget.field.label}: {idle}{widget.field.help}".replace("`", "")
        elif isinstance(widget, Heading):
            said = widget.hint
        else:
            said = hint(widget)
        if self._greets and (widget is not self.query_one(InputsPane).knobs[0] or self.history.can_undo):
            self._greets = False
        self.query_one(HintLine).hint = GREETING if self._greets else said
