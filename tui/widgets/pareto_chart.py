"""Throughput per GPU against interactivity: both frontiers, the limit, the chosen point, a cursor."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.glyphs import UNICODE, Glyphs
from tui.widgets.chart_marks import COLOC, SPLIT, Marks, lay, legend, plan_marks, readout

if TYPE_CHECKING:
    from planner.result import Frontier, Plan
    from tui.plotting import Cell, Picture

REACH = 6.0  # cells: a mouse farther than this from every point picks none


class ParetoChart(Widget, can_focus=True):
    """The frontiers as a chart with a cursor.

    The picture is built once per size, data and theme and kept as cells; cursor, limit line and marks
    are laid over the rows as they are drawn, so that moving the cursor repaints a few rows and no more.
    """

    HELP = """
    ## The frontier

    Each point is a deployment: **right** is faster for each user (tokens/s/user, 1/TTL), **up** is
    more output tokens/s from each GPU, both pools counted. Every point meets the FTL limit; left of
    the dotted line the TTL limit is missed. `ctx:gen` is prefill GPUs over decode GPUs.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "move", key_display="left_right", id="chart-left"),
        Binding("right,l", "move(1)", "right", show=False, id="chart-right"),
        Binding("shift+left", "move(-5)", "far left", show=False, id="chart-left-more"),
        Binding("shift+right", "move(5)", "far right", show=False, id="chart-right-more"),
        Binding("home", "move(-100000)", "first", show=False, id="chart-first"),
        Binding("end", "move(100000)", "last", show=False, id="chart-last"),
        Binding("up,k,down,j", "other", "series", key_display="up_down", id="chart-series"),
        Binding("enter", "choose", "set TTL", key_display="enter", id="chart-choose"),
    ]

    class PointChosen(Message):
        """The user wants the interactivity of a point as the TTL limit."""

        def __init__(self, tokens_per_s_per_user: float) -> None:
            super().__init__()
            self.tokens_per_s_per_user = tokens_per_s_per_user

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._frontiers: tuple[Frontier, Frontier] | None = None
        self._plan: Plan | None = None
        self._ttl_s = 1.0
        self._cursor: tuple[int, int] | None = None  # series, index
        self._hover: tuple[int, int] | None = None
        self._picture: Picture | None = None
        self._picture_key: object = None  # what the picture was built for
        self._drawn: tuple[Frontier, Frontier] | None = None
        self._checked = False  # whether it still holds
        self._look: object = None
        self._strips: dict[int, Strip] = {}  # rows without the cursor
        self._marks: Marks = {}
        self._waiting = "computing" + glyphs.ellipsis
        self.border_title = "tokens/s per GPU over tokens/s per user"

    # Data

    def show(
        self, frontiers: tuple[Frontier, Frontier] | None, plan: Plan | None, ttl_s: float, waiting: str = ""
    ) -> None:
        """Draw these frontiers (split, co-located), the plan's choice and the limit at `ttl_s`."""
        if waiting and waiting != self._waiting:
            self._waiting = waiting
            self.refresh()
        if plan is self._plan and ttl_s == self._ttl_s and _same(frontiers, self._frontiers):
            return
        covered, cursor_x = self._cursor_rows(), self._point_x(self._cursor)
        self._frontiers, self._plan = frontiers, plan
        self._ttl_s = ttl_s
        self._hover = None
        if self._cursor is not None and cursor_x is not None:
            self._cursor = self._nearest_x(self._cursor[0], cursor_x)
        elif self.has_focus:
            self._cursor = self._start()
        self._redraw(covered)

    def on_resize(self) -> None:
        """The picture fits the size."""
        self._redraw()

    def _redraw(self, covered: Iterable[int] = ()) -> None:
        """Draw anew, and repaint the rows that came out different."""
        before, look = dict(self._strips), self._look
        self._checked = False
        self.picture()
        self._set_legend()
        if self._picture is None or look != self._look or len(before) < self.size.height:
            self.refresh()
            return
        rows = [y for y in range(self.size.height) if self._strip(y) != before[y]]
        self._repaint({*rows, *covered, *self._cursor_rows()})

    def _point_x(self, at: tuple[int, int] | None) -> float | None:
        if at is None or self._frontiers is None or at[1] >= len(self._frontiers[at[0]]):
            return None
        return float(self._frontiers[at[0]].tokens_per_s_per_user[at[1]])

    def _nearest_x(self, series: int, x: float) -> tuple[int, int] | None:
        """The point of a series nearest to an interactivity; of the other series if it has none."""
        if self._frontiers is None:
            return None
        for s in (series, 1 - series):
            xs = self._frontiers[s].tokens_per_s_per_user
            if len(xs):
                return s, int(abs(xs - x).argmin())
        return None

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Series (0 split, 1 co-located) and index of the point the readout is about."""
        return self._hover or (self._cursor if self.has_focus else None)

    # Keys

    def action_move(self, by: int) -> None:
        """Move along the frontier."""
        before = self._cursor_rows()
        if self._cursor is None:
            self._cursor = self._start()
        if self._cursor is not None and self._frontiers is not None:
            series, index = self._cursor
            last = len(self._frontiers[series]) - 1
            self._cursor = (series, min(max(index + by, 0), last))
        self._hover = None
        self._moved(before)

    def action_other(self) -> None:
        """Go to the other frontier at the same interactivity."""
        before = self._cursor_rows()
        if self._cursor is None:
            self._cursor = self._start()
        else:
            x = self._point_x(self._cursor)
            self._cursor = self._nearest_x(1 - self._cursor[0], x or 0.0)
        self._hover = None
        self._moved(before)

    def action_choose(self) -> None:
        """Propose the point's interactivity as the TTL limit."""
        x = self._point_x(self.cursor)
        if x:
            self.post_message(self.PointChosen(x))

    def _start(self) -> tuple[int, int] | None:
        plan = self._plan
        chosen = plan.chosen if plan else None
        series = COLOC if plan is not None and plan.choice == "colocated" else SPLIT
        return self._nearest_x(series, chosen.tokens_per_s_per_user if chosen else 1 / self._ttl_s)

    def on_focus(self) -> None:
        """Show the cursor where the plan is."""
        if self._cursor is None:
            self._cursor = self._start()
        self.refresh()

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    # Mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read out the point under the mouse."""
        self._set_hover(self._under(event))

    def on_leave(self) -> None:
        """The mouse has left."""
        self._set_hover(None)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the point under the mouse."""
        at = self._under(event)
        if at is not None:
            self._cursor = at
            self.refresh()

    def _set_hover(self, at: tuple[int, int] | None) -> None:
        if at != self._hover:
            before = self._cursor_rows()
            self._hover = at
            self._moved(before)

    def _under(self, event: events.MouseEvent) -> tuple[int, int] | None:
        offset = event.get_content_offset(self)
        if offset is None or self._picture is None or self._frontiers is None:
            return None
        best, distance = None, REACH
        for series, frontier in enumerate(self._frontiers):
            index, far = self._picture.geometry.nearest(
                offset.x, offset.y, frontier.tokens_per_s_per_user, frontier.tokens_per_s_per_gpu
            )
            if far < distance:
                best, distance = (series, index), far
        return best

    # Drawing

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(f"hue-{name}", "#888888")

    def picture(self) -> Picture | None:
        """The chart for the present size, data and theme; None while there is nothing to draw."""
        width, height = self.size
        theme = self.app.theme
        if self._checked and self._look == (width, height, theme):
            return self._picture
        self._checked, self._look = True, (width, height, theme)
        self._strips.clear()
        if self._frontiers is None or width < 16 or height < 5:
            self._forget()
            return None
        from tui import plotting

        points = [(mark.x, mark.y) for mark in plan_marks(self._plan, self.glyphs)]
        limits = plotting.axes(self._frontiers, points, 1 / self._ttl_s, width, height)
        if limits is None:
            self._forget()
            return None
        split, coloc = self._frontiers
        key = (width, height, theme, limits)
        if self._picture is None or key != self._picture_key or not _same(self._frontiers, self._drawn):
            self._picture_key, self._drawn = key, self._frontiers
            hues = plotting.Hues(split=self._hue("split"), coloc=self._hue("coloc"), cloud=self._hue("cloud"))
            self._picture = plotting.draw(split, coloc, limits, width, height, hues, ascii=self.glyphs.ascii)
        self._marks = lay(
            self._picture, self._frontiers, self._plan, self._ttl_s, self.glyphs, self._hue("cloud")
        )
        return self._picture

    def _forget(self) -> None:
        self._picture, self._picture_key, self._marks = None, None, {}

    def _set_legend(self) -> None:
        drawn = self._frontiers is not None
        self.border_subtitle = legend(self._picture, self._plan, self._ttl_s, self.glyphs) if drawn else ""

    def readout(self) -> list[str]:
        """What the cursor's point is, a line each; empty without a cursor."""
        at = self.cursor
        if at is None or self._frontiers is None or at[1] >= len(self._frontiers[at[0]]):
            return []
        return readout(self._frontiers[at[0]], at[1], at[0], self.glyphs)

    def render_line(self, y: int) -> Strip:
        """One row: the picture's cells, marks over them, cursor and readout on top."""
        picture = self.picture()
        if picture is None:
            return self._message_line(y)
        if y not in self._cursor_rows():
            return self._strip(y)
        cells, bold = self._cells(y)
        self._overlay_cursor(cells, bold, y)
        return self._joined(cells, bold)

    def _strip(self, y: int) -> Strip:
        """A row without the cursor, kept until the picture changes."""
        if y not in self._strips:
            self._strips[y] = self._joined(*self._cells(y))
        return self._strips[y]

    def _cells(self, y: int) -> tuple[list[Cell], set[int]]:
        """A row of the picture with our marks, and the columns in bold."""
        assert self._picture is not None
        cells, bold = list(self._picture.cells[y]), set()
        for (col, row), (glyph, hue) in self._marks.items():
            if row == y and 0 <= col < len(cells):
                cells[col] = (glyph, self._hue(hue))
                if hue == "chosen":
                    bold.add(col)
        return cells, bold

    def _joined(self, cells: list[Cell], bold: set[int]) -> Strip:
        """Cells of one look as one segment."""
        base, axis = self.rich_style, self._hue("axis")
        looks = ((hue or axis, col in bold) for col, (_, hue) in enumerate(cells))
        segments = []
        for look, run in groupby(zip(looks, cells, strict=True), key=itemgetter(0)):
            segments.append(_segment("".join(char for _, (char, _) in run), look, base))
        return Strip(segments, len(cells))

    def _cursor_cell(self) -> tuple[int, int] | None:
        """Column and row of the cursor; None without one, or off the chart."""
        at, picture = self.cursor, self._picture
        if at is None or picture is None or self._frontiers is None or at[1] >= len(self._frontiers[at[0]]):
            return None
        f = self._frontiers[at[0]]
        return picture.geometry.cell(
            float(f.tokens_per_s_per_user[at[1]]), float(f.tokens_per_s_per_gpu[at[1]])
        )

    def _readout_place(self, lines: list[str]) -> tuple[int, int]:
        """Column and row of the readout: top right, or bottom left where it would hide the cursor."""
        assert self._picture is not None
        place, cell = self._picture.geometry, self._cursor_cell()
        size = max(len(line) for line in lines) + 2
        left = max(place.width - size, place.left)
        if cell is not None and cell[0] >= left - 1 and cell[1] < len(lines):
            return place.left, place.top + place.rows - len(lines)
        return left, place.top

    def _cursor_rows(self) -> set[int]:
        """The rows that cursor and readout lie on."""
        lines = self.readout()
        if self._picture is None or not lines:
            return set()
        top, cell = self._readout_place(lines)[1], self._cursor_cell()
        return {*range(top, top + len(lines)), *(() if cell is None else (cell[1],))}

    def _moved(self, before: set[int]) -> None:
        """Repaint what the cursor left and what it came to."""
        self._repaint(before | self._cursor_rows())

    def _repaint(self, rows: set[int]) -> None:
        if rows:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in rows))

    def _overlay_cursor(self, cells: list[Cell], bold: set[int], y: int) -> None:
        lines = self.readout()
        if not lines:
            return
        left, top = self._readout_place(lines)
        if top <= y < top + len(lines):
            size = max(len(line) for line in lines) + 2
            hue = self._hue("cursor" if y == top else "chosen")
            for col, char in enumerate(f" {lines[y - top]} ".ljust(size), left):
                if col < len(cells):
                    cells[col] = (char, hue)
        cell = self._cursor_cell()
        if cell is not None and cell[1] == y:
            cells[cell[0]] = (self.glyphs.cursor, self._hue("cursor"))
            bold.add(cell[0])

    def _message_line(self, y: int) -> Strip:
        width = self.size.width
        text = self._waiting if self._frontiers is None else "nothing to draw: no deployment fits"
        line = text.center(width)[:width] if y == self.size.height // 2 else " " * width
        return Strip([_segment(line, (self._hue("muted"), False), self.rich_style)], width)


def _same(a: tuple[Frontier, Frontier] | None, b: tuple[Frontier, Frontier] | None) -> bool:
    """Whether both are made of the very same frontiers."""
    return a is b or (a is not None and b is not None and a[0] is b[0] and a[1] is b[1])


def _segment(text: str, key: tuple[str, bool], base: RichStyle) -> Segment:
    hue, bold = key
    return Segment(text, base + RichStyle(color=hue, bold=bold or None))
