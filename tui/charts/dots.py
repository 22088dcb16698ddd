"""Points and lines as characters: braille dots, one character to a cell, or strokes of ASCII.

plotext can do this too, one dot after the other in Python; here a whole frontier or cloud is placed at
once with numpy, on the same dots, and plotext is handed finished rows of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.values import dataclass

if TYPE_CHECKING:
    from planner.arrays import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.integer]]

BRAILLE = 0x2800  # the empty pattern; its low eight bits are its dots
BITS = np.array([[0x40, 0x80], [0x04, 0x20], [0x02, 0x10], [0x01, 0x08]])  # by row from below, and column
BLANK = ord(" ")
LEVELS = "_-'"  # a stroke at the foot, in the middle and at the top of a cell
STEEP = "\\/"  # one that goes through more than one of these: falling, rising


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Dots of one colour: arrays of columns and rows, rows counted from below."""

    cols: IntArray
    rows: IntArray
    plain: str = "*"  # its character in ASCII
    line: bool = False  # the dots are those of a line, in its order


def nearest(values: FloatArray, low: float, high: float, dots: int) -> IntArray:
    """The dot of each value, of `dots` in a row from `low` to `high`; rounded as plotext rounds.

    >>> nearest(np.array([0.0, 4.4, 10.0]), 0.0, 10.0, 11).tolist()
    [0, 4, 10]
    """
    return np.floor(np.round(0.5 + (dots - 1) * (values - low) / (high - low), 8)).astype(np.int64)


def joined(cols: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """The dots of the line through some dots, as plotext draws it.

    Of the two ways between two dots the longer one has a dot in each place; the first of them counts,
    the last belongs to the next stretch.

    >>> [part.tolist() for part in joined(np.array([0, 3]), np.array([0, 1]))]
    [[0, 1, 2, 3], [0, 0, 0, 1]]
    """
    across, up = np.diff(cols), np.diff(rows)
    steps = np.maximum(abs(across), abs(up))
    stretch = np.repeat(np.arange(len(steps)), steps)
    place = np.arange(len(stretch)) - np.repeat(np.cumsum(steps) - steps, steps)
    along = cols[stretch] + place * (across / np.maximum(steps, 1))[stretch]
    above = rows[stretch] + place * (up / np.maximum(steps, 1))[stretch]
    # towards zero, as plotext's int()
    return np.append(along.astype(np.int64), cols[-1]), np.append(above.astype(np.int64), rows[-1])


def cell(ascii: bool, strokes: bool) -> tuple[int, int]:
    """Dots of a cell, across and up."""
    return (2, 4) if not ascii else (1, len(LEVELS)) if strokes else (1, 1)


def paint(
    layers: Sequence[Layer], cols: int, rows: int, *, ascii: bool, strokes: bool = False
) -> tuple[list[str], IntArray]:
    """Layers on `cols` x `rows` cells, later ones over earlier ones; dots outside are left out.

    `strokes`: lines are made of `_-'\\/` in ASCII, for a reader who finds the curves' own signs along them.

    Returns the rows of text from the top, and an array (rows, cols) with the number of the layer that
    each cell shows, -1 for none. A cell shows one layer only.
    """
    dots_x, dots_y = cell(ascii, strokes)
    codes = np.full((rows, cols), BLANK, dtype=np.uint32)
    owner = np.full((rows, cols), -1)
    for number, layer in enumerate(layers):
        inside = (layer.cols >= 0) & (layer.cols < cols * dots_x)
        inside &= (layer.rows >= 0) & (layer.rows < rows * dots_y)
        x, y = layer.cols[inside], layer.rows[inside]
        at = (rows - 1 - y // dots_y, x // dots_x)
        pattern: IntArray = np.zeros((rows, cols), dtype=np.uint32)
        if ascii and strokes and layer.line:
            pattern = _strokes(pattern, at, y % dots_y, _rising(layer)[inside])
        elif ascii:
            pattern[at] = ord(layer.plain)
        else:
            np.bitwise_or.at(pattern, at, BITS[y % 4, x % 2].astype(np.uint32))
        mine = pattern > 0
        codes[mine] = pattern[mine] + (0 if ascii else BRAILLE)
        owner[mine] = number
    return [str(row) for row in codes.view(f"U{cols}")[:, 0]], owner


def _rising(layer: Layer) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Of each dot of a line whether the line rises there, read from left to right."""
    up = np.diff(layer.rows, append=layer.rows[-1:])
    return (up < 0) if len(layer.cols) and layer.cols[-1] < layer.cols[0] else (up > 0)


def _strokes(
    pattern: IntArray,
    at: tuple[IntArray, IntArray],
    levels: IntArray,
    rising: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> IntArray:
    """The character of each cell that a line goes through; 0 elsewhere."""
    up = np.zeros_like(pattern)
    np.bitwise_or.at(pattern, at, (1 << levels).astype(np.uint32))
    np.maximum.at(up, at, rising.astype(np.uint32))
    chars = np.array([[ord(char)] * (1 << len(LEVELS)) for char in STEEP], dtype=np.uint32)
    chars[:, 0] = 0
    for level, char in enumerate(LEVELS):
        chars[:, 1 << level] = ord(char)
    return chars[up, pattern]
