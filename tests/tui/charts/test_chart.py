"""The chart: every point on its predicted cell, the marks, the cursor and the mouse."""

from __future__ import annotations

import dataclasses
import math

import fakes
import numpy as np
import pytest
from textual.app import App, ComposeResult

from planner.inputs.scenario import Fleet, Limits, Scenario
from planner.planning.result import Frontier
from tui.charts import plotting
from tui.charts.pareto_chart import ParetoChart
from tui.charts.scene import AXES, COLOC, SPLIT, USER, plan_scene
from tui.glyphs import ASCII, UNICODE
from tui.state import View
from tui.widgets import themes

BLUE, RED, GREEN = "#0000ff", "#ff0000", "#00ff00"


def points(x, y, cloud_x=(), cloud_y=()) -> Frontier:
    """A frontier through these points."""
    n = len(x)
    with np.errstate(divide="ignore"):
        ttl_s, cloud_ttl_s = 1 / np.array(x, float), 1 / np.array(cloud_x, float)
    return Frontier(
        ttl_s=ttl_s,
        tokens_per_s_per_gpu=np.array(y, float),
        ctx_gen_ratio=np.full(n, 1.0),
        gpus=np.full(n, 8.0),
        prefill=("TP8",) * n,
        decode=("TP8",) * n,
        cloud_ttl_s=cloud_ttl_s,
        cloud_tokens_per_s_per_gpu=np.array(cloud_y, float),
        ftl_s=np.linspace(2.0, 1.0, n),
        usd_per_million_tokens=1000.0 / np.array(y, float),
    )


def axes(frontiers, extra=(), limit_x=50.0, width=80, height=20, **options):
    """Axes for frontiers on their own axis."""
    series = [(f.tokens_per_s_per_user, f.tokens_per_s_per_gpu) for f in frontiers]
    return plotting.axes(series, extra, limit_x, width, height, **options)


def draw(split, coloc, limits, width, height, **options):
    """Two frontiers, blue over red, on a green cloud."""
    lines = [
        plotting.Line(x=f.tokens_per_s_per_user, y=f.tokens_per_s_per_gpu, hue=hue, plain=plain)
        for f, hue, plain in ((coloc, RED, "o"), (split, BLUE, "*"))
    ]
    cloud = [
        plotting.Line(x=1 / f.cloud_ttl_s, y=f.cloud_tokens_per_s_per_gpu, hue=GREEN) for f in (split, coloc)
    ]
    return plotting.draw(lines, cloud, limits, width, height, **options)


def scene(frontiers, plan, scenario, glyphs=UNICODE):
    """What the main screen shows of them."""
    view = View(scenario=scenario, base=scenario, plan=plan, frontiers=frontiers, budget=scenario.fleet.gpus)
    return plan_scene(view, glyphs)


