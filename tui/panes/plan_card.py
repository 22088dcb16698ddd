"""The answer: a sentence, the pools, the totals, the other way; or why nothing fits and what would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.panes.card_text import card
from tui.panes.why_not import LETTERS, FixList, closest_miss, line, why_not
from tui.state import CARD, View

if TYPE_CHECKING:
    from planner.planning.near_miss import Miss
    from planner.planning.result import Plan, Relaxation


BORDER = 2  # rows of it
CORNERS = 6  # columns of it that its text leaves free


class PlanCard(Vertical, can_focus=True):
    """The plan in one pane."""

    HELP = page(
        """
    ## The plan

    The answer and its certainty; what to deploy, a line for each pool; then both ways of serving
    against the limits, the plan marked by the diamond. Under arrivals a title names the percentile that
    the limit binds. **evidence** is what the prediction rests on: measured (such a layout on such a GPU
    with this engine was), neighbour (it differs in one respect), extrapolated. `m` shows the numbers behind.
    """,
        "plan",
    )

    class Fix(Message):
        """The user wants a relaxation applied, or two at once."""

        def __init__(self, *relaxations: Relaxation) -> None:
            super().__init__()
            self.relaxations = relaxations

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        # the plan, or why there is none yet; the feasible plan nearest to it; whether that is still sought
        self._drawn: tuple[Plan | None, str, Miss | None, bool] = (None, "", None, True)
        self._more = False  # whether the numbers behind are shown too
        self._old = False  # whether it is the plan of an earlier scenario
        self.fixes: list[tuple[Relaxation, ...]] = []  # what the list offers
        self.fix_texts: list[str] = []  # and in words
        self._count = -1
        self._nearest = Content()  # the closest miss, as last drawn
        self.border_title = "Plan"

    def compose(self) -> ComposeResult:
        """Text, and the list of fixes when there is one to offer."""
        yield Static(id="card-text")
        yield FixList(id="fixes", compact=True)
        yield Static(id="card-miss")

    def on_mount(self) -> None:
        """Nothing to fix yet."""
        self.query_one(FixList).display = False
        self.query_one("#card-miss").display = False

    def on_resize(self) -> None:
        """Text flows to the width."""
        self._draw()

    def show(self, view: View) -> None:
        """Draw the plan of a view."""
        waiting = ""
        if view.plan is None:
            waiting = view.error or (view.problem if view.invalid else f"computing{self.glyphs.ellipsis}")
        looked = view.findings.miss_of is view.plan
        miss = view.findings.miss if looked else None
        old = view.late or bool(view.invalid or view.error)
        more = CARD in view.unfolded
        if (old, more) != (self._old, self._more):
            redraw, self._old, self._more = more != self._more, old, more
            self._entitle()
            if redraw:
                self.set_class(more, "-more")
                self._draw()
        shown = (view.plan, waiting, miss, not looked)
        if all(a is b or a == waiting == b for a, b in zip(shown, self._drawn, strict=True)):
            return
        self._drawn = shown
        self._draw()
        self._offer()

    def _offer(self) -> None:
        """List the single changes that would do, or those that do together where there is none."""
        plan, _, miss, _ = self._drawn
        ways: list[tuple[Relaxation, ...]] = []
        if plan is not None and plan.infeasible:
            ways = [(change,) for change in plan.infeasible.relax]
        if not ways and miss is not None:
            ways = [miss.relax, *miss.others]
        texts: list[str] = []
        if plan is not None and ways:
            from planner.output.reasons import way_text

            texts = [way_text(plan.scenario, way) for way in ways]
        if (ways, texts) == (self.fixes, self.fix_texts):
            return
        self.fixes, self.fix_texts = ways, texts
        fixes = self.query_one(FixList)
        fixes.clear_options()
        fixes.add_options(
            Option(line(letter, text, self.glyphs)) for letter, text in zip(LETTERS, texts, strict=False)
        )
        fixes.display = bool(ways)
        if ways:
            fixes.highlighted = 0

    def fix(self, at: int) -> None:
        """Apply one of the ways out."""
        if at < len(self.fixes):
            self.post_message(self.Fix(*self.fixes[at]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Apply the fix."""
        event.stop()
        self.fix(event.option_index)

    def _entitle(self) -> None:
        """Set the border's texts; only a change repaints."""
        plan = self._drawn[0]
        title, subtitle = "Plan", ""
        if plan is not None:
            from planner.output.verdict import NO_PLAN

            fixed = ", layouts fixed" if plan.scenario.deployment.given else ""
            title = NO_PLAN if plan.deployed is None else f"Plan{fixed}"
            title = f"{title}, before the edit" if self._old else title
            key = "" if plan.deployed is None else f"m {'less' if self._more else 'more'} {self.glyphs.dot} "
            subtitle = key + found(plan, self.glyphs, self.outer_size.width - CORNERS - len(key))
        if (title, subtitle) != (self.border_title, self.border_subtitle):
            self.border_title, self.border_subtitle = title, subtitle

    def _room(self) -> int:
        """Lines that are there for the text."""
        height, most = self.styles.height, self.styles.max_height
        if height is not None and height.is_auto and most is not None:
            return int(most.value) - BORDER
        return self.content_size.height

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        self._entitle()
        plan, waiting, miss, looking = self._drawn
        text = self.query_one("#card-text", Static)
        nearest = Content("\n").join(closest_miss(plan, miss, width, self.glyphs))
        if not nearest.is_same(self._nearest):  # setting it lays the screen out anew
            self._nearest = nearest
            below = self.query_one("#card-miss", Static)
            below.display = bool(nearest)
            below.update(nearest)
        if plan is None:
            text.update(Content.styled(waiting, "$hue-muted"))
            self._count = -1
            return
        if plan.deployed is None:
            lines = why_not(plan, width, self.glyphs, miss, looking=looking)
        else:
            lines = card(plan, width, self.glyphs, room=self._room(), more=self._more)
        text.update(Content("\n").join(lines), layout=len(lines) != self._count)
        self._count = len(lines)


def found(plan: Plan, g: Glyphs, width: int) -> str:
    """What the optimiser says of its answer, and what binds; only the latter where both are too wide."""
    from planner.output.limits import limits
    from planner.output.words import optimality

    serving = plan.deployed
    if serving is None:
        return ""
    binding = ", ".join(use.name for use in limits(plan, serving) if use.binds)
    text = optimality(serving)
    if not binding:
        return text
    both = f"{text} {g.dot} binding: {binding}"
    return both if len(both) <= width else f"binding: {binding}"
