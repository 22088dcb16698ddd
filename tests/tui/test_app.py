"""The flows of the application, with a planner that answers at once."""

from __future__ import annotations

import dataclasses
import html
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fakes
import pytest
from textual import events
from textual.app import App
from textual.widgets import HelpPanel, Input

from planner.inputs.fields import BY_KEY, FIELDS
from planner.inputs.scenario import Scenario
from tui import app as app_module
from tui.charts.pareto_chart import ParetoChart
from tui.files import storage
from tui.files.storage import Session
from tui.panes.breakdown import BreakdownPane
from tui.panes.inputs import InputsPane
from tui.panes.plan_card import PlanCard
from tui.panes.why_not import FixList
from tui.screens.choose import ChooseScreen
from tui.solver.backend import Backend
from tui.solver.messages import SolveDone
from tui.state import command_line
from tui.widgets import themes
from tui.widgets.hint_line import HintLine
from tui.widgets.key_bar import KeyBar
from tui.widgets.knob import Knob

ROOT = Path(__file__).parents[2]
SIZE = (120, 36)


class Driver:
    """Short words for what a user does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot = pilot
        self.main = pilot.app.main

    def knob(self, key: str) -> Knob:
        return self.main.query_one(InputsPane).knob(key)

    async def focus(self, key: str) -> Knob:
        knob = self.knob(key)
        knob.focus()
        await self.pilot.pause()
        return knob

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)

    async def settled(self) -> None:
        await fakes.settled(self.pilot)

    @property
    def scenario(self) -> Scenario:
        return self.main.view.scenario

    @property
    def card(self) -> str:
        return "\n".join(fakes.text(w) for w in self.main.query_one(PlanCard).children if w.display)

    @property
    def hint(self) -> str:
        return fakes.text(self.main.query_one(HintLine))

    @property
    def title(self) -> str:
        return fakes.text(self.main.query_one("#title"))


@pytest.fixture
async def driver():
    async with fakes.app().run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        yield driver


async def test_it_starts_with_the_plan_of_the_scenario(driver: Driver) -> None:
    assert "Split: 2.02×" in driver.card
    assert "3×DEP16" in driver.card and "1×CPP4xTP4" in driver.card and "co-located" in driver.card
    assert "up to date" in driver.title and "84 ms" in driver.title and "deepseek-r1" in driver.title
    assert driver.knob("model").has_focus and "What is served" in driver.hint
    assert driver.knob("ttl").used == (pytest.approx(1 / 1.04), "tight")
    shown = fakes.text(driver.knob("ttl"))
    assert "20 ms" in shown and "96%" in shown and "▲" in shown


async def test_every_field_is_a_row(driver: Driver) -> None:
    keys = [knob.field.key for knob in driver.main.query(Knob)]
    assert keys == [field.key for field in FIELDS]
    for field in FIELDS:
        assert driver.knob(field.key).display is not bool(field.needs)
        assert field.needs or field.label in fakes.text(driver.knob(field.key))


async def test_what_has_an_effect_on_drafts_alone_shows_where_some_are_made(driver: Driver) -> None:
    """And goes again, its group with it, where the row does not have the focus."""
    await driver.focus("mtp")
    await driver.pilot.press("right")
    await driver.settled()
    for key in ("mtp-acceptance", "draft-cost"):
        assert driver.knob(key).display and BY_KEY[key].label in fakes.text(driver.knob(key))
    await driver.pilot.press("left")
    await driver.settled()
    assert not driver.knob("draft-cost").display and not driver.knob("draft-cost").parent.display


async def test_a_layout_of_ones_own_is_typed_and_its_number_asked_for_then(driver: Driver) -> None:
    knob = await driver.focus("decode-layout")
    assert not driver.knob("decode-instances").display
    await driver.pilot.press("enter")
    await driver.type("dep16")
    await driver.pilot.press("enter")
    await driver.settled()
    assert driver.scenario.deployment.decode_layout == "DEP16" and "DEP16" in fakes.text(knob)
    await driver.focus("decode-instances")
    await driver.type("3")
    await driver.pilot.press("enter")
    assert driver.scenario.deployment.decode_instances == 3
    await driver.focus("decode-layout")
    await driver.pilot.press("enter", "x", "enter")
    assert driver.main.view.invalid == "decode-layout" and "PP4x" in driver.main.view.problem
    await driver.pilot.press("escape", "left")
    await driver.settled()
    assert driver.scenario.deployment.decode_layout == "DEP8"


async def test_at_80x24_what_matters_is_seen_without_scrolling() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        pane = driver.main.query_one(InputsPane)
        for key in ("model", "system", "engine", "isl", "osl", "ftl", "ttl", "gpus", "goal"):
            assert pane.content_region.contains_region(driver.knob(key).region), key
            assert BY_KEY[key].format(BY_KEY[key].get(driver.scenario)) in fakes.text(driver.knob(key))
        assert "co-located" in driver.card and "prefill" in driver.card


async def test_typing_a_value(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.type("4k")
    assert driver.knob("isl").editing
    await driver.pilot.press("enter")
    assert not driver.knob("isl").editing and driver.scenario.traffic.isl == 4096
    await driver.settled()
    assert driver.main.view.plan.scenario.traffic.isl == 4096
    await driver.pilot.press("u")
    assert driver.scenario == fakes.SCENARIO


async def test_the_answer_comes_while_typing_and_escape_takes_it_back(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.type("409")
    await driver.settled()
    assert driver.main.view.plan.scenario.traffic.isl == 409
    await driver.type("6")
    await driver.pilot.press("left", "backspace", "escape")
    assert driver.scenario == fakes.SCENARIO and not driver.main.history.can_undo
    await driver.settled()
    assert driver.main.view.plan.scenario == fakes.SCENARIO


async def test_letters_are_text_while_typing_and_keys_otherwise(driver: Driver) -> None:
    knob = await driver.focus("ttl")
    await driver.type("30m")
    theme = driver.pilot.app.theme
    await driver.type("qut")
    assert knob.line.text == "30mqut" and driver.pilot.app.theme == theme
    await driver.pilot.press("escape", "t")
    assert driver.pilot.app.theme != theme


async def test_a_half_typed_unit_is_not_judged(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.type("30m")
    assert driver.scenario == fakes.SCENARIO and not driver.main.view.invalid
    await driver.type("s")
    assert driver.scenario.limits.ttl_s == 0.03
    await driver.pilot.press("enter")
    await driver.type("15")
    await driver.pilot.press("enter")
    assert driver.scenario.limits.ttl_s == 0.015


async def test_a_bare_number_keeps_the_unit_of_its_row(driver: Driver) -> None:
    """A unit that is typed is taken; each bout of typing starts from what the row shows."""
    for key, typed, expected in (
        ("ttl", "1500", 1.5),
        ("ttl", "2", 2.0),
        ("ttl", "30ms", 0.03),
        ("ftl", "4", 4.0),
        ("headroom", "15", 0.15),
        ("headroom", "0.2", 0.2),
    ):
        knob = await driver.focus(key)
        await driver.type(typed)
        await driver.pilot.press("enter")
        await driver.settled()
        assert knob.field.get(driver.scenario) == pytest.approx(expected), (key, typed)


async def test_an_invalid_value_keeps_the_result_and_says_why(driver: Driver) -> None:
    before = driver.main.view.plan
    knob = await driver.focus("ttl")
    await driver.type("7x")
    assert "✗" in fakes.text(knob)
    assert "'7x' is not accepted" in driver.hint and "20ms" in driver.hint
    assert "edited, invalid: ttl" in driver.title and "shown:" in driver.title
    assert driver.main.query_one(PlanCard).has_class("-stale")
    await driver.pilot.press("enter")
    assert knob.editing
    assert driver.main.view.plan is before
    await driver.pilot.press("tab")  # leaving keeps it in sight
    assert "7x" in fakes.text(knob) and driver.main.query_one(ParetoChart).has_focus
    await driver.focus("isl")
    await driver.pilot.press("right")  # other rows still move, but nothing is asked
    await driver.pilot.pause()
    assert driver.main.view.plan is before and driver.main.view.invalid == "ttl"
    await driver.focus("ttl")
    await driver.pilot.press("escape")
    await driver.settled()
    assert driver.main.view.plan.scenario.traffic.isl > fakes.SCENARIO.traffic.isl
    assert driver.scenario.limits == fakes.SCENARIO.limits and "Accepted" not in driver.hint


async def test_undo_drops_an_invalid_text_first(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.pilot.press("right")
    stepped = driver.scenario
    await driver.type("9z")
    await driver.pilot.press("tab", "u")
    assert driver.scenario == stepped and not driver.main.view.invalid
    await driver.pilot.press("u")
    assert driver.scenario == fakes.SCENARIO


async def test_steps_by_arrow_letter_shift_and_wheel(driver: Driver) -> None:
    field = BY_KEY["osl"]
    knob = await driver.focus("osl")
    for key, by in (("right", 1), ("l", 1), ("left", -1), ("h", -1), ("shift+right", 4), ("shift+left", -4)):
        before = field.get(driver.scenario)
        await driver.pilot.press(key)
        assert field.get(driver.scenario) == field.step(before, by), key
    before = field.get(driver.scenario)
    x, y = knob.region.offset
    for event in (events.MouseScrollUp, events.MouseScrollDown, events.MouseScrollUp):
        knob.post_message(event(knob, 1, 0, 0, 0, 0, False, False, False, screen_x=x + 1, screen_y=y))
    await driver.pilot.pause()
    assert field.get(driver.scenario) == field.step(before, 1)
    await driver.settled()


async def test_backspace_goes_back_to_the_base(driver: Driver) -> None:
    await driver.focus("gpus")
    await driver.pilot.press("right", "right")
    assert driver.scenario.fleet.gpus == 128 and "•" in fakes.text(driver.knob("gpus"))
    await driver.pilot.press("backspace")
    assert driver.scenario == fakes.SCENARIO and "•" not in fakes.text(driver.knob("gpus"))


async def test_choices_go_round_and_switches_flip(driver: Driver) -> None:
    await driver.focus("system")
    await driver.pilot.press("right")
    assert driver.scenario.system == "h100"
    await driver.pilot.press("left", "left")
    assert driver.scenario.system == "b200"
    await driver.focus("mix")
    await driver.pilot.press("enter")
    assert driver.scenario.mix is True
    await driver.settled()


async def test_choosing_from_a_filtered_list(driver: Driver) -> None:
    await driver.focus("model")
    await driver.pilot.press("enter")
    assert isinstance(driver.pilot.app.screen, ChooseScreen)
    await driver.type("70")
    await driver.pilot.press("enter")
    assert driver.scenario.model == "llama-3.1-70b" and driver.pilot.app.screen is driver.main
    await driver.pilot.press("enter", "down", "escape")
    assert driver.scenario.model == "llama-3.1-70b"
    await driver.pilot.press("enter")
    await driver.type("nothing like it")
    await driver.pilot.press("enter")
    assert driver.scenario.model == "llama-3.1-70b"
    await driver.settled()


async def test_the_list_takes_clicks_and_arrows(driver: Driver) -> None:
    await driver.focus("engine")
    await driver.pilot.press("enter", "down", "enter")
    assert driver.scenario.engine == "vllm"
    await driver.pilot.press("enter")
    screen = driver.pilot.app.screen
    assert screen.query_one(Input).has_focus
    await driver.pilot.click("#choose-list", offset=(2, 0))
    assert driver.scenario.engine == "sglang"


async def test_a_click_focuses_and_the_marks_step(driver: Driver) -> None:
    knob = driver.knob("isl")
    await driver.pilot.click(knob, offset=(1, 0))
    assert knob.has_focus and driver.scenario == fakes.SCENARIO
    text = fakes.text(knob)
    await driver.pilot.click(knob, offset=(text.index("›"), 0))
    assert driver.scenario.traffic.isl == BY_KEY["isl"].step(8192, 1)


async def test_rows_and_panes(driver: Driver) -> None:
    await driver.pilot.press("j", "down", "j", "k")
    assert driver.knob("kv").has_focus
    await driver.pilot.press("tab")
    assert driver.main.query_one(ParetoChart).has_focus
    await driver.pilot.press("tab")
    assert driver.main.query_one(PlanCard).has_focus and "explains" in driver.hint
    await driver.pilot.press("tab", "tab")
    assert driver.knob("kv").has_focus
    await driver.pilot.press("shift+tab")
    assert driver.main.query_one(BreakdownPane).has_focus


async def test_the_bottom_row_holds_the_live_keys_and_takes_clicks(driver: Driver) -> None:
    bar = driver.main.query_one(KeyBar)
    line = fakes.text(bar)
    assert "←→ step" in line and "⏎ edit" in line and "q quit" in line and "fixes" not in line
    assert not next(key for key in bar.keys if key.id == "undo").live
    theme = driver.pilot.app.theme
    await driver.pilot.click(bar, offset=(line.index("t theme"), 0))
    assert driver.pilot.app.theme != theme
    await driver.focus("isl")
    await driver.type("4")
    assert "q quit" not in fakes.text(bar)  # it would be text
    await driver.pilot.press("enter")
    assert next(key for key in bar.keys if key.id == "undo").live
    assert {key.id for key in bar.fitting(20)} == {"help", "quit"}


async def test_moving_the_focus_repaints_two_rows_not_the_screen(driver: Driver) -> None:
    painted: list[Any] = []
    chart = driver.main.query_one(ParetoChart)
    render = chart.render_line
    chart.render_line = lambda y: painted.append(y) or render(y)  # type: ignore[method-assign]
    await driver.pilot.press("j", "j", "k")
    await driver.pilot.pause()
    assert painted == []


async def test_undo_and_redo_are_instant_and_from_memory(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.pilot.press("right")
    await driver.settled()
    await driver.pilot.press("u")
    await driver.settled()
    assert driver.scenario == fakes.SCENARIO and "from memory" in driver.title
    await driver.pilot.press("U")
    await driver.settled()
    assert driver.scenario.traffic.isl > 8192
    await driver.pilot.press("u", "u", "u")
    assert driver.scenario == fakes.SCENARIO


async def test_infeasible_says_why_and_a_fix_applies_and_undoes(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.type("2ms")
    await driver.pilot.press("enter")
    await driver.settled()
    assert "infeasible" in driver.title and "✗" in driver.title
    assert "do not fit" in driver.card and "TTL 2 ms → 3.8 ms" in driver.card
    assert "✗" in fakes.text(driver.knob("ttl"))
    await driver.pilot.press("f")
    assert driver.main.query_one(FixList).has_focus
    await driver.pilot.press("enter")
    await driver.settled()
    assert driver.scenario.limits.ttl_s == 0.0038 and not driver.main.view.infeasible
    assert driver.knob("ttl").has_focus
    await driver.pilot.press("u")
    await driver.settled()
    assert driver.main.view.infeasible
    await driver.pilot.press("f", "j", "enter")
    await driver.settled()
    assert driver.scenario.fleet.gpus == 144


async def test_each_fix_is_one_key_away_wherever_the_focus_is(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.type("2ms")
    await driver.pilot.press("enter")
    await driver.settled()
    assert "A TTL 2 ms → 3.8 ms" in driver.card and "B GPUs 72 → 144" in driver.card
    await driver.pilot.press("B")
    await driver.settled()
    assert driver.scenario.fleet.gpus == 144 and driver.scenario.limits.ttl_s == 0.002
    await driver.pilot.press("u")
    await driver.settled()
    await driver.pilot.press(
        "right_square_bracket", "A"
    )  # not from another page, where no one sees what it does
    assert driver.scenario.limits.ttl_s == 0.002
    await driver.pilot.press("left_square_bracket", "A")
    await driver.settled()
    assert driver.scenario.limits.ttl_s == 0.0038
    await driver.pilot.press("A")  # nothing is offered any more
    assert driver.scenario.limits.ttl_s == 0.0038 and driver.main.view.current


@pytest.mark.parametrize(
    "size",
    [
        (60, 18),
        (160, 45),
        *(pytest.param(size, marks=pytest.mark.slow) for size in [(80, 24), (120, 36), (200, 60)]),
    ],
)
async def test_the_card_says_at_every_size_whether_it_is_beyond_the_error(size: tuple[int, int]) -> None:
    async with fakes.app().run_test(size=size) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        words = " ".join(driver.card.split())
        assert "beyond the error" in words and "15–24 ms" in words and "0.62–5 s" in words
        assert "1,500 tok/s/GPU (1,200–1,900)" in words


@pytest.mark.parametrize("goal", ["cost", "fewest-gpus"])
async def test_other_goals_say_it_too(driver: Driver, goal: str) -> None:
    scenario = BY_KEY["goal"].set(BY_KEY["rate"].set(fakes.SCENARIO, 50.0), goal)
    driver.main.take(scenario)
    await driver.settled()
    assert "error" in driver.card or "the same as co-located" in driver.card


async def test_the_card_says_when_it_is_of_an_earlier_scenario(driver: Driver) -> None:
    card = driver.main.query_one(PlanCard)
    assert card.border_title == "Plan"
    await driver.focus("isl")
    await driver.type("5x")
    assert card.border_title == "Plan, before the edit"
    await driver.pilot.press("escape")
    await driver.settled()
    assert card.border_title == "Plan"


async def test_f_does_nothing_while_all_is_well(driver: Driver) -> None:
    await driver.pilot.press("f")
    assert driver.knob("model").has_focus


async def test_fields_that_disagree_are_told_at_the_row(driver: Driver) -> None:
    await driver.focus("goal")
    await driver.pilot.press("right")
    assert driver.main.view.invalid == "rate" and "request rate" in driver.hint
    assert "✗" in fakes.text(driver.knob("rate"))
    await driver.focus("rate")
    await driver.type("20")
    await driver.pilot.press("enter")
    await driver.settled()
    assert driver.main.view.plan.scenario.goal == "fewest-gpus" and "✗" not in fakes.text(driver.knob("rate"))
    assert "64 GPUs, the same as co-located" in driver.card


async def test_a_planner_error_keeps_the_result() -> None:
    def moody(scenario: Scenario, **options: Any):
        if scenario.traffic.isl > 8192:
            raise ZeroDivisionError("float division by zero")
        return fakes.plan(scenario, **options)

    async with fakes.app(plan_fn=moody).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        card = driver.card
        await driver.focus("isl")
        await driver.pilot.press("right")
        await fakes.until(pilot, lambda: driver.main.view.error)
        assert "ZeroDivisionError: float division by zero" in driver.hint
        assert "! error" in driver.title and driver.card == card
        await driver.pilot.press("left")
        await driver.settled()
        assert "error" not in driver.title and "ISL" in driver.hint


async def test_a_name_the_planner_refuses_marks_its_row() -> None:
    stray = dataclasses.replace(fakes.SCENARIO, model="gpt-0")
    async with fakes.app(stray).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await fakes.until(pilot, lambda: driver.main.view.invalid)
        assert driver.main.view.invalid == "model" and "gpt-0" in driver.hint
        assert "gpt-0" in driver.card
        await driver.pilot.press("right")
        await driver.settled()
        assert "Split" in driver.card


async def test_never_blank_before_the_first_plan_and_the_picture_comes_first() -> None:
    between = threading.Semaphore(0)
    before = threading.Semaphore(0)

    def slow(scenario: Scenario, *, on_frontier: Any, **options: Any):
        assert before.acquire(timeout=fakes.CEILING_S)
        on_frontier(*fakes.frontiers(scenario))
        assert between.acquire(timeout=fakes.CEILING_S)
        return fakes.plan(scenario)

    async with fakes.app(plan_fn=slow).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await pilot.pause()
        chart = driver.main.query_one(ParetoChart)
        assert "computing" in driver.card and "computing" in fakes.text(chart)
        assert "◐ computing" in driver.title
        before.release()
        await fakes.until(pilot, lambda: driver.main.view.frontiers)
        assert "●" in fakes.text(chart) and "computing" in driver.card
        between.release()
        await driver.settled()
        assert "Split" in driver.card


async def test_a_stale_answer_ages_and_is_not_taken_for_the_new_one() -> None:
    gate, clock = fakes.Gate(), fakes.Clock()
    async with fakes.app(plan_fn=gate, clock=clock).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        gate.open()
        await driver.settled()
        await driver.focus("isl")
        await pilot.press("right")
        await pilot.press("right")
        clock.now += 7
        driver.main._tick()
        await pilot.pause()
        assert "computing" in driver.title and "shown: 7 s ago" in driver.title
        assert driver.main.view.plan.scenario == fakes.SCENARIO
        wanted = driver.scenario
        gate.open()
        await fakes.until(pilot, lambda: not driver.main.view.solving or gate._go.release())
        assert driver.main.view.plan.scenario == wanted


async def test_held_keys_are_asked_once() -> None:
    asked: list[int] = []

    def counting(scenario: Scenario, **options: Any):
        asked.append(scenario.traffic.isl)
        return fakes.plan(scenario, **options)

    app = fakes.app(plan_fn=counting, debounce_s=3600)  # and the clock stands still: keys come at once
    async with app.run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        await driver.focus("isl")
        await pilot.press(*["right"] * 6)
        await fakes.until(pilot, lambda: len(asked) == 2)  # the first step at once, the others wait
        await pilot.press("r")
        await driver.settled()
        assert asked == [8192, 12288, driver.scenario.traffic.isl] and asked[-1] > 12288


async def test_copy_gives_the_command(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.pilot.press("right", "y")
    assert driver.pilot.app.clipboard == command_line(driver.scenario)
    assert driver.pilot.app.clipboard.startswith("ratematch plan --model deepseek-r1")


async def test_a_point_of_the_chart_becomes_the_limit(driver: Driver) -> None:
    chart = driver.main.query_one(ParetoChart)
    chart.focus()
    await driver.pilot.press("home", "right", "right", "enter")
    ttl_s = driver.main.view.frontiers[0].ttl_s[2]
    assert 1 <= driver.scenario.limits.ttl_s / ttl_s < 1.001
    await driver.settled()


async def test_theme_and_help(driver: Driver) -> None:
    app = driver.pilot.app
    assert app.theme == themes.DARK.name
    await driver.pilot.press("t")
    assert app.theme == themes.LIGHT.name
    app.theme = "nord"  # a theme that knows nothing of our hues
    await driver.pilot.press("t", "t")
    assert app.theme == themes.DARK.name
    await driver.pilot.press("question_mark")
    assert driver.main.query(HelpPanel)
    await driver.pilot.press("question_mark")
    await driver.pilot.pause()
    assert not driver.main.query(HelpPanel)


@pytest.mark.parametrize(
    ("focused", "key"),
    [
        ("isl", "q"),
        ("model", "ctrl+q"),
        pytest.param("isl", "ctrl+q", marks=pytest.mark.slow),
        pytest.param("model", "q", marks=pytest.mark.slow),
    ],
)
async def test_quit_leaves_no_thread(key: str, focused: str) -> None:
    async with fakes.app().run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.focus(focused)
        await pilot.press(key)
        await pilot.pause()
        assert pilot.app.return_code == 0
    assert not driver.main.solver.alive
    assert "ratematch-solver" not in {t.name for t in threading.enumerate()}


async def test_ctrl_c_does_not_end_it(driver: Driver) -> None:
    await driver.pilot.press("ctrl+c")
    await driver.pilot.pause()
    assert driver.pilot.app.is_running


@pytest.mark.parametrize(
    "size",
    [
        (80, 24),
        (20, 5),
        *(
            pytest.param(size, marks=pytest.mark.slow)
            for size in [(60, 18), (100, 50), (120, 30), (150, 24), (160, 45), (200, 60)]
        ),
    ],
)
async def test_any_size_draws(size: tuple[int, int]) -> None:
    async with fakes.app().run_test(size=size) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        await driver.focus("ttl")
        await driver.type("2ms")
        await pilot.press("enter")
        await driver.settled()
        assert driver.main.view.infeasible


async def test_a_small_terminal_shows_plan_or_chart() -> None:
    async with fakes.app().run_test(size=(60, 18)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        chart, card = driver.main.query_one(ParetoChart), driver.main.query_one(PlanCard)
        assert card.region and not chart.region
        await pilot.press("v")
        await pilot.pause()
        assert chart.region and not card.region and "●" in fakes.text(chart)


@pytest.mark.parametrize(
    "ttl_s", [0.002, *(pytest.param(ttl_s, marks=pytest.mark.slow) for ttl_s in [0.02, 0.0005])]
)
async def test_ascii_is_ascii_to_the_last_cell(ttl_s: float) -> None:
    scenario = BY_KEY["ttl"].set(fakes.SCENARIO, ttl_s)
    async with fakes.app(scenario, ascii=True).run_test(size=(160, 45)) as pilot:
        await fakes.settled(pilot)
        await pilot.press(*["j"] * 7, "7", "x")
        assert pilot.app.main.view.invalid == "ftl"
        drawn = re.findall(r"<text [^>]*>(.*?)</text>", pilot.app.export_screenshot())
        screen = html.unescape("".join(drawn)).replace("\xa0", " ")
        assert "Inputs" in screen
        strange = sorted({char for char in screen if not char.isascii()})
        assert not strange, strange


async def test_plans_with_holes_draw() -> None:
    """Numbers that are not there, and pools that do nothing, must not take the screen down."""
    nan = float("nan")
    full = fakes.plan(fakes.SCENARIO)
    memory = dataclasses.replace(fakes.memory(0, 0), capacity_bytes=1.0)
    pools = tuple(
        dataclasses.replace(p, ftl_s=nan, ttl_s=nan, breakdown=(), utilisation=0.0, memory=memory)
        for p in full.disaggregated.pools
    )
    serving = dataclasses.replace(
        full.disaggregated,
        pools=pools,
        requests_per_s=0.0,
        tokens_per_s_per_gpu=1e-9,
        usd_per_million_tokens=float("inf"),
        watts=nan,
        ctx_gen_ratio=nan,
        ftl_s=nan,
        ttl_s=nan,
    )
    bare = dataclasses.replace(full, disaggregated=serving, colocated=None, seconds={}, design_points={})

    async with fakes.app(plan_fn=lambda scenario, **_: bare).run_test(size=(160, 45)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        assert "co-located cannot meet these limits" in driver.card


def test_importing_the_application_needs_neither_scipy_nor_plotext() -> None:
    code = "import sys, tui.app; print(sorted({'scipy', 'plotext', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=fakes.CEILING_S
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


async def test_an_older_answer_behind_a_remembered_one_does_not_take_its_place(driver: Driver) -> None:
    """The thread's answers take the longer way into the queue."""
    main = driver.main
    await driver.focus("isl")
    await driver.pilot.press("right")
    await driver.settled()
    older = SolveDone(main.solver.generation, main.view.plan)
    main.action_undo()  # remembered: its answer lies in the queue at once
    main.post_message(older)
    await driver.settled()
    assert main.view.plan.scenario == fakes.SCENARIO and main.view.cached


