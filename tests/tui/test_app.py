"""The flows of the application, with a planner that answers at once."""

from __future__ import annotations

from typing import Any

import fakes
import pytest
from driving import Driver
from textual import events
from textual.command import CommandPalette
from textual.widgets import Input

from planner.inputs.fields import BY_KEY, FIELDS
from planner.inputs.scenario import Scenario
from planner.output.command import command_line
from tui.charts.pareto_chart import ParetoChart
from tui.panes.breakdown import BreakdownPane
from tui.panes.inputs import COMMON, Heading, InputsPane
from tui.panes.plan_card import PlanCard
from tui.panes.table import PlanGrid
from tui.screens.choose import ChooseScreen
from tui.widgets.key_bar import KeyBar
from tui.widgets.knob import Knob


async def test_it_starts_with_the_plan_of_the_scenario(driver: Driver) -> None:
    assert "Split: 2.02×" in driver.card
    assert "3×DEP16" in driver.card and "1×CPP4xTP4" in driver.card and "co-located" in driver.card
    assert "up to date" in driver.title and "84 ms" in driver.title and "deepseek-r1" in driver.title
    assert driver.knob("model").has_focus and "What is served" in driver.hint
    assert driver.knob("ttl").used == (pytest.approx(1 / 1.04), "tight")
    shown = fakes.text(driver.knob("ttl"))
    assert "20 ms" in shown and "96%" in shown and "▲" in shown


async def test_every_field_is_a_row(driver: Driver) -> None:
    """Made when it is first shown; unfolded, they stand in the order of the fields, group by group."""
    common = {
        field.key
        for field in FIELDS
        if field.key in COMMON or field.get(driver.scenario) != field.get(Scenario())
    }
    assert {knob.field.key for knob in driver.main.query(Knob) if knob.display} == common
    await driver.pilot.press("m")
    groups = list(dict.fromkeys(field.group for field in FIELDS))
    keys = [knob.field.key for knob in driver.main.query(Knob)]
    assert keys == [field.key for field in sorted(FIELDS, key=lambda field: groups.index(field.group))]
    for field in FIELDS:
        assert driver.knob(field.key).display and field.label in fakes.text(driver.knob(field.key))
    await driver.pilot.press("m")
    assert {knob.field.key for knob in driver.main.query(Knob) if knob.display} == common


async def test_m_unfolds_the_form_and_says_of_each_row_why_it_has_no_effect(driver: Driver) -> None:
    pane = driver.main.query_one(InputsPane)
    assert pane.border_subtitle == f"m {len(FIELDS) - sum(knob.display for knob in pane.knobs)} more"
    await driver.pilot.press("m")
    assert len(pane.knobs) == len(FIELDS) and all(knob.display for knob in pane.knobs)
    assert pane.border_subtitle == "m fewer"
    routing = await driver.focus("routing")
    assert "no effect unless requests queue" in driver.hint and "$hue-muted" in str(routing.render().spans)
    assert driver.pilot.app.session.unfolded == ("inputs",)
    await driver.pilot.press("m")
    assert not driver.knob("slack").display and driver.main.focused is not None


async def test_a_group_unfolds_alone_by_key_and_by_its_heading(driver: Driver) -> None:
    def shown(group: str) -> bool:
        return all(driver.knob(f.key).display for f in FIELDS if f.group == group)

    group = driver.knob("gpus").field.group
    await driver.focus("gpus")
    await driver.pilot.press("z")
    assert shown(group) and driver.knob("gpus").has_focus
    other = driver.knob("model").field.group
    assert not shown(other)
    assert driver.pilot.app.session.unfolded == (f"inputs:{group}",)
    heading = next(h for h in driver.main.query(Heading) if h.group == other)
    await heading.on_click()
    assert shown(other) and shown(group)
    await driver.focus("gpus")
    await driver.pilot.press("z")
    assert not shown(group) and shown(other) and driver.main.focused is not None
    await driver.pilot.press("m", "z")  # of all, without this group
    assert not shown(group) and shown(other)
    await driver.pilot.press("m", "m")
    assert not shown(group) and not shown(other)


async def test_a_row_that_is_set_stays_in_sight_and_goes_when_it_is_taken_back(driver: Driver) -> None:
    await driver.focus("headroom")
    await driver.pilot.press("right", "up")
    assert driver.knob("headroom").display and "edited" in driver.main.query_one(InputsPane).border_subtitle
    await driver.pilot.press("u")
    await driver.settled()
    assert not driver.knob("headroom").display


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
    await driver.enter("3")
    await driver.pilot.press("enter")
    assert driver.scenario.deployment.decode_instances == 3
    await driver.focus("decode-layout")
    await driver.pilot.press("enter", "x", "enter")
    assert driver.main.view.invalid == "decode-layout" and "PP4x" in driver.main.view.problem
    await driver.pilot.press("escape", "left")
    await driver.settled()
    assert driver.scenario.deployment.decode_layout == "DEP8"


async def test_a_row_asked_for_while_the_screen_closes_is_no_fault(driver: Driver) -> None:
    pane = driver.main.query_one(InputsPane)
    await pane.remove()
    group = [field.key for field in FIELDS if field.group == BY_KEY["images"].group]
    assert len(group) > 1
    for key in group:
        assert not pane.knob(key).is_attached


