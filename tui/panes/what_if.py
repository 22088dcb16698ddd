"""What if: every input moved a little, one input moved far, and the change that brings most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from planner.inputs import fields
from planner.output.spelling import named
from planner.units import three_digits
from planner.values import dataclass
from tui.charts.curve_chart import CurveChart
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.panes.page import Page
from tui.state import Findings, View

if TYPE_CHECKING:
    from planner.planning.what_if import Effect

LABEL = 20  # columns of the names, at most
FULL = 0.25  # gain of a full bar, at least


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the tornado: an input with both sides, or one choice (then `down` is None)."""

    label: str
    down: Effect | None
    up: Effect | None

    @property
    def sides(self) -> list[Effect]:
        """The effects it has, the lower first."""
        return [effect for effect in (self.down, self.up) if effect is not None]

    @property
    def gain(self) -> float:
        """The best gain; minus infinity where there is none."""
        return max((e.gain for e in self.sides if math.isfinite(e.gain)), default=-math.inf)

    @property
    def swing(self) -> float:
        """The largest gain or loss; -1 where there is none."""
        return max((abs(e.gain) for e in self.sides if math.isfinite(e.gain)), default=-1.0)


def lines(effects: Sequence[Effect], g: Glyphs) -> list[Line]:
    """The numbers by swing, the largest first; then the choices, the best first."""
    numbers: dict[tuple[str, str], dict[bool, Effect]] = {}
    choices: list[Line] = []
    for effect in effects:
        field = fields.BY_KEY[effect.change.field]
        if effect.change.bought or field.kind in ("choice", "switch"):
            choices.append(Line(g.plain(effect.change.told), None, effect))
        else:
            numbers.setdefault((field.key, effect.change.label), {})[effect.change.down] = effect
    moved = [Line(label, s.get(True), s.get(False)) for (_, label), s in numbers.items()]
    moved.sort(key=lambda line: -line.swing)
    choices.sort(key=lambda line: -line.gain)
    return [*moved, *choices]


def without_effect(found: Sequence[Line]) -> list[Line]:
    """The inputs that change nothing on either side."""
    from planner.output.words import NO_EFFECT

    return [line for line in found if 0 <= line.swing < NO_EFFECT and all(not e.problem for e in line.sides)]


def percent(gain: float, g: Glyphs) -> str:
    """A gain in four or five characters.

    >>> percent(0.123, UNICODE), percent(-0.5, UNICODE), percent(0.0004, UNICODE), percent(2.5, UNICODE)
    ('+12 %', '-50 %', '0 %', '+250 %')
    """
    if not math.isfinite(gain):
        return g.bad
    from planner.output.words import NO_EFFECT

    if abs(gain) < NO_EFFECT:
        return "0 %"
    return f"{100 * gain:+.0f} %" if abs(gain) >= 0.0995 else f"{100 * gain:+.1f} %"


