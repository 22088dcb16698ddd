"""The drawn side of a chart: a scene as cells, kept as strips, with a cursor and marks on top."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby, repeat
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.charts.chart_marks import PATTERN, Marks, Ranges, lay, pattern
from tui.charts.scene import AXES, TALL, USER, Y_TITLE, Axis, Curve, Scene, fitting, legend, readout
from tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from planner.arrays import FloatArray
    from tui.charts.plotting import Cell, Line, Picture

At = tuple[int, int]  # a curve and a point of it
TINT = 0.13  # how much of a curve's hue lies behind its range
BORDER = 6  # of a border's cells are no text: corners, and a line and a blank on either side


class ChartFace(Widget):
    """A scene on an axis.

    The picture is built once per size, data and theme and kept as cells; cursor, limit line and marks
    are laid over the rows as they are drawn, so that moving the cursor repaints a few rows and no more.
    """

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.axis: Axis = USER
        self.faint = True  # whether dominated points are drawn
        self.pins = False  # whether the axes reach pins of other questions too
        self.zoom = 1.0
        self._centre = math.nan  # of the zoomed window, on the axis
        self._logs = {axis.key: axis.log for axis in AXES}
        self._scene: Scene | None = None
        self._data: list[tuple[FloatArray, FloatArray]] = []  # of each curve on the axis
        self._cursor: At | None = None
        self._hover: At | None = None
        self._picture: Picture | None = None
        self._picture_key: object = None  # what the picture was built for
        self._checked = False  # whether it still holds
        self._look: object = None
        self._strips: dict[int, Strip] = {}  # rows without the cursor
        self._marks: dict[int, Marks] = {}  # by row
        self._ranges: Ranges = ()  # of 80 % of cases
        self._tints: dict[int, str] = {}  # what lies behind a cell, by the ranges that it is in
        self._legend = ""
        self._base = RichStyle()  # of a cell without a colour of its own; as old as the strips
        self._waiting = "computing" + glyphs.ellipsis
        self._set_title()

    # Data

    def show(self, scene: Scene | None, waiting: str = "") -> None:
        """Draw a scene; without one, say `waiting`."""
        if waiting and waiting != self._waiting:
            self._waiting = waiting
            self.refresh()
        if scene is self._scene or (scene and self._scene and scene.key == self._scene.key):
            return
        covered, ttl_s = self._cursor_rows(), self._ttl_s(self._cursor)
        self._scene = scene
        self._hover = None
        self._load()
        if self._cursor is not None and ttl_s is not None:
            self._cursor = self._nearest(self._cursor[0], ttl_s)
        elif self.has_focus:
            self._cursor = self._start()
        self._redraw(covered)

    def _load(self) -> None:
        """Take the points on the present axis."""
        self._data = [curve.xy(self.axis) for curve in self._scene.curves] if self._scene else []
        self._set_title()

    def _set_title(self) -> None:
        zoom = f"  {self.glyphs.times}{self.zoom:.2g}" if self.zoom > 1 else ""
        x = f"{self.axis.title}{zoom}"
        y = Y_TITLE if self._scene is None else self._scene.unit
        if self._scene is not None and (drawn := self._scene.scenario.frontier) != "auto":
            y = f"{drawn}, {y}" if drawn == "goodput" else f"{y} at {drawn}"
        title = fitting([f"{y} in use over {x}", f"{y} over {x}", x], self._room)
        if title != self.border_title:
            self.border_title = title

    @property
    def _room(self) -> int:
        """Cells for a text in the border: Textual cuts what is longer with a sign that is not ASCII."""
        return self.outer_size.width - BORDER

    def on_resize(self) -> None:
        """The picture fits the size, and so do the texts in its border."""
        self._set_title()
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

    def _curve(self, at: At | None) -> Curve | None:
        """The curve of a point; None where there is no such point (any more)."""
        if at is None or self._scene is None or at[0] >= len(self._scene.curves):
            return None
        curve = self._scene.curves[at[0]]
        return curve if at[1] < len(curve.frontier) else None

    def _ttl_s(self, at: At | None) -> float | None:
        """The TTL of a point."""
        curve = self._curve(at)
        return None if curve is None or at is None else float(curve.frontier.ttl_s[at[1]])

    def _nearest(self, series: int, ttl_s: float) -> At | None:
        """The point of a curve nearest to a TTL; of the next curve if it has none."""
        if self._scene is None:
            return None
        curves = self._scene.curves
        for s in (*range(series, len(curves)), *range(min(series, len(curves)))):
            front = curves[s].frontier
            if len(front):
                return s, int(abs(front.ttl_s - ttl_s).argmin())
        return None

    @property
    def cursor(self) -> At | None:
        """Curve (0 split, 1 co-located) and index of the point the readout is about."""
        return self._hover or (self._cursor if self.has_focus else None)

    def _start(self) -> At | None:
        return None if self._scene is None else self._nearest(self._scene.start, self._scene.start_ttl_s)

    def _renew(self) -> None:
        self._checked = False
        self.picture()
        self._set_legend()
        self.refresh()

    # Drawing

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(f"hue-{name}", "#888888")

    def picture(self) -> Picture | None:
        """The chart for the present size, data and theme; None while there is nothing to draw."""
        width, height = self.size
        theme = self.app.theme
        if self._checked and self._look == (width, height, theme):
            return self._picture
        if self._checked:  # not told of the size: what came while another page hid it was drawn in no room
            self.call_later(self._set_legend)
        self._checked, self._look = True, (width, height, theme)
        self._strips.clear()
        self._base = self.rich_style
        if self._scene is None or width < 16 or height < 5:
            self._forget()
            return None
        from tui.charts import plotting

        log = self._logs[self.axis.key]
        limits = plotting.axes(
            self._data,
            [mark.xy(self.axis) for mark in self._scene.marks if self.pins or not mark.apart],
            self._scene.limit(self.axis, self.glyphs)[0],
            width,
            height,
            log=log,
            zoom=self.zoom,
            centre=self._centre,
        )
        if limits is None:
            self._forget()
            return None
        drawn = self._scene.key[0]
        ttl_s = None if self.axis is USER else self._scene.scenario.limits.ttl_s
        key = (width, height, theme, limits, drawn, self.axis.key, self.faint, ttl_s)
        if self._picture is None or key != self._picture_key:
            self._picture_key = key
            lines, cloud = self._lines(ttl_s)
            plain = self.glyphs.ascii
            self._picture = plotting.draw(lines, cloud, limits, width, height, ascii=plain, strokes=plain)
        self._shade()
        self._marks = {}
        marks = lay(self._picture, self._scene, self.axis, self.glyphs, self._hue("cloud"))
        if self._ranges and not self._tints:
            marks |= pattern(self._picture, self._ranges, self._scene.curves, marks)
        for at, mark in marks.items():
            self._marks.setdefault(at[1], {})[at] = mark
        return self._picture

    def _shade(self) -> None:
        """Find the ranges of 80 % of cases, and the tints of their cells where there are colours."""
        from tui.charts import bands

        assert self._scene is not None and self._picture is not None
        curves = self._scene.curves
        self._ranges = bands.ranges(self._picture.geometry, curves) if self.axis is USER else ()
        self._tints = {}
        if self._ranges:
            self._picture = bands.cleared(self._picture, self._ranges, self._hue("cloud"))
        ground = self.background_colors[1]
        if self.glyphs.ascii or os.environ.get("NO_COLOR") or ground.ansi is not None:
            return
        for bits in {bits for row in self._ranges for bits in row if bits}:
            tint = ground
            for number, curve in enumerate(curves):
                if bits >> number & 1:
                    tint = tint.blend(Color.parse(self._hue(curve.hue)), TINT)
            self._tints[bits] = tint.hex

    def _lines(self, ttl_s: float | None) -> tuple[list[Line], list[Line]]:
        """The curves, and what is faint: other deployments, or off the own axis those that miss the TTL."""
        from planner.output.limits import meets
        from tui.charts.plotting import Line

        assert self._scene is not None
        lines, cloud = [], []
        for curve, (x, y) in zip(self._scene.curves, self._data, strict=True):
            front = curve.frontier
            if ttl_s is None:
                faint_x, faint_y = 1.0 / front.cloud_ttl_s, front.cloud_tokens_per_s_per_gpu / curve.tokens
            else:
                good = meets(front.ttl_s, ttl_s)
                faint_x, faint_y, x, y = x[~good], y[~good], x[good], y[good]
            hue = self._hue(curve.hue)
            lines.append(Line(x=x, y=y, hue=hue, plain=curve.plain, joined=self.axis is USER))
            if self.faint:
                cloud.append(Line(x=faint_x, y=faint_y, hue=self._hue("cloud")))
        return lines[::-1], cloud

    def _forget(self) -> None:
        self._picture, self._picture_key, self._marks = None, None, {}
        self._ranges, self._tints = (), {}

    def _set_legend(self) -> None:
        text = ""
        if not self.size:
            return
        if self._scene is not None:
            limit, _ = self._scene.limit(self.axis, self.glyphs)
            drawn = self._picture is not None and self._picture.geometry.column(limit) is not None
            text = legend(
                self._scene,
                self.axis,
                drawn,
                self.glyphs,
                self._room,
                cloud=self._has_cloud(),
                band=self._band_sign(),
            )
        if text != self._legend:  # what Textual gives back is spelled otherwise, and setting it repaints all
            self._legend = self.border_subtitle = text

    def _band_sign(self) -> str:
        """What shades the ranges of 80 % of cases; "" where none is."""
        if not any(map(any, self._ranges)):
            return ""
        return self.glyphs.band if self._tints else PATTERN

    def _has_cloud(self) -> bool:
        """Whether faint dots are drawn."""
        curves = self._scene.curves if self._scene else ()
        faint = self.faint and (self.axis is not USER or any(len(c.frontier.cloud_ttl_s) for c in curves))
        return faint and self._picture is not None

    def readout(self) -> list[str]:
        """What the cursor's point is, a line each; empty without a cursor."""
        at = self.cursor
        curve = self._curve(at)
        if at is None or curve is None:
            return []
        return readout(curve, at[1], self.glyphs, tall=self.size.height >= TALL)

    def render_line(self, y: int) -> Strip:
        """One row: the picture's cells, marks over them, cursor and readout on top."""
        picture = self.picture()
        if picture is None:
            return self._message_line(y)
        if y not in self._cursor_rows():
            return self._strip(y)
        cells, bold = self._cells(y)
        self._overlay_cursor(cells, bold, y)
        return self._joined(y, cells, bold)

    def _strip(self, y: int) -> Strip:
        """A row without the cursor, kept until the picture changes."""
        if y not in self._strips:
            self._strips[y] = self._joined(y, *self._cells(y))
        return self._strips[y]

    def _cells(self, y: int) -> tuple[list[Cell], set[int]]:
        """A row of the picture with our marks, and the columns in bold."""
        assert self._picture is not None
        cells, bold = list(self._picture.cells[y]), set()
        for (col, _), (glyph, hue) in self._marks.get(y, {}).items():
            if 0 <= col < len(cells):
                cells[col] = (glyph, self._hue(hue))
                if hue == "chosen":
                    bold.add(col)
        return cells, bold

    def _joined(self, y: int, cells: list[Cell], bold: set[int]) -> Strip:
        """Cells of one look as one segment."""
        base, axis = self._base, self._hue("axis")
        characters, hues = zip(*cells, strict=True)
        chars = "".join(characters)
        tints: Iterable[str | None] = map(self._tints.get, self._ranges[y]) if self._tints else repeat("")
        heavy = [col in bold for col in range(len(cells))]
        segments, start = [], 0
        for (hue, strong, tint), run in groupby(zip(hues, heavy, tints, strict=False)):
            end = start + len(list(run))
            segments.append(Segment(chars[start:end], _style(hue or axis, strong, tint or "", base)))
            start = end
        return Strip(segments, len(cells))

    def _cursor_cell(self) -> tuple[int, int] | None:
        """Column and row of the cursor; None without one, or off the chart."""
        at, picture = self.cursor, self._picture
        if at is None or picture is None or self._curve(at) is None:
            return None
        x, y = self._data[at[0]]
        return picture.geometry.cell(float(x[at[1]]), float(y[at[1]]))

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
        text = self._waiting if self._scene is None else "nothing to draw: no deployment meets the limits"
        line = text.center(width)[:width] if y == self.size.height // 2 else " " * width
        return Strip([Segment(line, _style(self._hue("muted"), False, "", self.rich_style))], width)


@lru_cache(maxsize=256)
def _style(hue: str, bold: bool, tint: str, base: RichStyle) -> RichStyle:
    return base + RichStyle(color=hue, bold=bold or None, bgcolor=tint or None)