async def test_a_form_told_before_it_has_rows_shows_them_as_told(driver: Driver) -> None:
    known = driver.main.query_one(InputsPane)
    pane = InputsPane(lambda kind: (), glyphs=known.glyphs)
    assert known._view is not None
    pane.show(known._view)
    await driver.main.mount(pane)
    assert [knob.value for knob in pane.knobs if knob.display] == [
        knob.value for knob in known.knobs if knob.display
    ]


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
    await driver.enter("4k")
    assert driver.knob("isl").editing
    await driver.pilot.press("enter")
    assert not driver.knob("isl").editing and driver.scenario.traffic.isl == 4096
    await driver.settled()
    assert driver.main.view.plan.scenario.traffic.isl == 4096
    await driver.pilot.press("u")
    assert driver.scenario == fakes.SCENARIO


async def test_the_answer_comes_while_typing_and_escape_takes_it_back(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.enter("409")
    await driver.settled()
    assert driver.main.view.plan.scenario.traffic.isl == 409
    await driver.type("6")
    await driver.pilot.press("left", "backspace", "escape")
    assert driver.scenario == fakes.SCENARIO and not driver.main.history.can_undo
    await driver.settled()
    assert driver.main.view.plan.scenario == fakes.SCENARIO


async def test_letters_are_text_while_typing_and_keys_otherwise(driver: Driver) -> None:
    knob = await driver.focus("ttl")
    await driver.enter("30m")
    theme = driver.pilot.app.theme
    await driver.type("qut")
    assert knob.line.text == "30mqut" and driver.pilot.app.theme == theme
    await driver.pilot.press("escape", "t")
    assert driver.pilot.app.theme != theme


async def test_a_half_typed_unit_is_not_judged(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.enter("30m")
    assert driver.scenario == fakes.SCENARIO and not driver.main.view.invalid
    await driver.type("s")
    assert driver.scenario.limits.ttl_s == 0.03
    await driver.pilot.press("enter")
    await driver.enter("15")
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
        await driver.enter(typed)
        await driver.pilot.press("enter")
        await driver.settled()
        assert knob.field.get(driver.scenario) == pytest.approx(expected), (key, typed)


async def test_an_invalid_value_keeps_the_result_and_says_why(driver: Driver) -> None:
    before = driver.main.view.plan
    knob = await driver.focus("ttl")
    await driver.enter("7x")
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
    await driver.enter("9z")
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
    assert driver.knob("osl").has_focus
    await driver.pilot.press("tab")
    assert driver.main.query_one(ParetoChart).has_focus
    await driver.pilot.press("tab")
    assert driver.main.query_one(PlanCard).has_focus and "explains" in driver.hint
    await driver.pilot.press("tab", "tab")
    assert driver.knob("osl").has_focus
    await driver.pilot.press("shift+tab")
    assert driver.main.query_one(BreakdownPane).has_focus


async def test_a_reason_that_is_cut_off_is_told_in_full_when_the_value_is_insisted_on(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.enter("bad")
    await driver.pilot.press("enter")
    assert driver.main.view.problem and not driver.pilot.app._notifications  # it fits
    await driver.pilot.resize_terminal(60, 18)
    await driver.pilot.press("enter")
    (note,) = driver.pilot.app._notifications
    assert driver.main.view.problem in note.message and driver.knob("isl").line is not None
    await driver.pilot.press("escape")  # the word on it goes with it
    await fakes.until(driver.pilot, lambda: not driver.pilot.app._notifications)


async def test_the_bottom_row_holds_the_live_keys_and_takes_clicks(driver: Driver) -> None:
    bar = driver.main.query_one(KeyBar)
    line = fakes.text(bar)
    assert "←→ step" in line and "⏎ edit" in line and "q quit" in line and "fixes" not in line
    assert not next(key for key in bar.keys if key.id == "undo").live
    theme = driver.pilot.app.theme
    await driver.pilot.click(bar, offset=(line.index("t theme"), 0))
    assert driver.pilot.app.theme != theme
    await driver.focus("isl")
    await driver.enter("4")
    assert "q quit" not in fakes.text(bar)  # it would be text
    assert "⏎ take" in fakes.text(bar) and "esc take back" in fakes.text(bar)
    assert not any(word in fakes.text(bar) for word in ("step", "edit", "u undo"))  # `u` would be text
    await driver.pilot.press("enter")
    assert next(key for key in bar.keys if key.id == "undo").live
    assert {key.id for key in bar.fitting(20)} == {"help", "quit"}
    assert {"export", "deploy", "help", "quit"} <= {key.id for key in bar.fitting(80)}


async def test_a_slash_finds_anything_where_there_is_no_table_to_filter(driver: Driver) -> None:
    await driver.pilot.press("slash")
    await fakes.until(driver.pilot, lambda: isinstance(driver.pilot.app.screen, CommandPalette))
    await driver.pilot.press("escape", "2", "slash")
    assert not isinstance(driver.pilot.app.screen, CommandPalette)
    assert driver.main.query_one(PlanGrid).line is not None


async def test_moving_the_focus_repaints_two_rows_not_the_screen(driver: Driver) -> None:
    painted: list[Any] = []
    chart = driver.main.query_one(ParetoChart)
    render = chart.render_line
    chart.render_line = lambda y: painted.append(y) or render(y)  # type: ignore[method-assign]
    await driver.pilot.press("j", "j", "k")
    await driver.pilot.pause()
    assert painted == []


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
