"""The chart: every point on its predicted cell, the marks, the cursor and the mouse."""

from __future__ import annotations

import dataclasses
import math
import re

import fakes
import numpy as np
import pytest
from drawn import BLUE, FREE, GREEN, NONE, SIZES, axes, draw, points, scene

from planner.inputs.scenario import Fleet
from tui.charts import plotting, ticks
from tui.charts.chart_marks import NAMES_APART, lay
from tui.charts.scene import SPLIT, USER, legend, pin_marks, plan_scene, readout
from tui.glyphs import ASCII, UNICODE
from tui.state import Pin, View


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


@pytest.mark.parametrize("log", [False, True])
def test_cells_of_many_points_are_those_of_each(log: bool) -> None:
    chance = np.random.default_rng(7)
    x, y = chance.uniform(-20, 320, 400), chance.uniform(-200, 2600, 400)
    x[:3], y[3:6] = [np.nan, np.inf, 0.0], [np.nan, np.inf, 0.0]
    limits = axes([points([10, 300], [2500, 50])], [], 50.0, 100, 30, log=log)
    assert limits is not None
    place = plotting.geometry(limits, 100, 30)
    found = place.cells(x, y)
    assert found == [place.cell(*point) for point in zip(x.tolist(), y.tolist(), strict=True)]
    assert None in found and len(set(found)) > 200


def test_goodput_is_drawn_in_requests_a_plans_own() -> None:
    asked = dataclasses.replace(fakes.SCENARIO, frontier="goodput")
    found = dataclasses.replace(fakes.plan(fakes.SCENARIO), scenario=asked)
    fronts = (found.frontier_disaggregated, found.frontier_colocated)
    view = View(scenario=asked, base=asked, plan=found, frontiers=fronts)
    drawn = plan_scene(view, UNICODE)
    assert drawn is not None and drawn.unit == "requests/s per GPU"
    tokens = asked.traffic.osl - 1
    curve = drawn.curves[SPLIT]
    assert curve.xy(USER)[1] == pytest.approx(fronts[0].tokens_per_s_per_gpu / tokens)
    assert found.chosen is not None and any(
        mark.xy(USER)[1] == pytest.approx(found.chosen.capacity_tokens_per_s_per_gpu / tokens)
        for mark in drawn.marks
    )
    assert "req/s/GPU" in readout(curve, 0, UNICODE)[0]
    # the lengths of a trace are known with its plan
    traffic = dataclasses.replace(asked.traffic, trace="azure-code")
    early = dataclasses.replace(view, scenario=dataclasses.replace(asked, traffic=traffic), plan=None)
    alone = plan_scene(early, UNICODE)
    assert alone is not None and alone.unit == "tokens/s per GPU" and alone.curves[SPLIT].tokens == 1.0


def test_an_older_plan_does_not_stretch_the_axes_of_new_frontiers() -> None:
    old = fakes.plan(fakes.SCENARIO)
    traffic = dataclasses.replace(fakes.SCENARIO.traffic, isl=16 * fakes.SCENARIO.traffic.isl)
    new = fakes.plan(dataclasses.replace(fakes.SCENARIO, traffic=traffic))
    fronts = (new.frontier_disaggregated, new.frontier_colocated)
    view = View(scenario=new.scenario, base=new.scenario, plan=old, frontiers=fronts)
    early, late = (plan_scene(dataclasses.replace(view, plan=plan), UNICODE) for plan in (old, new))
    assert early is not None and len(early.marks) == 2 and all(mark.apart for mark in early.marks)
    assert late is not None and not any(mark.apart for mark in late.marks)


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
        assert line.lstrip().startswith(ticks.tick_label(tick) + "+"), line


