"""The Pareto chart as cells. The only module that imports plotext, and only when a chart is drawn.

plotext knows neither a usable log axis nor readable ticks: logarithms, limits and ticks are ours,
and with those given the rectangle it draws into is exactly predictable (`Geometry`), so that the
chart widget can lay its own marks over the cells and find the point under the mouse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from planner.values import dataclass
from tui.charts import dots
from tui.charts.ticks import log_or_nice_ticks, nice_ticks, tick_label

if TYPE_CHECKING:
    from planner.arrays import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.integer]]

DECADES = 2.5  # of a log axis shown at most, down from the largest value
STEADY = 0.1  # decades that the limits of a log axis are rounded to: about four columns
BLOCK, PLAIN_BLOCK = (4, 3), (6, 4)  # columns and rows of which a dense cloud has one dot; in ASCII
FEW = 0.3  # of so many cells to a block a cloud is a dot for each point
Cell = tuple[str, str]  # a character and its colour, "" for the axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where data lands: `cols` x `rows` cells from (`left`, `top`); x0 and x1 are log10 on a log axis.

    A cell holds `dots_x` x `dots_y` dots (2 x 4 in braille): a point belongs to the cell of its dot.
    """

    width: int
    height: int
    left: int
    top: int
    cols: int
    rows: int
    x0: float
    x1: float
    y0: float
    y1: float
    dots_x: int = 1
    dots_y: int = 1
    log: bool = True

    def column(self, x: float) -> int | None:
        """The screen column of a value on the x axis; None outside the canvas.

        >>> g = Geometry(width=21, height=9, left=1, top=0, cols=20, rows=7, x0=1, x1=2, y0=0, y1=100)
        >>> g.column(10), g.column(100), g.column(1000)
        (1, 20, None)
        """
        if not math.isfinite(x) or (self.log and x <= 0):
            return None
        place = ((math.log10(x) if self.log else x) - self.x0) / (self.x1 - self.x0)
        col = _dot(place, self.cols * self.dots_x) // self.dots_x
        return self.left + col if 0 <= col < self.cols else None

    def row(self, y: float) -> int | None:
        """The screen row of a value on the y axis; None outside the canvas."""
        if not math.isfinite(y):
            return None
        place = (y - self.y0) / (self.y1 - self.y0)
        row = _dot(place, self.rows * self.dots_y) // self.dots_y
        return self.top + self.rows - 1 - row if 0 <= row < self.rows else None

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """Column and row of a point; None outside the canvas."""
        col, row = self.column(x), self.row(y)
        return None if col is None or row is None else (col, row)

    def cells(self, x: FloatArray, y: FloatArray) -> list[tuple[int, int] | None]:
        """As `cell` for points, arrays of shape (n,).

        >>> g = Geometry(width=21, height=9, left=1, top=0, cols=20, rows=7, x0=1, x1=2, y0=0, y1=100)
        >>> g.cells(np.array([10.0, 100.0, 1000.0]), np.array([0.0, 100.0, 50.0]))
        [(1, 6), (20, 0), None]
        """
        found: list[tuple[int, int] | None] = [None] * len(x)
        at = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not self.log)))
        along = _scaled(x[at], self.log)
        cols = dots.nearest(along, self.x0, self.x1, self.cols * self.dots_x) // self.dots_x
        rows = dots.nearest(y[at], self.y0, self.y1, self.rows * self.dots_y) // self.dots_y
        for point, col, row in zip(at.tolist(), cols.tolist(), rows.tolist(), strict=True):
            if 0 <= col < self.cols and 0 <= row < self.rows:
                found[point] = self.left + col, self.top + self.rows - 1 - row
        return found

    def nearest(self, col: int, row: int, x: FloatArray, y: FloatArray) -> tuple[int, float]:
        """Index of the point nearest to a cell, and its distance in cells (a row counts as two columns).

        (-1, inf) if there is no point. x, y: arrays of shape (n,).
        """
        if not len(x):
            return -1, math.inf
        cols = self.left + (self.cols - 1) * (_scaled(x, self.log) - self.x0) / (self.x1 - self.x0)
        rows = self.top + (self.rows - 1) * (1 - (y - self.y0) / (self.y1 - self.y0))
        far = np.nan_to_num(np.hypot(cols - col, 2 * (rows - row)), nan=math.inf)
        at = int(np.argmin(far))
        return at, float(far[at])