NONE = points([], [])
FREE = Scenario(limits=Limits(ttl_s=0.02), fleet=Fleet(gpus=None))  # no budget
SIZES = [(52, 9), (90, 20), (70, 40), (31, 8), (150, 50)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("ascii", [False, True])
def test_every_frontier_point_lies_on_its_predicted_cell(width: int, height: int, ascii: bool) -> None:
    for x, y in [(10, 2500), (17, 1900), (52, 640), (133, 210), (300, 50)]:
        alone = points([x], [y])
        limits = axes([points([10, 300], [2500, 50])], [], 50.0, width, height)
        assert limits is not None
        picture = draw(alone, NONE, limits, width, height, ascii=ascii)
        drawn = [
            (col, row)
            for row, cells in enumerate(picture.cells)
            for col, (char, hue) in enumerate(cells)
            if hue == BLUE and char != " "
        ]
        assert drawn == [picture.geometry.cell(x, y)], (x, y)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_has_exactly_the_size_asked_for(width: int, height: int) -> None:
    split, coloc = fakes.frontiers(fakes.SCENARIO)
    limits = axes([split, coloc], [], 50.0, width, height)
    assert limits is not None
    picture = draw(split, coloc, limits, width, height)
    assert len(picture.cells) == height
    assert {len(row) for row in picture.cells} == {width}


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ticks_stand_on_their_cells(width: int, height: int) -> None:
    split, coloc = fakes.frontiers(fakes.SCENARIO)
    limits = axes([split, coloc], [], 50.0, width, height)
    assert limits is not None and len(limits.xticks) >= 2
    picture = draw(split, coloc, limits, width, height, ascii=True)
    plain = plotting.geometry(limits, width, height, ascii=True)
    below = picture.cells[height - 2]
    for tick in limits.xticks:
        col = plain.column(tick)
        assert col is not None and below[col][0] == "+", tick
    for tick in limits.yticks:
        row = plain.row(tick)
        assert row is not None
        line = "".join(char for char, _ in picture.cells[row])
        assert line.lstrip().startswith(plotting.tick_label(tick) + "+"), line


def test_cloud_points_lie_on_their_cells() -> None:
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(1, 2.4, 300), rng.uniform(0, 2000, 300)
    frontier = points([10, 300], [2500, 50], x, y)
    limits = axes([frontier], [], 50.0, 60, 20)
    assert limits is not None
    picture = draw(points([], [], x, y), NONE, limits, 60, 20)
    drawn = {
        (col, row)
        for row, cells in enumerate(picture.cells)
        for col, (_, hue) in enumerate(cells)
        if hue == GREEN
    }
    assert drawn == {picture.geometry.cell(a, b) for a, b in zip(x, y, strict=True)}


def test_a_dense_cloud_is_thinned_evenly_and_always_alike() -> None:
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(1, 2.4, 20_000), rng.uniform(0, 2000, 20_000)
    limits = axes([points([10, 300], [2500, 50])], [], 50.0, 60, 20)
    assert limits is not None
    place = plotting.geometry(limits, 60, 20)
    kept_x, kept_y = plotting.binned(x, y, place)
    dots = place.cols * place.rows * 8
    assert 0.9 * plotting.CLOUD_SHARE < len(kept_x) / dots <= plotting.CLOUD_SHARE
    again = plotting.binned(x, y, place)
    assert (again[0] == kept_x).all() and (again[1] == kept_y).all()
    for half in (kept_x < 1.7, kept_y < 1000):
        assert 0.35 < half.mean() < 0.65


def test_axes_take_in_a_near_limit_and_leave_a_far_one_out() -> None:
    frontier = points([10, 100], [500, 50])
    near = axes([frontier], [], 130.0, 80, 20)
    far = axes([frontier], [], 2000.0, 80, 20)
    assert near is not None and far is not None
    assert 10**near.x1 > 130 and 10**far.x1 < 200


def test_no_points_no_axes_and_bad_numbers_do_not_hurt() -> None:
    assert axes([NONE, NONE], [], 50.0, 80, 20) is None
    odd = points([10, 100], [np.inf, 50], [np.nan, 0.0, -3.0], [1.0, 2.0, np.inf])
    limits = axes([odd], [(np.nan, 3.0)], 50.0, 80, 20)
    assert limits is not None
    picture = draw(odd, NONE, limits, 80, 20)
    assert len(picture.cells) == 20


def test_the_slowest_points_do_not_squeeze_the_rest() -> None:
    limits = axes([points([0.001, 10, 100], [900, 500, 50])], [], 50.0, 80, 20)
    assert limits is not None
    assert limits.x1 - limits.x0 < plotting.DECADES + 0.3
    assert limits.y1 < 900


@pytest.mark.parametrize("seed", range(3))
def test_nearest_is_the_nearest_on_the_screen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(10 ** rng.uniform(1, 2.4, 40)), np.sort(rng.uniform(0, 2400, 40))[::-1]
    limits = axes([points(x, y)], [], 50.0, 80, 24)
    assert limits is not None
    place = plotting.geometry(limits, 80, 24)
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


def high(of):
    """Where a frontier or a serving of the fake planner stands: per GPU of the budget."""
    return of.tokens_per_s_per_gpu * of.gpus / fakes.SCENARIO.fleet.gpus


class ChartApp(App[None]):
    """Only a chart."""

    AUTO_FOCUS = None

    def __init__(self, glyphs=UNICODE) -> None:
        super().__init__()
        self.register_theme(themes.DARK)
        self.theme = themes.DARK.name
        self.chart = ParetoChart(glyphs=glyphs)
        self.chosen: list[float] = []

    def compose(self) -> ComposeResult:
        yield self.chart

    def on_pareto_chart_point_chosen(self, message: ParetoChart.PointChosen) -> None:
        self.chosen.append(message.ttl_s)

    def fill(self, scenario=fakes.SCENARIO) -> None:
        plan = fakes.plan(scenario)
        self.plan = plan
        frontiers = (plan.frontier_disaggregated, plan.frontier_colocated)
        self.chart.show(scene(frontiers, plan, scenario, self.chart.glyphs))


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
        col, row = place.cell(chosen.tokens_per_s_per_user, high(chosen))
        assert rows[row][col] == UNICODE.chosen
        other = app.plan.colocated
        col, row = place.cell(other.tokens_per_s_per_user, high(other))
        assert rows[row][col] == UNICODE.other
        assert "TTL ≤ 20 ms" in "\n".join(rows)
        assert all(len(line) == 80 for line in rows)


async def test_only_rows_that_look_different_are_painted_again() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.fill()
        await pilot.pause()
        painted: list[int] = []
        render = app.chart.render_line
        app.chart.render_line = lambda y: painted.append(y) or render(y)  # type: ignore[method-assign]
        app.fill()  # other arrays, with the same numbers
        await pilot.pause()
        assert painted == []
        plan = fakes.plan(fakes.SCENARIO)
        chosen = plan.disaggregated
        moved = dataclasses.replace(chosen, ttl_s=chosen.ttl_s / 1.2)
        frontiers = (plan.frontier_disaggregated, plan.frontier_colocated)
        app.chart.show(scene(frontiers, dataclasses.replace(plan, disaggregated=moved), fakes.SCENARIO))
        await pilot.pause()
        _, row = app.chart.picture().geometry.cell(chosen.tokens_per_s_per_user, high(chosen))
        assert set(painted) == {row}


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
        cell = app.chart.picture().geometry.cell(split.tokens_per_s_per_user[2], high(split)[2])
        assert app.chart.render_line(cell[1]).text[cell[0]] == UNICODE.cursor
        await pilot.press("end", "right")
        assert app.chart.cursor == (SPLIT, len(split) - 1)
        await pilot.press("down")
        assert app.chart.cursor == (COLOC, len(app.plan.frontier_colocated) - 1)
        await pilot.press("enter")
        assert app.chosen == [app.plan.frontier_colocated.ttl_s[-1]]


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
            cell = place.cell(split.tokens_per_s_per_user[i], high(split)[i])
            await pilot.hover(app.chart, offset=cell)
            series, index = app.chart.cursor
            xs = app.plan.frontier_disaggregated if series == SPLIT else app.plan.frontier_colocated
            near = place.cell(xs.tokens_per_s_per_user[index], high(xs)[index])
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
        before = app.chart._ttl_s(app.chart.cursor)
        app.fill(fakes.Scenario(limits=fakes.Limits(ttl_s=0.04), model="llama-3.1-8b"))
        await pilot.pause()
        assert app.chart._ttl_s(app.chart.cursor) == pytest.approx(before)
        assert fakes.text(app.chart).isascii()
        app.chart.show(scene((NONE, NONE), None, fakes.SCENARIO, ASCII))
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
        app.chart.show(scene((flat, NONE), None, FREE))
        app.chart.focus()
        await pilot.press("home", "right")
        shown = fakes.text(app.chart)
        assert UNICODE.cursor in shown.replace(f"{UNICODE.cursor} {x:g} tok/s/user", "")
        assert f"{UNICODE.cursor} {x:g} tok/s/user" in shown and "TP8 + TP8" in shown


def test_under_a_budget_the_drawn_line_falls_even_where_gpus_stay_idle() -> None:
    uneven = dataclasses.replace(points([10, 20, 40], [100, 110, 90]), gpus=np.array([60.0, 50.0, 40.0]))
    budget = dataclasses.replace(FREE, fleet=Fleet(gpus=60))
    drawn = scene((uneven, NONE), None, budget)
    y = drawn.curves[SPLIT].xy(USER)[1]
    assert y == pytest.approx([100, 110 * 50 / 60, 60]) and (np.diff(y) < 0).all()
    assert drawn.of == "tokens/s per GPU of 60"
    free = scene((uneven, NONE), None, FREE)
    assert free.curves[SPLIT].xy(USER)[1] == pytest.approx([100, 110, 90]) and free.of == "tokens/s per GPU"


def test_the_plan_lies_on_the_scale_of_its_curves() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    drawn = scene((plan.frontier_disaggregated, plan.frontier_colocated), plan, fakes.SCENARIO)
    chosen = drawn.marks[-1]
    assert chosen.glyph == UNICODE.chosen
    user, y = chosen.xy(USER)
    assert y == pytest.approx(np.interp(user, *drawn.curves[SPLIT].xy(USER)))


async def test_axes_swap_and_points_keep_their_readout() -> None:
    app = ChartApp()
    async with app.run_test(size=(90, 24)) as pilot:
        app.fill()
        await pilot.pause()
        chart = app.chart
        chart.focus()
        await pilot.press("home", "right", "right")
        readout = chart.readout()
        assert any("FTL 1.85 s" in line and "/Mtok" in line for line in readout)
        titles = [chart.border_title]
        for _ in AXES[1:]:
            await pilot.press("x")
            titles.append(chart.border_title)
            assert chart.readout() == readout
            x, y = chart._data[SPLIT]
            col, row = chart.picture().geometry.cell(float(x[2]), float(y[2]))
            assert chart.render_line(row).text[col] == UNICODE.cursor
        assert [title.split(" over ")[1] for title in titles] == [axis.title for axis in AXES]
        assert "72 GPUs" in chart.border_subtitle
        await pilot.press("x")
        assert chart.axis is USER and "TTL limit" in chart.border_subtitle


async def test_on_another_axis_arrows_follow_it_and_its_limit_is_drawn() -> None:
    app = ChartApp()
    async with app.run_test(size=(90, 24)) as pilot:
        app.fill()
        chart = app.chart
        chart.focus()
        await pilot.press("x", "home")
        ftl_s = app.plan.frontier_disaggregated.ftl_s
        assert chart.cursor == (SPLIT, int(ftl_s.argmin()))
        await pilot.press("right")
        assert ftl_s[chart.cursor[1]] == pytest.approx(np.sort(ftl_s)[1])
        limit = chart.picture().geometry.column(2.0)
        assert sum(chart.render_line(y).text[limit] == UNICODE.limit for y in range(24)) > 10


async def test_log_or_linear_all_or_frontier_near_or_far() -> None:
    app = ChartApp()
    async with app.run_test(size=(90, 24)) as pilot:
        app.fill()
        await pilot.pause()
        chart = app.chart
        chart.focus()
        cloud = themes.DARK_HUES["hue-cloud"].lower()

        def faint() -> int:
            return sum(hue.lower() == cloud for row in chart.picture().cells for _, hue in row)

        assert chart.picture().geometry.log and faint() > 20
        await pilot.press("L", "a")
        place = chart.picture().geometry
        assert not place.log and place.x0 >= 0 and faint() == 0
        await pilot.press("L", "a")
        wide = chart.picture().geometry
        assert wide.log and faint() > 20
        await pilot.press("home", "plus", "plus")
        near = chart.picture().geometry
        assert near.x1 - near.x0 == pytest.approx((wide.x1 - wide.x0) / 1.6**2)
        assert near.column(10.0) is not None and near.column(300.0) is None
        assert "×2.6" in chart.border_title
        await pilot.press("minus")
        assert chart.zoom == pytest.approx(1.6)
        await pilot.press("0")
        assert chart.picture().geometry == wide


def test_a_line_that_leaves_the_window_is_cut_at_its_edge() -> None:
    flat = points([10, 100], [1000, 1000])
    limits = axes([flat], width=60, zoom=3.0, centre=31.6)
    picture = draw(flat, NONE, limits, 60, 20)
    columns = [col for cells in picture.cells for col, (char, hue) in enumerate(cells) if hue == BLUE]
    assert min(columns) == picture.geometry.left and max(columns) == 59


def test_a_narrow_window_still_has_ticks() -> None:
    assert len(plotting.log_or_nice_ticks(21, 29, 5)) >= 2


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_points_lie_on_their_cells_on_a_linear_axis(width: int, height: int) -> None:
    limits = axes([points([10, 300], [2500, 50])], (), math.nan, width, height, log=False)
    for x, y in [(10, 2500), (52, 640), (299, 50)]:
        picture = draw(points([x], [y]), NONE, limits, width, height)
        drawn = [
            (col, row)
            for row, cells in enumerate(picture.cells)
            for col, (char, hue) in enumerate(cells)
            if hue == BLUE and char != " "
        ]
        assert drawn == [picture.geometry.cell(x, y)]
