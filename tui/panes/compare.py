"""Pinned plans side by side, each against a baseline, with their frontiers overlaid."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from planner.inputs.fields import BY_KEY, FIELDS
from planner.output.spelling import money, named, percent
from planner.units import format_seconds, three_digits
from planner.values import dataclass
from planner.words import Phase
from tui.charts.pareto_chart import ParetoChart
from tui.charts.scene import pins_scene
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.panes.page import Page
from tui.panes.words import span, wrap
from tui.state import Pin, View
from tui.widgets.knob import AT_MOST

if TYPE_CHECKING:
    from planner.planning.result import Plan, Serving

PinAction: TypeAlias = Literal["open", "baseline", "drop"]  # what the user wants done with a pin

ALWAYS = ("model", "system", "engine", "isl", "osl", "ftl", "ttl", "gpus", "goal")
ALONE = "One plan alone: change an input on page 1, or a adds another engine, system, model or scenario."
NOTHING = "Nothing pinned yet: p pins the plan, a adds an engine, a system, a model or a scenario."
LABEL = 12
WIDEST = 24  # of a column
NOW = "now"  # the column of the form's own plan
OF_PINS = ("move", "open", "baseline", "drop", "differences")  # actions
RESULTS = (
    "answer",
    "prefill",
    "decode",
    "GPUs used",
    "tok/s/GPU",
    "in 4 of 5",  # cases: what tokens/s per GPU to expect
    "tok/s/user",
    "req/s",
    "FTL",
    "TTL",
    "$/Mtok",
    "ctx:gen",
    "memory",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and a number behind it where there is one."""

    text: str
    value: float = math.nan


def columns(view: View) -> list[Pin]:
    """The pins, the baseline first, then the form's own plan if it is not one of them."""
    pins = sorted(view.pins, key=lambda pin: pin.letter != view.baseline)
    if view.plan is not None and all(pin.scenario != view.plan.scenario for pin in pins):
        pins.append(Pin(letter=NOW, scenario=view.plan.scenario, plan=view.plan))
    return pins


def labels(g: Glyphs) -> dict[str, str]:
    """What each field is called here, by its key: its label, or the key where two share one."""
    once = Counter(field.label for field in FIELDS)
    named = {field.key: field.label if once[field.label] == 1 else field.key for field in FIELDS}
    return {key: f"{label} {g.at_most}" if key in AT_MOST else label for key, label in named.items()}


def inputs(pin: Pin, g: Glyphs) -> dict[str, Cell]:
    """Every field of a pin's scenario by what it is called."""
    found = {}
    named = labels(g)
    for field in FIELDS:
        value = field.get(pin.scenario)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        found[named[field.key]] = Cell(g.plain(field.format(value)), float(value) if number else math.nan)
    return found


def results(pin: Pin, g: Glyphs) -> dict[str, Cell]:
    """What a pin's plan gives, by name."""
    if pin.plan is None:
        return {name: Cell(g.ellipsis) for name in RESULTS}

    serving = pin.plan.deployed
    if serving is None:
        return {"answer": Cell(_why_not(pin.plan, g)), **{name: Cell("-") for name in RESULTS[1:]}}
    return dict(zip(RESULTS, _results(pin.plan, serving, g), strict=True))


def _why_not(plan: Plan, g: Glyphs) -> str:
    """That there is no plan, and the change that would do alone."""
    relax = plan.infeasible.relax if plan.infeasible is not None else ()
    if not relax:
        return "infeasible"
    field = BY_KEY[relax[0].field]
    return g.plain(f"no: takes {field.label} {field.format(relax[0].value)}")


def _results(plan: Plan, serving: Serving, g: Glyphs) -> list[Cell]:
    def pools(*phases: Phase) -> Cell:
        named = [f"{p.instances}{g.times}{p.layout.label}" for p in serving.pools if p.phase in phases]
        return Cell(" + ".join(named) or "-")

    def number(value: float, text: str = "") -> Cell:
        return Cell(text or (three_digits(value) if math.isfinite(value) else "-"), value)

    def seconds(value: float) -> Cell:
        return Cell(g.plain(format_seconds(value)), value)

    from planner.output.words import expected

    rates = next((span(*item.range) for item in expected(plan, serving) if not item.in_seconds), "")
    used = max((pool.memory.used_share for pool in serving.pools), default=math.nan)
    return [
        Cell(named(plan.way)),
        pools("prefill"),
        pools("decode", "colocated"),
        number(float(serving.gpus), f"{serving.gpus:,}"),
        number(serving.tokens_per_s_per_gpu),
        Cell(g.plain(rates) if rates else "-"),
        number(serving.tokens_per_s_per_user),
        number(serving.requests_per_s),
        seconds(serving.ftl_s),
        seconds(serving.ttl_s),
        number(serving.usd_per_million_tokens, money(serving.usd_per_million_tokens)),
        number(serving.ctx_gen_ratio),
        number(used, percent(used) if math.isfinite(used) else "-"),
    ]