class Tornado(Widget, can_focus=True):
    """Bars around the present plan, as far as they are known; enter takes the change under the cursor."""

    HELP = page(
        """
    ## What if

    Each input a fifth lower (light bar) and a fifth higher (full bar), all others as they are; each
    choice once. Right of the line the answer gets better, left of it worse; a cross means that nothing
    meets the limits. The yardstick is the goal's: tokens/s per GPU (of the budget), GPUs, cost or watts.

    Arrows pick a change, `enter` makes it, `u` takes it back.
    """,
        "what-if",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "row(1)", "move", key_display="up_down", tooltip="down", id="what-if-down"),
        Binding("up,k", "row(-1)", "up", show=False, id="what-if-up"),
        Binding("left,h", "side(0)", "side", key_display="left_right", tooltip="lower", id="what-if-lower"),
        Binding("right,l", "side(1)", "higher", show=False, id="what-if-higher"),
        Binding("enter", "take", "make it so", key_display="enter", id="what-if-take"),
    ]

    class Take(Message):
        """The user wants a change made."""

        def __init__(self, effect: Effect) -> None:
            super().__init__()
            self.effect = effect

    class Moved(Message):
        """The cursor is on another change."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.lines: list[Line] = []
        self.without_effect: list[Line] = []  # those without effect: named, not drawn
        self.row, self.side = 0, 1

    def fill(self, effects: Sequence[Effect]) -> None:
        """Show these effects; the cursor stays on its input."""
        before = self.lines[self.row].label if self.row < len(self.lines) else ""
        found = lines(effects, self.glyphs)
        self.without_effect = without_effect(found)
        self.lines = [line for line in found if line not in self.without_effect]
        labels = [line.label for line in self.lines]
        if self.has_focus and before in labels:
            self.row = labels.index(before)
        else:
            self.row = min(self.row, max(len(labels) - 1, 0))
        self.styles.height = max(len(self.lines), 1)
        self.refresh(layout=True)

    @property
    def effect(self) -> Effect | None:
        """The change under the cursor."""
        if self.row >= len(self.lines):
            return None
        sides = self.lines[self.row].sides
        return sides[min(self.side, len(sides) - 1)]

    def action_row(self, by: int) -> None:
        """Another input."""
        self.row = min(max(self.row + by, 0), max(len(self.lines) - 1, 0))
        self._moved()

    def action_side(self, side: int) -> None:
        """The lower side, or the higher."""
        self.side = side
        self._moved()

    def action_take(self) -> None:
        """Make the change."""
        if self.effect is not None and not self.effect.problem.startswith(self.effect.change.field):
            self.post_message(self.Take(self.effect))

    def on_focus(self) -> None:
        """Tell what is under the cursor."""
        self._moved()

    def on_blur(self) -> None:
        """The cursor is gone."""
        self.refresh()
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a line and the side under the mouse, a second one makes the change."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y >= len(self.lines):
            return
        self.row, self.side = offset.y, int(offset.x >= self._middle)
        self._moved()
        if event.chain == 2:
            self.action_take()

    def _moved(self) -> None:
        self.refresh()
        if self.size.height:
            self.scroll_to_region_in_parent()
        self.post_message(self.Moved())

    def scroll_to_region_in_parent(self) -> None:
        """Bring the cursor's line in sight."""
        region = Region(0, self.row, self.size.width, 1).translate(self.virtual_region.offset)
        if isinstance(self.parent, Widget):
            self.parent.scroll_to_region(region, animate=False, force=True)

    @property
    def _label(self) -> int:
        """Columns of the names."""
        return min(max((len(line.label) for line in self.lines), default=0), LABEL, self.size.width // 3)

    @property
    def _half(self) -> int:
        """Columns of the bars on one side."""
        return max((self.size.width - self._label - 2 - 14) // 2, 1)

    @property
    def _middle(self) -> int:
        return self._label + 1 + self._half

    def render(self) -> Content:
        """A line each: name, bars on both sides of the middle, the gains in numbers."""
        numbers = [line for line in self.lines if line.down is not None]
        full = max([FULL, *(1.1 * line.swing for line in numbers)])
        rows = [self._line(line, at, full) for at, line in enumerate(self.lines)]
        return Content("\n").join(rows)

    def _line(self, line: Line, at: int, full: float) -> Content:
        g, half = self.glyphs, self._half
        left: tuple[str, str] = ("", "")
        right: tuple[str, str] = ("", "")
        shades = sorted(
            ((effect.gain, effect is line.up) for effect in line.sides if math.isfinite(effect.gain)),
            key=lambda item: abs(item[0]),
        )
        for gain, up in shades:  # the longer of two on one side is the one to be seen
            cells = round(min(abs(gain) / full, 1.0) * half)
            text = (g.full if up else g.shade) * cells
            if abs(gain) > full and cells:  # off the scale
                text = text[:-1] + (g.close if gain > 0 else g.open) if gain > 0 else g.open + text[1:]
            if gain < 0:
                left = (text, "$hue-bad")
            else:
                right = (text, "$hue-good")
        here = at == self.row and self.has_focus
        numbers = []
        for effect in (line.down, line.up):
            text = "" if effect is None else percent(effect.gain, g)
            chosen = here and effect is self.effect
            style = "bold $background on $primary" if chosen else "" if text != g.bad else "$hue-bad"
            numbers += [(" ", ""), (f"{text:>6}", style)]
        size = self._label
        label = line.label
        if len(label) > size:  # a system or an engine is known by its name
            label = label.removeprefix("system ").removeprefix("engine ")
        if len(label) > size:
            label = label[: size - 1] + g.ellipsis[:1]
        return Content.assemble(
            (f"{label:<{size}} ", "bold $primary" if here else "$hue-muted"),
            " " * (half - len(left[0])),
            left,
            (g.axis, "$hue-axis"),
            right,
            " " * (half - len(right[0])),
            *numbers,
        )


class WhatIfPage(Page):
    """Page 4."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._findings: Findings | None = None
        self._state: object = None
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        """The tornado beside the curve, and a line on the change under the cursor."""
        with VerticalScroll(id="tornado-box", can_focus=False) as box:
            box.border_title = "What if"
            yield Static(id="tornado-best")
            yield Tornado(glyphs=self.glyphs, id="tornado")
            yield Static(id="tornado-rest")
        yield CurveChart(glyphs=self.glyphs, id="curve")

    def stops(self) -> list[Widget]:
        """Both parts."""
        return [self.query_one(Tornado), self.query_one(CurveChart)]

    @property
    def curve_key(self) -> str:
        """The input that the curve runs over."""
        return self.query_one(CurveChart).key

    def show(self, view: View) -> None:
        """Draw what has been found so far."""
        self._view = view
        state = (view.current, view.infeasible)
        if view.findings is self._findings and state == self._state:
            return
        changed = self._findings is None or view.findings.effects is not self._findings.effects
        self._findings, self._state = view.findings, state
        if changed:
            self.query_one(Tornado).fill(view.findings.effects)
        self.query_one(CurveChart).show(view)
        self._tell()

    def on_tornado_moved(self, event: Tornado.Moved) -> None:
        """Say what the change under the cursor does."""
        event.stop()
        self._tell()

    def on_resize(self) -> None:
        """Words fit the width."""
        self._tell()

    def _tell(self) -> None:
        """Write the sentence on the change under the cursor, what has no effect, and the border's texts."""
        view, g = self._view, self.glyphs
        if view is None:
            return
        from planner.output.verdict import NO_PLAN
        from planner.planning.what_if import yardstick

        box, findings = self.query_one("#tornado-box"), view.findings
        under = self.query_one(Tornado)
        if view.infeasible:
            text = Content.styled(f"{NO_PLAN}: page 1 says what would.", "$hue-bad")
        elif findings.base is None:
            text = Content.styled(f"computing{g.ellipsis}", "$hue-muted")
        elif under.has_focus and under.effect is not None:
            text = sentence(under.effect, findings, g)
        else:
            text = best_sentence(findings, g)
        self.query_one("#tornado-best", Static).update(text)
        names = ", ".join(line.label for line in under.without_effect)
        self.query_one("#tornado-rest", Static).update(Content(f"No effect: {names}." if names else ""))
        measure = yardstick(view.scenario)
        box.border_title = f"{measure.name}: 20 % down {g.shade} up {g.full}"
        stale = findings.base is not None and findings.base is not view.plan
        count = f"{len(findings.effects)} of {findings.wanted}"
        box.border_subtitle = (
            "of an older plan" if stale else count if len(findings.effects) < findings.wanted else ""
        )


def sentence(effect: Effect, findings: Findings, g: Glyphs) -> Content:
    """One change in words: `TTL 20 ms to 24 ms: +9 %, 1,320 tok/s/GPU, ctx:gen 0.5`."""
    from planner.planning.what_if import yardstick

    assert findings.base is not None
    field = fields.BY_KEY[effect.change.field]
    change = effect.change
    now = change.was or field.format(field.get(findings.base.scenario))
    head = g.plain(f"{change.told}: " if change.bought else f"{change.label} {now} -> {change.text}: ")
    if effect.problem:
        return Content.assemble((head, "bold"), (g.plain(effect.problem), "$hue-bad"))
    measure = yardstick(findings.base.scenario)
    parts = [percent(effect.gain, g), f"{three_digits(effect.value)} {measure.unit}"]
    if effect.choice != findings.base.choice:
        parts.append(named(effect.choice))
    if math.isfinite(effect.ctx_gen_ratio):
        parts.append(f"ctx:gen {three_digits(effect.ctx_gen_ratio)}")
    return Content.assemble((head, "bold"), ", ".join(parts))


def best_sentence(findings: Findings, g: Glyphs) -> Content:
    """The next best change, or that there is none."""
    from planner.output.words import best_change

    found = best_change(findings.effects)
    if found is None:
        whole = len(findings.effects) >= findings.wanted
        return Content.styled(
            "No single change brings more." if whole else f"computing{g.ellipsis}", "$hue-muted"
        )
    return Content.assemble(("Next best: ", "$hue-muted"), sentence(found, findings, g))
