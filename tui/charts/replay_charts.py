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
    from tui.charts.plotting import Cell

GAP, LEAST_WIDE, LEAST_HIGH = 2, 24, 5
HUES = ("split", "cursor", "coloc")  # P50, P95, P99
PLAIN = (".", "o", "*")
Hue = Callable[[str], str]


def drawn(glance: Glance, width: int, height: int, hue: Hue, *, ascii: bool) -> Content:
    """Four pictures, two beside each other, in so many columns and rows."""
    wide, high = max((width - GAP) // 2, LEAST_WIDE), max(height // 2 - 1, LEAST_HIGH)
    at, ttl_ms = glance.at_s, 1e3 * glance.ttl_s
    panels = (
        ("waiting for a first token, requests", [glance.waiting]),
        ("decoding, requests", [glance.decoding]),
        ("FTL, s: P50 P95 P99", list(glance.ftl_s)),
        ("TTL, ms: P50 P95 P99", list(ttl_ms)),
    )
    made = [_panel(title, at, lines, wide, high, hue, ascii) for title, lines in panels]
    gap: list[Cell] = [(" ", "")] * GAP
    rows = []
    for left, right in (made[:2], made[2:]):
        rows += [[*one, *gap, *two] for one, two in zip(left, right, strict=True)]
    return Content("\n").join([_row(row) for row in rows])


def _panel(
    title: str, at: FloatArray, lines: list[FloatArray], wide: int, high: int, hue: Hue, ascii: bool
) -> list[list[Cell]]:
    head: list[Cell] = [(char, "") for char in title[:wide].ljust(wide)]
    ends = [(float(at[0]), 0.0), (float(at[-1]), 0.0)]
    axes = plotting.axes([(at, line) for line in lines], ends, math.nan, wide, high, log=False)
    if axes is None or not any(np.isfinite(line).any() for line in lines):
        return [head, *([(" ", "")] * wide for _ in range(high))]
    series = []
    for place, line in enumerate(lines):
        known = np.isfinite(line)
        name = HUES[place] if len(lines) > 1 else "split"
        series.append(
            plotting.Line(x=at[known], y=line[known], hue=hue(name), plain=PLAIN[place], joined=True)
        )
    # a line alone needs no sign of its own
    picture = plotting.draw(series, [], axes, wide, high, ascii=ascii, strokes=len(series) == 1)
    return [head, *(list(row) for row in picture.cells)]


def _row(cells: list[Cell]) -> Content:
    parts = []
    for hue, group in groupby(cells, key=lambda cell: cell[1]):
        parts.append(Content.styled("".join(char for char, _ in group), hue))
    return Content("").join(parts)
