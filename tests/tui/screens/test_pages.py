"""The pages beside the plan: which is open, breakdown, hints, news while one is made."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import fakes
import pytest
from textual.app import ComposeResult
from textual.screen import Screen
from turning import Pages, pin_two

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Limits, Scenario
from planner.planning.result import Relaxation
from planner.units import format_seconds
from tui.app import RatematchApp
from tui.charts.pareto_chart import ParetoChart
from tui.glyphs import UNICODE
from tui.panes.page import Page
from tui.panes.plan_card import PlanCard
from tui.screens.main import MainScreen
from tui.widgets.grid import Grid
from tui.widgets.hint_line import HintLine
from tui.widgets.knob import Knob
from tui.widgets.tab_bar import TABS, TabBar

# Which page is open


async def test_digits_brackets_and_clicks_open_pages_and_escape_turns_none(pages: Pages) -> None:
    bar = pages.one(TabBar)
    for tab in TABS[1:]:
        await pages.pilot.press(tab.key)
        assert pages.main.tab == bar.active == tab.id
        assert pages.main.focused is not None and pages.main.focused in pages.main.page.stops()
        await pages.pilot.press("escape", "escape")
        assert pages.main.tab == tab.id and pages.main.focused in pages.main.page.stops()
    await pages.pilot.press("1")
    assert pages.main.tab == "plan" and pages.main.focused.id == "knob-model"
    await pages.pilot.press("right_square_bracket")
    assert pages.main.tab == "table"
    await pages.pilot.press("left_square_bracket", "left_square_bracket")
    assert pages.main.tab == "traffic"
    line = fakes.text(bar)
    await pages.pilot.click(bar, offset=(line.index("Compare") + 1, 0))
    assert pages.main.tab == "compare"


async def test_a_digit_turns_pages_on_every_row_and_is_text_in_a_value_that_was_opened(pages: Pages) -> None:
    for knob in pages.main.query("Knob"):
        if not knob.display:
            continue
        knob.focus()
        await pages.pilot.press("2")
        assert pages.main.tab == "table" and knob.line is None, knob.field.key
        await pages.pilot.press("1")
    knob = pages.main.query_one("#knob-isl")
    knob.focus()
    await pages.pilot.press("enter", "2")
    assert knob.editing and knob.line.text == "2" and pages.main.tab == "plan"  # in place of the value
    await pages.pilot.press("escape", "right_square_bracket")
    assert pages.main.tab == "table" and pages.scenario == fakes.SCENARIO


async def test_escape_leaves_the_form_for_the_chart(pages: Pages) -> None:
    await pages.pilot.press("escape")
    assert pages.main.focused is pages.main.query_one("#chart")
    await pages.pilot.press("escape")  # and back
    assert pages.main.focused.id == "knob-model"


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


@pytest.mark.slow
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


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab.id != "plan"], ids=lambda tab: tab.id)
@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=str)
async def test_after_an_edit_on_another_page_the_plan_page_is_that_of_the_edit(size, tab) -> None:
    """Its panes had no size meanwhile and were not always told of it again: an old answer stood there."""
    edited = BY_KEY["ttl"].set(fakes.SCENARIO, 0.03)

    def answer(app: RatematchApp) -> list[str]:  # without the form, which marks what is edited
        return [line.split("││", 1)[-1] for line in fakes.screen_text(app).splitlines()[2:-3]]

    async with fakes.app(edited).run_test(size=size) as pilot:
        await fakes.settled(pilot)
        await fakes.painted(pilot)
        wanted = answer(pilot.app)
    async with fakes.app().run_test(size=size) as pilot:
        await fakes.settled(pilot)
        main = pilot.app.main
        await pilot.press(tab.key)
        await fakes.until(pilot, lambda: main.page is not None)
        main.post_message(Knob.Changed(main.query_one("#knob-ttl", Knob), 0.03))
        await fakes.until(pilot, lambda: main.view.scenario == edited and main.view.current)
        await pilot.press("1")
        await fakes.until(pilot, lambda: answer(pilot.app) == wanted)


async def test_what_was_out_of_sight_in_a_small_terminal_is_that_of_the_edit() -> None:
    async with fakes.app().run_test(size=(64, 20)) as pilot:
        await fakes.settled(pilot)
        main = pilot.app.main
        first = next(name for name in ("#card", "#chart") if main.query_one(name).size)
        for _ in range(2):
            await pilot.press("v")
            await fakes.painted(pilot)
            main.query_one("#knob-ttl", Knob).focus()
            await pilot.press("right")
            await fakes.settled(pilot)
        limit = format_seconds(main.view.scenario.limits.ttl_s)
        await fakes.until(pilot, lambda: main.query_one(first).size)
        if first == "#chart":
            await pilot.press("v")
        await fakes.until(pilot, lambda: f"≤ {limit}" in fakes.screen_text(pilot.app))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=str)
async def test_where_kernels_were_measured_is_told_in_full(size: tuple[int, int]) -> None:
    """`measured (trtllm),...` was all of it at 80 columns, twice for two kernels alike."""
    async with fakes.app().run_test(size=size) as pilot:
        await fakes.settled(pilot)
        await pilot.press("5")
        await fakes.until(pilot, lambda: pilot.app.main.query("#reasons-text"))
        text = " ".join(fakes.text(pilot.app.main.query_one("#reasons-text")).split())
        for kernel in fakes.KERNELS:
            assert f"trtllm, {kernel.measurements} points, error 7 %" in text
        assert "inherited from b200: trtllm" in text and UNICODE.ellipsis not in text


@pytest.mark.parametrize("tab", [TABS[0], TABS[2]], ids=lambda tab: tab.id)
@pytest.mark.parametrize(
    ("before", "after"), [((100, 30), (160, 45)), ((80, 24), (160, 45)), ((160, 45), (80, 24))], ids=str
)
async def test_a_terminal_that_has_changed_shows_what_one_of_its_size_shows(before, after, tab) -> None:
    """From 100x30 to 160x45 the bars had a row for six operators."""
    async with fakes.app().run_test(size=after) as pilot:
        await fakes.settled(pilot)
        await fakes.painted(pilot)
        wanted = fakes.screen_text(pilot.app)
    async with fakes.app().run_test(size=before) as pilot:
        await fakes.settled(pilot)
        await pilot.press(tab.key)
        await fakes.painted(pilot)
        await pilot.resize_terminal(*after)
        await fakes.painted(pilot)
        await pilot.press("1")
        await fakes.until(pilot, lambda: fakes.screen_text(pilot.app) == wanted)


@pytest.mark.parametrize("size", [(60, 18), (160, 45)], ids=str)
async def test_a_page_is_not_laid_out_beside_the_one_it_takes_the_place_of(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both had half the width while the new one was made: what the old one drew then could stay."""
    widths: dict[str | None, set[int]] = {}
    tell = MainScreen._tell_sizes

    def look(self: MainScreen, screen: Screen[Any]) -> None:
        for part in (self.query_one("#answer"), *self.query(Page)):
            if part.size:
                widths.setdefault(part.id, set()).add(part.size.width)
        tell(self, screen)

    monkeypatch.setattr(MainScreen, "_tell_sizes", look)
    async with fakes.app().run_test(size=size) as pilot:
        await fakes.settled(pilot)
        for tab in TABS[1:]:
            await pilot.press(tab.key)
            await fakes.painted(pilot)
    assert len(widths) == len(TABS) and all(len(of) == 1 for of in widths.values()), widths


@pytest.mark.parametrize(
    ("key", "text"), [("5", "#pools-text"), ("5", "#reasons-text"), ("6", "#traffic-text")]
)
async def test_a_part_is_written_to_its_width_where_its_page_keeps_its_own(key: str, text: str) -> None:
    """A smaller terminal: the page had its width before its parts had theirs, and half of it stayed empty."""
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        await pilot.press(key)
        main = pilot.app.main
        await fakes.until(pilot, lambda: main.page is not None and main.query_one(text).size)
        shown, size = main.query_one(text), main.page.size
        longest = []
        for width in (44, 84):
            for part in main.page.stops():
                part.styles.width = width
            await fakes.until(pilot, lambda: shown.parent.size.width == width - 2)  # noqa: B023
            await fakes.painted(pilot)
            longest.append(max(map(len, fakes.text(shown).splitlines())))
        assert main.page.size == size
        assert 30 < longest[0] <= 42 and 60 < longest[1] <= 82