def _scaled(x: FloatArray, log: bool) -> FloatArray:
    """Values along the axis: their log10 on a log axis, nan where there is none."""
    if not log:
        return np.asarray(x, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(x > 0, np.log10(x), np.nan))


def _dot(place: float, dots: int) -> int:
    """The dot of a place between 0 and 1, rounded as plotext rounds."""
    return math.floor(round(0.5 + (dots - 1) * place, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Limits and ticks of both axes, before they are fitted into a size."""

    x0: float  # log10 on a log axis
    x1: float
    y1: float
    xticks: tuple[float, ...]
    yticks: tuple[float, ...]
    log: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """Points to draw, in the order of the line that joins them."""

    x: FloatArray
    y: FloatArray
    hue: str  # as `#rrggbb`
    plain: str = "*"  # its character in ASCII
    joined: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawn chart: rows of cells, all as long as the chart is wide."""

    geometry: Geometry
    cells: tuple[tuple[Cell, ...], ...]


def warm() -> None:
    """Import plotext, so that the first chart does not wait for it."""
    import plotext  # noqa: F401


def axes(
    series: Sequence[tuple[FloatArray, FloatArray]],
    extra: Sequence[tuple[float, float]],
    limit_x: float,
    width: int,
    height: int,
    *,
    log: bool = True,
    zoom: float = 1.0,
    centre: float = math.nan,
) -> Axes | None:
    """Limits that hold the series, the extra points and (if near) the limit line.

    They are rounded outwards, so that an edit that changes little moves neither the axes nor the picture.

    With a `zoom` over 1, only that share of the x axis around `centre`, and the y axis that the points
    there need. None if there is nothing to hold.
    """
    x = np.concatenate([*(x for x, _ in series), np.array([x for x, _ in extra])])
    y = np.concatenate([*(y for _, y in series), np.array([y for _, y in extra])])
    good = np.isfinite(x) & np.isfinite(y) & (x > 0)
    if not good.any():
        return None
    x, y = x[good], y[good]
    high = float(x.max())
    low = max(float(x.min()), high / 10**DECADES) if log else float(x.min())
    if low / 3 <= limit_x <= high * 1.5:
        low, high = min(low, limit_x), max(high, limit_x)
    x0, x1 = (math.log10(low), math.log10(high)) if log else (low, high)
    pad = max(0.01 * (x1 - x0), 0.005 if log else 0.005 * high)
    step = STEADY if log else _step((x1 - x0) or high)
    x0, x1 = math.floor((x0 - pad) / step + 1e-9) * step, math.ceil((x1 + pad) / step - 1e-9) * step
    if not log:
        x0 = max(x0, 0.0)
    if zoom > 1 and centre > 0:
        middle, half = (math.log10(centre) if log else centre), (x1 - x0) / zoom / 2
        middle = min(max(middle, x0 + half), x1 - half)
        x0, x1 = middle - half, middle + half
    along = _scaled(x, log)
    seen = y[(along >= x0) & (along <= x1)]
    top = float(seen.max() if len(seen) else y.max())
    step = _step(top)
    y1 = math.ceil(1.02 * top / step) * step if top > 0 else 1.0
    most = min(max(width // 9, 2), 12)
    return Axes(
        x0=x0,
        x1=x1,
        y1=y1,
        xticks=log_or_nice_ticks(10**x0, 10**x1, most) if log else nice_ticks(x0, x1, most),
        yticks=nice_ticks(0, y1, min(max(height // 4, 2), 8)),
        log=log,
    )


def _step(span: float) -> float:
    """What limits are rounded to: about 4 % of what they span.

    >>> _step(1000), _step(1300), round(_step(0.7), 9)
    (20.0, 50.0, 0.02)
    """
    if not (span > 0 and math.isfinite(span)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 50))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= span / 50 * 0.999)


def label_size(axes: Axes) -> int:
    """Columns of the longest label of the y axis."""
    return max(len(tick_label(t)) for t in axes.yticks)


def geometry(
    axes: Axes, width: int, height: int, *, ascii: bool = False, strokes: bool = False, labels: int = 0
) -> Geometry:
    """Where plotext will draw: y labels and the axis line on the left, the axis line and labels below.

    `labels`: columns for the y labels, where the longest needs fewer. `strokes`: as for `draw`.
    """
    left = max(labels, label_size(axes)) + 1
    dots_x, dots_y = dots.cell(ascii, strokes)
    return Geometry(
        width=width,
        height=height,
        left=left,
        top=0,
        cols=width - left,
        rows=height - 2,
        x0=axes.x0,
        x1=axes.x1,
        y0=0.0,
        y1=axes.y1,
        dots_x=dots_x,
        dots_y=dots_y,
        log=axes.log,
    )


def draw(
    lines: Sequence[Line],
    cloud: Sequence[Line],
    axes: Axes,
    width: int,
    height: int,
    *,
    ascii: bool = False,
    strokes: bool = False,
    labels: int = 0,
) -> Picture:
    """Lines, later ones over earlier ones, and under them clouds of points, as cells.

    Lines are braille dots in the colour of their series, or one character each in ASCII: rows of text that
    `tui.charts.dots` makes of the points. plotext draws axes, ticks and labels around them. `strokes`: ASCII
    lines are thin, for a caller that lays each curve's own sign along it.
    """
    place = geometry(axes, width, height, ascii=ascii, strokes=strokes, labels=labels)
    layers, hues = [], [""]
    if cloud:
        x, y = (np.concatenate(parts) for parts in ([part.x for part in cloud], [part.y for part in cloud]))
        cols, rows = thinned(x, y, place)
        layers.append(dots.Layer(cols=cols, rows=rows, plain="."))
        hues.append(cloud[0].hue)
    for part in lines:
        x, y = _within(_scaled(part.x, axes.log), part.y, axes, joined=part.joined)
        layers.append(_layer(x, y, place, plain=part.plain, joined=part.joined))
        hues.append(part.hue)
    texts, owner = dots.paint(layers, place.cols, place.rows, ascii=ascii, strokes=strokes)
    frame = _frame(axes, place)
    if ascii:
        frame = frame.translate(_PLAIN)
    looks = [[hues[layer + 1] for layer in row] for row in owner.tolist()]
    cells: list[tuple[Cell, ...]] = []
    for row, line in enumerate(frame.split("\n")[:height]):
        line, look = line.ljust(width), [""] * width
        if row < place.rows:
            line, look[place.left :] = line[: place.left] + texts[row], looks[row]
        cells.append(tuple(zip(line, look, strict=True)))
    return Picture(geometry=place, cells=tuple(cells))


@lru_cache(maxsize=8)
def _frame(axes: Axes, place: Geometry) -> str:
    """Axes, ticks and labels around nothing, as plotext draws them."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(place.width, place.height)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(axes.x0, axes.x1)
    plotext.ylim(0, axes.y1)
    along = [math.log10(t) if axes.log else t for t in axes.xticks]
    plotext.xticks(along, [tick_label(t) for t in axes.xticks])
    plotext.yticks(list(axes.yticks), [tick_label(t).rjust(place.left - 1) for t in axes.yticks])
    plotext.text(" ", axes.x0, 0.0, alignment="left", color="default")  # without any it draws no canvas
    return _SGR.sub("", str(plotext.build()))


def _layer(x: FloatArray, y: FloatArray, place: Geometry, *, plain: str, joined: bool = False) -> dots.Layer:
    """Points, x as along the axis, as dots."""
    cols = dots.nearest(x, place.x0, place.x1, place.cols * place.dots_x)
    rows = dots.nearest(y, place.y0, place.y1, place.rows * place.dots_y)
    if joined and len(cols) > 1:
        cols, rows = dots.joined(cols, rows)
    return dots.Layer(cols=cols, rows=rows, plain=plain, line=joined and len(cols) > 1)


def _within(x: FloatArray, y: FloatArray, axes: Axes, *, joined: bool) -> tuple[FloatArray, FloatArray]:
    """The points in sight; a line that leaves is cut at the edge, where it would be drawn askew."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    inside = (x >= axes.x0) & (x <= axes.x1)
    if not joined or len(x) < 2 or inside.all():
        return x[inside], y[inside]
    edges = np.array([edge for edge in (axes.x0, axes.x1) if x.min() < edge < x.max()])
    at = np.concatenate([x[inside], edges])
    height = np.concatenate([y[inside], np.interp(edges, x, y)])
    order = np.argsort(at, kind="stable")
    return at[order], height[order]


def thinned(x: FloatArray, y: FloatArray, place: Geometry) -> tuple[IntArray, IntArray]:
    """Columns and rows of the dots of a thin cloud, x as along the axis.

    A few points are a dot each. A cloud that fills the plane shows nothing, and an edit moves all of it: of
    many points each block of cells that holds one has one dot, always the same, so that most of the cloud
    stays and need not be sent again. A dot never lies above or to the right of all points of its block:
    there may be none so good.
    """
    along = _scaled(x, place.log)
    with np.errstate(invalid="ignore"):
        inside = (along >= place.x0) & (along <= place.x1) & (y >= place.y0) & (y <= place.y1)
    cols = dots.nearest(along[inside], place.x0, place.x1, place.cols * place.dots_x)
    rows = dots.nearest(y[inside], place.y0, place.y1, place.rows * place.dots_y)
    wide, high = BLOCK if place.dots_x > 1 else PLAIN_BLOCK
    across, up = -(-place.cols // wide), -(-place.rows // high)
    held = np.zeros((across * wide, up * high), dtype=bool)
    held[cols // place.dots_x, rows // place.dots_y] = True
    if np.count_nonzero(held) <= FEW * across * up:
        return cols, rows
    blocks = held.reshape(across, wide, up, high).transpose(0, 2, 1, 3)
    reached = blocks[:, :, ::-1, ::-1]
    for axis in (2, 3):
        reached = np.logical_or.accumulate(reached, axis=axis)
    reached = reached[:, :, ::-1, ::-1]  # by a point at least as far right and as high
    number = np.arange(across * up).reshape(across, up)
    hashes = _scattered(number).astype(np.int64)
    right, above = hashes % wide, hashes // wide % high
    fits = np.take_along_axis(reached.reshape(across, up, -1), (right * high + above)[..., None], axis=2)[
        ..., 0
    ]
    right, above = np.where(fits, right, 0), np.where(fits, above, 0)
    at = np.nonzero(blocks.any(axis=(2, 3)))
    dot = hashes[at] // (wide * high)
    cols = (at[0] * wide + right[at]) * place.dots_x + dot % place.dots_x
    rows = (at[1] * high + above[at]) * place.dots_y + dot // place.dots_x % place.dots_y
    return cols, rows


def _scattered(numbers: IntArray) -> IntArray:
    """A hash of each number, so that a sample by hash shows no stripes (lowbias32, public domain)."""
    x = numbers.astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return x


_SGR = re.compile("\x1b\\[([0-9;]*)m")
_PLAIN = str.maketrans("│┤├└┘┌┐─┬┴┼", "|++++++-+++")


def decode(text: str, width: int, height: int, *, ascii: bool = False) -> tuple[tuple[Cell, ...], ...]:
    """Text with ANSI colours as rows of cells, each row exactly `width` long, `height` rows.

    >>> decode("a\\x1b[38;2;255;0;0mb\\x1b[0m", 3, 1)
    ((('a', ''), ('b', '#ff0000'), (' ', '')),)
    """
    if ascii:
        text = text.translate(_PLAIN)
    rows = []
    for line in text.split("\n")[:height]:
        cells: list[Cell] = []
        hue = ""
        parts = _SGR.split(line)
        for i, part in enumerate(parts):
            if i % 2 == 0:
                cells += [(char, hue) for char in part]
            else:
                hue = _hue(part, hue)
        cells += [(" ", "")] * (width - len(cells))
        rows.append(tuple(cells[:width]))
    rows += [((" ", ""),) * width] * (height - len(rows))
    return tuple(rows)


def _hue(code: str, before: str) -> str:
    numbers = code.split(";")
    if numbers[:2] == ["38", "2"] and len(numbers) == 5:
        return "#" + "".join(f"{int(n):02x}" for n in numbers[2:])
    return "" if code in ("", "0") else before
