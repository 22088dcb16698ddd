"""Dots of lines and clouds, against plotext's own."""

from __future__ import annotations

import numpy as np
import plotext
import pytest

from tui.charts import dots, plotting

WIDTH, HEIGHT = 70, 24
COLS, ROWS = WIDTH - 1, HEIGHT - 1  # inside plotext's axes without ticks


def by_plotext(x, y, *, joined: bool, marker: str = "braille") -> list[str]:
    """What plotext draws of points between 0 and 1."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(WIDTH, HEIGHT)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(0, 1)
    plotext.ylim(0, 1)
    plotext.xticks([])
    plotext.yticks([])
    (plotext.plot if joined else plotext.scatter)(list(x), list(y), marker=marker)
    lines = plotext.uncolorize(plotext.build()).split("\n")
    return [line[1:].ljust(COLS) for line in lines[:ROWS]]


def by_us(x, y, *, joined: bool, ascii: bool = False) -> list[str]:
    """What this module makes of them."""
    wide, high = (1, 1) if ascii else (2, 4)
    cols = dots.nearest(np.array(x), 0.0, 1.0, COLS * wide)
    rows = dots.nearest(np.array(y), 0.0, 1.0, ROWS * high)
    if joined:
        cols, rows = dots.joined(cols, rows)
    return dots.paint([dots.Layer(cols=cols, rows=rows)], COLS, ROWS, ascii=ascii)[0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("ascii", [False, True])
def test_every_dot_is_where_plotext_would_put_it(seed: int, joined: bool, ascii: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(0, 1, 30)), rng.uniform(0, 1, 30)
    expected = by_plotext(x, y, joined=joined, marker="*" if ascii else "braille")
    assert by_us(x, y, joined=joined, ascii=ascii) == expected
    assert any(line.strip() for line in expected)


def test_equal_points_and_upright_lines_join() -> None:
    x, y = [0.5, 0.5, 0.5, 0.2], [0.1, 0.1, 0.9, 0.9]
    assert by_us(x, y, joined=True) == by_plotext(x, y, joined=True)


def test_later_layers_take_whole_cells_and_dots_outside_are_left_out() -> None:
    under = dots.Layer(cols=np.array([0, 1, 4, -1, 99]), rows=np.array([0, 0, 0, 0, 0]))
    over = dots.Layer(cols=np.array([0, 0]), rows=np.array([3, 99]))
    texts, owner = dots.paint([under, over], 3, 1, ascii=False)
    assert texts == ["\u2801 \u2840"] and owner.tolist() == [[1, -1, 0]]


def strokes(cols: list[int], rows: list[int]) -> list[str]:
    """A line through some dots, on two rows of cells with three levels each."""
    along, up = dots.joined(np.array(cols), np.array(rows))
    layer = dots.Layer(cols=along, rows=up, line=True)
    return dots.paint([layer], max(cols) + 1, 2, ascii=True, strokes=True)[0]


def test_strokes_say_how_high_in_its_cell_a_line_runs_and_how_it_leans() -> None:
    assert strokes([0, 3], [5, 2]) == ["'-_ ", "   '"]
    assert strokes([0, 3], [0, 3]) == ["   _", "_-' "]
    assert strokes([0, 1, 3], [5, 0, 0]) == ["\\   ", "\\___"]
    assert strokes([0, 1, 3], [0, 5, 5]) == ["/'''", "/   "]
    assert strokes([3, 1, 0], [5, 5, 0]) == strokes([0, 1, 3], [0, 5, 5])  # whichever end it begins at


def test_a_picture_without_points_still_has_its_axes() -> None:
    axes = plotting.Axes(x0=0.0, x1=2.0, y1=10.0, xticks=(10.0,), yticks=(0.0, 5.0), log=True)
    picture = plotting.draw([], [], axes, 30, 8)
    text = ["".join(char for char, _ in row) for row in picture.cells]
    assert "10" in text[-1] and any(line.startswith("5┤") for line in text)