def against(cell: Cell, base: Cell, g: Glyphs) -> tuple[str, str]:
    """A cell beside the baseline's: its text and the difference ("=", a percentage, or the unequal sign)."""
    if cell.text == base.text:
        return "", "="
    if g.ellipsis in (cell.text, base.text):
        return cell.text, ""  # not known yet
    if math.isfinite(cell.value) and math.isfinite(base.value) and base.value:
        change = 100 * (cell.value / base.value - 1)
        return cell.text, f"{change:+.0f}%" if abs(change) >= 0.95 else f"{change:+.1f}%"
    return cell.text, g.unequal


class CompareTable(VerticalScroll, can_focus=True):
    """The pins in columns."""

    HELP = page(
        """
    ## Compare

    `p` pins the plan (four at most). The first column is the baseline, the others show what differs
    from it: `=` is the same, a percentage is the change of a number; **in 4 of 5** cases
    tok/s/GPU is in that range. `b` makes the column under the
    cursor the baseline, `backspace` drops it, `D` hides what is the same, `enter` opens its scenario.
    `a` adds another engine, system or model in the place of the form's, or a scenario; `space` on page 2
    a row.
    """,
        "compare",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "move", key_display="left_right", tooltip="left", id="compare-left"),
        Binding("right,l", "move(1)", "right", show=False, id="compare-right"),
        Binding("j", "scroll_down", "down", show=False, id="compare-down"),
        Binding("k", "scroll_up", "up", show=False, id="compare-up"),
        Binding("enter", "open", "open", key_display="enter", id="compare-open"),
        Binding("b", "baseline", "baseline", id="compare-baseline"),
        Binding("backspace,delete", "drop", "drop", key_display="backspace", id="compare-drop"),
        Binding(
            "a",
            "add",
            "add",
            tooltip="Compare with an engine, a system, a model",
            id="compare-add",
        ),
        Binding("D", "differences", "differences", tooltip="Only what differs", id="compare-differences"),
    ]

    class Add(Message):
        """The user wants something else beside the plan."""

    class Wanted(Message):
        """The user wants something done with a pin."""

        def __init__(self, what: PinAction, letter: str) -> None:
            super().__init__()
            self.what, self.letter = what, letter

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.differences = False
        self.at = 0
        self._view: View | None = None
        self._spans: list[tuple[int, int]] = []
        self._can: tuple[bool | None, ...] = ()  # do `OF_PINS`, as last told
        self.border_title = "Side by side"

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(id="compare-text")

    def show(self, view: View) -> None:
        """Draw the pins of a view."""
        self._view = view
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a pin there is nothing to move to; the form's own column is nothing to open or drop."""
        if action not in OF_PINS:
            return True
        shown = columns(self._view) if self._view is not None and self._view.pins else []
        if not shown or action in ("move", "differences"):
            return bool(shown)
        return shown[min(self.at, len(shown) - 1)].letter != NOW or None

    def on_resize(self) -> None:
        """Columns fit the width."""
        self._draw()

    def on_focus(self) -> None:
        """Show the cursor."""
        self._draw()

    def on_blur(self) -> None:
        """Hide it."""
        self._draw()

    def action_move(self, by: int) -> None:
        """To another column."""
        if self._view is not None:
            self.at = min(max(self.at + by, 0), max(len(columns(self._view)) - 1, 0))
            self._draw()

    def action_differences(self) -> None:
        """Only what differs, or all."""
        self.differences = not self.differences
        self._draw()

    def _want(self, what: PinAction) -> None:
        if self._view is None:
            return
        shown = columns(self._view)
        if self.at < len(shown) and shown[self.at].letter != NOW:
            self.post_message(self.Wanted(what, shown[self.at].letter))

    def action_add(self) -> None:
        """Compare with something that is not on the form."""
        self.post_message(self.Add())

    def action_open(self) -> None:
        """Make the column's scenario the form's."""
        self._want("open")

    def action_baseline(self) -> None:
        """Compare with this column."""
        self._want("baseline")

    def action_drop(self) -> None:
        """Unpin the column."""
        self._want("drop")

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a column, a second one opens it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for at, (left, right) in enumerate(self._spans):
            if left <= offset.x < right:
                self.at = at
                self._draw()
                if event.chain == 2:
                    self.action_open()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if self._view is None or width <= LABEL:
            return
        can = tuple(self.check_action(action, ()) for action in OF_PINS)
        if can != self._can:
            self._can = can
            self.refresh_bindings()
        text = self.query_one("#compare-text", Static)
        if not self._view.pins:
            text.update(Content("\n").join(wrap(NOTHING, width, "$hue-muted")))
            self._spans = []
            self.border_subtitle = ""
            return
        shown = columns(self._view)
        self.at = min(self.at, len(shown) - 1)
        alone = wrap(ALONE, width, "$hue-muted") if len(shown) == 1 else []
        text.update(Content("\n").join([*alone, *self.lines(shown, width)]))
        self.border_subtitle = f"= as the baseline  {self.glyphs.unequal} differs"

    def lines(self, shown: Sequence[Pin], width: int) -> list[Content]:
        """The table at a width."""
        g = self.glyphs
        tables = [(inputs(pin, g), results(pin, g)) for pin in shown]
        room = max(min((width - LABEL) // len(shown), WIDEST), 6)
        self._spans = [(LABEL + i * room, LABEL + (i + 1) * room) for i in range(len(shown))]
        head: list[tuple[str, str]] = [(" " * LABEL, "")]
        for i, pin in enumerate(shown):
            name = f" {pin.letter}" if pin.letter == NOW else f" pin {pin.letter}"
            name += " baseline" if i == 0 and len(shown) > 1 and room > 15 else ""
            lit = i == self.at and self.has_focus
            head.append((_fit(name, room, g), "bold $background on $primary" if lit else "bold"))
        lines = [Content.assemble(*head)]
        fields, yields = ([table[part] for table in tables] for part in (0, 1))
        differ = [label for label in fields[0] if len({row[label].text for row in fields}) > 1]
        gives = [
            label for label in RESULTS if not self.differences or len({row[label].text for row in yields}) > 1
        ]
        known = {label: key for key, label in labels(g).items()}
        alike = [label for label in fields[0] if label not in differ and known[label] in ALWAYS]
        rule = Content.styled(g.rule * min(LABEL + room * len(shown), width), "$hue-cloud")
        parts: list[tuple[Sequence[str], Sequence[dict[str, Cell]]]] = [(differ, fields), (gives, yields)]
        parts += [] if self.differences else [(alike, fields)]
        for at, (names, rows) in enumerate(parts):
            lines += [rule] if at else []
            for label in names:
                lines += self._row(label, [row[label] for row in rows], room)
        return lines

    def _row(self, label: str, cells: Sequence[Cell], room: int) -> list[Content]:
        """A row, of as many lines as its longest text takes."""
        g = self.glyphs
        columns = [(_split(label, LABEL), "", LABEL, "$hue-muted")]
        for i, cell in enumerate(cells):
            text, sign = (cell.text, "") if i == 0 else against(cell, cells[0], g)
            if sign == "=":
                columns.append((["="], "", room, "$hue-muted"))
            else:
                size = room - 1 - (cell_len(sign) + 1 if sign else 0)
                columns.append((_split(text, size), sign, room, "" if i == 0 else "bold"))
        lines = []
        for at in range(max(len(texts) for texts, _, _, _ in columns)):
            parts: list[tuple[str, str]] = []
            for i, (texts, sign, size, style) in enumerate(columns):
                text = texts[at] if at < len(texts) else ""
                shown = f" {sign}" if sign and at == 0 else ""
                parts.append((_fit(f"{' ' if i else ''}{text}", size - cell_len(shown), g), style))
                parts.append((shown, "$hue-tight"))
            lines.append(Content.assemble(*parts))
        return lines


def _split(text: str, width: int) -> list[str]:
    """A text in pieces that fit: between words, else behind a hyphen.

    >>> _split("12\N{MULTIPLICATION SIGN}TP32-EP2TP16", 12), _split("TP8", 12)
    (['12\N{MULTIPLICATION SIGN}TP32-', 'EP2TP16'], ['TP8'])
    """
    return textwrap.wrap(text, max(width, 1)) or [""]


def _fit(text: str, width: int, g: Glyphs) -> str:
    """Exactly this wide, cut where it is longer."""
    if cell_len(text) > width:
        text = text[: max(width - 1, 0)] + ("~" if g.ascii else g.ellipsis)
    return text + " " * (width - cell_len(text))


class ComparePage(Page):
    """Page 3."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        """The table and the overlaid frontiers."""
        yield CompareTable(glyphs=self.glyphs, id="compare-table")
        overlay = ParetoChart(glyphs=self.glyphs, id="overlay")
        overlay.faint = False  # the clouds of four plans hide their curves
        yield overlay

    def show(self, view: View) -> None:
        """Draw pins and frontiers."""
        self.query_one(CompareTable).show(view)
        last = columns(view)[-1:]
        now = next(((pin.letter, pin.plan) for pin in last if pin.letter == NOW and pin.plan), None)
        self.query_one(ParetoChart).show(
            pins_scene(view.pins, view.scenario, self.glyphs, now), "p pins the plan shown"
        )

    def stops(self) -> list[Widget]:
        """Both parts."""
        return [self.query_one(CompareTable), self.query_one(ParetoChart)]
