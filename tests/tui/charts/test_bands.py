"""The ranges of 80 % of cases: what is shaded is what the bands say, and the legend names it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import fakes
import numpy as np
import pytest
from drawn import BLUE, FREE, NONE, axes, draw, points, scene

from tui.charts import bands
from tui.charts.chart_marks import PATTERN, pattern
from tui.charts.pareto_chart import ParetoChart

WIDTH, HEIGHT = 60, 22
FLAT = points([10, 100], [100, 100])


def drawn(*factors: tuple[float, float] | None, frontiers: Any = (FLAT, NONE)) -> tuple[Any, Any, Any]:
    """A picture of some curves, the ranges in it, and the curves."""
    found = scene(frontiers, None, FREE)
    curves = [dataclasses.replace(c, band=f) for c, f in zip(found.curves, factors, strict=False)]
    limits = axes(frontiers, [(50.0, 200.0)], width=WIDTH, height=HEIGHT)
    picture = draw(*frontiers, limits, WIDTH, HEIGHT)
    return picture, bands.ranges(picture.geometry, curves), curves


def test_the_cells_between_both_factors_are_in_the_range() -> None:
    picture, shown, _ = drawn((0.5, 1.5))
    place = picture.geometry
    col, step = place.column(30.0), place.y1 / place.rows
    inside = [row for row in range(place.height) if shown[row][col]]
    heights = [place.y1 - (row + 0.5) * step for row in inside]
    assert inside == list(range(inside[0], inside[-1] + 1))
    assert 50 <= min(heights) < 50 + step and 150 - step < max(heights) <= 150


def test_it_ends_with_its_curve_and_never_leaves_the_canvas() -> None:
    picture, shown, _ = drawn((0.5, 99.0), frontiers=(points([20, 40], [100, 90]), NONE))
    place, grid = picture.geometry, np.array(shown)
    assert grid.shape == (HEIGHT, WIDTH)
    across = np.flatnonzero(grid.any(axis=0))
    assert place.column(20.0) <= across.min() and across.max() <= place.column(40.0)
    assert not grid[place.top + place.rows :].any() and not grid[:, : place.left].any()


def test_where_both_ranges_are_both_bits_are() -> None:
    _, shown, _ = drawn((0.5, 1.5), (0.9, 1.1), frontiers=(FLAT, points([10, 100], [110, 110])))
    assert {bits for row in shown for bits in row} == {0, 1, 3}


@pytest.mark.parametrize("frontier", [NONE, points([10], [100])], ids=["no point", "one point"])
def test_nothing_is_shaded_without_a_band_or_a_curve(frontier: Any) -> None:
    assert drawn(None)[1] == ()
    assert drawn((0.5, 1.5), frontiers=(frontier, FLAT))[1] == ()


def test_the_pattern_lies_in_the_range_and_on_nothing_else() -> None:
    picture, shown, curves = drawn((0.5, 1.5))
    marks = pattern(picture, shown, curves, {})
    taken = next(iter(marks))
    assert marks and set(marks.values()) == {(PATTERN, "split")}
    for col, row in marks:
        assert shown[row][col] and picture.cells[row][col][0] == " "
    assert taken not in pattern(picture, shown, curves, {taken: ("x", "muted")})


def test_the_cloud_is_left_out_of_ranges_and_lines_are_not() -> None:
    picture, shown, _ = drawn((0.5, 1.5))
    cleared = bands.cleared(picture, shown, BLUE)  # as if the line were the cloud
    assert {hue for row in picture.cells for char, hue in row if char != " "} >= {BLUE}
    for line, row in zip(cleared.cells, shown, strict=True):
        assert not any(
            bits and hue == BLUE and char != " " for (char, hue), bits in zip(line, row, strict=True)
        )
    assert bands.cleared(picture, shown, "#123456").cells == picture.cells


def tints(chart: ParetoChart) -> set[Any]:
    return {segment.style.bgcolor for row in range(chart.size.height) for segment in chart.render_line(row)}


@pytest.mark.parametrize("way", ["colour", "NO_COLOR", "ascii"])
async def test_the_ranges_are_tints_or_without_colours_a_pattern(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    async with fakes.app(ascii=way == "ascii").run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        chart = pilot.app.main.query_one(ParetoChart)
        sign = chart.glyphs.band if way == "colour" else PATTERN
        assert (len(tints(chart)) > 1) is (way == "colour")
        assert f"{sign} 4 of 5" in re.sub(r"\[/?[^]]*\]", "", chart._legend)
        await pilot.press("x")  # no range is known of other axes
        assert "4 of 5" not in chart._legend and len(tints(chart)) == 1
