"""The pages beside the plan: table, compare, what-if, breakdown; pins and studies."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import fakes
import numpy as np
import pytest
from textual.app import App, ComposeResult

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Limits, Scenario
from planner.planning.result import Relaxation
from tui.app import RatematchApp
from tui.charts.curve_chart import KEYS, CurveChart
from tui.charts.pareto_chart import ParetoChart
from tui.glyphs import ASCII, UNICODE
from tui.panes.compare import Cell as CompareCell
from tui.panes.compare import CompareTable, against, columns
from tui.panes.page import Page
from tui.panes.plan_card import PlanCard
from tui.panes.table import PlanGrid, plan_rows
from tui.panes.what_if import Tornado, lines, percent, without_effect
from tui.screens.main import MainScreen
from tui.state import Pin, View
from tui.widgets.grid import Column, Grid, Row
from tui.widgets.hint_line import HintLine
from tui.widgets.tab_bar import TABS, TabBar

SIZE = (120, 36)


class Pages:
    """Short words for what a user does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot = pilot
        self.main = pilot.app.main

    async def open(self, tab: str) -> None:
        await self.main.action_tab(tab)
        await self.pilot.pause()

    async def settled(self) -> None:
        await fakes.settled(self.pilot)

    async def studied(self) -> None:
        """Until the what-if and its curve are whole."""

        def whole() -> bool:
            found = self.main.view.findings
            plan = self.main.view.plan
            effects = found.base is plan and len(found.effects) == found.wanted > 0
            return effects and found.curve_of is plan and found.curve_done

        await fakes.until(self.pilot, whole)

    def one(self, kind: type[Any]) -> Any:
        return self.main.query_one(kind)

    def shown(self, name: str) -> str:
        """The texts inside a part, line by line."""
        part = self.main.query_one(name)
        return "\n".join(fakes.text(child) for child in part.query("*") if child.display and child.size)

    @property
    def scenario(self) -> Scenario:
        return self.main.view.scenario


@pytest.fixture
async def pages():
    async with fakes.app().run_test(size=SIZE) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        yield pages


# Which page is open


async def test_digits_brackets_and_clicks_open_pages_and_escape_leads_back(pages: Pages) -> None:
    bar = pages.one(TabBar)
    for tab in TABS[1:]:
        await pages.pilot.press(tab.key)  # the focus is on a choice: a digit is no text there
        assert pages.main.tab == bar.active == tab.id
        assert pages.main.focused is not None and pages.main.focused in pages.main.page.stops()
        await pages.pilot.press("escape")
        assert pages.main.tab == "plan" and pages.main.focused.id == "knob-model"
    await pages.pilot.press("right_square_bracket")
    assert pages.main.tab == "table"
    await pages.pilot.press("left_square_bracket", "left_square_bracket")
    assert pages.main.tab == "breakdown"
    line = fakes.text(bar)
    await pages.pilot.click(bar, offset=(line.index("Compare") + 1, 0))
    assert pages.main.tab == "compare"


async def test_a_digit_in_a_number_is_text_and_the_brackets_still_turn_pages(pages: Pages) -> None:
    knob = pages.main.query_one("#knob-isl")
    knob.focus()
    await pages.pilot.press("2")
    assert knob.editing and pages.main.tab == "plan"
    await pages.pilot.press("escape", "right_square_bracket")
    assert pages.main.tab == "table" and pages.scenario == fakes.SCENARIO


async def test_escape_leaves_the_form_for_the_chart(pages: Pages) -> None:
    await pages.pilot.press("escape")
    assert pages.main.focused is pages.main.query_one("#chart")


async def test_pages_are_made_when_opened_and_only_the_open_one_is_drawn(pages: Pages) -> None:
    assert not pages.main.query("#page-table, #page-compare, #page-what-if, #page-breakdown")
    await pages.open("table")
    grid = pages.one(Grid)
    before = list(grid.rows)
    await pages.open("plan")
    await pages.pilot.press("right")  # another model
    await pages.settled()
    assert grid.rows == before
    await pages.open("table")
    assert grid.rows != before
    assert len(pages.main.query("#page-table")) == 1


