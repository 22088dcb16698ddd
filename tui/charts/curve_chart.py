"""One input moved far: the yardstick above, the ctx:gen ratio below, over one axis."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from planner.inputs import fields
from planner.units import three_digits
from tui.charts.chart_face import BORDER
from tui.charts.scene import fitting
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.state import View

if TYPE_CHECKING:
    from planner.planning.what_if import CurvePoint
    from tui.charts.plotting import Cell

KEYS = ("ttl", "isl", "gpus", "osl", "ftl")  # planner.planning.what_if.CURVES, without importing numpy
SCALE = {"ttl": (1e3, "TTL, ms"), "ftl": (1.0, "FTL, s"), "isl": (1.0, "ISL"), "osl": (1.0, "OSL")}


TIES = ", also where both tie", ", also in a tie", ", also ties"  # of whom co-located serves, as room is


class CurveChart(Widget, can_focus=True):
    """The answer over the values of one input."""

    HELP = page(
        """
    ## One input

    The answer at each value of one input, the others as they are. Above the goal's yardstick: a line
    for each way of serving, a mark on the one to deploy. That is co-located where both tie within
    their error, the lower line too. Below the ctx:gen ratio (prefill GPUs over decode GPUs; none
    where co-located). The diamond is the present value. `x` takes another input, `enter` sets the
    value under the cursor.
    """,
        "curve",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "move", key_display="left_right", tooltip="left", id="curve-left"),
        Binding("right,l", "move(1)", "right", show=False, id="curve-right"),
        Binding("enter", "choose", "set it", key_display="enter", id="curve-choose"),
        Binding("x", "swap", "input", tooltip="Another input along x", id="curve-input"),
    ]

    class Swapped(Message):
        """Another input is wanted."""

    class Chosen(Message):
        """The user wants a value of the input."""

        def __init__(self, field: str, value: float) -> None:
            super().__init__()
            self.field, self.value = field, value

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.key = KEYS[0]
        self._view: View | None = None
        self._points: list[CurvePoint] = []
        self._cursor: float | None = None  # a value of the input
        self._rows: list[list[Cell]] = []
        self._columns: dict[float, int] = {}  # where each value stands
        self._told = ""  # under the curves

    def show(self, view: View) -> None:
        """Draw the curve as far as it is known."""
        self._view = view
        found = view.findings
        mine = found.curve_key == self.key
        self._points = sorted(found.curve, key=lambda p: p.at) if mine else []
        self._draw()

    def on_resize(self) -> None:
        """The curves fit the size."""
        self._draw()

    # Keys

    def action_swap(self) -> None:
        """Another input."""
        self.key = KEYS[(KEYS.index(self.key) + 1) % len(KEYS)]
        self._points, self._cursor = [], None
        self._draw()
        self.post_message(self.Swapped())

    def action_move(self, by: int) -> None:
        """To the next value."""
        if self._points:
            at = [p.at for p in self._points]
            here = self._cursor if self._cursor in at else self._now
            place = at.index(here) if here in at else 0
            self._cursor = at[min(max(place + by, 0), len(at) - 1)]
            self._draw()

    def action_choose(self) -> None:
        """Propose the value under the cursor."""
        if self._cursor is not None:
            self.post_message(self.Chosen(self.key, self._cursor))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the nearest value; a second click sets it."""
        offset = event.get_content_offset(self)
        if offset is None or not self._columns:
            return
        self._cursor = min(self._columns, key=lambda at: abs(self._columns[at] - offset.x))
        self._draw()
        if event.chain == 2:
            self.action_choose()

    def on_blur(self) -> None:
        """The cursor is gone."""
        self._cursor = None
        self._draw()

    # Drawing

    @property
    def _now(self) -> float | None:
        """The input's present value."""
        if self._view is None:
            return None
        value = fields.BY_KEY[self.key].get(self._view.scenario)
        return None if value is None else float(value)

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(f"hue-{name}", "#888888")

    def _draw(self) -> None:
        """Build the cells of both curves."""
        if self._view is None or not self.size.width:
            return
        from planner.planning.what_if import yardstick

        measure = yardstick(self._view.scenario)
        unit = SCALE.get(self.key, (1.0, fields.BY_KEY[self.key].label))[1]
        titles = [f"{measure.unit} and ctx:gen over {unit}", f"{measure.unit} over {unit}"]
        self.border_title = fitting(titles, self.outer_size.width - BORDER)
        self._rows, self._columns = [], {}
        width, height = self.size
        upper = height - max(height * 2 // 5, 5)
        if self._points and width >= 16 and height >= 11:
            self._rows = self._build(width, upper, height - upper)
        self._tell()
        self.refresh()

    def _build(self, width: int, upper: int, lower: int) -> list[list[Cell]]:
        """Both curves over one axis, as cells."""
        import numpy as np

        from tui.charts import plotting

        scale = SCALE.get(self.key, (1.0, ""))[0]
        x = np.array([p.at * scale for p in self._points])
        value = np.array([p.value for p in self._points])
        ratio = np.array([p.ctx_gen_ratio for p in self._points])
        ways = [
            (np.array([p.split for p in self._points]), "split"),
            (np.array([p.colocated for p in self._points]), "coloc"),
        ]
        if not all(p.value in (p.split, p.colocated) or math.isnan(p.value) for p in self._points):
            ways.insert(0, (value, "cloud"))  # a mix is neither
        parts = [(value, ways, upper), (ratio, [(ratio, "cloud")], lower)]
        ends = [(float(x.min()), 0.0), (float(x.max()), 0.0)]  # both parts share their x axis
        limits = [
            plotting.axes([(x, y) for y, _ in lines], ends, math.nan, width, high) for _, lines, high in parts
        ]
        labels = max((plotting.label_size(axes) for axes in limits if axes), default=0)
        rows: list[list[Cell]] = []
        for (y, lines, high), axes in zip(parts, limits, strict=True):
            if axes is None:
                rows += [[(" ", "")] * width for _ in range(high)]
                continue
            drawn_as = [
                plotting.Line(x=x, y=of, hue=self._hue(hue), plain=self.glyphs.cloud) for of, hue in lines
            ]
            picture = plotting.draw(drawn_as, [], axes, width, high, ascii=self.glyphs.ascii, labels=labels)
            drawn = [list(row) for row in picture.cells]
            for point, at, of_point in zip(self._points, x.tolist(), y.tolist(), strict=True):
                cell = picture.geometry.cell(at, of_point)
                if cell is not None:
                    glyph, hue = self._glyph(point)
                    drawn[cell[1]][cell[0]] = (glyph, self._hue(hue))
                    self._columns.setdefault(point.at, cell[0])
            rows += drawn
        return rows

    def _glyph(self, point: CurvePoint) -> tuple[str, str]:
        g = self.glyphs
        if point.at == self._cursor:
            return g.cursor, "cursor"
        if point.at == self._now:
            return g.chosen, "chosen"
        return (g.colocated, "coloc") if point.choice == "colocated" else (g.split, "split")

    def _tell(self) -> None:
        """The point under the cursor, else the legend."""
        g, view, room = self.glyphs, self._view, self.outer_size.width - BORDER
        assert view is not None
        field = fields.BY_KEY[self.key]
        at = self._cursor if self.has_focus and self._cursor is not None else None
        point = next((p for p in self._points if p.at == at), None)
        if point is not None:
            from planner.planning.what_if import yardstick

            value = round(point.at) if field.integer else point.at
            head = f"{field.label} {g.plain(field.format(value))}: "
            text = f"{head}{three_digits(point.value)} {yardstick(view.scenario).unit}"
            if math.isfinite(point.ctx_gen_ratio):
                text += f", ctx:gen {three_digits(point.ctx_gen_ratio)}"
            if point.tie and point.choice == "colocated":
                beside = f"a tie with split, {three_digits(point.split)}"
                text = fitting([f"{text}, {beside}", f"{head}{three_digits(point.value)}, {beside}"], room)
            if not point.choice:
                text = f"{head}nothing meets the limits"
        elif view.findings.curve_of is not None and view.findings.curve_of is not view.plan:
            text = "of an older plan"
        else:
            text = f"[$hue-split]{g.split}[/] split  [$hue-coloc]{g.colocated}[/] co-located"
            if any(p.tie and p.choice == "colocated" for p in self._points):
                plain = f"{g.split} split  {g.colocated} co-located"
                told = fitting([f"{plain}{more}" for more in TIES], room)
                text += told.removeprefix(plain)
        if text != self._told:  # what Textual gives back is spelled otherwise
            self._told = self.border_subtitle = text

    def render_line(self, y: int) -> Strip:
        """A row of one of the two curves."""
        width = self.size.width
        base = self.rich_style
        if y >= len(self._rows):
            text = ""
            if not self._rows and y == self.size.height // 2:
                text = self._why_empty().center(width)[:width]
            style = base + RichStyle(color=self._hue("muted"))
            return Strip([Segment(text.ljust(width), style)], width)
        axis = self._hue("axis")
        parts = []
        for hue, run in groupby(self._rows[y], key=lambda cell: cell[1] or axis):
            parts.append(Segment("".join(char for char, _ in run), base + RichStyle(color=hue)))
        return Strip(parts, len(self._rows[y]))  # of the size it was drawn for, which may have changed since

    def _why_empty(self) -> str:
        view = self._view
        if view is None or not view.current:
            return ""
        if view.infeasible:
            return "nothing meets the limits"
        if self._now is None:
            return f"{fields.BY_KEY[self.key].label} has no value to start from"
        if self._points:
            return "too small to draw"
        return f"computing{self.glyphs.ellipsis}"
