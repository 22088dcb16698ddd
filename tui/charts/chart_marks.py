"""What is laid over the picture of the frontiers: limit line, plans, pins and the curves' glyphs.

Pure functions from a scene to characters; the chart widget draws them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.charts.scene import USER, Axis, Curve, Scene
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from tui.charts.plotting import Picture

NAMED_FROM = 9  # rows of a chart that has room for the names of layouts
NAMES_APART = 3  # rows between two names on a curve, at least
SPACING = 4  # columns between the glyphs on a line, at least
PATTERN, EVERY = ":", 4  # what shades a range without colours, in one of so many cells
Ranges = tuple[tuple[int, ...], ...]  # of each row, each column: bit n is the range of curve n
Marks = dict[tuple[int, int], tuple[str, str]]  # column and row to glyph and hue
Spots = Sequence[tuple[int, int] | None]  # column and row of each point of a curve; None off the chart


def lay(picture: Picture, scene: Scene, axis: Axis, g: Glyphs, cloud_hue: str) -> Marks:
    """All that lies on the picture whatever the cursor does; later marks cover earlier ones."""
    marks = _limit(picture, scene, axis, g, cloud_hue)
    spots = [picture.geometry.cells(*curve.xy(axis)) for curve in scene.curves]
    for curve, on in zip(reversed(scene.curves), reversed(spots), strict=True):
        marks.update(_along(curve, on, axis))
    if axis is USER and picture.geometry.rows >= NAMED_FROM:
        marks |= _names(picture, scene, spots, marks, cloud_hue)
    for mark in scene.marks:
        at = picture.geometry.cell(*mark.xy(axis))
        if at is not None:
            marks[at] = (mark.glyph, mark.hue)
    return marks


def _limit(picture: Picture, scene: Scene, axis: Axis, g: Glyphs, cloud_hue: str) -> Marks:
    """A line at the axis's limit, and its name at the foot of it where nothing is in the way."""
    place = picture.geometry
    value, text = scene.limit(axis, g)
    col = place.column(value) if math.isfinite(value) else None
    if col is None:
        return {}

    rows = range(place.top, place.top + place.rows)
    marks = {(col, row): (g.limit, "limit") for row in rows if _free(picture, col, row, cloud_hue)}
    start = col + 2 if col + 2 + len(text) < place.width // 2 else col - 1 - len(text)
    if all(_free(picture, c, rows[-1], cloud_hue) for c in range(start, start + len(text))):
        marks.update({(start + i, rows[-1]): (char, "limit") for i, char in enumerate(text)})
    return marks


def _along(curve: Curve, spots: Spots, axis: Axis) -> Marks:
    """The glyph of a curve every few columns, or at each point where no line joins them."""
    marks: Marks = {}
    last = -SPACING
    for index, at in enumerate(spots):
        if at is not None and (axis is not USER or at[0] - last >= SPACING):
            marks[at] = curve.sign(index)
            last = at[0]
    return marks


def _free(picture: Picture, col: int, row: int, cloud_hue: str) -> bool:
    """Whether a cell holds no line: blank, or only dots of the cloud."""
    place = picture.geometry
    if not (place.left <= col < place.width and place.top <= row < place.top + place.rows):
        return False
    char, hue = picture.cells[row][col]
    return char == " " or hue.lower() == cloud_hue.lower()


def _names(picture: Picture, scene: Scene, spots: Sequence[Spots], taken: Marks, cloud_hue: str) -> Marks:
    """The layouts along each curve where they change and nothing is in the way: to its right, or below.

    A name takes no cell of a line, of another name or of the limit, and stands no second time beside itself:
    a curve may change to and fro between two layouts.
    """
    found: Marks = {}
    named: list[tuple[str, int, int]] = []  # with the first column and the row
    for curve, on in zip(scene.curves, spots, strict=True):
        front, last, row_before = curve.frontier, "", -NAMES_APART
        for at, prefill, decode in zip(on, front.prefill, front.decode, strict=True):
            if at is None or abs(at[1] - row_before) < NAMES_APART:
                continue
            name = " + ".join(filter(None, (prefill, decode)))
            if name == last:
                continue
            for left, row in ((at[0] + 2, at[1] - 1), (at[0] + 2, at[1]), (at[0] - len(name) - 2, at[1] + 1)):
                if any(
                    other == name and abs(up - row) < NAMES_APART and abs(start - left) < len(name)
                    for other, start, up in named
                ):
                    last, row_before = name, at[1]
                    break
                cells = [(left + i, row) for i in range(-1, len(name) + 1)]
                if all(c not in taken and c not in found and _free(picture, *c, cloud_hue) for c in cells):
                    found.update({(left + i, row): (char, "muted") for i, char in enumerate(name)})
                    named.append((name, left, row))
                    last, row_before = name, at[1]
                    break
    return found


def pattern(picture: Picture, shown: Ranges, curves: Sequence[Curve], taken: Marks) -> Marks:
    """The ranges without colours: a dot pair in some of their cells that are free and beside free ones."""
    marks: Marks = {}
    for row, line in enumerate(shown):
        for col, bits in enumerate(line):
            if bits and (col + 2 * row) % EVERY == 0 and _lonely(picture, taken, row, col):
                first = next(curve for n, curve in enumerate(curves) if bits >> n & 1)
                marks[col, row] = (PATTERN, first.hue)
    return marks


def _lonely(picture: Picture, taken: Marks, row: int, col: int) -> bool:
    near = range(max(col - 1, 0), min(col + 2, picture.geometry.width))
    return all(picture.cells[row][at][0] == " " and (at, row) not in taken for at in near)