class Ran:
    """Stands in for a terminal: `run` is called and returns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> None:
        self.options: dict[str, Any] = {}

        def run(app: Any, **options: Any) -> None:
            self.options = options
            app._return_code = code

        monkeypatch.setattr(app_module.RatematchApp, "run", run)


def test_run_keeps_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(monkeypatch)
    assert app_module.run(Session(scenario=fakes.SCENARIO, theme="ratematch-light"), mouse=False) == 0
    assert ran.options == {"mouse": False}
    session = storage.load()
    assert session is not None
    assert session.scenario == fakes.SCENARIO and session.theme == "ratematch-light"


def test_a_bug_in_the_application_is_raised_and_not_printed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("in a widget")

    def headless(self: App[None], **options: Any) -> None:
        App.run(self, headless=True, **options)

    monkeypatch.setattr(app_module.RatematchApp, "run", headless)
    monkeypatch.setattr(PlanCard, "show", broken)
    with pytest.raises(ZeroDivisionError, match="in a widget"):
        app_module.run(
            Session(scenario=fakes.SCENARIO), backend=Backend(plan_fn=fakes.plan, names_fn=fakes.names)
        )
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err and "in a widget" not in out + err
    session = storage.load()
    assert session is not None and session.scenario == fakes.SCENARIO


def test_a_session_that_cannot_be_kept_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    Ran(monkeypatch)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "save", full)
    assert app_module.run(Session(scenario=fakes.SCENARIO)) == 0
    out, err = capsys.readouterr()
    assert out == "" and err == "ratematch: the session was not kept: No space left on device\n"


async def test_after_a_resize_the_keys_and_the_row_are_those_of_the_new_size(driver: Driver) -> None:
    knob = await driver.focus("time-limit")
    await driver.pilot.resize_terminal(60, 18)
    await driver.pilot.pause()
    await fakes.until(driver.pilot, lambda: "v chart/plan" in fakes.text(driver.main.query_one(KeyBar)))
    assert driver.main.query_one(InputsPane).region.contains_region(knob.region)
    await driver.pilot.resize_terminal(120, 36)
    await fakes.until(driver.pilot, lambda: "v chart/plan" not in fakes.text(driver.main.query_one(KeyBar)))