@pytest.mark.parametrize(
    "size",
    [
        (80, 24),
        (160, 45),
        *(
            pytest.param(size, marks=pytest.mark.slow)
            for size in [(60, 18), (100, 40), (120, 36), (200, 60), (20, 5)]
        ),
    ],
)
async def test_every_page_draws_at_every_size_and_all_parts_can_be_reached(size: tuple[int, int]) -> None:
    async with fakes.app().run_test(size=size) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        await pilot.press("p")
        for tab in TABS:
            await pages.open(tab.id)
            await pilot.pause()
            if size[0] >= 80 and tab.id != "plan":
                reached = set()
                for _ in range(4):
                    reached.add(pages.main.focused)
                    await pilot.press("tab")
                assert set(pages.main.page.stops()) <= reached, tab.id


async def test_the_form_stays_beside_pages_on_wide_screens_only() -> None:
    for size, beside in (((80, 24), False), ((120, 36), True)):
        async with fakes.app().run_test(size=size) as pilot:
            pages = Pages(pilot)
            await pages.settled()
            form = pages.main.query_one("#inputs")
            for tab in ("table", "what-if", "breakdown"):
                await pages.open(tab)
                await pilot.pause()
                assert bool(form.region) is beside, (size, tab)
            await pages.open("compare")
            await pilot.pause()
            assert not form.region
            await pages.open("plan")
            await pilot.pause()
            assert form.region


async def test_chart_keys_work_wherever_the_focus_is(pages: Pages) -> None:
    chart = pages.main.query_one("#chart", ParetoChart)
    await pages.pilot.press("x")
    assert chart.axis.key == "ftl" and "first token" in chart.border_title
    await pages.pilot.press("a", "L")
    assert not chart.faint


# Table


async def test_the_table_ranks_the_plan_first_and_enter_takes_a_rows_ttl(pages: Pages) -> None:
    await pages.open("table")
    grid = pages.one(PlanGrid)
    assert len(grid.rows) == 28 + 24
    meets = [row.mark != UNICODE.cloud for row in grid.rows]
    assert meets == sorted(meets, reverse=True) and 0 < sum(meets) < len(meets)
    rates = [row.values[4] * row.values[3] for row in grid.rows if row.mark == UNICODE.ok]
    assert rates == sorted(rates, reverse=True)
    ttl_s = grid.rows[2].item
    await pages.pilot.press("down", "j", "enter")
    assert 1 <= pages.scenario.limits.ttl_s / ttl_s < 1.001
    await pages.settled()


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
    assert rows[0].mark == UNICODE.chosen and rows[0].item == ttl_s
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


# Pins and compare


async def pin_two(pages: Pages) -> None:
    await pages.pilot.press("p")
    pages.main.query_one("#knob-isl").focus()
    await pages.pilot.press("right")
    await pages.settled()
    await pages.pilot.press("p")


async def test_pins_are_counted_marked_on_the_chart_and_not_made_twice(pages: Pages) -> None:
    await pin_two(pages)
    assert [pin.letter for pin in pages.main.view.pins] == ["A", "B"]
    assert f"Compare {UNICODE.tight}2" in fakes.text(pages.one(TabBar))
    chart = fakes.text(pages.main.query_one("#chart"))
    assert "A" in chart and "A B" in pages.main.query_one("#chart").border_subtitle
    await pages.pilot.press("p")
    assert len(pages.main.view.pins) == 2
    for _ in range(3):
        await pages.pilot.press("right")
        await pages.settled()
        await pages.pilot.press("p")
    assert [pin.letter for pin in pages.main.view.pins] == ["A", "B", "C", "D"]


async def test_compare_shows_differences_against_the_baseline(pages: Pages) -> None:
    await pin_two(pages)
    pages.main.query_one("#knob-gpus").focus()
    await pages.pilot.press("right")
    await pages.settled()
    await pages.open("compare")
    table = pages.one(CompareTable)
    shown = pages.shown("#compare-table")
    head, isl, gpus = (line for line in shown.splitlines() if line.startswith((" " * 12, "ISL", "GPUs ≤")))
    assert head.split() == ["pin", "A", "baseline", "pin", "B", "now"]
    assert isl.split() == ["ISL", "8k", "12k", "+50%", "12k", "+50%"]
    assert gpus.split() == ["GPUs", "≤", "72", "=", "96", "+33%"]
    assert "model" in shown and pages.main.query_one("#overlay").readout() == []
    await pages.pilot.press("D")
    shown = pages.shown("#compare-table")
    assert "model" not in shown and "ISL" in shown and "tok/s/GPU" in shown and "tok/s/user" not in shown
    await pages.pilot.press("right", "b")
    assert pages.main.view.baseline == "B"
    assert [pin.letter for pin in columns(pages.main.view)] == ["B", "A", "now"]
    assert pages.main.focused is table


