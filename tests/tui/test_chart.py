"""The chart: every point on its predicted cell, the marks, the cursor and the mouse."""

from __future__ import annotations

import fakes
import numpy as np
import pytest
from textual.app import App, ComposeResult

from planner.result import Frontier
from tui import palette, plotting
from tui.glyphs import ASCII, UNICODE
from tui.widgets.pareto_chart import COLOC, SPLIT, ParetoChart

HUES = plotting.Hues(split="#0000ff", coloc="#ff0000", cloud="#00ff00")


def points(x, y, cloud_x=(), cloud_y=()) -> Frontier:
    """A frontier through these points."""
    n = len(x)
    return Frontier(
        tokens_per_s_per_user=np.array(x, float),
        tokens_per_s_per_gpu=np.array(y, float),
        ctx_gen_ratio=np.full(n, 1.0),
        gpus=np.full(n, 8.0),
        prefill=("TP8",) * n,
        decode=("TP8",) * n,
        cloud_x=np.array(cloud_x, float),
        cloud_y=np.array(cloud_y, float),
    )


NONE = points([], [])
SIZES = [(52, 9), (90, 20), (70, 40), (31, 8), (150, 50)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("ascii", [False, True])
def test_every_frontier_point_lies_on_its_predicted_cell(width: int, height: int, ascii: bool) -> None:
    for x, y in [(10, 2500), (17, 1900), (52, 640), (133, 210), (300, 50)]:
        alone = points([x], [y])
        axes = plotting.axes([points([10, 300], [2500, 50])], [], 50.0, width, height)
        assert axes is not None
        picture = plotting.draw(alone, NONE, axes, width, height, HUES, ascii=ascii)
        drawn = [
            (col, row)
            for row, cells in enumerate(picture.cells)
            for col, (char, hue) in enumerate(cells)
            if hue == HUES.split and char != " "
        ]
        assert drawn == [picture.geometry.cell(x, y)], (x, y)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_has_exactly_the_size_asked_for(width: int, height: int) -> None:
    split, coloc = fakes.frontiers(fakes.SCENARIO)
    axes = plotting.axes([split, coloc], [], 50.0, width, height)
    assert axes is not None
    picture = plotting.draw(split, coloc, axes, width, height, HUES)
    assert len(picture.cells) == height
    assert {len(row) for row in picture.cells} == {width}


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ticks_stand_on_their_cells(width: int, height: int) -> None:
    split, coloc = fakes.frontiers(fakes.SCENARIO)
    axes = plotting.axes([split, coloc], [], 50.0, width, height)
    assert axes is not None and len(axes.xticks) >= 2
    picture = plotting.draw(split, coloc, axes, width, height, HUES, ascii=True)
    plain = plotting.geometry(axes, width, height, ascii=True)
    below = picture.cells[height - 2]
    for tick in axes.xticks:
        col = plain.column(tick)
        assert col is not None and below[col][0] == "+", tick
    for tick in axes.yticks:
        row = plain.row(tick)
        assert row is not None
        line = "".join(char for char, _ in picture.cells[row])
        assert line.lstrip().startswith(plotting.tick_label(tick) + "+"), line


def test_cloud_points_lie_on_their_cells() -> None:
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(1, 2.4, 300), rng.uniform(0, 2000, 300)
    frontier = points([10, 300], [2500, 50], x, y)
    axes = plotting.axes([frontier], [], 50.0, 60, 20)
    assert axes is not None
    picture = plotting.draw(points([], [], x, y), NONE, axes, 60, 20, HUES)
    drawn = {
        (col, row)
        for row, cells in enumerate(picture.cells)
        for col, (_, hue) in enumerate(cells)
        if hue == HUES.cloud
    }
    assert drawn == {picture.geometry.cell(a, b) for a, b in zip(x, y, strict=True)}


def test_a_dense_cloud_is_thinned_evenly_and_always_alike() -> None:
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(1, 2.4, 20_000), rng.uniform(0, 2000, 20_000)
    axes = plotting.axes([points([10, 300], [2500, 50])], [], 50.0, 60, 20)
    assert axes is not None
    place = plotting.geometry(axes, 60, 20)
    kept_x, kept_y = plotting.binned(x, y, place)
    dots = place.cols * place.rows * 8
    assert 0.9 * plotting.CLOUD_SHARE < len(kept_x) / dots <= plotting.CLOUD_SHARE
    again = plotting.binned(x, y, place)
    assert (again[0] == kept_x).all() and (again[1] == kept_y).all()
    for half in (kept_x < 1.7, kept_y < 1000):
        assert 0.35 < half.mean() < 0.65


def test_axes_take_in_a_near_limit_and_leave_a_far_one_out() -> None:
    frontier = points([10, 100], [500, 50])
    near = plotting.axes([frontier], [], 130.0, 80, 20)
    far = plotting.axes([frontier], [], 2000.0, 80, 20)
    assert near is not None and far is not None
    assert 10**near.x1 > 130 and 10**far.x1 < 200


def test_no_points_no_axes_and_bad_numbers_do_not_hurt() -> None:
    assert plotting.axes([NONE, NONE], [], 50.0, 80, 20) is None
    odd = points([10, 100], [np.inf, 50], [np.nan, 0.0, -3.0], [1.0, 2.0, np.inf])
    axes = plotting.axes([odd], [(np.nan, 3.0)], 50.0, 80, 20)
    assert axes is not None
    picture = plotting.draw(odd, NONE, axes, 80, 20, HUES)
    assert len(picture.cells) == 20


def test_the_slowest_points_do_not_squeeze_the_rest() -> None:
    axes = plotting.axes([points([0.001, 10, 100], [900, 500, 50])], [], 50.0, 80, 20)
    assert axes is not None
    assert axes.x1 - axes.x0 < plotting.DECADES + 0.3
    assert axes.y1 < 900


@pytest.mark.parametrize("seed", range(3))
def test_nearest_is_the_nearest_on_the_screen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(10 ** rng.uniform(1, 2.4, 40)), np.sort(rng.uniform(0, 2400, 40))[::-1]
    axes = plotting.axes([points(x, y)], [], 50.0, 80, 24)
    assert axes is not None
    place = plotting.geometry(axes, 80, 24)
    for i in range(0, 40, 7):
        cell = place.cell(x[i], y[i])
        assert cell is not None
        index, distance = place.nearest(*cell, x, y)
        assert distance < 3
        found = place.cell(x[index], y[index])
        assert found is not None
        assert abs(found[0] - cell[0]) <= 2 and abs(found[1] - cell[1]) <= 1
    assert place.nearest(3, 3, np.empty(0), np.empty(0))[0] == -1


def test_decode_keeps_colours_apart_and_pads() -> None:
    rows = plotting.decode("\x1b[38;2;1;2;3mab\x1b[0mc\n", 4, 3)
    assert rows[0] == (("a", "#010203"), ("b", "#010203"), ("c", ""), (" ", ""))
    assert rows[2] == ((" ", ""),) * 4


class ChartApp(App[None]):
    """Only a chart."""

    AUTO_FOCUS = None

    def __init__(self, glyphs=UNICODE) -> None:
        super().__init__()
        self.register_theme(palette.DARK)
        self.theme = palette.DARK.name
        self.chart = ParetoChart(glyphs=glyphs)
        self.chosen: list[float] = []

    def compose(self) -> ComposeResult:
        yield self.chart

    def on_pareto_chart_point_chosen(self, message: ParetoChart.PointChosen) -> None:
        self.chosen.append(message.tokens_per_s_per_user)

    def fill(self, scenario=fakes.SCENARIO) -> None:
        plan = fakes.plan(scenario)
        self.plan = plan
        frontiers = (plan.frontier_disaggregated, plan.frontier_colocated)
        self.chart.show(frontiers, plan, scenario.limits.ttl_s)


async def test_the_limit_line_stands_at_one_over_ttl_and_marks_on_their_points() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.fill()
        await pilot.pause()
        picture = app.chart.picture()
        assert picture is not None
        place = picture.geometry
        limit = place.column(50.0)
        rows = [app.chart.render_line(y).text for y in range(20)]
        assert limit is not None and sum(row[limit] == UNICODE.limit for row in rows) > 10
        chosen = app.plan.disaggregated
        col, row = place.cell(chosen.tokens_per_s_per_user, chosen.tokens_per_s_per_gpu)
        assert rows[row][col] == UNICODE.chosen
        other = app.plan.colocated
        col, row = place.cell(other.tokens_per_s_per_user, other.tokens_per_s_per_gpu)
        assert rows[row][col] == UNICODE.other
        assert "TTL ≤ 20 ms" in "\n".join(rows)
        assert all(len(line) == 80 for line in rows)


async def test_the_cursor_walks_the_frontier_with_a_readout() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.fill()
        await pilot.pause()
        app.chart.focus()
        await pilot.press("home")
        assert app.chart.cursor == (SPLIT, 0)
        await pilot.press("right", "l", "right", "h")
        assert app.chart.cursor == (SPLIT, 2)
        split = app.plan.frontier_disaggregated
        readout = "\n".join(app.chart.readout())
        assert f"ctx:gen {split.ctx_gen_ratio[2]:.3g}" in readout
        assert f"{split.prefill[2]} + {split.decode[2]}" in readout
        cell = app.chart.picture().geometry.cell(
            split.tokens_per_s_per_user[2], split.tokens_per_s_per_gpu[2]
        )
        assert app.chart.render_line(cell[1]).text[cell[0]] == UNICODE.cursor
        await pilot.press("end", "right")
        assert app.chart.cursor == (SPLIT, len(split) - 1)
        await pilot.press("down")
        assert app.chart.cursor == (COLOC, len(app.plan.frontier_colocated) - 1)
        await pilot.press("enter")
        assert app.chosen == [app.plan.frontier_colocated.tokens_per_s_per_user[-1]]


async def test_a_moving_cursor_leaves_nothing_behind() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.chart.styles.border = ("round", "white")
        app.fill()
        await pilot.pause()
        app.chart.focus()
        await pilot.press("home", "right", "right", "down", "right", "up", "left")
        await pilot.hover(app.chart, offset=(40, 10))
        await pilot.pause()
        by_rows = app.export_screenshot()
        app.chart.refresh()
        await pilot.pause()
        assert app.export_screenshot() == by_rows
        app.chart.focus()
        for ttl_s in (0.021, 0.04, 0.04, 0.02):  # marks and limit move, the cursor stays
            app.fill(fakes.Scenario(limits=fakes.Limits(ttl_s=ttl_s), model="llama-3.1-8b"))
            await pilot.pause()
            by_rows = app.export_screenshot()
            app.chart.refresh()
            await pilot.pause()
            assert app.export_screenshot() == by_rows


async def test_the_mouse_picks_the_nearest_point_and_leaves_none_far_away() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.fill()
        await pilot.pause()
        split = app.plan.frontier_disaggregated
        place = app.chart.picture().geometry
        for i in (3, 14, 25):
            cell = place.cell(split.tokens_per_s_per_user[i], split.tokens_per_s_per_gpu[i])
            await pilot.hover(app.chart, offset=cell)
            series, index = app.chart.cursor
            xs = app.plan.frontier_disaggregated if series == SPLIT else app.plan.frontier_colocated
            near = place.cell(xs.tokens_per_s_per_user[index], xs.tokens_per_s_per_gpu[index])
            assert abs(near[0] - cell[0]) <= 2 and abs(near[1] - cell[1]) <= 1
        await pilot.click(app.chart, offset=cell)
        clicked = app.chart.cursor
        await pilot.hover(app.chart, offset=(78, 2))
        app.chart.focus()
        await pilot.pause()
        assert app.chart.cursor == clicked


async def test_new_data_keeps_the_cursor_near_its_place_and_no_data_is_said() -> None:
    app = ChartApp(ASCII)
    async with app.run_test(size=(80, 20)) as pilot:
        assert "computing..." in fakes.text(app.chart)
        app.fill()
        app.chart.focus()
        await pilot.press("home", "right", "right", "right")
        before = app.chart._point_x(app.chart.cursor)
        app.fill(fakes.Scenario(limits=fakes.Limits(ttl_s=0.04), model="llama-3.1-8b"))
        await pilot.pause()
        assert app.chart._point_x(app.chart.cursor) == pytest.approx(before)
        assert fakes.text(app.chart).isascii()
        app.chart.show((NONE, NONE), None, 0.02)
        await pilot.pause()
        assert "no deployment fits" in fakes.text(app.chart)
        await pilot.press("right", "down", "enter")
        assert app.chosen == []


async def test_moving_the_cursor_does_not_build_the_picture_again() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.fill()
        await pilot.pause()
        app.chart.focus()
        await pilot.press("home")
        picture = app.chart.picture()
        await pilot.press("right", "right", "down")
        assert app.chart.picture() is picture
        await pilot.resize_terminal(90, 20)
        await pilot.pause()
        assert app.chart.picture() is not picture


@pytest.mark.parametrize("x", [11.0, 120.0, 290.0])
async def test_the_readout_never_hides_the_cursor(x: float) -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 12)) as pilot:
        flat = points([10.0, x, 300.0], [1000.0, 990.0, 980.0])
        app.chart.show((flat, NONE), None, 0.02)
        app.chart.focus()
        await pilot.press("home", "right")
        shown = fakes.text(app.chart)
        assert UNICODE.cursor in shown.replace(f"{UNICODE.cursor} {x:g} tok/s/user", "")
        assert f"{UNICODE.cursor} {x:g} tok/s/user" in shown and "TP8 + TP8" in shown
