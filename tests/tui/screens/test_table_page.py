"""The table: its order, filter and columns."""

from __future__ import annotations

import dataclasses
from typing import Any

import fakes
import numpy as np
from turning import Pages

from tui.glyphs import UNICODE
from tui.panes.plan_card import PlanCard
from tui.panes.table import PlanGrid, plan_rows
from tui.state import View
from tui.widgets.grid import Column, Grid, Row


async def test_the_table_ranks_the_plan_first_and_enter_adopts_a_rows_layouts(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    assert len(grid.rows) == 28 + 24
    meets = [row.mark != UNICODE.cloud for row in grid.rows]
    assert meets == sorted(meets, reverse=True) and 0 < sum(meets) < len(meets)
    rates = [row.values[4] * row.values[3] for row in grid.rows if row.mark == UNICODE.ok]
    assert rates == sorted(rates, reverse=True)
    before, row = pages.scenario, grid.rows[2]
    await pages.pilot.press("down", "j", "enter")
    await pages.settled()
    assert row.item.meets and pages.scenario.limits == before.limits
    given = pages.scenario.deployment
    assert given == row.item.deployment and given.way == "disaggregated"
    assert (given.prefill_layout, given.decode_layout) == (row.cells[1], row.cells[2])
    assert "layouts fixed" in str(grid.border_title)
    await pages.pilot.press("1")
    await pages.pilot.pause()
    assert "layouts fixed" in str(pages.one(PlanCard).border_title)
    await pages.pilot.press("u")
    await pages.settled()
    assert pages.scenario == before and "fixed" not in str(pages.one(PlanCard).border_title)


async def test_a_row_that_misses_the_limit_brings_its_own(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("end")
    row = grid.rows[grid.cursor]
    await pages.pilot.press("enter")
    await pages.settled()
    assert not row.item.meets and 1 <= pages.scenario.limits.ttl_s / row.item.ttl_s < 1.001
    assert pages.scenario.deployment == row.item.deployment


def view_of(plan: Any) -> View:
    return View(
        scenario=plan.scenario,
        base=plan.scenario,
        plan=plan,
        frontiers=(plan.frontier_disaggregated, plan.frontier_colocated),
        budget=plan.scenario.fleet.gpus,
    )


def test_the_plans_row_has_the_diamond_and_stands_first() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    ttl_s = float(plan.frontier_disaggregated.ttl_s[12])
    chosen = dataclasses.replace(plan.disaggregated, ttl_s=ttl_s)
    rows = plan_rows(view_of(dataclasses.replace(plan, disaggregated=chosen)), UNICODE)
    assert rows[0].mark == UNICODE.chosen and rows[0].item.ttl_s == ttl_s
    assert [row.mark for row in rows].count(UNICODE.chosen) == 1


def test_other_layouts_are_rows_once_and_only_with_their_own_frontiers() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    split, together = plan.frontier_disaggregated, plan.frontier_colocated
    other = dataclasses.replace(split, decode=("TP3",) * 28)
    twice = dataclasses.replace(plan, alternatives=(other, together))
    rows = plan_rows(view_of(twice), UNICODE)
    assert len(rows) == 28 + 24 + 28 and sum(row.cells[2] == "TP3" for row in rows) == 28
    newer = dataclasses.replace(view_of(twice), frontiers=fakes.frontiers(fakes.SCENARIO))
    assert len(plan_rows(newer, UNICODE)) == 28 + 24


async def test_sorting_by_letter_and_by_click(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("s")
    assert "e:tok/s" in grid.render_line(0).text and "letter" in grid.border_subtitle
    await pages.pilot.press("h")  # TTL, ascending first
    ttl = [row.values[7] for row in grid.rows]
    assert ttl == sorted(ttl) and f"TTL{UNICODE.up}" in grid.render_line(0).text
    await pages.pilot.press("s", "h")
    assert [row.values[7] for row in grid.rows] == sorted(ttl, reverse=True)
    await pages.pilot.press("s", "escape")
    assert [row.values[7] for row in grid.rows] == sorted(ttl, reverse=True)
    at = grid.render_line(0).text.index("tok/s/user")
    await pages.pilot.click(grid, offset=(at + 2, 1))
    users = [row.values[5] for row in grid.rows]
    assert users == sorted(users, reverse=True)
    await pages.pilot.press("s", "j")  # ctx:gen: co-located has none and goes last either way
    assert np.isnan(grid.rows[-1].values[9])
    await pages.pilot.press("s", "j")
    assert np.isnan(grid.rows[-1].values[9])


async def test_the_filter_holds_words_and_escape_drops_it(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    theme = pages.pilot.app.theme
    await pages.pilot.press("slash", *"dep16", "space", *"tp8")
    assert pages.pilot.app.theme == theme  # t was text
    assert grid.rows and all("DEP16" in row.cells and "TP8" in " ".join(row.cells) for row in grid.rows)
    await pages.pilot.press("enter")
    assert f"of {28 + 24}" in grid.border_subtitle
    kept = len(grid.rows)
    await pages.pilot.press("slash", "backspace", "escape")
    assert kept < len(grid.rows) == 28 + 24
    await pages.pilot.press("slash", *"nothing", "enter", "enter")
    assert grid.rows == []


async def test_columns_hide_and_show(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    assert "prefill" in grid.render_line(0).text
    await pages.pilot.press("c", "b")
    assert "prefill" not in grid.render_line(0).text
    await pages.pilot.press("c", "b")
    assert "prefill" in grid.render_line(0).text


async def test_a_long_table_scrolls_with_its_cursor_and_a_double_click_takes_a_row(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("end")
    await pages.pilot.pause()
    assert grid.cursor == 51
    assert grid.region_of(51).bottom <= grid.content_region.bottom
    await pages.pilot.press("home", "pagedown")
    assert 10 < grid.cursor < 51
    await pages.pilot.press("home")
    await pages.pilot.click(grid, offset=(10, 5), times=2)  # border, header, then rows
    await pages.pilot.pause()
    assert grid.cursor == 3 and pages.scenario != fakes.SCENARIO


def test_columns_give_way_in_the_order_of_need() -> None:
    titles = [Column(title=t, need=n) for t, n in (("aaaa", 3), ("bbbb", 1), ("cccc", 2))]
    grid = Grid(titles)
    assert grid.shown(30) == [0, 1, 2]
    assert grid.shown(14) == [0, 2] and grid.shown(8) == [0] and grid.shown(1) == [0]


def test_rows_of_a_table_without_frontiers() -> None:
    assert plan_rows(View(scenario=fakes.SCENARIO, base=fakes.SCENARIO), UNICODE) == []
    assert Row(cells=("a",), values=("a",), item=1).mark == " "