async def test_a_pin_is_opened_and_dropped(pages: Pages) -> None:
    await pin_two(pages)
    await pages.open("compare")
    await pages.pilot.press("enter")
    assert pages.main.tab == "plan" and pages.scenario == fakes.SCENARIO
    await pages.settled()
    await pages.open("compare")
    await pages.pilot.press("d")
    assert [pin.letter for pin in pages.main.view.pins] == ["B"] and pages.main.view.baseline == "B"
    await pages.pilot.press("d")
    assert pages.main.view.pins == () and "Nothing pinned" in pages.shown("#compare-table")
    await pages.pilot.press("enter", "b", "d", "D")
    assert pages.main.tab == "compare"


async def test_frontiers_of_pins_are_overlaid_with_glyphs_of_their_own(pages: Pages) -> None:
    await pin_two(pages)
    await pages.open("compare")
    overlay = pages.main.query_one("#overlay", ParetoChart)
    drawn = fakes.text(overlay)
    assert UNICODE.pins[0] in drawn and UNICODE.pins[1] in drawn
    overlay.focus()
    await pages.pilot.press("home", "down")
    assert overlay.cursor is not None and overlay.cursor[0] == 1
    await pages.pilot.press("down", "enter")  # round to the first again
    assert overlay.cursor[0] == 0


async def test_pins_of_an_earlier_session_are_computed_when_nothing_else_is() -> None:
    other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
    app = fakes.app(pins={"A": fakes.SCENARIO, "C": other}, baseline="C")
    async with app.run_test(size=SIZE) as pilot:
        await fakes.until(pilot, lambda: all(pin.plan is not None for pin in app.main.view.pins))
        view = app.main.view
        assert [(pin.letter, pin.plan.scenario) for pin in view.pins] == [("A", fakes.SCENARIO), ("C", other)]
        assert view.baseline == "C"
        assert app.session.pins == {"A": fakes.SCENARIO, "C": other} and app.session.baseline == "C"


async def test_a_pin_that_can_no_longer_be_planned_is_dropped_with_a_word() -> None:
    gone = dataclasses.replace(fakes.SCENARIO, model="gone")
    other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
    app = fakes.app(pins={"A": gone, "B": other}, baseline="A")
    async with app.run_test(size=SIZE) as pilot:
        await fakes.until(pilot, lambda: all(pin.plan is not None for pin in app.main.view.pins))
        assert [(pin.letter, pin.scenario) for pin in app.main.view.pins] == [("B", other)]
        assert app.main.view.baseline == "B"
        (note,) = app._notifications
        assert note.title == "Pin A is dropped" and "gone" in note.message and "\n" not in note.message


async def test_nothing_is_pinned_before_there_is_an_answer() -> None:
    gate = fakes.Gate()
    async with fakes.app(plan_fn=gate).run_test(size=SIZE) as pilot:
        await pilot.press("p")
        assert pilot.app.main.view.pins == ()
        gate.open()
        await fakes.settled(pilot)


@pytest.mark.parametrize(
    ("cell", "base", "expected"),
    [
        (CompareCell("8k", 8192.0), CompareCell("8k", 8192.0), ("", "=")),
        (CompareCell("12k", 12288.0), CompareCell("8k", 8192.0), ("12k", "+50%")),
        (CompareCell("1.003", 1.003), CompareCell("1", 1.0), ("1.003", "+0.3%")),
        (CompareCell("b200"), CompareCell("h200"), ("b200", "≠")),
        (CompareCell("5", 5.0), CompareCell("any"), ("5", "≠")),
        (CompareCell("5", 5.0), CompareCell("0", 0.0), ("5", "≠")),
    ],
)
def test_differences(cell: CompareCell, base: CompareCell, expected: tuple[str, str]) -> None:
    assert against(cell, base, UNICODE) == expected


