"""The ranges of 80 % of cases around the curves, as cells of a chart: which lie in whose range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tui.charts.chart_marks import Ranges
from tui.charts.scene import Curve

if TYPE_CHECKING:
    from tui.charts.plotting import Geometry, Picture

NO_RANGE = 0
ROWS = 9  # of a chart from which its ranges are shaded: below they are steps, and the legend has no room


def ranges(place: Geometry, curves: Sequence[Curve]) -> Ranges:
    """The cells of each curve's range, from its first point to its last; () where none has one, or no room.

    A cell belongs to a range if the middle of its row does. Throughput is read off the line between two
    points, as it is drawn; what is above the chart is cut off.
    """
    if place.rows < ROWS or not any(curve.band and len(curve.frontier) > 1 for curve in curves):
        return ()
    found = np.zeros((place.height, place.width), dtype=int)
    along = np.linspace(place.x0, place.x1, place.cols)
    middles = place.y1 - (np.arange(place.rows) + 0.5) / place.rows * (place.y1 - place.y0)
    canvas = found[place.top : place.top + place.rows, place.left : place.left + place.cols]
    for number, curve in enumerate(curves):
        if curve.band is None or len(curve.frontier) < 2:
            continue
        x, y = curve.frontier.tokens_per_s_per_user, curve.frontier.tokens_per_s_per_gpu / curve.tokens
        x = np.log10(x) if place.log else x
        order = np.argsort(x, kind="stable")
        level = np.interp(along, x[order], y[order], left=np.nan, right=np.nan)
        low, high = (level * factor for factor in curve.band)
        inside = (middles[:, None] >= low) & (middles[:, None] <= high)  # nan is in no range
        canvas |= np.where(inside, 1 << number, NO_RANGE)
    return tuple(map(tuple, found.tolist()))


def cleared(picture: Picture, shown: Ranges, cloud_hue: str) -> Picture:
    """The picture without the cloud's dots where there are ranges: they would be noise in them."""
    cells = tuple(
        tuple(
            (" ", hue) if bits and hue == cloud_hue else (char, hue)
            for (char, hue), bits in zip(line, row, strict=True)
        )
        for line, row in zip(picture.cells, shown, strict=True)
    )
    return replace(picture, cells=cells)
