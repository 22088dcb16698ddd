"""The table: its order, filter and columns."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from textual import events
from turning import Pages

from planner.errors import InputError
from planner.inputs.scenario import Fleet
from planner.planning.alone import Alone
from planner.planning.evidence import CLASSES, Seen
from tui.glyphs import UNICODE
from tui.panes.plan_card import PlanCard
from tui.panes.table import COLUMNS, PlanGrid, evidence_kind, instances, plan_rows
from tui.state import View
from tui.widgets.grid import Column, Grid, Row
from tui.widgets.key_bar import KeyBar


async def test_the_table_ranks_the_plan_first_and_enter_adopts_a_rows_layouts(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    assert len(grid.rows) == 1 + 28 + 24  # the plan, and both frontiers
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
    assert row.cells[1].endswith(given.prefill_layout) and row.cells[2].endswith(given.decode_layout)
    assert "layouts fixed" in str(grid.border_title)
    await pages.pilot.press("1")
    await fakes.until(pages.pilot, lambda: "layouts fixed" in str(pages.one(PlanCard).border_title))
    await pages.pilot.press("u")
    await fakes.until(pages.pilot, lambda: "fixed" not in str(pages.one(PlanCard).border_title))
    await pages.settled()
    assert pages.scenario == before


async def test_a_row_that_misses_the_limit_brings_its_own(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("end")
    row = grid.rows[grid.cursor]
    await pages.pilot.press("enter")
    await pages.settled()
    assert not row.item.meets and 1 <= pages.scenario.limits.ttl_s / row.item.ttl_s < 1.001
    assert pages.scenario.deployment == row.item.deployment


PLACE, EVIDENCE = (
    next(i for i, column in enumerate(COLUMNS) if column.title == title) for title in ("system", "evidence")
)


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
    ttl_s = float(plan.frontier_disaggregated.ttl_s[12])  # of a point with other layouts
    chosen = dataclasses.replace(plan.disaggregated, ttl_s=ttl_s)
    rows = plan_rows(view_of(dataclasses.replace(plan, disaggregated=chosen)), UNICODE)
    assert rows[0].mark == UNICODE.chosen and rows[0].item.ttl_s == ttl_s
    prefill, decode = chosen.pools
    assert rows[0].item.deployment.prefill_layout == prefill.layout.label
    assert rows[0].item.deployment.decode_layout == decode.layout.label
    assert rows[0].values[4:8:2] == (chosen.tokens_per_s_per_gpu, chosen.ftl_s)
    assert [row.mark for row in rows].count(UNICODE.chosen) == 1


def test_other_layouts_are_rows_once_and_only_with_their_own_frontiers() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    split, together = plan.frontier_disaggregated, plan.frontier_colocated
    other = dataclasses.replace(split, decode=("TP3",) * 28)
    twice = dataclasses.replace(plan, alternatives=(other, together))
    rows = plan_rows(view_of(twice), UNICODE)
    assert len(rows) == 1 + 28 + 24 + 28 and sum(row.cells[2] == "TP3" for row in rows) == 28
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
    at = grid.render_line(0).text.index("tok/s/GPU")
    await pages.pilot.click(grid, offset=(at + 2, 1))
    rates = [row.values[4] for row in grid.rows]
    assert rates == sorted(rates, reverse=True)
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
    assert f"of {1 + 28 + 24}" in grid.border_subtitle
    kept = len(grid.rows)
    await pages.pilot.press("slash", "backspace", "escape")
    assert kept < len(grid.rows) == 1 + 28 + 24
    await pages.pilot.press("slash", *"nothing", "enter", "enter")
    assert grid.rows == []
    await pages.pilot.press("escape", "escape")  # drops the filter, then nothing
    assert len(grid.rows) == 1 + 28 + 24 and pages.main.tab == "table"


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
    assert grid.cursor == len(grid.rows) - 1
    assert grid.region_of(grid.cursor).bottom <= grid.content_region.bottom
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


async def test_space_pins_a_row_and_page_3_compares_it(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("down", "down", "space")
    row = grid.rows[2]
    await fakes.until(pages.pilot, lambda: pages.main.view.pins)
    (pin,) = pages.main.view.pins
    assert pin.scenario == row.item.of(pages.scenario) and pin.scenario.deployment == row.item.deployment
    await pages.pilot.press("3")
    await fakes.until(pages.pilot, lambda: all(pin.plan is not None for pin in pages.main.view.pins))


async def test_x_exports_the_rows_and_columns_that_are_shown(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    await pages.open("table")
    grid = pages.one(PlanGrid)
    await pages.pilot.press("c", "d", "slash", *"tp16", "enter", "x")
    await pages.pilot.press("enter")
    await fakes.until(pages.pilot, lambda: list(tmp_path.glob("*-table.csv")))
    head, *rows = csv.reader(next(tmp_path.glob("*-table.csv")).read_text(encoding="utf-8").splitlines())
    assert "GPUs" not in head and len(rows) == len(grid.rows) == 24
    assert all("TP16" in row[head.index("decode")] for row in rows)


async def test_x_held_down_asks_once(pages: Pages) -> None:
    await pages.open("table")
    app = pages.pilot.app
    for _ in range(30):
        app.post_message(events.Key("x", "x"))
    await fakes.settled(pages.pilot)
    assert len(app.screen_stack) == 2
    await pages.pilot.press("escape")


async def test_rows_that_would_read_alike_are_one(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    row = grid.rows[0]
    grid.fill([row, dataclasses.replace(row, item="the same again"), grid.rows[1]])
    assert len(grid.rows) == 2 and grid.rows[0].item is row.item


async def test_a_title_is_whole_beside_the_letter_that_picks_it(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    for keys in ("s", "c"):
        await pages.pilot.press(keys)
        shown = grid.shown(grid.scrollable_content_region.width)
        for at in shown:
            letter = "abcdefghijklmnopqrstuvwxyz"[at]
            assert f"{letter}:{grid.columns[at].title}" in grid.render_line(0).text
        await pages.pilot.press("escape")


def test_instances_are_counted_where_they_are_whole() -> None:
    split, together = fakes.frontiers(fakes.SCENARIO)
    whole = dataclasses.replace(
        split,
        gpus=np.full(28, 72),
        ctx_gen_ratio=np.full(28, 0.5),
        prefill=("CPP3xTP1",) * 28,
        decode=("DEP24",) * 28,
    )
    assert instances(whole, 0) == (8, 2)
    assert instances(dataclasses.replace(whole, ctx_gen_ratio=np.full(28, 0.51)), 0) is None
    assert instances(together, 0) == (0, int(together.gpus[0]) // 16)


def test_what_a_row_rests_on_is_that_of_its_less_known_pool() -> None:
    nearest = {at: () for at, name in enumerate(CLASSES) if name == "DEP <= 16"}
    seen = Seen(nearest={"prefill": {}, "decode": nearest, "colocated": nearest}, level="both", moe=True)
    plan = dataclasses.replace(fakes.plan(fakes.SCENARIO), seen=seen)
    assert evidence_kind(plan, "TP8", "DEP16") == "extrapolated"
    assert evidence_kind(plan, "", "DEP16") == "measured"
    assert evidence_kind(None, "", "DEP16") == ""


def test_rows_on_other_systems_of_a_fleet_rest_on_what_is_known_there() -> None:
    nearest = {at: () for at, name in enumerate(CLASSES) if name in ("TEP <= 8", "DEP <= 16")}
    all_known = Seen(
        nearest={"prefill": nearest, "decode": nearest, "colocated": nearest}, level="both", moe=True
    )
    none = dataclasses.replace(all_known, nearest={"prefill": {}, "decode": {}, "colocated": {}})
    alone = (
        Alone(system="h200", choice="", seen=all_known),
        Alone(system="h100", choice="", seen=none),
        Alone(system="b200", choice=""),
    )
    plan = dataclasses.replace(fakes.plan(fakes.SCENARIO), seen=none, alone=alone)
    assert evidence_kind(plan, "TEP8", "DEP16") == "extrapolated"
    assert evidence_kind(plan, "TEP8", "DEP16", ("h200",)) == "measured"
    assert evidence_kind(plan, "", "DEP16", ("h200",)) == "measured"
    assert evidence_kind(plan, "TEP8", "DEP16", ("h200", "h100")) == "extrapolated"
    assert evidence_kind(plan, "TEP8", "DEP16", ("h200", "b200")) == ""  # nothing is known there


def test_rows_of_a_fleet_say_which_systems_they_run_on() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    split, coloc = plan.frontier_disaggregated, plan.frontier_colocated
    where = [("h100", "gb200") if at < 20 else ("gb200",) for at in range(len(split))]
    prefill, decode = plan.disaggregated.pools
    on = (dataclasses.replace(prefill, system="h100"), decode)
    fleet = dataclasses.replace(
        plan,
        disaggregated=dataclasses.replace(plan.disaggregated, pools=on),
        frontier_disaggregated=dataclasses.replace(split, systems=tuple(where)),
        frontier_colocated=dataclasses.replace(coloc, systems=(("gb200",),) * len(coloc)),
        alternatives=(dataclasses.replace(split), dataclasses.replace(coloc)),
        alone=(Alone(system="gb200", choice=""), Alone(system="h100", choice="")),
    )
    rows = plan_rows(view_of(fleet), UNICODE)
    names = [row.cells[PLACE] for row in rows]
    assert names[0] == "h100>gb200" and rows[0].mark == UNICODE.chosen
    assert set(names) == {"h100>gb200", "gb200"}
    assert PLACE in grid_of(rows).shown(78)
    assert PLACE not in grid_of(plan_rows(view_of(plan), UNICODE)).shown(200)


def test_what_a_row_rests_on_is_told_of_the_plans_own_systems_alone() -> None:
    """What the fit has seen is known of the systems that the plan is on."""
    plan = fakes.plan(fakes.SCENARIO)
    seen = Seen(nearest={phase: {} for phase in ("prefill", "decode", "colocated")}, level="both", moe=True)
    split = dataclasses.replace(
        plan.frontier_disaggregated,
        systems=tuple(("gb200",) if at % 2 else ("h100",) for at in range(len(plan.frontier_disaggregated))),
    )
    fleet = dataclasses.replace(plan, seen=seen, frontier_disaggregated=split, alone=())
    for row in plan_rows(view_of(fleet), UNICODE):
        if row.cells[PLACE]:
            assert bool(row.cells[EVIDENCE]) is (row.cells[PLACE] == "gb200")


def grid_of(rows: list[Row]) -> Grid:
    grid = Grid(COLUMNS)
    grid.fill(rows)
    return grid


async def test_a_row_of_a_fleet_is_refused_with_a_word_of_what_can_be_done(pages: Pages) -> None:
    await pages.open("table")
    row = pages.one(PlanGrid).rows[3]
    fleet = dataclasses.replace(fakes.SCENARIO, fleet=Fleet(systems="h100:64,h200:32"))
    with pytest.raises(InputError, match=r"fleet: .*none where a row is taken.*one system$"):
        row.item.of(fleet)


@pytest.mark.parametrize("opens", ["s", "c", "slash"])
async def test_letters_that_are_typed_are_no_keys_meanwhile(pages: Pages, opens: str) -> None:
    """While the letter of a column was awaited, `c columns` and `x export rows` stood in the bottom row."""
    keys = {"grid-sort", "grid-filter", "grid-columns", "grid-choose", "table-pin", "table-export"}

    def offered() -> set[str | None]:
        return {key.id for key in pages.one(KeyBar).keys if key.live}

    await pages.open("table")
    await fakes.until(pages.pilot, lambda: keys <= offered())
    await pages.pilot.press(opens)
    await fakes.until(pages.pilot, lambda: not keys & offered())
    await pages.pilot.press("escape")
    await fakes.until(pages.pilot, lambda: keys <= offered())