def test_an_infeasible_pin_has_a_column() -> None:
    tight = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)
    pins = [Pin(letter="A", scenario=s, plan=fakes.plan(s)) for s in (fakes.SCENARIO, tight)]
    text = "\n".join(line.plain for line in CompareTable(glyphs=ASCII).lines(pins, 70))
    assert "infeasible" in text and text.isascii()


# What-if


async def test_the_tornado_fills_as_results_come_and_enter_makes_a_change(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    tornado = pages.one(Tornado)
    assert tornado.lines[0].label == "TTL" and tornado.has_focus
    shown = fakes.text(tornado)
    assert "+16 %" in shown and "-21 %" in shown
    assert "No effect:" in pages.shown("#tornado-box") and "headroom" in pages.shown("#tornado-box")
    await pages.pilot.press("left")
    assert tornado.effect.change.value == pytest.approx(0.016)
    assert "TTL 20 ms → 16 ms: -21 %" in pages.shown("#tornado-box")
    await pages.pilot.press("right", "enter")
    assert pages.scenario.limits.ttl_s == pytest.approx(0.024)
    await pages.settled()
    await pages.pilot.press("u")
    assert pages.scenario == fakes.SCENARIO
    await pages.settled()


async def test_the_next_best_change_is_told_when_the_focus_is_elsewhere(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    await pages.pilot.press("tab")
    assert "Next best: TTL 20 ms → 24 ms: +16 %" in pages.shown("#tornado-box").replace("\n", " ")


async def test_the_curve_takes_other_inputs_and_sets_values(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    curve = pages.one(CurveChart)
    curve.focus()
    assert "TTL, ms" in curve.border_title and UNICODE.chosen in fakes.text(curve)
    await pages.pilot.press("right")
    assert "TTL 30 ms" in curve.border_subtitle or "TTL" in curve.border_subtitle
    seen = [curve.key]
    for _ in KEYS[1:]:
        await pages.pilot.press("x")
        await fakes.until(pages.pilot, lambda: pages.main.view.findings.curve_key == curve.key)
        await pages.studied()
        seen.append(curve.key)
    assert tuple(seen) == KEYS
    await pages.pilot.press("x", "x")
    await pages.studied()
    assert curve.key == "isl"
    await pages.pilot.press("left", "enter")
    assert pages.scenario.traffic.isl == 6144
    await pages.settled()


async def test_an_edit_ends_the_study_and_starts_it_anew() -> None:
    asked: list[Scenario] = []
    held = threading.Event()

    def counting(scenario: Scenario, **options: Any):
        asked.append(scenario)
        if len(asked) == 4:
            held.wait(10)
        if options.get("should_stop") and options["should_stop"]():
            raise RuntimeError("stopped")
        return fakes.plan(scenario, **options)

    async with fakes.app(plan_fn=counting).run_test(size=SIZE) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        await pages.open("what-if")
        await fakes.until(pilot, lambda: len(asked) == 4)  # the answer, two effects, and one under way
        other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
        pages.main.take(other)
        held.set()
        await pages.settled()
        assert asked[4] == other  # nothing of the old study came between
        await pages.studied()
        assert all(
            e.change.scenario.traffic.isl in (4096, 3276, 4916) for e in pages.main.view.findings.effects
        )


async def test_a_known_what_if_is_shown_at_once(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    effects = pages.main.view.findings.effects
    pages.main.take(BY_KEY["isl"].set(fakes.SCENARIO, 4096))
    await pages.settled()
    await pages.studied()
    assert pages.main.view.findings.effects is not effects
    await pages.pilot.press("u")
    await pages.settled()
    assert pages.main.view.findings.effects is effects


async def test_nothing_is_studied_while_no_page_asks(pages: Pages) -> None:
    await fakes.painted(pages.pilot)
    assert pages.main.view.findings.effects == () and pages.main.view.findings.wanted == 0


def effect(key: str, value: object, gain: float, *, down: bool = False) -> Any:
    from planner.planning.what_if import Change, Effect

    scenario = BY_KEY[key].set(fakes.SCENARIO, value)
    change = Change(field=key, value=value, down=down, scenario=scenario)
    return Effect(change=change, gain=gain, value=1.0, ctx_gen_ratio=1.0, choice="disaggregated")


def test_numbers_come_first_by_swing_then_choices_by_gain() -> None:
    found = lines(
        [
            effect("isl", 1, 0.1, down=True),
            effect("isl", 2, -0.05),
            effect("ttl", 0.01, -0.3, down=True),
            effect("system", "h100", -0.9),
            effect("system", "b200", 0.2),
            effect("osl", 3, 0.0),
        ],
        UNICODE,
    )
    assert [line.label for line in found] == ["TTL", "ISL", "OSL", "system b200", "system h100"]
    assert found[1].down.gain == 0.1 and found[1].up.gain == -0.05 and found[0].up is None
    assert [line.label for line in without_effect(found)] == ["OSL"]


class TornadoApp(App[None]):
    """Only a tornado."""

    def compose(self) -> ComposeResult:
        yield Tornado(glyphs=UNICODE)


async def test_bars_point_to_better_and_worse_and_what_is_off_the_scale_says_so() -> None:
    app = TornadoApp()
    async with app.run_test(size=(60, 10)) as pilot:
        tornado = app.query_one(Tornado)
        down, up = effect("ttl", 0.01, -0.2, down=True), effect("ttl", 0.03, 0.1)
        tornado.fill([down, up, effect("system", "b200", 5.0)])
        await pilot.pause()
        ttl, system = fakes.text(tornado).splitlines()
        worse, better = ttl.split(UNICODE.axis)
        assert worse.endswith(UNICODE.shade) and better.startswith(UNICODE.full)
        assert worse.count(UNICODE.shade) == pytest.approx(2 * better.count(UNICODE.full), abs=1)
        assert UNICODE.close in system and "+500 %" in system
        await pilot.click(tornado, offset=(2, 0))
        assert tornado.effect is down
        await pilot.click(tornado, offset=(50, 0))
        assert tornado.effect is up
    assert percent(float("nan"), UNICODE) == UNICODE.bad


# Breakdown, infeasible, hints


async def test_breakdown_holds_the_reasons(pages: Pages) -> None:
    await pages.open("breakdown")
    pools, reasons = pages.shown("#pools"), pages.shown("#reasons")
    for word in ("prefill 1×CPP4xTP4", "decode 3×DEP16", "attention", "host", "memory per decode GPU"):
        assert word in pools, word
    for word in (
        "TTL",
        "out of each prefill GPU",
        "900 GB/s",
        "$ per hour",
        "kernel constants of gb200",
        "weights fp8_block",
    ):
        assert word in reasons, word
    assert "2 of 3 measured here" in reasons


async def test_an_infeasible_scenario_shows_counts_and_the_closest_miss(pages: Pages) -> None:
    pages.main.take(BY_KEY["ttl"].set(fakes.SCENARIO, 0.002))
    await fakes.until(pages.pilot, lambda: pages.main.view.findings.miss is not None)
    card = "\n".join(fakes.text(w) for w in pages.one(PlanCard).children if w.display)
    assert "█" in card and "78%" in card and "TTL 2 ms → 3.8 ms" in card
    assert "Closest miss: 4×TP16" in card or "Closest miss: 1×CPP4xTP4 + 3×DEP16" in card
    assert "183% ✗" in card and "of 2 ms" in card
    for tab in ("table", "what-if", "breakdown"):
        await pages.open(tab)
        await pages.pilot.pause()
    assert "No plan meets the limits" in pages.shown("#pools")
    pages.main.take(fakes.SCENARIO)
    await pages.settled()
    await pages.open("plan")
    assert "Closest miss" not in "".join(fakes.text(w) for w in pages.one(PlanCard).children if w.display)


def two_walls(scenario: Scenario, **options: Any):
    """As the fake planner, but feasible only from 3 ms and 1 s on, and told so one limit at a time."""
    limits = scenario.limits
    fails = {"ttl": limits.ttl_s < 0.003, "ftl": limits.ftl_s < 1.0}
    if not any(fails.values()):
        return fakes.plan(scenario, **options)
    found = fakes.plan(BY_KEY["ttl"].set(scenario, 0.002), **options)
    alone = [key for key, failed in fails.items() if failed]
    wall = {
        "ttl": Relaxation(field="ttl", value=0.004),
        "ftl": Relaxation(field="ftl", value=1.5),
    }
    relax = (wall[alone[0]],) if len(alone) == 1 else ()
    infeasible = dataclasses.replace(found.infeasible, relax=relax)
    return dataclasses.replace(found, scenario=scenario, infeasible=infeasible)


async def test_where_no_single_change_is_enough_two_are_offered_together() -> None:
    hard = dataclasses.replace(fakes.SCENARIO, limits=Limits(ftl_s=0.1, ttl_s=0.001))
    async with fakes.app(hard, plan_fn=two_walls).run_test(size=(80, 24)) as pilot:
        pages = Pages(pilot)
        await fakes.until(pilot, lambda: pages.main.view.findings.miss is not None)
        card = "\n".join(fakes.text(w) for w in pages.one(PlanCard).children if w.display)
        assert "TTL 1 ms → 4 ms (4×) and FTL 100 ms → 1.5 s (15×)" in card and "Closest miss" in card
        await pilot.press("f", "enter")
        assert pages.scenario.limits == Limits(ftl_s=1.5, ttl_s=0.004)
        await pages.settled()
        await pilot.press("u")
        assert pages.scenario == hard


async def test_every_part_of_a_page_has_a_hint_and_a_help(pages: Pages) -> None:
    await pages.pilot.press("p")
    hints = set()
    for tab in TABS[1:]:
        await pages.open(tab.id)
        await pages.pilot.pause()
        for stop in pages.main.page.stops():
            stop.focus()
            await pages.pilot.pause()
            assert stop.HELP and pages.one(HintLine).hint
            hints.add(pages.one(HintLine).hint)
    assert len(hints) >= 6


async def test_pages_in_ascii_are_ascii() -> None:
    async with fakes.app(ascii=True).run_test(size=(160, 45)) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        await pin_two(pages)
        for tab in TABS:
            await pages.open(tab.id)
            if tab.id == "what-if":
                await pages.studied()
            await pilot.pause()
            strips = pages.main._compositor.render_strips()
            text = "".join(segment.text for strip in strips for segment in strip)
            strange = sorted({char for char in text if not char.isascii()})
            assert not strange, (tab.id, strange)


def test_rows_of_a_table_without_frontiers() -> None:
    assert plan_rows(View(scenario=fakes.SCENARIO, base=fakes.SCENARIO), UNICODE) == []
    assert Row(cells=("a",), values=("a",), item=1).mark == " "


# What arrives while a page is made


@pytest.mark.parametrize(
    "tab",
    ["table", *(pytest.param(tab, marks=pytest.mark.slow) for tab in ["compare", "what-if", "breakdown"])],
)
async def test_news_while_a_page_is_made_do_not_end_the_application(pages: Pages, tab: str) -> None:
    """A page takes news once it is composed: the tab was set before, and the parts were not there."""
    news = 0

    async def arrive() -> None:
        nonlocal news
        while pages.main.page is None:
            pages.main.set_view(problem=f"news {news}")
            news += 1
            await asyncio.sleep(0)

    arriving = asyncio.ensure_future(arrive())
    await pages.main.action_tab(tab)
    await asyncio.wait_for(arriving, 120)
    assert news > 0 and pages.main.page is not None


async def test_pages_turned_faster_than_they_are_made(pages: Pages) -> None:
    """Each is made once, and the last one asked for is the one that is shown."""
    turned = [tab.id for tab in TABS[1:]] * 2 + ["table"]
    await asyncio.gather(*(pages.main.action_tab(tab) for tab in turned))
    await fakes.until(pages.pilot, lambda: pages.main.page is not None)
    shown = [page.id for page in pages.main.query(Page) if page.display]
    assert shown == ["page-table"] and pages.main.page.id == "page-table"


@pytest.mark.parametrize("made_then", [MainScreen, RatematchApp])
async def test_told_to_go_while_it_is_made_it_goes(
    made_then: type[MainScreen | RatematchApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal or a socket that closes during the first mount: its parts never come.

    From Python 3.13 on the screen is made before the application has mounted its own parts.
    """
    compose = made_then.compose

    def interrupted(self: MainScreen | RatematchApp) -> ComposeResult:
        self.app.exit(return_code=0)
        yield from compose(self)

    monkeypatch.setattr(made_then, "compose", interrupted)
    made = fakes.app()
    await made.run_async(headless=True)
    assert made._exception is None and made.return_code == 0
