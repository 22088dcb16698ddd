"""Throughput per GPU against interactivity: both frontiers, the limit, the chosen point, a cursor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

from planner.units import format_seconds, three_digits
from tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from planner.result import Frontier, Plan
    from tui.plotting import Cell, Picture

REACH = 6.0  # cells: a mouse farther than this from every point picks none
SPLIT, COLOC = 0, 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A character of ours on the chart, at a point in data units."""

    x: float
    y: float
    glyph: str
    hue: str


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
        self._limit_x = 0.0
        self._ttl_s = 0.0
        self._cursor: tuple[int, int] | None = None  # series, index
        self._hover: tuple[int, int] | None = None
        self._picture: Picture | None = None
        self._picture_key: object = None  # what the picture was built for
        self._drawn: tuple[Frontier, Frontier] | None = None
        self._checked = False  # whether it still holds
        self._look: object = None
        self._strips: dict[int, Strip] = {}  # rows without the cursor
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}
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
        self._ttl_s, self._limit_x = ttl_s, 1 / ttl_s
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
        return self._nearest_x(series, chosen.tokens_per_s_per_user if chosen else self._limit_x)

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
            return self._forget()
        from tui import plotting

        points = [(mark.x, mark.y) for mark in self._plan_marks()]
        limits = plotting.axes(self._frontiers, points, self._limit_x, width, height)
        if limits is None:
            return self._forget()
        split, coloc = self._frontiers
        key = (width, height, theme, limits)
        if self._picture is None or key != self._picture_key or not _same(self._frontiers, self._drawn):
            self._picture_key, self._drawn = key, self._frontiers
            hues = plotting.Hues(split=self._hue("split"), coloc=self._hue("coloc"), cloud=self._hue("cloud"))
            self._picture = plotting.draw(split, coloc, limits, width, height, hues, ascii=self.glyphs.ascii)
        self._marks = self._static_marks(self._picture)
        return self._picture

    def _forget(self) -> None:
        self._picture, self._picture_key, self._marks = None, None, {}

    def _plan_marks(self) -> list[Mark]:
        """The chosen serving and the one it was preferred to."""
        if self._plan is None:
            return []
        g, marks = self.glyphs, []
        servings = (("disaggregated", "split"), ("colocated", "coloc"))
        for name, hue in sorted(servings, key=lambda item: item[0] == self._plan.choice):
            serving = getattr(self._plan, name)
            if serving is not None:
                chosen = name == self._plan.choice
                glyph, colour = (g.chosen, "chosen") if chosen else (g.other, hue)
                marks.append(Mark(serving.tokens_per_s_per_user, serving.tokens_per_s_per_gpu, glyph, colour))
        return marks

    def _static_marks(self, picture: Picture) -> dict[tuple[int, int], tuple[str, str]]:
        """What lies on the picture whatever the cursor does: cell to glyph and hue, the last one wins."""
        g, place = self.glyphs, picture.geometry
        cells: dict[tuple[int, int], tuple[str, str]] = {}
        col = place.column(self._limit_x)
        if col is not None:
            for row in range(place.top, place.top + place.rows):
                if self._free(picture, col, row):
                    cells[col, row] = (g.limit, "limit")
            text = f"TTL {g.at_most} {format_seconds(self._ttl_s)}"
            start = col + 2 if col + 2 + len(text) < place.width // 2 else col - 1 - len(text)
            row = place.top + place.rows - 1
            free = all(self._free(picture, c, row) for c in range(start, start + len(text)))
            if free and start > place.left:
                cells.update({(start + i, row): (char, "limit") for i, char in enumerate(text)})
        if self._frontiers is not None and not g.ascii:
            for series in (COLOC, SPLIT):
                self._sprinkle(cells, series, picture)
        for mark in self._plan_marks():
            at = place.cell(mark.x, mark.y)
            if at is not None:
                cells[at] = (mark.glyph, mark.hue)
        return cells

    def _free(self, picture: Picture, col: int, row: int) -> bool:
        """Whether a cell holds no line: blank, or only a dot of the cloud."""
        if not 0 <= col < picture.geometry.width:
            return False
        char, hue = picture.cells[row][col]
        return char == " " or hue.lower() == self._hue("cloud").lower()

    def _sprinkle(self, cells: dict[tuple[int, int], tuple[str, str]], series: int, picture: Picture) -> None:
        """Put the glyph of a series on its line every few columns: told apart without colour."""
        assert self._frontiers is not None
        frontier = self._frontiers[series]
        glyph, hue = ((self.glyphs.split, "split"), (self.glyphs.colocated, "coloc"))[series]
        last = -100
        points = zip(
            frontier.tokens_per_s_per_user.tolist(), frontier.tokens_per_s_per_gpu.tolist(), strict=True
        )
        for x, y in points:
            at = picture.geometry.cell(x, y)
            if at is not None and at[0] - last >= 4:
                cells[at] = (glyph, hue)
                last = at[0]

    def _set_legend(self) -> None:
        g = self.glyphs
        if self._frontiers is None:
            self.border_subtitle = ""
            return
        parts = [f"[$hue-split]{g.split}[/] split", f"[$hue-coloc]{g.colocated}[/] co-located"]
        if self._plan is not None and self._plan.chosen is not None:
            parts.append(f"[$hue-chosen]{g.chosen}[/] plan")
        if self._picture is not None and self._picture.geometry.column(self._limit_x) is not None:
            parts.append(f"[$hue-limit]{g.limit}[/] TTL limit")
        else:
            parts.append(f"TTL limit {format_seconds(self._ttl_s)} is off the chart")
        self.border_subtitle = "  ".join(parts)

    def readout(self) -> list[str]:
        """What the cursor's point is, a line each; empty without a cursor."""
        at = self.cursor
        if at is None or self._frontiers is None or at[1] >= len(self._frontiers[at[0]]):
            return []
        series, i = at
        f, g = self._frontiers[series], self.glyphs
        x, y = float(f.tokens_per_s_per_user[i]), float(f.tokens_per_s_per_gpu[i])
        lines = [
            f"{g.cursor} {three_digits(x)} tok/s/user {g.dot} {three_digits(y)} tok/s/GPU",
            f"TTL {format_seconds(1 / x)} {g.dot} {f.gpus[i]:,.0f} GPUs",
        ]
        if series == SPLIT:
            lines[1] += f" {g.dot} ctx:gen {three_digits(float(f.ctx_gen_ratio[i]))}"
            lines.append(f"{f.prefill[i]} + {f.decode[i]}")
        else:
            lines.append(f"co-located {f.decode[i]}")
        return lines

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

    def _cursor_rows(self) -> set[int]:
        """The rows that cursor and readout lie on."""
        at, picture = self.cursor, self._picture
        if at is None or picture is None or self._frontiers is None or at[1] >= len(self._frontiers[at[0]]):
            return set()
        f = self._frontiers[at[0]]
        row = picture.geometry.row(float(f.tokens_per_s_per_gpu[at[1]]))
        return {*range(len(self.readout())), *(() if row is None else (row,))}

    def _moved(self, before: set[int]) -> None:
        """Repaint what the cursor left and what it came to."""
        self._repaint(before | self._cursor_rows())

    def _repaint(self, rows: set[int]) -> None:
        if rows:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in rows))

    def _overlay_cursor(self, cells: list[Cell], bold: set[int], y: int) -> None:
        at = self.cursor
        picture = self._picture
        if at is None or picture is None or self._frontiers is None:
            return
        lines = self.readout()
        if y < len(lines):
            text = f" {lines[y]} "
            start = max(picture.geometry.width - max(len(line) for line in lines) - 2, picture.geometry.left)
            for i, char in enumerate(text.ljust(picture.geometry.width - start)):
                if start + i < len(cells):
                    cells[start + i] = (char, self._hue("cursor") if y == 0 else self._hue("chosen"))
        frontier = self._frontiers[at[0]]
        if at[1] >= len(frontier):
            return
        place = picture.geometry.cell(
            float(frontier.tokens_per_s_per_user[at[1]]), float(frontier.tokens_per_s_per_gpu[at[1]])
        )
        if place is not None and place[1] == y:
            cells[place[0]] = (self.glyphs.cursor, self._hue("cursor"))
            bold.add(place[0])

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
