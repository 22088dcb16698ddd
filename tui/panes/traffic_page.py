"""What a trace of requests holds: rate and lengths over time, bursts, and what a prefix cache finds."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from planner.errors import printable
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.panes.breakdown_page import Scrolled
from tui.panes.page import Page
from tui.panes.words import wrap
from tui.state import Trace, View


class TraceText(Scrolled):
    """The facts, which scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "app.open_trace", "open a trace", tooltip="Look at a trace of requests", id="trace-open"
        )
    ]
    HELP = page(
        """
    ## Traffic

    What a trace of requests holds: how long prompts and answers are, how rate and lengths change over
    time, whether requests come each by itself or in bursts, and what part of the prompts a prefix cache
    finds. `enter` opens a file (Azure, Mooncake, BurstGPT, Qwen-Bailian, a table of your own) or one that
    comes with ratematch; `ratematch trace` prints the same, and cuts and stretches traces. `R` replays
    the plan under the trace that is open here (on other pages under its own load), `T` plans one over time.
    """,
        "traffic",
    )


class TrafficPage(Page):
    """Page 6."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._trace: Trace | None = None

    def compose(self) -> ComposeResult:
        """One part."""
        with TraceText(self._draw, id="traffic") as part:
            part.border_title = "Traffic"
            yield Static(id="traffic-text")

    def show(self, view: View) -> None:
        """Draw the trace of a view."""
        if view.trace is not self._trace:
            self._trace = view.trace
            self._draw()

    def stops(self) -> list[Widget]:
        """Its part."""
        return list(self.query(TraceText))

    def _draw(self) -> None:
        part = self.query_one(TraceText)
        width = part.scrollable_content_region.width
        if width > 0:
            part.border_title = f"Traffic of {printable(self._trace.name, 60)}" if self._trace else "Traffic"
            lines = trace_lines(self._trace, width, self.glyphs)
            self.query_one("#traffic-text", Static).update(Content("\n").join(lines))


def trace_lines(trace: Trace | None, width: int, g: Glyphs) -> list[Content]:
    """What is known of a trace."""
    if trace is None:
        return _offer(width, g)
    if trace.error:
        return wrap(g.plain(printable(trace.error)), width, "$hue-bad")
    if trace.facts is None or trace.repairs is None:
        return [Content.styled(f"reading{g.ellipsis}", "$hue-muted")]
    from tui.charts.trace_charts import headline, lines

    notes = [
        part for text in trace.repairs.sentences() for part in wrap(f"note: {text}", width, "$hue-tight")
    ]
    drawn = [Content(line) for line in lines(trace.facts, g, width)]
    more = wrap("R replays the plan under these requests, T plans a trace over time.", width, "$hue-muted")
    head = Content.styled(headline(trace.facts, trace.repairs), "bold")
    return [head, *more, *notes, Content(""), *drawn]


def _offer(width: int, g: Glyphs) -> list[Content]:
    """What can be done where no trace is open yet."""
    from planner.inputs.traces.shipped import SHIPPED

    says = "No trace is open. A trace is recorded requests: when each came, its input and output tokens."
    lines = [*wrap(says, width, ""), Content("")]
    for key, does in (
        (g.enter, f"opens one, to see its load, lengths and bursts: a file, or {', '.join(SHIPPED)}"),
        ("T", "plans one over time: how many instances when, what that costs, which windows it misses"),
        ("R", "replays the plan, request by request: queues, percentiles"),
        ("1", "the row trace, in the group Traffic of the inputs, plans for the lengths and rate of one"),
    ):
        head = f"{key:>5}  "
        for at, line in enumerate(wrap(does, max(width - len(head), 1), "$hue-muted")):
            lines.append(Content.assemble((" " * len(head) if at else head, "bold $hue-cursor"), line))
    return lines
