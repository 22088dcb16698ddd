"""A replay over time as cells: queue, batch, first tokens and token intervals, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from textual.content import Content

from tui.charts import plotting

if TYPE_CHECKING:
    from planner.arrays import FloatArray
    from planner.replay.live import Glance
    from tui.charts.plotting import Axes, Cell

GAP, LEAST_WIDE, LEAST_HIGH = 2, 24, 5
NAMES = ("P50", "P95", "P99")
HUES = ("split", "cursor", "coloc")  # of each
PLAIN = (".", "o", "*")
WAITING = "waiting for a first token, requests"
Hue = Callable[[str], str]


def drawn(glance: Glance, width: int, height: int, hue: Hue, *, ascii: bool) -> Content:
    """Four pictures, two beside each other, in so many columns and rows."""
    wide, high = max((width - GAP) // 2, LEAST_WIDE), max(height // 2 - 1, LEAST_HIGH)
    panels = (
        (WAITING if len(WAITING) <= wide else "waiting, requests", [glance.waiting]),
        ("decoding, requests", [glance.decoding]),
        ("FTL, s:", list(glance.ftl_s)),
        ("TTL, ms:", list(1e3 * glance.ttl_s)),
    )
    at = glance.at_s
    around = [_axes(at, lines, wide, high) for _, lines in panels]
    labels = max((plotting.label_size(axes) for axes in around if axes is not None), default=0)  # one margin
    made = [
        [_head(title, lines, wide, hue, ascii), *_picture(at, lines, axes, wide, high, labels, hue, ascii)]
        for (title, lines), axes in zip(panels, around, strict=True)
    ]
    gap: list[Cell] = [(" ", "")] * GAP
    rows = []
    for left, right in (made[:2], made[2:]):
        rows += [[*one, *gap, *two] for one, two in zip(left, right, strict=True)]
    return Content("\n").join([_row(row) for row in rows])


def _axes(at: FloatArray, lines: list[FloatArray], wide: int, high: int) -> Axes | None:
    """None where nothing is known yet."""
    if not any(np.isfinite(line).any() for line in lines):
        return None
    ends = [(float(at[0]), 0.0), (float(at[-1]), 0.0)]
    return plotting.axes([(at, line) for line in lines], ends, math.nan, wide, high, log=False)


def _head(title: str, lines: list[FloatArray], wide: int, hue: Hue, ascii: bool) -> list[Cell]:
    """The title; several lines are named in their colours, by their signs in ASCII, from the lowest up."""
    parts = [(title, "")]
    if len(lines) > 1:
        for name, look, sign in zip(NAMES, HUES, PLAIN, strict=True):
            if ascii:
                parts.append((f" {sign} {name}", ""))
            else:
                parts += [(" ≤ " if len(parts) > 1 else " ", ""), (name, hue(look))]
    cells = [(char, look) for text, look in parts for char in text][:wide]
    return [*cells, *[(" ", "")] * (wide - len(cells))]


def _picture(
    at: FloatArray,
    lines: list[FloatArray],
    axes: Axes | None,
    wide: int,
    high: int,
    labels: int,
    hue: Hue,
    ascii: bool,
) -> list[list[Cell]]:
    """The lines over seconds of service; blank where nothing is known yet."""
    if axes is None:
        return [[(" ", "")] * wide for _ in range(high)]
    series = []
    for place, line in enumerate(lines):
        known = np.isfinite(line)
        name = HUES[place] if len(lines) > 1 else "split"
        series.append(
            plotting.Line(x=at[known], y=line[known], hue=hue(name), plain=PLAIN[place], joined=True)
        )
    # a line alone needs no sign of its own
    strokes = len(series) == 1
    picture = plotting.draw(series, [], axes, wide, high, ascii=ascii, strokes=strokes, labels=labels)
    rows = [list(row) for row in picture.cells]
    if rows[-1][-1][0] == " ":
        rows[-1][-1] = ("s", "")  # the unit of the time axis, at its end
    return rows


def _row(cells: list[Cell]) -> Content:
    parts = []
    for hue, group in groupby(cells, key=lambda cell: cell[1]):
        parts.append(Content.styled("".join(char for char, _ in group), hue))
    return Content("").join(parts)