def test_a_few_cloud_points_lie_on_their_cells() -> None:
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(1, 2.4, 20), rng.uniform(0, 2000, 20)
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
    kept_x, kept_y = plotting.thinned(x, y, place)
    blocks = place.cols * place.rows / math.prod(plotting.BLOCK)
    assert 0.7 < len(kept_x) / blocks < 0.9  # the points fill 80 % of the height
    again = plotting.thinned(x, y, place)
    assert (again[0] == kept_x).all() and (again[1] == kept_y).all()
    for half in (kept_x < place.cols, kept_y < 2 * place.rows):
        assert 0.35 < half.mean() < 0.65


def test_a_dense_cloud_stays_where_an_edit_moves_it_a_little() -> None:
    limits = axes([points([10, 300], [2500, 50])], [], 50.0, 90, 20)
    assert limits is not None
    place = plotting.geometry(limits, 90, 20)
    rng = np.random.default_rng(2)
    x, y = 10 ** rng.uniform(1, 2.3, 800), rng.uniform(100, 2000, 800)
    one, other = (
        set(zip(*(part.tolist() for part in plotting.thinned(x * by, y / by, place)), strict=True))
        for by in (1.0, 1.05)
    )
    assert len(one & other) > 0.7 * len(one)


def test_no_dot_of_a_dense_cloud_lies_where_no_point_is_as_good() -> None:
    rng = np.random.default_rng(3)
    x = 10 ** rng.uniform(1, 2.4, 2000)
    y = rng.uniform(0, 1, 2000) * 20_000 / x  # all below a curve
    limits = axes([points([10, 300], [2000, 60])], [], 50.0, 60, 20)
    assert limits is not None
    place = plotting.geometry(limits, 60, 20)
    cells = [place.cell(a, b) for a, b in zip(x, y, strict=True)]
    held = [cell for cell in cells if cell is not None]
    for col, row in zip(*plotting.thinned(x, y, place), strict=True):
        at = (place.left + col // 2, place.top + place.rows - 1 - row // 4)
        assert any(c >= at[0] and r <= at[1] for c, r in held)


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


def test_curves_count_gpus_in_use_as_the_plan_does_whatever_the_budget() -> None:
    uneven = dataclasses.replace(points([10, 20, 40], [100, 110, 90]), gpus=np.array([60.0, 50.0, 40.0]))
    for scenario in (FREE, dataclasses.replace(FREE, fleet=Fleet(gpus=60))):
        assert scene((uneven, NONE), None, scenario).curves[SPLIT].xy(USER)[1] == pytest.approx(
            [100, 110, 90]
        )


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_the_legend_has_every_sign_of_the_picture(glyphs) -> None:
    plan = fakes.plan(fakes.SCENARIO)
    drawn = scene((plan.frontier_disaggregated, plan.frontier_colocated), plan, fakes.SCENARIO, glyphs)
    for room in (47, 65, 90):  # at 80, 100 and 160 columns
        said = re.sub(r"\[/?[^]]*\]", "", legend(drawn, USER, True, glyphs, room, cloud=True))
        assert len(said) <= room
        for sign in (glyphs.split, glyphs.colocated, glyphs.chosen, glyphs.other, glyphs.cloud, glyphs.limit):
            assert f"{sign} " in said
    assert glyphs.cloud not in legend(drawn, USER, True, UNICODE, 90, cloud=False)


def test_pins_of_another_question_are_faint_and_leave_the_axes_alone() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    served = dataclasses.replace(fakes.SCENARIO, model="llama-3.1-8b")
    fleet = dataclasses.replace(fakes.SCENARIO, fleet=Fleet(gpus=144))
    pins = [Pin(letter=at, scenario=of, plan=fakes.plan(of)) for at, of in (("A", served), ("B", fleet))]
    other, same = pin_marks(pins, plan.scenario)
    assert (other.apart, other.hue) == (True, "muted") and (same.apart, same.hue) == (False, "cursor")
    assert not any(mark.apart for mark in pin_marks(pins))  # on the page that compares them


def test_the_plan_lies_on_the_scale_of_its_curves() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    drawn = scene((plan.frontier_disaggregated, plan.frontier_colocated), plan, fakes.SCENARIO)
    chosen = drawn.marks[-1]
    assert chosen.glyph == UNICODE.chosen
    user, y = chosen.xy(USER)
    assert y == pytest.approx(np.interp(user, *drawn.curves[SPLIT].xy(USER)))


def test_a_line_that_leaves_the_window_is_cut_at_its_edge() -> None:
    flat = points([10, 100], [1000, 1000])
    limits = axes([flat], width=60, zoom=3.0, centre=31.6)
    picture = draw(flat, NONE, limits, 60, 20)
    columns = [col for cells in picture.cells for col, (char, hue) in enumerate(cells) if hue == BLUE]
    assert min(columns) == picture.geometry.left and max(columns) == 59


def test_a_narrow_window_still_has_ticks() -> None:
    assert len(ticks.log_or_nice_ticks(21, 29, 5)) >= 2


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


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_points_of_a_fleet_say_where_they_run(glyphs) -> None:
    """A letter and a hue for every placement, on the curves, in the legend and in the readout."""
    split, coloc = fakes.frontiers(FREE)
    where = [("h100", "h200") if i < 20 else ("h200",) for i in range(len(split))]
    fleet = (
        dataclasses.replace(split, systems=tuple(where)),
        dataclasses.replace(coloc, systems=(("h200",),) * len(coloc)),
    )
    drawn = scene(fleet, None, FREE, glyphs)
    assert [drawn.curves[0].sign(i)[0] for i in (0, 19, 20)] == ["b", "b", "a"]  # h200 has more points
    assert {drawn.curves[1].sign(i) for i in range(len(coloc))} == {drawn.curves[0].sign(25)}
    plain = re.sub(r"\[[^]]*\]", "", legend(drawn, USER, False, glyphs, 120))
    assert "a h200" in plain and "b h100>h200" in plain and "split" in plain
    assert "on h100>h200" in readout(drawn.curves[0], 3, glyphs)
    curves = [points(*curve.xy(USER)) for curve in drawn.curves]
    limits = axes(curves, [], 50.0, 90, 20)
    assert limits is not None
    picture = draw(*curves, limits, 90, 20)
    letters = [glyph for glyph, _ in lay(picture, drawn, USER, glyphs, "#000000").values()]
    assert {"a", "b"} <= set(letters)


def test_a_name_stands_no_second_time_beside_itself() -> None:
    """A curve that changes to and fro between two layouts had the same two names in a stack."""
    x = np.linspace(48.0, 52.0, 12)
    y = np.where(np.arange(12) % 2, 1400.0, 1700.0)
    curve = dataclasses.replace(points(x, y), decode=("DEP36", "DEP9") * 6)
    drawn = scene((curve, NONE), None, FREE, UNICODE)
    limits = axes([points([10, 300], [2500, 50])], [], 50.0, 90, 40)
    assert limits is not None
    picture = draw(curve, NONE, limits, 90, 40)
    marks = lay(picture, drawn, USER, UNICODE, GREEN)
    rows = ["".join(marks.get((col, row), " ")[0] for col in range(90)) for row in range(40)]
    for name in ("DEP36", "DEP9"):
        places = [(row, text.index(name)) for row, text in enumerate(rows) if name in text]
        assert places
        for row, left in places:
            near = [at for at in places if abs(at[0] - row) < NAMES_APART and abs(at[1] - left) < len(name)]
            assert near == [(row, left)]


@pytest.mark.parametrize("most", range(2, 13))
def test_an_axis_has_two_ticks_at_least_and_no_more_than_fit(most: int) -> None:
    """A replay of 425 s at 60 columns had one at 0 alone: neither its length nor its unit could be read."""
    random = np.random.default_rng(most)
    lows, spans = random.uniform(0, 100, 400) * (np.arange(400) % 2), 10 ** random.uniform(-3, 5, 400)
    for low, span in zip(lows, spans, strict=True):
        found = ticks.nice_ticks(low, low + span, most)
        assert 2 <= len(found) <= most + (most < 4)
        assert low - 1e-6 * span <= found[0] and found[-1] <= low + span * (1 + 1e-6)
