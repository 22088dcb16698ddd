"""The chart as a widget: its cursor, its mouse, its axes and its keys."""

from __future__ import annotations

import dataclasses

import fakes
import numpy as np
import pytest
from drawn import FREE, NONE, points, scene
from textual.app import App, ComposeResult

from tui.charts import dots
from tui.charts.chart_marks import SPACING
from tui.charts.pareto_chart import ParetoChart
from tui.charts.scene import AXES, COLOC, SPLIT, USER
from tui.glyphs import ASCII, UNICODE
from tui.widgets import themes


def high(of):
    """Where a frontier or a serving of the fake planner stands: per GPU in use."""
    return of.tokens_per_s_per_gpu


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
        assert "no deployment meets the limits" in fakes.text(app.chart)
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


async def test_layouts_are_named_along_the_frontier_where_there_is_room_and_cover_no_line() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.fill()
        await pilot.pause()
        rows = [app.chart.render_line(y).text for y in range(24)]
        front = app.plan.frontier_disaggregated
        names = {f"{one} + {two}" for one, two in zip(front.prefill, front.decode, strict=True)}
        assert any(name in row for name in names for row in rows)
        picture = app.chart.picture()
        cloud = app.chart._hue("cloud").lower()
        for y, marks in app.chart._marks.items():
            for (col, _), (_, of) in marks.items():
                if of == "muted":
                    char, hue = picture.cells[y][col]
                    assert char == " " or hue.lower() == cloud
    small = ChartApp()
    async with small.run_test(size=(52, 9)) as pilot:
        small.fill()
        await pilot.pause()
        assert not any(name in small.chart.render_line(y).text for y in range(9) for name in names)


@pytest.mark.parametrize("size", [(52, 9), (72, 18)], ids=str)
async def test_in_ascii_lines_are_thin_and_signs_stand_apart_on_them(size: tuple[int, int]) -> None:
    """Lines made of the curves' own signs were a wall in which neither curve could be followed."""
    app = ChartApp(ASCII)
    async with app.run_test(size=size) as pilot:
        app.fill()
        await pilot.pause()
        picture = app.chart.picture()
        assert picture is not None
        place = picture.geometry
        rows = [app.chart.render_line(y).text for y in range(place.top, place.top + place.rows)]
        for curve, sign in zip(app.chart._scene.curves, (ASCII.split, ASCII.colocated), strict=True):
            signs = sum(row[place.left :].count(sign) for row in rows)
            assert 3 <= signs <= place.cols / SPACING
            x = curve.frontier.tokens_per_s_per_user
            first, last = place.column(float(x[0])), place.column(float(x[-1]))
            assert first is not None and last is not None
            marks = {*dots.LEVELS, *dots.STEEP, ASCII.split, ASCII.colocated, ASCII.chosen, ASCII.other}
            for col in range(first, last):  # the line is whole
                assert any(row[col] in marks for row in rows), col


async def test_what_came_while_a_page_hid_the_chart_is_in_its_legend() -> None:
    """A pin set on another page was drawn in no room: the legend said that the limit is off the chart."""
    async with fakes.app().run_test(size=(160, 45)) as pilot:
        await fakes.settled(pilot)
        chart = pilot.app.main.query_one("#chart", ParetoChart)
        before = str(chart.border_subtitle)
        await pilot.press("3", "p")
        await fakes.until(pilot, lambda: pilot.app.main.view.pins and not chart.size)
        await pilot.press("1")
        await fakes.painted(pilot)
        after = str(chart.border_subtitle)
        assert "off" not in after and UNICODE.band in after
        assert set(before.split()) <= set(after.split())
